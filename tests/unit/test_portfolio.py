"""What people see over the API: their own part of a market, from records sealed with real keys, and nothing else."""

from __future__ import annotations

import asyncio
import json

import pytest
from typer.testing import CliRunner

from consortium.cli.main import app as cli
from consortium.energy.contracts.terms import SupplyTerms
from consortium.energy.market.bundle import BookBundle
from consortium.energy.market.replay import replay
from consortium.energy.metering import Reading, to_rfc3339
from consortium.energy.payloads.money import EntryLine
from consortium.energy.reports.complaints import ground
from consortium.energy.wallets import Account, next_entry
from consortium.errors import Forbidden, InvalidRequest
from consortium.ports.callers import Caller
from tests.callers import asking
from tests.marketworld import MarketWorld
from tests.story import (
    BUYER,
    DAY,
    GRID,
    HOUR,
    MEMBERS,
    RULES,
    SELLER,
    START,
    Story,
    asker,
)


@pytest.fixture(scope="module")
def story():
    return Story()


@pytest.fixture
def ask(story):
    return asker(story)


USER, NEIGHBOUR = f"user:{BUYER}", "user:home-10@cityretail"
STAFF = {name: f"staff:somebody@{name}" for name in ("gridco", "suncoop", "cityretail", "farm")}


# --- one's own part --------------------------------------------------------------------------------------------


async def test_an_order_is_shown_with_what_became_of_it(ask, story):
    (row,) = (await ask(USER, "/v1/orders", **DAY)).json()["rows"]
    assert (row["id"], row["side"], row["wh"], row["price"]) == (story.bid.hex(), "bid", 600, 150)
    assert (row["state"], row["held"], row["reserved"], row["start"]) == (
        "counted",
        True,
        102_000,
        "2017-06-15T18:00:00Z",
    )
    assert row["result"]["wh"] == 500
    assert row["result"]["proof"]["book_size"] == 2


async def test_orders_that_were_refused_say_why(ask, story):
    rows = (await ask(f"user:{SELLER}", "/v1/orders")).json()["rows"]
    assert {row["id"]: (row["state"], row["result"]["reason"]) for row in rows} == {
        story.ask.hex(): ("counted", ""),
        story.late.hex(): ("refused", "late"),
    }
    assert [row["result"]["proof"] is None for row in rows] == [False, True]


async def test_the_proof_of_an_order_holds_and_is_whole(ask, story):
    proof = (await ask(USER, f"/v1/orders/{story.bid.hex()}/proof")).json()
    assert proof["holds"] is True
    assert proof["commitment"] in proof["header"]
    late = (await ask(f"user:{SELLER}", f"/v1/orders/{story.late.hex()}/proof")).json()
    assert (late["holds"], late["result"]["reason"]) == (None, "late")


async def test_pages_of_orders_follow_each_other(ask, story):
    first = (await ask(f"user:{SELLER}", "/v1/orders", limit=1)).json()
    second = (await ask(f"user:{SELLER}", "/v1/orders", limit=1, after=first["next"])).json()
    last = (await ask(f"user:{SELLER}", "/v1/orders", limit=1, after=second["next"])).json()
    assert [row["id"] for row in first["rows"] + second["rows"]] == [story.ask.hex(), story.late.hex()]
    assert (last["rows"], last["next"]) == ([], None)


async def test_the_wallet_adds_up_and_its_chain_verifies(ask):
    balance = 10_000_000 - 500 * 130 - 500 * 20 - 34_000
    wallet = (await ask(USER, "/v1/wallet")).json()
    assert (wallet["balance"], wallet["reserved"], wallet["available"]) == (balance, 0, balance + 5_000)
    assert (wallet["whole"], wallet["wrong"], wallet["entries"]) == (True, "", 4)
    again = (await ask(USER, "/v1/wallet")).json()  # from what was followed before
    assert again == wallet


