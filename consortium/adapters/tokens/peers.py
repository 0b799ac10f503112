"""Tokens by which members' nodes know each other: a minute long, by the sender's token key, for one receiver."""

from __future__ import annotations

from consortium.adapters.tokens import compact
from consortium.adapters.tokens.compact import Expected, Verified
from consortium.model.members import Genesis
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody

LIFETIME_S = 60
PEER = "peer"
_REQUIRED = ("iss", "aud", "iat", "nbf", "exp")


class PeerTokens:
    """Issues as `member`, and verifies the other members' by the keys of the genesis."""

    def __init__(self, custody: KeyCustody, clock: Clock, *, genesis: Genesis, member: str) -> None:
        self._sign = custody.sign_token
        self._clock = clock
        self._network = genesis.network
        self._member = member
        self._kid = compact.key_id(custody.public.token)
        self._others = {m.name: m.keys.token for m in genesis.members if m.name != member}
        self._issued: dict[str, tuple[str, int]] = {}

    @property
    def issuers(self) -> frozenset[str]:
        """The members whose tokens this node knows."""
        return frozenset(self._others)

    def issue(self, receiver: str) -> str:
        """A token for the node of `receiver`; the same one again while half of its life is left."""
        now_s = self._clock.now_ms() // 1000
        token, expires_s = self._issued.get(receiver, ("", 0))
        if not LIFETIME_S // 2 <= expires_s - now_s <= LIFETIME_S:
            expires_s = now_s + LIFETIME_S
            claims = {
                "iss": self._member,
                "aud": self._audience(receiver),
                "iat": now_s,
                "nbf": now_s,
                "exp": expires_s,
            }
            token = compact.sign(claims, self._kid, self._sign)
            self._issued[receiver] = token, expires_s
        return token

    def verify(self, token: str) -> Verified:
        """Raises `NotAuthenticated`, also for a token that lives longer than a minute: no member hands out more."""
        header, claims = compact.peek(token)
        issuer = compact.text_claim(claims, "iss")
        public = self._others.get(issuer)
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
