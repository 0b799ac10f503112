"""What every `DisclosureStore` owes (consortium.ports.disclosures), over the fake and over Postgres."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.adapters.postgres.disclosures import PostgresDisclosures
from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.ports.disclosures import Claim, DisclosureStore, Standing, State
from tests.builders import Chain, make_records, noise
from tests.fakes.disclosures import MemoryDisclosures

GRANT, OTHER = noise("grant", size=16), noise("other grant", size=16)


def claim(number: int, holder: str = "alpha", grant: bytes = GRANT) -> Claim:
    return Claim(grant, noise("record", number, size=16), holder, number, 3, 1000 + number, noise("sealed", number))


def opened(one: Claim, type: str = "trade", start_ms: int = 500) -> Claim:
    return replace(one, state=State.OPEN, type=type, start_ms=start_ms, sealed=noise("opened", one.index, one.holder))


@pytest.fixture(params=["memory", pytest.param("postgres", marks=pytest.mark.processes)])
def store(request: pytest.FixtureRequest) -> DisclosureStore:
    if request.param == "memory":
        return MemoryDisclosures()
    return PostgresDisclosures(request.getfixturevalue("database"))


async def test_an_empty_store(store):
    assert await store.key(GRANT) is None
    assert list(await store.keys()) == []
    assert await store.mark() == 0
    assert list(await store.waiting(GRANT, 10)) == []
    assert list(await store.all(GRANT)) == []
    assert dict(await store.standing([GRANT])) == {}
    await store.settle([])


async def test_of_two_keys_for_a_grant_the_first_stays(store):
    assert await store.save_key(GRANT, b"first") == b"first"
    assert await store.save_key(GRANT, b"second") == b"first"
    assert await store.key(GRANT) == b"first"
    assert await store.key(OTHER) is None
    assert list(await store.keys()) == [GRANT]


async def test_claims_wait_in_the_order_of_the_tree_and_the_mark_only_rises(store):
    await store.add([claim(7), claim(3), claim(3, "bravo"), claim(1, grant=OTHER)], 9)
    assert list(await store.waiting(GRANT, 10)) == [claim(3), claim(3, "bravo"), claim(7)]
    assert list(await store.waiting(GRANT, 1)) == [claim(3)]
    assert list(await store.waiting(GRANT, 10, ["alpha"])) == [claim(3, "bravo")]
    assert list(await store.keys()) == sorted([GRANT, OTHER])
    await store.add([], 4)
    assert await store.mark() == 9


async def test_the_first_claim_of_a_holder_stands(store):
    await store.add([claim(3)], 4)
    await store.add([replace(claim(3), sections=255, sealed=b"other")], 5)
    assert list(await store.waiting(GRANT, 10)) == [claim(3)]
    assert await store.mark() == 5


async def test_what_is_settled_waits_no_more_and_is_settled_once(store):
    await store.add([claim(3), claim(5)], 6)
    refused = replace(claim(5), state=State.REFUSED, reason="it is of another type")
    await store.settle([opened(claim(3)), refused])
    assert list(await store.waiting(GRANT, 10)) == []
    await store.settle([replace(refused, state=State.OPEN, sealed=b"late", type="trade")])
    assert list(await store.all(GRANT)) == [opened(claim(3)), replace(refused, sealed=b"")]
    assert list(await store.of_records(GRANT, [claim(3).record])) == [opened(claim(3))]
    assert list(await store.of_records(OTHER, [claim(3).record])) == []


async def test_pages_hold_opened_records_once_and_by_type_and_period(store):
    claims = [claim(1), claim(1, "bravo"), claim(2), claim(4), claim(6), claim(8)]
    await store.add(claims, 9)
    await store.settle([opened(one) for one in claims[:3]])
    await store.settle([opened(claims[3], "order"), opened(claims[4], start_ms=900)])

    async def page(**asked):
        defaults = {"type": None, "from_ms": None, "to_ms": None, "after": -1, "limit": 10}
        found = await store.page(GRANT, **{**defaults, **asked})
        return [next(one.index for one in claims if one.record == id) for id in found]

    assert await page() == [1, 2, 4, 6]
    assert await page(limit=2) == [1, 2]
    assert await page(after=2) == [4, 6]
    assert await page(type="order") == [4]
    assert await page(from_ms=501) == [6]
    assert await page(to_ms=900) == [1, 2, 4]


async def test_all_goes_on_after_a_place(store):
    await store.add([claim(1), claim(1, "bravo"), claim(2)], 3)
    assert [(one.index, one.holder) for one in await store.all(GRANT, limit=2)] == [(1, "alpha"), (1, "bravo")]
    assert [one.index for one in await store.all(GRANT, (1, "alpha"))] == [1, 2]
    assert [one.index for one in await store.all(GRANT, (1, "bravo"))] == [2]


async def test_what_is_dropped_is_gone_and_comes_back_by_nothing(store):
    await store.save_key(GRANT, b"key")
    await store.add([claim(1), claim(1, grant=OTHER)], 2)
    await store.drop(GRANT)
    await store.settle([opened(claim(1))])
    assert await store.key(GRANT) is None
    assert list(await store.all(GRANT)) == []
    assert list(await store.keys()) == [OTHER]


@pytest.mark.processes
async def test_where_records_stand(database):
    chain = Chain()
    records = make_records("alpha", 2)
    step = chain.add("alpha", records)
    await PostgresLedger(database).commit(step, [])
    accepted = step.accepted[1]
    found = await PostgresDisclosures(database).standing([accepted.verdict.id, noise("nobody", size=16)])
    assert found == {accepted.verdict.id: Standing(1, 1, step.block.time_ms, accepted.header_bytes)}