async def test_a_statement_has_every_line_with_its_cause(ask, story):
    rows = (await ask(USER, "/v1/wallet/statement")).json()["rows"]
    assert [row["sequence"] for row in rows] == [1, 2, 3, 4]
    causes = [(line["kind"], line["cause"]) for row in rows for line in row["lines"]]
    assert ("bill", story.bill.hex()) in causes
    assert ("trade", story.deal.hex()) in causes
    paged = (await ask(USER, "/v1/wallet/statement", limit=2)).json()
    assert [row["sequence"] for row in paged["rows"]] == [1, 2]
    rest = (await ask(USER, "/v1/wallet/statement", limit=2, after=paged["next"])).json()
    assert [row["sequence"] for row in rest["rows"]] == [3, 4]


async def test_the_agents_staff_sees_an_account_that_it_keeps_and_others_do_not(ask):
    kept = (await ask(STAFF["gridco"], "/v1/wallet/statement", account=SELLER)).json()["rows"]
    assert [row["account"] for row in kept] == [SELLER]
    assert (await ask(USER, "/v1/wallet/statement", account=SELLER)).json()["rows"] == []
    assert (await ask(USER, "/v1/wallet", account=SELLER)).status_code == 404


async def test_a_position_says_what_was_ordered_traded_metered_and_delivered(ask):
    (row,) = (await ask(USER, "/v1/positions", **DAY)).json()["rows"]
    figures = {name: row[name] for name in ("ordered_wh", "traded_wh", "metered_wh", "deviation_wh", "bought_wh")}
    assert figures == {
        "ordered_wh": 600,
        "traded_wh": 500,
        "metered_wh": 600,
        "deviation_wh": 100,
        "bought_wh": 100,
    }
    (supplier,) = (await ask(STAFF["cityretail"], "/v1/positions", **DAY)).json()["rows"]
    assert (supplier["bought_wh"], supplier["deliveries"][0]["subject"]) == (100, BUYER)


async def test_an_invoice_names_the_records_behind_each_line(ask, story):
    found = (await ask(USER, "/v1/invoices", **DAY)).json()
    ids = {id for section in found["sections"] for line in section["lines"] for id in line["ids"]}
    assert {story.bill.hex(), story.deal.hex()} <= ids
    assert found["total"]["total"] == 34_000 + 500 * 150


async def test_the_summary_is_the_day_at_a_glance(ask):
    found = (await ask(USER, "/v1/me/summary", **DAY)).json()
    assert (found["used_wh"], found["import_wh"], found["bought_wh"]) == (600, 600, 500)
    assert found["sources"] == {"own_wh": 0, "local_wh": 500, "agreement_wh": 0, "supplier_wh": 100}
    assert found["saved_against_retail"] == 600 * 340 - 34_000 - 500 * 150
    assert (found["carbon_mg"], found["no_carbon"]) == (600 * 250, 0)
    assert found["net"] == -34_000 - 500 * 150


async def test_a_contract_is_told_in_both_languages_with_its_history(ask, story):
    found = (await ask(USER, f"/v1/contracts/{story.supply.hex()}", at="2017-06-15T18:00:00Z")).json()
    assert (found["state"], found["terms"]["feed_in"], found["frame"]["end"]) == ("disputed", 50, None)
    assert {"supply.price", "supply.feed-in"} <= {clause["id"] for clause in found["clauses"]}
    assert all(clause["en"] and clause["zh"] for clause in found["clauses"])
    assert [(step["step"], step["effect"]) for step in found["history"]] == [("countersigned", True)]


async def test_the_grid_sees_a_supply_contracts_frame_and_never_its_price(ask, story):
    found = (await ask(STAFF["gridco"], f"/v1/contracts/{story.supply.hex()}")).json()
    assert found["frame"]["grid_fee"] == 80
    assert (found["terms"], found["currency"]) == (None, None)
    assert not {"supply.price", "supply.feed-in"} & {clause["id"] for clause in found["clauses"]}
    assert "340" not in str(found["clauses"])


