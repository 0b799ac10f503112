"""Grants from end to end over real keys: who discloses what, what an officer's node takes, what it gives to whom."""

from __future__ import annotations

import os
from dataclasses import replace

import pytest
import pytest_asyncio

from consortium.agents.overdue import OverdueWatch
from consortium.energy.payloads.contracts import ContractFrame, ContractStep, ContractTerms
from consortium.energy.payloads.market import TradeMoney, TradePoints, TradeTerms
from consortium.energy.payloads.metering import MeterReading
from consortium.errors import Forbidden, InvalidRequest, NotFound, NotReady
from consortium.ledger.governance.state import Erasure
from consortium.model.records import parse_header
from consortium.model.scope import Scope
from consortium.pipeline.disclosed import Query
from consortium.ports.callers import Caller
from tests.builders import T0
from tests.grants_world import COLLEAGUE, DAY_MS, OFFICER, GrantsWorld, grants_world

HOUR = 3_600_000
MORNING = T0 + 8 * HOUR
BUYER, SELLER = "home-09@cityretail", "home-01@suncoop"
POINTS_READERS = f"{BUYER} {SELLER} cityretail suncoop gridco"
TERMS_READERS = f"{BUYER} {SELLER} cityretail suncoop"
ALL = ("identity", "money", "physical", "terms")


@pytest_asyncio.fixture
async def world():
    async with grants_world() as running:
        yield running


def scope(**changed) -> Scope:
    base = {
        "types": ("trade",), "parties": (), "areas": (), "from_ms": T0, "to_ms": T0 + 12 * HOUR, "groups": ALL,
    }  # fmt: skip
    return Scope.model_validate({**base, **changed})


async def trade(
    world: GrantsWorld, start_ms: int = MORNING, buyer_point: str = "p-9", seller_point: str = "p-1"
) -> bytes:
    common = {"start_ms": start_ms, "market": "local"}
    points = TradePoints(
        **common, session_s=3600, buyer_point=buyer_point, seller_point=seller_point, wh=500, fee=10_000
    )
    terms = TradeTerms(
        **common, gate=bytes(16), number=0, buyer=BUYER, seller=SELLER, bid=b"b" * 16, ask=b"a" * 16, price=130,
        value=65_000, currency="USD",
    )  # fmt: skip
    money = TradeMoney(
        **common, bid=b"b" * 16, buyer=BUYER, seller=SELLER, grid="gridco", value=65_000, fee=10_000, currency="USD"
    )
    return await world.write(
        "suncoop", (points, POINTS_READERS), (terms, TERMS_READERS), (money, f"{BUYER} {SELLER} gridco")
    )


async def reading(world: GrantsWorld, home: str = SELLER, start_ms: int = MORNING) -> bytes:
    member = home.rpartition("@")[2]
    part = MeterReading(start_ms=start_ms, subject=home, interval_s=3600, load_wh=7, pv_wh=0, quality="measured")
    return await world.write(member, (part, f"{home} {member} gridco"))


async def grid_contract(world: GrantsWorld, home: str, point: str, area: str) -> None:
    frame = ContractFrame(
        start_ms=T0 - DAY_MS, kind="grid", end_ms=0, provider="gridco", customer=home, proposer="gridco", point=point,
        area=area,
    )  # fmt: skip
    terms = ContractTerms(start_ms=T0 - DAY_MS, currency="USD", terms={"local_fee": 20, "grid_fee": 80})
    member = home.rpartition("@")[2]
    contract = await world.write(
        "gridco", (frame, f"gridco {home} {member} suncoop"), (terms, f"gridco {home} {member}")
    )
    step = ContractStep(start_ms=T0 - DAY_MS, contract=contract, by=home, step="countersigned")
    await world.turn(1000)
    await world.write(member, (step, f"gridco {home} {member} suncoop"))


async def read_all(world: GrantsWorld, grant: bytes, caller: Caller = OFFICER, **asked):
    rows, _ = await world.office.disclosed.page(caller, grant, Query(**asked))
    return rows


