"""What each duty sees of real records: by section, opened or not opened at all; by name, masked; and noted before."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.energy.field_groups import (
    A_USER,
    GROUPS,
    TYPES,
    WHOLE,
    Permitted,
    group_of,
    users_in,
    without_names,
)
from consortium.energy.opened import Period
from consortium.energy.payloads.base import KINDS
from consortium.energy.payloads.contracts import ContractFrame, ContractTerms
from consortium.energy.payloads.market import TradeTerms
from consortium.energy.payloads.metering import MeterReading
from consortium.errors import Forbidden, NotFound, NotReady
from consortium.model.encoding import encode
from consortium.model.names import Party
from consortium.model.records import DraftSection
from consortium.pipeline import opening
from consortium.pipeline.access import Access
from consortium.pipeline.read import Query
from consortium.policy.engine import PolicyEngine
from consortium.policy.requests import Action
from consortium.ports.callers import Caller
from tests.matrix import opened
from tests.story import BUYER, DAY, SELLER, START, Story, asker
from tests.unit.test_policy import OVERFLOW, SCHEMA, TEXTS

MATRIX = opened()
BILLING, METERING, TRADING = (f"staff+{duty}:ann@" for duty in ("billing", "metering", "trading"))
READING = {"interval_s": 3600, "load_wh": 1, "pv_wh": 2, "quality": "measured", "start_ms": START}


@pytest.fixture(scope="module")
def story():
    return Story()


@pytest.fixture
def ask(story):
    return asker(story)


@pytest.fixture
def unsealed(monkeypatch):
    """The sections (record's id, number) that are decrypted."""
    seen = []
    real = opening.open_section

    def watching(header, number, body, key):
        seen.append((header.id.hex(), number))
        return real(header, number, body, key)

    monkeypatch.setattr(opening, "open_section", watching)
    return seen


# --- groups of sections ------------------------------------------------------------------------------------------


def test_every_section_is_of_one_group_that_follows_from_its_place():
    for type in TYPES:
        kinds = [kind for (of, _), kind in KINDS.items() if of == type]
        assert [group_of(type, number) for number in range(len(kinds))] == [kind.GROUP for kind in kinds]
        assert {kind.GROUP for kind in kinds} <= GROUPS - {"identity"}


def test_beyond_the_sections_of_a_type_only_one_that_is_of_one_group_goes_on():
    assert group_of("payment", 99) == "money"
    assert group_of("contract", 2) is None
    assert group_of("no-such-type", 0) is None
    assert not Permitted("contract", GROUPS - {"identity"}).opens(2)
    assert Permitted("contract", GROUPS).opens(2)


def test_every_field_that_may_name_a_user_is_marked():
    for kind in KINDS.values():
        for name, schema in kind.model_json_schema()["properties"].items():
            if "A party" in str(schema):
                assert name in kind.IDENTITY, (kind, name)
    marked = {kind: KINDS[kind].IDENTITY for kind in (("contract", "physical"), ("statement", "money"))}
    assert marked["contract", "physical"] == {"provider", "customer", "proposer"}
    assert marked["statement", "money"] == {"by", "customer", "provider", "grid"}
    words = KINDS["deposit", "deposit"].FREE_WORDS
    assert words == {"reference"}


# --- opening -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "sections", "numbers"),
    [
        (f"user:{BUYER}", {"physical", "terms"}, {0, 1}),
        (f"{BILLING}cityretail", {"physical", "terms"}, {0, 1}),
        (f"{METERING}cityretail", {"physical"}, {0}),
        (f"{TRADING}cityretail", {"physical"}, {0}),
    ],
)
async def test_a_contract_is_opened_as_far_as_the_role_goes_and_no_further(
    ask, story, unsealed, who, sections, numbers
):
    answer = await ask(who, f"/v1/records/{story.supply.hex()}")
    assert answer.status_code == 200
    assert answer.json()["data"].keys() == sections
    assert set(unsealed) == {(story.supply.hex(), number) for number in numbers}
    assert ("340" in answer.text) == ("terms" in sections)