async def test_what_only_a_user_of_the_node_knows_is_not_told_to_its_staff():
    """The node's view knows the terms by its user's key; its staff may read no more than the frame."""
    story = Story()
    supply = SupplyTerms.model_validate({"tariff": {"type": "fixed", "price": 777}, "feed_in": 50})
    id = story.contract("cityretail", "supply", "cityretail", "home-20@gridco", supply, "p-20", grid_fee=80)
    node = story.world.nodes["gridco"]
    assert node.view.contract(id).terms == supply
    told = await node.personal.contract(asking("somebody", "gridco", "staff"), id, None)
    assert (told["terms"], "0.777" in str(told), "777" in str(told["clauses"])) == (None, False, False)
    own = await node.personal.contract(Caller("home-20", "gridco", "user"), id, None)
    assert "0.777" in str(own["clauses"])


async def test_lists_of_contracts_certificates_and_disputes(ask, story):
    kinds = [row["frame"]["kind"] for row in (await ask(USER, "/v1/contracts")).json()["rows"]]
    assert kinds == ["supply", "grid", "wallet", "mandate"]
    (certificate,) = (await ask(f"user:{SELLER}", "/v1/certificates", **DAY)).json()["rows"]
    assert (certificate["use"], certificate["count"]) == ("local", 500)
    (dispute,) = (await ask(USER, "/v1/disputes")).json()["rows"]
    assert (dispute["where"], dispute["statements"][0]) == ("line 1", story.bill.hex())


async def test_a_forecast_is_the_day_before_and_its_error(ask):
    later = to_rfc3339(START + 24 * HOUR)
    found = (await ask(USER, "/v1/me/forecast", start=later, hours=2)).json()
    assert found["forecasts"]["day-before"]["net_wh"] == [600, None]
    assert (found["zone"], found["starts"][0]) == ("-08:00", later)


async def test_a_record_is_shown_by_its_sections(ask, story):
    order = (await ask(USER, f"/v1/records/{story.bid.hex()}")).json()
    assert order["type"] == "order"
    assert order["data"]["order"]["mandate"] == story.mandate.hex()
    assert order["data"]["reserve"]["amount"] == 102_000
    paid = (await ask(USER, f"/v1/records/{story.deposit.hex()}")).json()
    assert [entry["sequence"] for entry in paid["data"]["entry"]] == [1]
    assert paid["data"]["entry"][0]["start"] == "2017-06-15T18:00:00Z"


# --- the market as a whole -------------------------------------------------------------------------------------


async def test_everyone_in_the_market_sees_rules_price_and_volume(ask, story):
    for who in (USER, f"user:{SELLER}", *(STAFF[name] for name in MEMBERS.split())):
        (row,) = (await ask(who, "/v1/markets")).json()["rows"]
        assert row["rules"]["operators"] == ["gridco", "suncoop"]
        (hour,) = (await ask(who, "/v1/markets/local/results", **DAY)).json()["rows"]
        assert (hour["price"], hour["wh"], hour["rounds"][0]["id"]) == (130, 500, story.result.hex())


async def test_an_operator_sees_its_sessions_in_figures(ask):
    for name in ("gridco", "suncoop"):
        (row,) = (await ask(STAFF[name], "/v1/markets/local/sessions", **DAY)).json()["rows"]
        assert [
            row[key] for key in ("bids", "asks", "bid_wh", "ask_wh", "trades", "wh", "value", "price", "state")
        ] == [
            1,
            1,
            600,
            500,
            1,
            500,
            65_000,
            130,
            "cleared",
        ]


async def test_an_operators_book_clears_again_offline(ask):
    for name in ("gridco", "suncoop"):
        response = await ask(STAFF[name], "/v1/markets/local/sessions/2017-06-15T18:00:00Z/book")
        again = replay(BookBundle.from_json(response.content))
        assert (again.findings, again.orders, again.trades) == ((), 2, 1)


# --- and nothing else ------------------------------------------------------------------------------------------