async def refused_alike(world: GrantsWorld, grant: bytes, record: bytes, caller: Caller = OFFICER) -> None:
    """Not given, in the words of what does not exist."""
    said = []
    for asked in (record, os.urandom(16)):
        with pytest.raises(NotFound) as caught:
            await world.office.disclosed.get(caller, grant, asked)
        said.append((str(caught.value), caught.value.hint))
    assert said == [("no such record", "")] * 2


# --- what is given ---------------------------------------------------------------------------------------------------


async def test_an_officer_reads_what_the_scope_covers_once_two_members_voted(world):
    inside, later = await trade(world), await trade(world, T0 + 13 * HOUR)
    grant = await world.asks(scope())
    await world.vote(grant, "gridco")
    await world.settle()
    await refused_alike(world, grant, inside)
    await world.vote(grant, "suncoop")
    await world.settle()
    row = await world.office.disclosed.get(OFFICER, grant, inside)
    assert row["data"]["terms"]["price"] == 130
    assert row["data"]["physical"]["wh"] == 500
    assert row["data"]["money"]["value"] == 65_000
    assert row["groups"] == ["money", "physical", "terms"]
    assert row["holders"] == ["cityretail", "gridco", "suncoop"]
    assert not row["by_word"]
    assert [one["id"] for one in await read_all(world, grant)] == [inside.hex()]
    await refused_alike(world, grant, later)
    assert world.office.refused == []


async def test_every_read_is_released_with_its_subjects_before_it_leaves(world):
    inside = await trade(world)
    grant = await world.granted(scope(groups=("identity", "terms")))
    await world.settle()
    await world.office.disclosed.get(OFFICER, grant, inside)
    ((caller, released),) = world.office.releases.released
    assert caller == OFFICER
    assert (released.id, released.type, released.under) == (inside, "trade", grant)
    assert released.groups == {"terms", "identity"}
    assert sorted(map(str, released.subjects)) == sorted([BUYER, SELLER])
    assert released.start_ms == MORNING

    async def cannot(*_):
        raise NotReady("that this is read cannot be noted")

    world.office.disclosed._releases.release = cannot
    with pytest.raises(NotReady):
        await world.office.disclosed.get(OFFICER, grant, inside)
    with pytest.raises(NotReady):
        await read_all(world, grant)


async def test_only_granted_field_groups_are_disclosed_at_all(world):
    inside = await trade(world)
    grant = await world.granted(scope(groups=("physical",)))
    await world.settle()
    row = await world.office.disclosed.get(OFFICER, grant, inside)
    assert set(row["data"]) == {"physical"}
    assert row["groups"] == ["physical"]
    claims = await world.office.disclosures.all(grant)
    assert {claim.sections for claim in claims} == {1}
    assert {claim.holder for claim in claims} == {"cityretail", "gridco", "suncoop"}


async def test_without_identity_names_are_masked_and_no_key_is_given(world):
    inside = await trade(world)
    grant = await world.granted(scope(groups=("terms",)))
    await world.settle()
    row = await world.office.disclosed.get(OFFICER, grant, inside)
    assert row["data"]["terms"]["price"] == 130
    assert row["data"]["terms"]["buyer"] is None
    assert row["proof"] is None
    assert row["masked"] == ["terms.buyer", "terms.seller"]
    assert SELLER not in str(row)
    assert BUYER not in str(row)


async def test_a_scope_of_a_party_covers_its_records_and_nobody_elses(world):
    mine, others = await reading(world), await reading(world, "home-02@suncoop")
    grant = await world.granted(scope(types=("reading",), parties=(SELLER,)))
    await world.settle()
    assert [row["id"] for row in await read_all(world, grant)] == [mine.hex()]
    await refused_alike(world, grant, others)


async def test_a_scope_of_an_area_covers_what_lies_in_it(world):
    await grid_contract(world, SELLER, "p-1", "area-1")
    await grid_contract(world, BUYER, "p-9", "area-2")
    await grid_contract(world, "home-02@suncoop", "p-2", "area-3")
    both, home = await trade(world), await reading(world)
    elsewhere = await reading(world, "home-02@suncoop")
    grant = await world.granted(scope(types=("reading", "trade"), areas=("area-1",), groups=("physical",)))
    await world.settle()
    rows = await read_all(world, grant)
    assert [row["id"] for row in rows] == [both.hex(), home.hex()]
    assert {row["by_word"] for row in rows} == {True}
    await refused_alike(world, grant, elsewhere)


