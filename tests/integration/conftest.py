"""The network that all integration tests share: it ends with the last of them, and slows nobody down after."""

from __future__ import annotations

from tests.fixtures.network import network

__all__ = ["network"]
