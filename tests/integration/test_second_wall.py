"""The application over the real wall: its own checks removed, it still opens nobody else's; and what it refuses looks,
to the byte and to the last statement, like what is not there.

One node's readers over Postgres, in this process, with records sealed by real keys.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from types import SimpleNamespace

import httpx
import psycopg
import pytest
import pytest_asyncio
from fastapi import FastAPI

from consortium.adapters.postgres import party as party_module
from consortium.adapters.postgres.ledger import PostgresLedger
from consortium.adapters.postgres.party import PostgresParty
from consortium.adapters.postgres.pool import Database
from consortium.adapters.postgres.roles import DatabaseUrls
from consortium.crypto import sealing
from consortium.crypto.sealing import party_tag
from consortium.energy.field_groups import GROUPS
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.metering import MeterReading
from consortium.errors import NotFound
from consortium.model.names import Party
from consortium.model.records import Accepted
from consortium.pipeline import opening
from consortium.pipeline.access import Access
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.opening import OpenedPayload, Opener
from consortium.pipeline.personal import Personal
from consortium.pipeline.portfolio import Portfolio, Wanted
from consortium.pipeline.read import Query, Reader
from consortium.pipeline.release import Unlogged
from consortium.pipeline.showing import Showing
from consortium.ports.party import IndexEntry
from consortium.web import problems
from consortium.web.routes import holdings, me, records
from tests.callers import asking
from tests.fixtures.network import ABSENT
from tests.marketworld import MarketWorld
from tests.story import Tokens

pytestmark = pytest.mark.processes

START = 1_497_549_600_000
MEMBER = "suncoop"
SECRET_WH = 717_273


def metered(subject: str) -> MeterReading:
    return MeterReading(
        start_ms=START, subject=subject, interval_s=3600, load_wh=SECRET_WH, pv_wh=0, quality="measured"
    )


class Stand:
    """Suncoop's node: a reading of each of two homes, a contract of home-01, and a reading that it is no party to."""

    def __init__(self, database: Database) -> None:
        self.world = MarketWorld()
        self.node = self.world.nodes[MEMBER]
        add = self.world.add
        self.mine = add(MEMBER, (metered("home-02@suncoop"), "home-02@suncoop suncoop gridco")).hex()
        self.other = add(MEMBER, (metered("home-01@suncoop"), "home-01@suncoop suncoop gridco")).hex()
        self.elsewhere = add(
            "cityretail", (metered("home-09@cityretail"), "home-09@cityretail cityretail gridco")
        ).hex()
        frame = ContractFrame(
            start_ms=START, kind="wallet", end_ms=0, provider="gridco", customer="home-01@suncoop", proposer="gridco",
            point=None, area=None,
        )  # fmt: skip
        self.contract = add("gridco", (frame, "gridco home-01@suncoop suncoop")).hex()
        self.party = PostgresParty(database)
        self.ledger = PostgresLedger(database)
        self.build(self.node.access)

    def build(self, access: Access) -> None:
        """The readers, over Postgres, asking `access`."""
        opener, showing = self.node.opener, Showing(Unlogged(), MEMBER, self.node.users)
        self.reader = Reader(access, opener, self.ledger, self.party, showing)
        market = MarketReader(MEMBER, access, self.node.view, opener, self.party, showing)
        self.portfolio = Portfolio(access, opener, self.party, showing)
        personal = Personal(access, self.portfolio, self.reader, market)
        self.services = SimpleNamespace(
            personal=personal, market=market, reader=self.reader, access=access, verifier=Tokens(MEMBER)
        )

    async def store(self, urls: DatabaseUrls) -> None:
        """Everybody's headers, and what the node holds, as applying would."""
        with psycopg.connect(urls.owner) as conn:
            for stored in self.node.stored.values():
                assert isinstance(stored.verdict, Accepted)
                conn.execute(
                    "INSERT INTO ledger.records (tree_index, height, item, id, header) VALUES (%s, 1, %s, %s, %s)",
                    [stored.verdict.index, stored.verdict.index, stored.verdict.id, stored.header_bytes],
                )
            for held, _ in self.node.rows:
                conn.execute("INSERT INTO node.missing VALUES (%s, %s, '')", [held.index, held.id])
        for held, lines in self.node.rows:
            entries = [IndexEntry(held.index, tag, type, start) for tag, (type, start) in lines.items()]
            await self.party.fill(held, entries)

    async def get(self, who: str, path: str, **sent: str) -> httpx.Response:
        """Ask in somebody's name (`kind:name` or `staff+duty:name`)."""
        app = FastAPI()
        app.state.services = self.services
        for part in (records, holdings, me):
            app.include_router(part.router)
        problems.install(app)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://node") as client:
            return await client.get(path, headers={"authorization": f"Bearer {who}", **sent})


@pytest_asyncio.fixture(loop_scope="session")
async def stand(database: Database, postgres_urls: DatabaseUrls) -> AsyncIterator[Stand]:
    made = Stand(database)
    await made.store(postgres_urls)
    yield made


# --- the application's checks removed ---------------------------------------------------------------------------------


class Careless(Access):
    """Permits everybody everything."""

    def groups(self, *_, **__):
        return GROUPS

    def require_any(self, *_, **__):
        return None

    def _require(self, *_, **__):
        return None

    def may_have_receipt(self, *_, **__):
        return True