async def test_what_comes_later_is_disclosed_while_the_grant_lasts_and_nothing_is_written_twice(world):
    first = await trade(world)
    grant = await world.granted(scope())
    await world.settle()
    second = await trade(world, MORNING + HOUR)
    await world.settle()
    size = world.office.applier.state.tree.size
    await world.settle()
    assert world.office.applier.state.tree.size == size
    assert [row["id"] for row in await read_all(world, grant)] == [first.hex(), second.hex()]


async def test_a_holder_that_starts_again_goes_on_where_its_own_disclosures_end(world):
    first = await trade(world)
    grant = await world.granted(scope())
    await world.settle()
    for node in world.nodes.values():
        node.discloser = node.new_discloser()
    size = world.office.applier.state.tree.size
    await world.settle()
    assert world.office.applier.state.tree.size == size, "nothing new, nothing written"
    second = await trade(world, MORNING + HOUR)
    await world.settle()
    assert [row["id"] for row in await read_all(world, grant)] == [first.hex(), second.hex()]


async def test_many_records_take_many_disclosures_and_stay_in_order(world, monkeypatch):
    monkeypatch.setattr("consortium.agents.disclose.MAX_ENTRIES", 7)
    made = [await reading(world, start_ms=T0 + hour * HOUR) for hour in range(10)]
    grant = await world.granted(scope(types=("reading",)))
    world.silent = {"cityretail", "gridco"}
    before = world.office.applier.state.tree.size
    await world.settle()
    assert world.office.applier.state.tree.size == before + 2
    assert [row["id"] for row in await read_all(world, grant)] == [id.hex() for id in made]
    page, after = await world.office.disclosed.page(OFFICER, grant, Query(limit=4))
    rest, end = await world.office.disclosed.page(OFFICER, grant, Query(after=after, limit=40))
    assert [row["id"] for row in (*page, *rest)] == [id.hex() for id in made]
    assert end is None


# --- the end ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("how", ["ended by vote", "expired"])
async def test_after_its_end_nothing_is_read_nothing_is_disclosed_and_the_key_is_gone(world, how):
    inside = await trade(world)
    grant = await world.granted(scope(), days=2)
    await world.settle()
    assert await read_all(world, grant)
    if how == "expired":
        await world.turn(2 * DAY_MS)
    else:
        proposal = await world.propose("cityretail", "end-grant", {"grant": grant})
        await world.vote(proposal, "cityretail", "gridco")
    await refused_alike(world, grant, inside)
    size = world.office.applier.state.tree.size
    await trade(world, MORNING + HOUR)
    await world.settle()
    assert world.office.applier.state.tree.size == size + 1, "the trade alone"
    assert await world.office.disclosures.key(grant) is None
    assert list(await world.office.disclosures.all(grant)) == []
    with pytest.raises(NotFound):
        await read_all(world, grant)


async def test_a_disclosure_that_is_ordered_after_the_end_counts_for_nothing(world):
    await trade(world)
    grant = await world.granted(scope())
    await world.disclose()
    proposal = await world.propose("cityretail", "end-grant", {"grant": grant})
    await world.vote(proposal, "cityretail", "gridco")
    await trade(world, MORNING + HOUR)
    for node in world.nodes.values():
        node.discloser._may_disclose = lambda _: True  # a holder that does not know when to stop
    await world.disclose()
    ended = world.office.applier.state.governance.grants[grant].ended
    office = world.office
    state = office.applier.state
    office.receiver._state = lambda: state
    found = await office.store.arrived(-1, 1000)
    late = [one for one in found if office.receiver._disclosure(one.held) is not None]
    places = await office.disclosures.standing([one.held.id for one in late])
    after = [one for one in late if places[one.held.id].height >= ended]
    assert after, "somebody did disclose afterwards"
    claims = await office.receiver._claims([(one, office.receiver._disclosure(one.held)) for one in after])
    assert claims == []


