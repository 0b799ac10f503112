"""The trading day that these tests share."""

from __future__ import annotations

from tests.fixtures.day import trading_day

__all__ = ["trading_day"]
