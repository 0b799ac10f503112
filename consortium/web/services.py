"""What the routes are given; `bootstrap` fills it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.agents.cosign import Cosigner
from consortium.agents.disclose import Discloser
from consortium.agents.ownkeys import OwnKeyKeeper, Possession
from consortium.agents.rekey import Rekeyer
from consortium.model.members import Genesis, Membership
from consortium.node import Node
from consortium.pipeline.access import Access
from consortium.pipeline.accesses import Accesses
from consortium.pipeline.delegating import Delegating
from consortium.pipeline.disclosed import Disclosed
from consortium.pipeline.erase import Erasing
from consortium.pipeline.explaining import Explainer
from consortium.pipeline.govern import Governor
from consortium.pipeline.grants import Grants
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.personal import Personal
from consortium.pipeline.prove import Prover
from consortium.pipeline.read import Reader
from consortium.pipeline.submit import Submitter
from consortium.ports.callers import TokenVerifier
from consortium.ports.certificates import CertificateFiles
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import PartyStore
from consortium.web.callers import Logins
from consortium.web.people import People, SecondFactors, Sessions


@dataclass(frozen=True, slots=True)
class Services:
    """One node's services. `hint_keys` are by member: they recognise who is a party, and open nothing. `membership` is
    that of the moment.
    """

    member: str
    genesis: Genesis
    membership: Membership
    hint_keys: Callable[[str], Sequence[bytes]]
    node: Node
    access: Access
    submitter: Submitter
    reader: Reader
    personal: Personal
    accesses: Accesses
    delegating: Delegating
    market: MarketReader
    explainer: Explainer
    prover: Prover
    governor: Governor
    erasing: Erasing
    grants: Grants
    disclosed: Disclosed
    discloser: Discloser
    cosigner: Cosigner
    ledger: LedgerStore
    party: PartyStore
    verifier: TokenVerifier
    logins: Logins
    sessions: Sessions
    factors: SecondFactors
    people: People
    own_keys: OwnKeyKeeper
    rekeyer: Rekeyer
    tls_files: CertificateFiles
    possession: Possession
    jwks: Callable[[], dict[str, Any]]