@pytest.fixture
def careless(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> Stand:
    """The node with every check of its own taken out: policies, the queries' filters, whose wrap is opened."""
    access = Careless(stand.node.access.engine, MEMBER)
    stand.build(access)
    for name in ("_FIND", "_HELD_BY", "_IS_READER", "_KINDS"):
        query = getattr(party_module, name)
        for filter in ("party = wanted AND ", "AND party = ANY (%(parties)b::bytea[])"):
            query = query.replace(filter, "")
        assert query != getattr(party_module, name), name
        monkeypatch.setattr(party_module, name, query)

    def open_for(self: Opener, held, party, permitted) -> OpenedPayload:
        return self.open_all(held)

    monkeypatch.setattr(Opener, "open_for", open_for)
    return stand


async def stolen(stand: Stand) -> set[str]:
    """The ids of all records that home-02 gets to see."""
    thief = asking("home-02", MEMBER, "user")
    seen: set[str] = set()
    listed, _ = await stand.reader.list(thief, Query())
    seen |= {record.id.hex() for record in listed}
    seen |= {record.id for record in await stand.portfolio.own(thief, Wanted())}
    for id in (stand.mine, stand.other, stand.elsewhere, stand.contract):
        try:
            seen.add((await stand.reader.get(thief, bytes.fromhex(id))).id.hex())
        except NotFound:
            continue
    return seen


async def test_without_the_applications_checks_nobody_gets_another_partys_records(careless: Stand):
    assert await stolen(careless) == {careless.mine}


async def test_it_is_the_wall_that_held(careless: Stand, monkeypatch: pytest.MonkeyPatch):
    """The same application on the node's connection would give away everything that it holds."""
    monkeypatch.setattr(Database, "reader", Database.node)
    assert await stolen(careless) == {careless.mine, careless.other, careless.contract}


async def test_with_the_checks_in_place_it_is_the_same(stand: Stand):
    assert await stolen(stand) == {stand.mine}


# --- refusal and absence ----------------------------------------------------------------------------------------------

OWN = ("user:home-02", {})
"""A home, which is no party to the others' records."""
DUTY = ("staff+trading:desk", {})
"""Staff whose member is a party to a home's reading, and whose duty opens nothing of it."""
BEHALF = ("user:home-02", {"consortium-behalf": "home-01@suncoop"})
"""A home that reads in another's name without being asked to."""
OUTSIDE = ("service:app", {"consortium-behalf": "home-01@suncoop"})
MACHINE = ("machine:gateway", {})
PATHS = {
    "/v1/records/{}": (OWN, DUTY, BEHALF, OUTSIDE, MACHINE),
    "/v1/records/{}/receipt": (OWN, BEHALF, OUTSIDE),
    "/v1/contracts/{}": (OWN, BEHALF, OUTSIDE, MACHINE),
    "/v1/orders/{}/proof": (OWN, BEHALF, OUTSIDE, MACHINE),
}


@pytest.fixture
def work(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """All that is done meanwhile: statements to the database, and sections opened."""
    done: list[str] = []
    execute, open_section = psycopg.AsyncConnection.execute, sealing.open_section

    async def executing(self, query, *arguments, **options):
        done.append(f"{self.info.user.rpartition('_')[2]}: {query}")
        return await execute(self, query, *arguments, **options)

    def opened(*arguments):
        done.append("opens a section")
        return open_section(*arguments)

    monkeypatch.setattr(psycopg.AsyncConnection, "execute", executing)
    monkeypatch.setattr(opening, "open_section", opened)
    return done


def shown(response: httpx.Response) -> tuple[int, bytes, dict[str, str]]:
    return response.status_code, response.content, dict(response.headers)


@pytest.mark.parametrize(("path", "who"), [(path, who) for path, callers in PATHS.items() for who in callers])
async def test_a_refusal_is_an_absence_to_the_byte_and_to_the_last_statement(stand: Stand, work: list[str], path, who):
    name, headers = who
    absent = await stand.get(name, path.format(ABSENT), **headers)
    asked = list(work)
    assert absent.status_code == 404
    assert asked
    for id in (stand.other, stand.elsewhere, stand.contract):
        if who in (DUTY, MACHINE) and id == stand.contract:
            continue  # a desk may read its member's contracts
        work.clear()
        refused = await stand.get(name, path.format(id), **headers)
        assert shown(refused) == shown(absent), id
        assert work == asked, id


async def test_what_is_there_for_the_caller_is_opened_so_that_the_comparison_means_something(stand: Stand, work):
    response = await stand.get(OWN[0], f"/v1/records/{stand.mine}")
    assert response.status_code == 200
    assert str(SECRET_WH) in response.text
    assert work.count("opens a section") == 1
    assert any(line.startswith("reader: ") for line in work)


async def test_callers_records_are_read_as_the_reader_alone(stand: Stand, work):
    """Of what is asked as the node while a record is read, nothing touches payloads or their index."""
    await stand.get(OWN[0], f"/v1/records/{stand.mine}")
    await stand.get(OWN[0], "/v1/records")
    as_node = [line for line in work if line.startswith("node: ")]
    assert not [line for line in as_node if "node.held" in line or "node.entries" in line]


@pytest.mark.parametrize("path", [*PATHS, "/v1/records/{}/header"])
async def test_a_token_of_another_member_says_nothing_of_what_is_here(stand: Stand, work, path):
    answers = {json.dumps(shown(await stand.get("foreign", path.format(id))), default=str)
               for id in (ABSENT, stand.mine, stand.other, stand.elsewhere)}  # fmt: skip
    assert len(answers) == 1
    assert answers.pop().startswith("[401,")
    assert work == []


async def test_a_party_of_this_name_at_another_member_is_somebody_else(stand: Stand):
    """A token's member is part of who asks: home-01 of another member has none of home-01's tags."""
    opener = stand.node.opener
    assert opener.tag(Party("suncoop", "home-01")) != opener.tag(Party("cityretail", "home-01"))
    assert party_tag(Party("suncoop")) != party_tag(Party("suncoop", "suncoop"))
