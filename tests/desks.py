"""A node's front desk over stores in memory, and a standing session for tokens that no login made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from consortium.adapters.tokens.desk import Desk, DeskSettings, front_desk
from consortium.adapters.tokens.node import IssuedToken
from consortium.adapters.tokens.oidc import OidcTokens
from consortium.adapters.tokens.passwords import PasswordCheck, PasswordCost
from consortium.adapters.tokens.peers import PeerTokens
from consortium.client.dpop import DpopKey
from consortium.ports.accounts import Account
from consortium.ports.callers import Proof
from consortium.ports.sessions import Session
from tests.callers import FakeClock, MemoryAccounts, custody_of
from tests.fakes.sessions import MemoryInvitations, MemorySecondFactors, MemorySessions

CHEAP = PasswordCost(1, 8192)
ORIGIN = "http://node"
STANDING = bytes(range(16))
"""The id of a session that stands for ever."""


@dataclass
class DeskStores:
    """What the desk keeps."""

    accounts: MemoryAccounts
    sessions: MemorySessions = field(default_factory=MemorySessions)
    factors: MemorySecondFactors = field(default_factory=MemorySecondFactors)
    invitations: MemoryInvitations = field(default_factory=MemoryInvitations)

    def __post_init__(self) -> None:
        self.sessions._sessions[STANDING] = Session(STANDING, "", "", 0, 0, 1 << 62)


def stores_of(*accounts: Account) -> DeskStores:
    """With these accounts."""
    return DeskStores(MemoryAccounts(*accounts))


def desk_of(
    stores: DeskStores,
    clock: FakeClock,
    peers: PeerTokens,
    oidc: Sequence[OidcTokens] = (),
    *,
    member: str = "suncoop",
    keys: str = "",
) -> Desk:
    """The desk of a member's node; `keys` are another's if its keys are to be."""
    settings = DeskSettings("voltnet", member, ORIGIN, 900, 43_200)
    return front_desk(settings, custody_of(keys or member), clock, stores, peers, oidc, PasswordCheck(CHEAP))


def issued(desk: Desk, name: str, kind: str, key: str = "") -> IssuedToken:
    """A token in the standing session."""
    return desk.tokens.issue(name, kind, session=STANDING, key=key)


def key_of(clock: FakeClock, word: str = "key") -> DpopKey:
    """A client's DPoP key that follows from a word, with the test's clock."""
    return DpopKey(word.encode().ljust(32, b"."), lambda: clock.now_ms() / 1000)


def proof(key: DpopKey, method: str = "GET", path: str = "/v1/status", token: str = "", origin: str = ORIGIN) -> Proof:
    """A proof as the routes hand it on."""
    return Proof(key.proof(method, origin + path, token), method, path)