@pytest.mark.parametrize("who", ["staff+operations:x@cityretail", "officer:x@cityretail", "administrator:x@cityretail"])
async def test_who_sees_nothing_of_it_is_told_what_is_told_of_no_record_and_nothing_is_opened(
    ask, story, unsealed, who
):
    hidden, absent = [await ask(who, f"/v1/records/{id}") for id in (story.supply.hex(), "0" * 32)]
    assert (hidden.status_code, hidden.content, hidden.headers) == (404, absent.content, absent.headers)
    assert unsealed == []


async def test_metering_staff_read_the_volumes_of_a_contract_and_no_names(ask, story):
    data = (await ask(f"{METERING}cityretail", f"/v1/records/{story.supply.hex()}")).json()
    assert data["data"]["physical"]["point"] == "p-9"
    assert data["data"]["physical"]["customer"] is None
    assert data["data"]["physical"]["provider"] == "cityretail"  # a member is no user
    assert data["withheld"] == ["physical.customer"]
    assert "home-" not in str(data)
    whole = (await ask(f"{BILLING}cityretail", f"/v1/records/{story.supply.hex()}")).json()
    assert (whole["data"]["physical"]["customer"], whole["withheld"]) == (BUYER, [])


async def test_the_same_in_the_list_of_contracts_its_sentences_and_its_history(ask, story):
    for path in ("/v1/contracts", f"/v1/contracts/{story.supply.hex()}"):
        answer = await ask(f"{METERING}cityretail", path)
        assert answer.status_code == 200
        assert "home-" not in answer.text
        assert "0.00034" not in answer.text
        assert '"terms": null' in answer.text
        assert BUYER in (await ask(f"{BILLING}cityretail", path)).text


async def test_the_grid_reads_the_physical_part_of_a_trade_and_no_name(ask, story, unsealed):
    answer = await ask("staff+metering:ann@gridco", f"/v1/records/{story.deal.hex()}")
    assert answer.json()["data"].keys() == {"physical"}
    assert "home-" not in answer.text
    assert unsealed == [(story.deal.hex(), 0)]
    # Metering staff of a member that runs no grid see nothing of it.
    assert (await ask(f"{METERING}cityretail", f"/v1/records/{story.deal.hex()}")).status_code == 404


async def test_an_order_is_price_for_trading_and_money_for_billing(ask, story):
    path = f"/v1/records/{story.bid.hex()}"
    assert (await ask(f"{TRADING}cityretail", path)).json()["data"].keys() == {"order"}
    assert (await ask(f"{BILLING}cityretail", path)).json()["data"].keys() == {"reserve"}
    row = (await ask(f"{TRADING}cityretail", "/v1/orders", **DAY)).json()["rows"][0]
    assert (row["price"], row["reserved"], row["state"]) == (150, None, "counted")
    assert (await ask(f"user:{BUYER}", "/v1/orders", **DAY)).json()["rows"][0]["reserved"] == 600 * 170


ROLES = {
    "cityretail": {"billing": "billing", "metering": "metering", "trading": "trading"},
    "suncoop": {"billing": "billing", "metering": "metering", "trading": "operator"},
    "gridco": {"billing": "billing", "metering": "grid", "trading": "operator"},
}
"""What each duty is at each member, as the matrix calls it: suncoop and gridco run the market, gridco the grid."""


