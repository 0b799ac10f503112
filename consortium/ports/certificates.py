"""Certificates that may be replaced while a node runs."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Protocol


class CertificateFiles(Protocol):
    """Follows certificate files."""

    def context(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        """Let a TLS context show what these files hold, also after they were replaced."""
        ...

    async def run(self) -> None:
        """Follow for ever."""
        ...