# --- who may ---------------------------------------------------------------------------------------------------------


async def test_another_officer_staff_and_administrators_get_nothing_of_a_grant(world):
    inside = await trade(world)
    grant = await world.granted(scope())
    await world.settle()
    await refused_alike(world, grant, inside, COLLEAGUE)
    with pytest.raises(NotFound):
        await read_all(world, grant, COLLEAGUE)
    with pytest.raises(NotFound):
        await world.office.grants.missing(COLLEAGUE, grant)
    assert world.office.grants.all(COLLEAGUE) == []
    for kind in ("staff", "user", "machine"):
        with pytest.raises(Forbidden):
            await read_all(world, grant, Caller("regulator-officer", "regulator", kind))
    with pytest.raises(NotFound):
        await read_all(world, grant, Caller("regulator-officer", "regulator", "administrator"))


async def test_two_grants_of_one_officer_do_not_mix(world):
    first, second = await trade(world), await reading(world)
    one = await world.granted(scope(groups=("identity", "physical")))
    two = await world.granted(scope(types=("reading",), groups=("identity", "physical", "terms")))
    await world.settle()
    assert set((await world.office.disclosed.get(OFFICER, one, first))["data"]) == {"physical"}
    await refused_alike(world, two, first)
    await refused_alike(world, one, second)


@pytest.mark.parametrize("kind", ["administrator", "staff", "user"])
async def test_nobody_but_an_officer_asks_for_a_grant(world, kind):
    with pytest.raises(Forbidden):
        await world.asks(scope(), caller=Caller("regulator-officer", "regulator", kind))
    assert list(await world.office.disclosures.keys()) == []


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"types": ("disclosure",)}, "types"),
        ({"types": ("nothing-known",)}, "types"),
        ({"groups": ("identity",)}, "groups"),
        ({"areas": ("area-1",), "groups": ("terms",)}, "groups"),
    ],
)
async def test_a_scope_that_nobody_could_check_is_refused_with_a_hint(world, changed, field):
    with pytest.raises(InvalidRequest) as caught:
        await world.asks(scope(**changed))
    assert caught.value.field == field


async def test_ciphertexts_are_handed_to_the_grants_own_member_alone_and_only_of_what_is_covered(world):
    inside, outside = await trade(world), await reading(world)
    grant = await world.granted(scope(groups=("physical",)))
    await world.settle()
    holder = world.nodes["suncoop"].discloser
    nothing = {inside: {}, outside: {}}
    assert await holder.ciphertexts("cityretail", grant, [inside, outside]) == nothing
    assert await holder.ciphertexts("regulator", os.urandom(16), [inside, outside]) == nothing
    given = await holder.ciphertexts("regulator", grant, [inside, outside])
    assert {record: set(bodies) for record, bodies in given.items()} == {inside: {0}, outside: set()}


# --- dishonest and slow holders --------------------------------------------------------------------------------------


async def test_what_a_holder_discloses_beyond_the_scope_is_refused_named_and_never_readable(world):
    inside, outside = await trade(world), await reading(world)
    grant = await world.granted(scope(groups=("physical",)))
    wide = scope(types=("reading", "trade"), to_ms=T0 + DAY_MS)
    generous = world.nodes["suncoop"].discloser
    real = generous.entries
    generous.entries = lambda granted, held: real(_with(granted, wide), held)
    await world.settle()
    assert [row["id"] for row in await read_all(world, grant)] == [inside.hex()]
    assert set((await read_all(world, grant))[0]["data"]) == {"physical"}
    await refused_alike(world, grant, outside)
    found = await world.office.grants.missing(OFFICER, grant)
    assert {(row["record"], row["holder"]) for row in found["refused"]} == {
        (inside.hex(), "suncoop"), (outside.hex(), "suncoop"),
    }  # fmt: skip
    assert set(world.office.refused) == {"suncoop"}