LISTS = ("contracts", "orders", "certificates", "disputes", "wallet/statement")


@pytest.mark.parametrize("path", LISTS)
async def test_a_neighbour_of_the_same_member_has_nothing_of_it(ask, path):
    assert (await ask(NEIGHBOUR, f"/v1/{path}")).json() == {"rows": [], "next": None}


async def test_what_is_another_ones_looks_like_what_does_not_exist(ask, story):
    absent = "ab" * 16
    for path in ("/v1/orders/{}/proof", "/v1/contracts/{}", "/v1/records/{}"):
        for id in (story.bid.hex(), story.supply.hex()):
            hidden, none = await ask(NEIGHBOUR, path.format(id)), await ask(NEIGHBOUR, path.format(absent))
            assert (hidden.status_code, hidden.content) == (none.status_code, none.content)
            assert hidden.status_code == 404


@pytest.mark.parametrize("kind", ["machine", "officer"])
@pytest.mark.parametrize("path", [*LISTS, "wallet", "markets", "markets/local", "markets/local/results"])
async def test_a_role_that_reads_nothing_is_told_so(ask, kind, path):
    assert (await ask(f"{kind}:one@suncoop", f"/v1/{path}")).status_code == 403


@pytest.mark.parametrize("path", ["sessions", "sessions/2017-06-15T18:00:00Z/book"])
async def test_books_are_for_the_operators_staff(ask, path):
    for who in (USER, STAFF["cityretail"], f"user:{SELLER}"):
        assert (await ask(who, f"/v1/markets/local/{path}")).status_code == 403


@pytest.mark.parametrize("path", ["", "/results", "/sessions", "/sessions/2017-06-15T18:00:00Z/book"])
async def test_a_market_one_is_not_in_looks_like_none(ask, path):
    outside = await ask(STAFF["farm"], f"/v1/markets/local{path}")
    none = await ask(STAFF["gridco"], f"/v1/markets/no-such{path}")
    assert (outside.status_code, outside.content) == (404, none.content)


async def test_periods_are_checked(ask):
    swapped = {"from": DAY["to"], "to": DAY["from"]}
    for path in ("/v1/me/summary", "/v1/positions", "/v1/invoices"):
        answer = await ask(USER, path, **swapped)
        assert (answer.status_code, answer.json()["field"]) == (422, "to")
        assert (await ask(USER, path)).status_code == 422


async def test_a_chain_that_lacks_an_entry_says_so_and_heals():
    world = MarketWorld("gridco", "cityretail")
    node = world.nodes["cityretail"]
    account = Account(BUYER, BUYER, "USD")
    for amount in (5, 6, 7):
        account, entry = next_entry(account, [EntryLine(kind="deposit", amount=amount, cause=bytes(16))], START)
        world.add("gridco", (entry, f"{BUYER} gridco"))
    hidden = node.rows.pop(1)
    home = Caller("home-09", "cityretail", "user")
    broken = await node.personal.wallet(home, None)
    assert (broken["whole"], broken["balance"]) == (False, 5)
    assert "2 is due" in broken["wrong"]
    node.rows.insert(1, hidden)
    assert (await node.personal.wallet(home, None))["balance"] == 18


# --- totals ----------------------------------------------------------------------------------------------------


class Area(Story):
    """Sixteen homes of one area, read for a day; what is asked of them are totals."""

    def __init__(self, homes=16, missing=()):
        self.world, self.accounts = MarketWorld("gridco", "cityretail"), {}
        self.homes = [f"home-{n:02}@cityretail" for n in range(homes)]
        self.contract("gridco", "market", "gridco", "suncoop", RULES, "")
        for home in self.homes:
            self.contract("gridco", "grid", "gridco", home, GRID, "p-9")
        for hour in range(24):
            for home in self.homes:
                if (home, hour) not in missing:
                    self.read(home, hour, 100)

    def read(self, home, hour, load, quality="measured", length=3600):
        midnight = START - 10 * HOUR
        data = {
            "subject": home,
            "interval_start": to_rfc3339(midnight + hour * HOUR),
            "load_wh": load,
            "interval_s": length,
        }
        reading = Reading.model_validate({**data, "quality": quality})
        (section,) = reading.sections(self.world.nodes["cityretail"].view)
        self.add("cityretail", (section, ""))

    def totals(self, kind="staff", member="gridco"):
        who = asking("somebody", member, kind)
        return self.world.nodes[member].market.totals(who, "local", START - 10 * HOUR, START + 14 * HOUR)