@pytest.mark.parametrize("duties", ["billing", "metering", "trading", "billing metering trading"])
@pytest.mark.parametrize("member", ROLES)
async def test_every_record_shows_each_role_what_the_matrix_gives_it(story, member, duties):
    """Of the sections to which the member holds a key."""
    node, own = story.world.nodes[member], Party(member)
    ann = Caller("ann", member, "staff", frozenset(duties.split()))
    columns = [ROLES[member][duty] for duty in duties.split()]
    columns += ["all duties"] if len(columns) == 3 else []
    count = 0
    for held, lines in node.rows:
        if node.opener.tag(own) not in lines:
            continue
        kind, _ = lines[node.opener.tag(own)]
        groups = frozenset().union(*(MATRIX[kind if kind in TYPES else "unknown", column] for column in columns))
        whole = node.opener.open_for(held, own, WHOLE)
        keys = {group_of(kind, number) for number, text in enumerate(whole.sections) if text is not None}
        if not keys & groups:
            with pytest.raises(NotFound, match="no such record"):
                await node.reader.get(ann, held.id)
            continue
        shown = await node.reader.get(ann, held.id)
        seen, count = node.releases.released[-1][1], count + 1
        assert (seen.id, seen.groups - {"identity"}) == (held.id, keys & groups), kind
        assert ("identity" in seen.groups) == ("identity" in groups)
        assert "identity" in groups or "home-" not in str(shown.data)
    assert count


# --- lists and what is computed ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("who", "allowed"),
    [
        (BILLING, {"invoices", "wallet", "wallet/statement", "contracts", "readings", "disputes", "certificates"}),
        (METERING, {"contracts", "readings", "certificates", "me/forecast"}),
        (TRADING, {"orders", "contracts", "certificates"}),
        ("staff+operations:ann@", set()),
        ("staff+billing+trading:ann@", None),
    ],
)
async def test_an_answer_that_needs_more_than_the_role_sees_is_refused_by_the_role_alone(ask, who, allowed):
    everything = {
        "invoices", "wallet", "wallet/statement", "contracts", "readings", "disputes", "certificates", "orders",
        "positions", "me/summary", "me/forecast",
    }  # fmt: skip
    allowed = everything if allowed is None else allowed | ({"me/forecast"} if who == BILLING else set())
    for path in sorted(everything):
        sent = {"start": DAY["from"]} if path == "me/forecast" else DAY
        answer = await ask(f"{who}cityretail", f"/v1/{path}", **sent)
        assert answer.status_code == (200 if path in allowed else 403), (path, answer.text)
        if answer.status_code == 403:
            assert answer.json()["detail"].startswith("your role does not let you ")


async def test_a_list_leaves_out_what_the_role_sees_nothing_of_and_opens_none_of_it(ask, story, unsealed):
    shown = (await ask(f"{METERING}cityretail", "/v1/records")).json()["records"]
    assert {record["type"] for record in shown} == {"reading", "delivery", "contract", "contract-step", "statement"}
    assert {id for id, _ in unsealed} == {record["id"] for record in shown}
    refused = await ask(f"{METERING}cityretail", "/v1/records", type="order")
    assert (refused.status_code, refused.json()["detail"]) == (403, "your role does not let you read such records here")
    assert (await ask(f"{METERING}cityretail", "/v1/records", type="reading")).json()["records"]


# --- what leaves is noted ----------------------------------------------------------------------------------------


async def test_what_staff_are_shown_is_noted_before_it_leaves_and_whom_it_is_about(ask, story):
    notes = story.world.nodes["cityretail"].releases.released
    notes.clear()
    await ask(f"{METERING}cityretail", f"/v1/records/{story.supply.hex()}", headers=None)
    ((who, one),) = notes
    assert (who.name, who.duties) == ("ann", {"metering"})
    assert (one.id, one.type, one.groups) == (story.supply, "contract", {"physical"})
    assert one.subjects == (Party.parse(BUYER),)


async def test_whom_a_record_is_about_is_known_even_if_no_name_in_it_is_opened(ask, story):
    notes = story.world.nodes["cityretail"].releases.released
    notes.clear()
    await ask(f"{BILLING}cityretail", f"/v1/records/{story.bid.hex()}")
    assert notes[-1][1].subjects == (Party.parse(BUYER),)
    grid = story.world.nodes["gridco"].releases.released
    grid.clear()
    await ask("staff+trading:ann@gridco", f"/v1/records/{story.deal.hex()}")  # users of other members, by their names
    assert grid[-1][1].subjects == (Party.parse(BUYER), Party.parse(SELLER))


