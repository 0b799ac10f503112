"""Tokens by which members' nodes know each other: a minute long, by the sender's token key, for one receiver."""

from __future__ import annotations

from functools import partial

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected, Verified
from consortium.model.members import Membership
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

LIFETIME_S = 60
PEER = "peer"
_REQUIRED = ("iss", "aud", "iat", "nbf", "exp")


class PeerTokens:
    """Issues as `member`, and verifies the other members' by their keys of now."""

    def __init__(self, custody: KeyCustody, clock: Clock, *, genesis: Membership, member: str) -> None:
        self._custody = custody
        self._clock = clock
        self._network = genesis.network
        self._member = member
        self._membership = genesis
        self._issued: dict[tuple[str, bytes], tuple[str, int]] = {}
        self._refused: dict[str, int] = {}

    @property
    def issuers(self) -> frozenset[str]:
        """The members whose tokens this node knows."""
        return frozenset(m.name for m in self._membership.members if m.name != self._member)

    def issue(self, receiver: str) -> str:
        """A token for the node of `receiver`; the same one again while half of its life is left."""
        now_s = self._clock.now_ms() // 1000
        public = self._key_for(receiver)
        token, expires_s = self._issued.get((receiver, public), ("", 0))
        if not LIFETIME_S // 2 <= expires_s - now_s <= LIFETIME_S:
            expires_s = now_s + LIFETIME_S
            claims = {
                "iss": self._member,
                "aud": self._audience(receiver),
                "iat": now_s,
                "nbf": now_s,
                "exp": expires_s,
            }
            token = compact.sign(claims, compact.key_id(public), partial(self._custody.sign_token, public=public))
            self._issued[receiver, public] = token, expires_s
        return token

    def refused(self, receiver: str) -> None:
        """That node did not take the token: it may be ahead of us, or behind, in which of our keys the ledger names.

        Without another try a node that was away while its keys changed could ask nobody for what it missed.
        """
        self._refused[receiver] = self._refused.get(receiver, 0) + 1

    def _key_for(self, receiver: str) -> bytes:
        """The key in force, or after refusals each of the others that we hold in its turn, newest first."""
        held = [keys.token for keys in reversed(self._custody.generations)]
        others = [key for key in dict.fromkeys(held) if key != self._custody.public.token]
        return [self._custody.public.token, *others][self._refused.get(receiver, 0) % (len(others) + 1)]

    def verify(self, token: str) -> Verified:
        """Raises `NotAuthenticated`, also for a token that lives longer than a minute: no member hands out more."""
        header, claims = compact.peek(token)
        issuer = compact.text_claim(claims, "iss")
        member = self._membership.member(issuer)
        public = member.keys.token if member is not None and issuer != self._member else None
        if public is None or header.get("kid") != compact.key_id(public):
            raise compact.refused()
        expected = Expected((compact.EDDSA,), issuer, self._audience(self._member), _REQUIRED)
        claims = compact.verify(token, compact.ed25519(public), expected, self._clock.now_ms())
        expires_s = compact.seconds_claim(claims, "exp")
        if expires_s - compact.seconds_claim(claims, "iat") > LIFETIME_S:
            raise compact.refused()
        return Verified(issuer, issuer, PEER, expires_s)

    def _audience(self, receiver: str) -> str:
        return f"{self._network}/peer/{receiver}"