@pytest.mark.parametrize("what", ["key", "body"])
async def test_a_wrong_key_or_ciphertext_is_refused_and_named_and_others_still_serve(world, what):
    inside = await trade(world)
    grant = await world.granted(scope())
    liar = world.nodes["cityretail"].discloser
    real, asked = liar.entries, liar.ciphertexts

    def wrong(granted, held):
        return [type(one)(one.record, one.section, bytes(32), one.words) for one in real(granted, held)]

    async def garbled(*arguments):
        return {id: {n: bytes(len(b)) for n, b in bodies.items()} for id, bodies in (await asked(*arguments)).items()}

    if what == "key":
        liar.entries = wrong
    else:
        liar.ciphertexts = garbled
    await world.settle()
    row = await world.office.disclosed.get(OFFICER, grant, inside)
    assert row["holders"] == ["gridco", "suncoop"]
    found = await world.office.grants.missing(OFFICER, grant)
    assert [row["holder"] for row in found["refused"]] == ["cityretail"]


async def test_a_holder_that_says_nothing_is_listed_by_record_after_the_deadline(world):
    inside = await trade(world)
    grant = await world.granted(scope())
    world.silent = {"cityretail"}
    await world.settle()
    assert (await world.office.grants.missing(OFFICER, grant))["overdue"] == []
    await world.turn(3601 * 1000)
    found = await world.office.grants.missing(OFFICER, grant)
    assert found["overdue"] == [{"record": inside.hex(), "holder": "cityretail"}]
    assert await world.office.grants.overdue() == {"cityretail": 1}
    assert world.nodes["cityretail"].discloser.overdue == 1
    assert world.nodes["suncoop"].discloser.overdue == 0
    world.silent = set()
    await world.settle()
    assert (await world.office.grants.missing(OFFICER, grant))["overdue"] == []
    assert world.nodes["cityretail"].discloser.overdue == 0


async def test_the_watch_tells_of_others_and_of_this_node_itself():
    told = []

    async def others():
        return {"cityretail": 3}

    await OverdueWatch("gridco", others, lambda: 2, told.append, interval_s=60).look()
    await OverdueWatch("gridco", others, lambda: 0, told.append, interval_s=60).look()
    assert told == [{"cityretail": 3, "gridco": 2}, {"cityretail": 3}]


async def test_what_disclosed_records_refer_to_and_nobody_disclosed_is_listed(world):
    inside = await trade(world)
    grant = await world.granted(scope(types=("order", "trade")))
    await world.settle()
    await world.turn(3601 * 1000)
    found = (await world.office.grants.missing(OFFICER, grant))["undisclosed"]
    assert {(row["record"], row["type"], row["referred_by"], row["certain"]) for row in found} == {
        ((b"b" * 16).hex(), "order", inside.hex(), True), ((b"a" * 16).hex(), "order", inside.hex(), True),
    }  # fmt: skip


async def test_a_holder_that_is_away_is_asked_again(world):
    inside = await trade(world)
    grant = await world.granted(scope())
    world.away = {"cityretail", "gridco", "suncoop"}
    await world.settle()
    await refused_alike(world, grant, inside)
    assert (await world.office.grants.missing(OFFICER, grant))["waiting"] == 3
    world.away = set()
    await world.office.receiver.round()
    assert [row["id"] for row in await read_all(world, grant)] == [inside.hex()]


async def test_what_one_holder_gave_is_not_fetched_twice(world):
    await trade(world)
    await world.granted(scope(groups=("physical",)))
    await world.settle()
    assert sum(count for _, count in world.asked) == 1


def _with(grant, wider):
    return replace(grant, scope=wider)


async def test_what_the_office_said_is_erased_it_shows_no_more_even_if_a_copy_is_left(world):
    """A disclosure that crossed the erasure on its way, say."""
    inside = await trade(world)
    grant = await world.granted(scope())
    await world.settle()
    assert await read_all(world, grant)
    state = world.office.applier.state
    author = parse_header((await world.office.store.record(inside)).header_bytes).author
    order = Erasure(b"e" * 16, author, (inside,), "user", "", 1, 1)
    for said, shown in ((frozenset(), [inside.hex()]), (frozenset({"regulator"}), [])):
        erasures = {order.id: replace(order, acknowledged=said)}
        world.office.applier.state = replace(state, governance=replace(state.governance, erasures=erasures))
        assert [row["id"] for row in await read_all(world, grant)] == shown
