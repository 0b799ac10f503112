"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks, as a verified token says: `name` at `member`, of `kind` user, staff, machine, auditor or peer."""

    name: str
    member: str
    kind: str


class TokenVerifier(Protocol):
    """Tokens to callers."""

    async def verify(self, token: str) -> Caller:
        """Raises `NotAuthenticated`, always with the same words."""
        ...