async def test_a_user_reading_their_own_is_not_noted(ask, story):
    notes = story.world.nodes["cityretail"].releases.released
    notes.clear()
    for path in (f"/v1/records/{story.supply.hex()}", "/v1/records", "/v1/contracts", "/v1/wallet"):
        assert (await ask(f"user:{BUYER}", path)).status_code == 200
    assert notes == []


PATHS = (
    ("cityretail", "records/{bid}"),
    ("cityretail", "records"),
    ("cityretail", "contracts"),
    ("cityretail", "contracts/{supply}"),
    ("cityretail", "orders"),
    ("cityretail", "orders/{bid}/proof"),
    ("cityretail", "readings"),
    ("cityretail", "certificates"),
    ("cityretail", "disputes"),
    ("cityretail", "invoices"),
    ("cityretail", "positions"),
    ("cityretail", "me/summary"),
    ("gridco", "wallet"),
    ("gridco", "wallet/statement"),
    ("gridco", "markets/local/sessions/2017-06-15T18:00:00Z/book"),
)


@pytest.mark.parametrize(("member", "path"), PATHS, ids=[path for _, path in PATHS])
async def test_nothing_leaves_that_cannot_be_noted(ask, story, monkeypatch, member, path):
    path = "/v1/" + path.format(bid=story.bid.hex(), supply=story.supply.hex())
    more = {"account": BUYER} if "wallet" in path else {} if "sessions" in path else DAY
    noting = story.world.nodes[member].releases
    noting.released.clear()
    good = await ask(f"staff:ann@{member}", path, **more)
    assert good.status_code == 200, good.text
    empty = not (good.json().get("rows", True) and good.json().get("records", True))
    assert noting.released or empty, path

    async def refuse(caller, released):
        raise NotReady("it cannot be noted now")

    monkeypatch.setattr(noting, "release", refuse)
    if not empty:
        refused = await ask(f"staff:ann@{member}", path, **more)
        assert refused.status_code == 503
        assert "home-" not in refused.text
    assert (await ask(f"user:{BUYER}", "/v1/contracts")).status_code == 200


async def test_a_wallet_from_memory_is_noted_as_well(ask, story):
    noting = story.world.nodes["gridco"].releases
    for name in ("ann", "ann", "bob"):
        noting.released.clear()
        await ask(f"staff+billing:{name}@gridco", "/v1/wallet", account=BUYER)
        ((who, one),) = noting.released
        assert (who.name, one.type, one.subjects) == (name, "payment", (Party.parse(BUYER),))


# --- dishonest authors -------------------------------------------------------------------------------------------


def hidden_terms() -> DraftSection:
    """Terms of a contract, under a type of another section."""
    part = ContractTerms(start_ms=START, currency="USD", terms={"price": 777_777})
    return part.section((Party("cityretail"),))


async def test_a_section_that_is_not_what_its_place_says_is_dropped(ask):
    story = Story()
    reading = MeterReading(subject=BUYER, **READING)
    id = story.world.add("gridco", (reading, "cityretail"), (hidden_terms(), ""))
    seen = await ask_of(story, f"{METERING}cityretail", id)
    assert seen.status_code == 200
    assert "777777" not in seen.text
    both = story.world.add("gridco", (hidden_terms(), ""), (reading, "cityretail"))
    assert (await ask_of(story, f"{METERING}cityretail", both)).status_code == 404
    assert "777777" in (await ask_of(story, "staff:ann@cityretail", both)).text  # all duties: a contract as a whole


async def test_what_has_no_known_type_is_for_who_has_every_duty():
    story = Story()
    section = DraftSection(
        "x", encode({"v": 9, "type": "rumour", "start_ms": START, "said": "x"}), (Party("cityretail"),)
    )
    id = story.world.add("gridco", (section, ""))
    for who in (BILLING, METERING, TRADING, "staff+billing+trading:ann@"):
        assert (await ask_of(story, f"{who}cityretail", id)).status_code == 404
    assert (await ask_of(story, "staff:ann@cityretail", id)).status_code == 200