@pytest.fixture(scope="module")
def area():
    return Area()


def test_totals_of_a_group_are_published_by_hour(area):
    rows = area.totals()
    assert [row["demand_wh"] for row in rows] == [1600] * 24
    # Import would give away that nobody made anything: demand less import is what homes used of their own.
    assert {tuple(row["suppressed"]) for row in rows} == {("import", "generation", "export", "bids", "asks")}


def test_a_correction_changes_no_total(area):
    before = area.totals()
    area.read(area.homes[0], 5, 9_000, "corrected")
    area.read(area.homes[1], 6, 50, length=1800)
    assert area.totals() == before


@pytest.mark.parametrize(("homes", "missing"), [(14, ()), (16, {("home-03@cityretail", 7)})])
def test_too_few_homes_or_a_silent_meter_give_no_total(homes, missing):
    rows = Area(homes, missing).totals()
    assert all(row.get("demand_wh") is None for row in rows)
    assert {row["published"] for row in rows} == {not missing}


def test_totals_are_for_grid_and_operators_alone(area):
    for kind, member in (("user", "gridco"), ("staff", "cityretail"), ("user", "cityretail")):
        with pytest.raises(Forbidden):
            area.totals(kind, member)


# --- complaints ------------------------------------------------------------------------------------------------


async def test_an_order_that_was_counted_or_refused_gives_no_ground_to_complain(ask, story):
    (hour,) = (await ask(USER, "/v1/markets/local/results", **DAY)).json()["rows"]
    published = hour["rounds"][0]
    counted = (await ask(USER, f"/v1/orders/{story.bid.hex()}/proof")).json()
    with pytest.raises(InvalidRequest, match="was counted"):
        ground(5, 9, counted, published)
    late = (await ask(f"user:{SELLER}", f"/v1/orders/{story.late.hex()}/proof")).json()
    with pytest.raises(InvalidRequest, match="with a reason: late"):
        ground(5, 9, late, published)
    with pytest.raises(InvalidRequest, match="before the gate"):
        ground(9, 9, {**counted, "result": None}, published)


async def test_an_order_that_nothing_accounts_for_does(ask, story):
    (hour,) = (await ask(USER, "/v1/markets/local/results", **DAY)).json()["rows"]
    published = hour["rounds"][0]
    counted = (await ask(USER, f"/v1/orders/{story.bid.hex()}/proof")).json()
    assert "none names" in ground(5, 9, {**counted, "result": None}, published)
    assert "does not hold" in ground(5, 9, {**counted, "commitment": "00" * 32}, published)
    assert "another book" in ground(5, 9, counted, {**published, "book_root": "00" * 32})


def test_the_replay_command_says_equal_or_where_not(story, tmp_path):
    node = story.world.nodes["suncoop"]
    bundle = asyncio.run(node.market.book(asking("somebody", "suncoop", "staff"), "local", START, None))
    file = tmp_path / "book.json"
    file.write_text(bundle.to_json())
    good = CliRunner().invoke(cli, ["market", "replay", str(file), "--json"])
    assert (good.exit_code, json.loads(good.output)["equal"]) == (0, True)
    file.write_text(bundle.to_json().replace('"wh": 500', '"wh": 499'))
    bad = CliRunner().invoke(cli, ["market", "replay", str(file), "--json"])
    assert (bad.exit_code, json.loads(bad.output)["equal"]) == (1, False)
