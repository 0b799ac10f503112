"""Who asks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from consortium.model.names import Party

PEER = "peer"
"""The kind of a caller that is another member's node."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: `name` at `member`, of `kind` user, staff, machine, officer, administrator, service or peer.

    Name, member, kind and `duties` (of staff) are what a verified token and the account behind it say. `purpose` and
    `behalf` (whom a delegate reads for) are what the request claims, and prove nothing.
    """

    name: str
    member: str
    kind: str
    duties: frozenset[str] = frozenset()
    purpose: str = ""
    behalf: Party | None = None


@dataclass(frozen=True, slots=True)
class Proof:
    """A DPoP proof (RFC 9449) as it came with a request: '' if there was none; `path` is the request's, undecoded."""

    text: str
    method: str
    path: str


class TokenVerifier(Protocol):
    """Tokens to callers."""

    async def verify(self, token: str, proof: Proof | None = None) -> Caller:
        """Who sent it; `proof` is None for a token that came as `Bearer`. A token that is bound to a key needs one.

        Raises `NotAuthenticated`, always with the same words.
        """
        ...
