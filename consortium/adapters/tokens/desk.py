"""The node's front desk, put together: who somebody is, how they sign in, and how they come to be known at all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.adapters.tokens.challenges import Challenges
from consortium.adapters.tokens.devices import Devices
from consortium.adapters.tokens.dpop import Proofs
from consortium.adapters.tokens.logins import Logins
from consortium.adapters.tokens.node import NodeTokens
from consortium.adapters.tokens.oidc import OidcTokens
from consortium.adapters.tokens.passwords import PasswordCheck
from consortium.adapters.tokens.peers import PeerTokens
from consortium.adapters.tokens.people import People
from consortium.adapters.tokens.secondfactor import SecondFactors
from consortium.adapters.tokens.sessions import Sessions
from consortium.adapters.tokens.verifier import Verifier
from consortium.ports.accounts import AccountStore
from consortium.ports.clock import Clock
from consortium.ports.keys import KeyCustody
from consortium.ports.sessions import InvitationStore, SecondFactorStore, SessionStore


class DeskStores(Protocol):
    """What is kept of people."""

    @property
    def accounts(self) -> AccountStore: ...
    @property
    def sessions(self) -> SessionStore: ...
    @property
    def factors(self) -> SecondFactorStore: ...
    @property
    def invitations(self) -> InvitationStore: ...


@dataclass(frozen=True, slots=True)
class DeskSettings:
    """`origin` is where callers reach the API (`https://node.example`)."""

    network: str
    member: str
    origin: str
    token_s: int
    session_s: int


@dataclass(frozen=True, slots=True)
class Desk:
    """Its parts, as the routes need them."""

    tokens: NodeTokens
    verifier: Verifier
    logins: Logins
    sessions: Sessions
    factors: SecondFactors
    people: People


def front_desk(
    settings: DeskSettings,
    custody: KeyCustody,
    clock: Clock,
    stores: DeskStores,
    peers: PeerTokens,
    oidc: Sequence[OidcTokens] = (),
    passwords: PasswordCheck | None = None,
) -> Desk:
    """Raises `ConfigurationError` if two issuers of tokens have one name."""
    passwords = passwords or PasswordCheck()
    network, member = settings.network, settings.member
    tokens = NodeTokens(custody, clock, network=network, member=member, lifetime_s=settings.token_s)
    proofs = Proofs(clock, settings.origin)
    sessions = Sessions(stores.accounts, stores.sessions, tokens, clock, lifetime_s=settings.session_s)
    factors = SecondFactors(stores.factors, custody, clock, issuer=f"{member}.{network}")
    challenges = Challenges(custody, clock, issuer=tokens.issuer)
    devices = Devices(custody, clock, issuer=tokens.issuer)
    return Desk(
        tokens,
        Verifier(tokens, peers, oidc, stores.accounts, stores.sessions, proofs, clock),
        Logins(stores.accounts, sessions, challenges, factors, devices, proofs, clock, passwords),
        sessions,
        factors,
        People(stores.accounts, stores.invitations, sessions, factors, clock, passwords),
    )