async def ask_of(story, who, id):
    return await asker(story)(who, f"/v1/records/{id.hex()}")


# --- names -------------------------------------------------------------------------------------------------------


def test_names_of_users_are_taken_out_wherever_they_stand():
    words = {
        "a": BUYER, "b": "cityretail", "c": [{"d": SELLER}, "x"], "e": f"{BUYER} pays {SELLER}.", "reason": "said Ann",
        "f": 5, "g": None, "h": "",
    }  # fmt: skip
    masked, taken = without_names(words)
    assert masked == {
        "a": None, "b": "cityretail", "c": [{"d": None}, "x"], "e": f"{A_USER} pays {A_USER}.", "reason": None,
        "f": 5, "g": None, "h": "",
    }  # fmt: skip
    assert taken == ("a", "c.d", "e", "reason")
    assert without_names(words, BUYER)[0]["e"] == f"{BUYER} pays {A_USER}."


def test_users_are_found_in_every_field():
    base = {"start_ms": START, "market": "local"}
    terms = TradeTerms(
        **base, gate=bytes(16), number=0, buyer=BUYER, seller=SELLER, bid=bytes(16), ask=bytes(16), price=1, value=1,
        currency="USD",
    )  # fmt: skip
    frame = ContractFrame(
        start_ms=START, kind="grid", end_ms=0, provider="gridco", customer=BUYER, proposer="gridco"
    )  # fmt: skip
    hidden = ContractTerms(start_ms=START, currency="USD", terms={"account": SELLER, "deep": [{"x": "home-07@farm"}]})
    assert users_in([terms]) == (Party.parse(SELLER), Party.parse(BUYER))
    assert users_in([frame]) == (Party.parse(BUYER),)
    assert {str(party) for party in users_in([hidden])} == {SELLER, "home-07@farm"}


# --- the engine while it runs ------------------------------------------------------------------------------------

ANN = Caller("ann", "suncoop", "staff", frozenset({"metering"}))
SHUT = {"everyone.cedar": '@id("shut") forbid (principal, action, resource);'}


def test_the_policy_set_can_be_replaced_while_the_node_runs():
    access = Access(PolicyEngine(SCHEMA, TEXTS), "suncoop")
    before = access.policy_set
    assert access.groups(ANN, "reading") == {"physical", "identity"}
    access.require_submit(ANN, "reading", "home-01@suncoop")
    access.replace(PolicyEngine(SCHEMA, SHUT), 42)
    assert access.groups(ANN, "reading") == frozenset()
    with pytest.raises(Exception, match="your role"):
        access.require_submit(ANN, "reading", "home-01@suncoop")
    assert (access.height, access.policy_set != before) == (42, True)


def test_a_group_is_decided_once_a_minute_and_an_error_each_time(monkeypatch):
    now = [60_000]
    broken = {**TEXTS, "zz.cedar": f'@id("broken") forbid (principal, action, resource) when {{ {OVERFLOW} }};'}
    for texts, expected in ((TEXTS, [4, 4, 8]), (broken, [4, 8, 12])):
        access, asked = Access(PolicyEngine(SCHEMA, texts), "suncoop"), []
        access.know(standing=frozenset, now_ms=lambda: now[0], delegations=access._delegations)
        real = access._engine.decide
        monkeypatch.setattr(
            access._engine, "decide", lambda request, real=real, asked=asked: asked.append(1) or real(request)
        )
        counts = []
        for moment in (60_000, 60_001, 120_000):
            now[0] = moment
            access.groups(ANN, "reading")
            counts.append(len(asked))
        assert counts == expected
        assert access.errors == (0 if texts is TEXTS else 12)


