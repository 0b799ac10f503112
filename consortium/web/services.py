"""What the routes are given; `bootstrap` fills it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from consortium.agents.cosign import Cosigner
from consortium.model.members import Genesis
from consortium.node import Node
from consortium.pipeline.access import Access
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.personal import Personal
from consortium.pipeline.prove import Prover
from consortium.pipeline.read import Reader
from consortium.pipeline.submit import Submitter
from consortium.ports.callers import TokenVerifier
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import PartyStore
from consortium.web.callers import Logins


@dataclass(frozen=True, slots=True)
class Services:
    """One node's services. `hint_keys` are by member: they recognise who is a party, and open nothing."""

    member: str
    genesis: Genesis
    trust_file: str
    hint_keys: Mapping[str, bytes]
    node: Node
    access: Access
    submitter: Submitter
    reader: Reader
    personal: Personal
    market: MarketReader
    prover: Prover
    cosigner: Cosigner
    ledger: LedgerStore
    party: PartyStore
    verifier: TokenVerifier
    logins: Logins
    jwks: Callable[[], dict[str, Any]]
