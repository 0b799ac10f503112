"""Each suite runs over the fake and over the real adapter."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from consortium.adapters.postgres.accounts import PostgresAccounts
from consortium.adapters.postgres.erasure import PostgresErasure
from consortium.adapters.postgres.keys import PostgresKeys
from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.witness import PostgresWitness
from consortium.ports.accounts import AccountStore
from consortium.ports.erasure import ErasureStore
from consortium.ports.ledger import LedgerStore
from consortium.ports.party import PartyStore
from consortium.ports.rekeying import RekeyStore
from consortium.ports.witness import WitnessStore
from tests.fakes.store import MemoryStore


class Store(NamedTuple):
    """One node's store by its contracts."""

    ledger: LedgerStore
    party: PartyStore
    witness: WitnessStore
    accounts: AccountStore
    erasure: ErasureStore
    rekey: RekeyStore


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest) -> Store:
    if request.param == "memory":
        memory = MemoryStore()
        return Store(memory, memory, memory, memory, memory, memory)
    database: Database = request.getfixturevalue("database")
    return Store(
        PostgresLedger(database),
        PostgresParty(database),
        PostgresWitness(database),
        PostgresAccounts(database),
        PostgresErasure(database),
        PostgresKeys(database),
    )
