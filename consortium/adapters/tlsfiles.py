"""Certificates that are replaced while a node runs: files that somebody puts in place, and the connections to come.

A certificate and its key are two files: what does not fit together (yet) is left alone, and looked at again.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_LOOK_S = 2.0
Stamp = tuple[tuple[int, int], ...] | None


@dataclass(slots=True)
class _Pair:
    certificate: Path
    key: Path
    renew: Callable[[], None]
    seen: Stamp


class TlsFiles:
    """Looks whether certificates were replaced, and tells who shows them."""

    def __init__(self) -> None:
        self._pairs: list[_Pair] = []

    def add(self, certificate: Path, key: Path, renew: Callable[[], None]) -> None:
        """Call `renew` when the two files have changed and fit together. What is under way must not be interrupted."""
        self._pairs.append(_Pair(certificate, key, renew, _stamp(certificate, key)))

    def context(self, context: ssl.SSLContext, certificate: Path, key: Path) -> None:
        """The same for a TLS context, client's or server's: handshakes to come show the new certificate."""
        self.add(certificate, key, lambda: context.load_cert_chain(str(certificate), str(key)))

    def look(self) -> int:
        """One look; how many certificates were renewed."""
        renewed = 0
        for pair in self._pairs:
            stamp = _stamp(pair.certificate, pair.key)
            if stamp in (None, pair.seen) or not _fit(pair.certificate, pair.key):
                continue
            pair.renew()
            pair.seen = stamp
            renewed += 1
        return renewed

    async def run(self) -> None:
        """Look for ever."""
        while True:
            await asyncio.sleep(_LOOK_S)
            self.look()


def _fit(certificate: Path, key: Path) -> bool:
    """A context that failed to load a pair is half changed: so this tries on one that nobody uses."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(str(certificate), str(key), password="")
    except (OSError, ValueError):  # an `ssl.SSLError` is an OSError
        return False
    return True


def _stamp(*paths: Path) -> Stamp:
    try:
        found = [path.stat() for path in paths]
    except OSError:
        return None
    return tuple((one.st_mtime_ns, one.st_ino) for one in found)