def test_an_action_that_the_role_does_not_have_is_refused_in_words_about_the_role():
    access = Access(PolicyEngine(SCHEMA, TEXTS), "suncoop")
    root = Caller("root", "suncoop", "administrator")
    access.require_action(root, Action.MANAGE_ACCOUNTS, about="ann@suncoop", kind="duties")
    for who, about in ((root, "root@suncoop"), (ANN, "bob@suncoop")):
        with pytest.raises(Exception, match="your role does not let you manage accounts here"):
            access.require_action(who, Action.MANAGE_ACCOUNTS, about=about, kind="duties")


# --- delegates ---------------------------------------------------------------------------------------------------


class Given:
    """One delegation of home-09: readings at that hour, physical and identity."""

    def groups(self, caller, type, start_ms):
        covered = type == "reading" and start_ms == START and str(caller.behalf) == BUYER
        return frozenset({"physical", "identity"}) if covered else frozenset()

    def any(self, caller):
        return str(caller.behalf) == BUYER


@pytest.mark.parametrize("kind", ["service", "user", "staff", "machine", "officer", "administrator"])
def test_a_delegate_has_what_both_the_delegation_and_the_policies_give(kind):
    access = Access(PolicyEngine(SCHEMA, TEXTS), "cityretail")
    access.know(standing=frozenset, now_ms=lambda: 0, delegations=Given())
    app = Caller("app", "cityretail", kind, behalf=Party.parse(BUYER))
    may = kind in ("service", "user")
    assert access.groups(app, "reading", start_ms=START) == ({"physical"} if may else set())
    assert access.groups(app, "reading", start_ms=START + 1) == set()
    assert access.groups(app, "order", start_ms=START) == set()
    other = Caller("app", "cityretail", kind, behalf=Party("cityretail", "home-10"))
    assert access.groups(other, "reading", start_ms=START) == set()


async def test_a_delegate_reads_lists_and_gets_receipts_of_what_was_delegated_and_of_nothing_else():
    story = Story()
    node = story.world.nodes["cityretail"]
    node.access.know(standing=frozenset, now_ms=lambda: START, delegations=Given())
    app = Caller("app", "cityretail", "service", behalf=Party.parse(BUYER))
    records, _ = await node.reader.list(app, Query())
    assert [record.type for record in records] == ["reading"]
    assert (records[0].data["subject"], records[0].withheld) == (BUYER, ())  # their own name is no secret from them
    (_, noted), *_ = node.releases.released
    assert (noted.id, noted.groups, noted.subjects) == (records[0].id, {"physical"}, (Party.parse(BUYER),))
    assert (await node.reader.accepted(app, records[0].id))[0].id == records[0].id
    for hidden in (story.supply, story.bid):
        for ask in (node.reader.get, node.reader.accepted):
            with pytest.raises(NotFound):
                await ask(app, hidden)
    for who in (
        replace(app, behalf=Party("cityretail", "home-10")),
        replace(app, behalf=None),
        replace(app, kind="staff"),
    ):
        with pytest.raises(Forbidden):
            await node.reader.list(who, Query())
        with pytest.raises(NotFound):
            await node.reader.get(who, records[0].id)
    with pytest.raises(Forbidden, match="your role"):
        await node.personal.invoice(app, Period(START, START + 1), "USD")


async def test_an_account_is_not_told_from_memory_once_its_delegation_has_ended():
    """Another delegation is still in force, so the caller may list; of the account nothing must leave any more."""
    story = Story()
    node = story.world.nodes["cityretail"]
    covered = {"payment", "reading"}

    class Ending(Given):
        def groups(self, caller, type, start_ms):
            return frozenset({"physical", "terms", "money"}) if type in covered else frozenset()

    node.access.know(standing=frozenset, now_ms=lambda: START, delegations=Ending())
    app = Caller("app", "cityretail", "service", behalf=Party.parse(BUYER))
    assert (await node.personal.wallet(app, None))["entries"] > 0
    told = len(node.releases.released)
    covered.remove("payment")
    for account in (None, BUYER):
        with pytest.raises(NotFound):
            await node.personal.wallet(app, account)
    assert len(node.releases.released) == told
