"""Every cell of `tests/matrix.md`, asked of the policies."""

from __future__ import annotations

from pathlib import Path

import pytest

from consortium.adapters.policyfiles import load_policies
from consortium.energy.catalogue import TYPES as SUBMITTED
from consortium.energy.field_groups import TYPES
from consortium.policy.requests import (
    AccessRequest,
    Action,
    Context,
    MarketResource,
    NodeResource,
    RecordResource,
)
from tests.matrix import GROUPS, WHO, Cell, opened, principal, tables

ENGINE = load_policies(Path(__file__).parents[2] / "policies")
_, BROUGHT, DONE = tables()
OPENED = [Cell(*key, given) for key, given in sorted(opened().items()) if key[0] != "any other"]


def allowed(asked: AccessRequest) -> bool:
    decision = ENGINE.decide(asked)
    assert not decision.errors
    return decision.allowed


def own_party(column: str) -> str:
    who = principal(column)
    return who.name if who.kind == "user" else who.member


def record(cell, *, related: bool = True, member: str = "suncoop") -> RecordResource:
    relation = {"granted": "grant", "delegate": "delegate"}.get(cell.column, "")
    readers = frozenset({own_party(cell.column)}) if related and not relation else frozenset()
    relations = WHO[cell.column][2] | ({relation} - {""} if related else set())
    return RecordResource(member, "gridco", readers, "" if cell.row == "unknown" else cell.row, "", relations)


def opens(cell, **how) -> set[str]:
    return {
        group
        for group in GROUPS
        if allowed(AccessRequest(principal(cell.column), Action.READ_RECORD, record(cell, **how), Context(group=group)))
    }


def test_the_tables_name_every_type_and_role():
    assert {cell.row for cell in OPENED} - {"unknown", "any other"} <= TYPES
    assert {cell.row for cell in BROUGHT} == SUBMITTED.keys() & {cell.row for cell in BROUGHT}
    assert {cell.column for table in (OPENED, BROUGHT, DONE) for cell in table} == WHO.keys()


@pytest.mark.parametrize("cell", OPENED, ids=str)
def test_what_is_opened(cell):
    assert opens(cell) == cell.says


@pytest.mark.parametrize("column", sorted({cell.column for cell in OPENED}))
def test_nothing_is_opened_without_a_relation_or_at_another_node(column):
    for cell in (cell for cell in OPENED if cell.column == column):
        assert not opens(cell, related=False), cell
        assert not opens(cell, member="gridco"), cell


@pytest.mark.parametrize("cell", BROUGHT, ids=str)
def test_what_is_brought(cell):
    names = {"own": own_party(cell.column), "user": "home-02@suncoop", "stranger": "gridco", "": ""}
    brought = {
        word
        for word, name in names.items()
        if allowed(
            AccessRequest(
                principal(cell.column),
                Action.SUBMIT_RECORD,
                RecordResource("suncoop", "suncoop", frozenset(), cell.row, name),
            )
        )
    }
    # Of a reading nobody asks in whose name a gateway brings it: it can only name users of its own member.
    expected = {word.strip() for word in cell.says.split(",")} - {"-"}
    assert brought - {"stranger", ""} == expected
    assert cell.row == "reading" or not brought & {"stranger", ""}


@pytest.mark.parametrize("column", sorted({cell.column for cell in BROUGHT}))
@pytest.mark.parametrize("type", sorted(TYPES - {cell.row for cell in BROUGHT}))
def test_nobody_brings_what_is_not_in_the_table(type, column):
    for name in (own_party(column), "home-02@suncoop"):
        resource = RecordResource("suncoop", "suncoop", frozenset(), type, name)
        assert not allowed(AccessRequest(principal(column), Action.SUBMIT_RECORD, resource))


def _record(author: str, reader: str) -> RecordResource:
    return RecordResource("suncoop", author, frozenset({reader} - {""}), "reading")


def _market(**sides) -> MarketResource:
    sets = {name: frozenset(sides.get(name, ())) for name in ("members", "operators")}
    return MarketResource("suncoop", **sets, grid=sides.get("grid", "gridco"))


def asked(cell) -> AccessRequest:
    """What a row of the third table asks."""
    who, node, party = principal(cell.column), NodeResource("suncoop"), own_party(cell.column)
    action, _, words = cell.row.replace(",", "").partition(" ")
    about = "home-02@suncoop" if "other" in words else who.name
    match action, words:
        case "listRecords", _:
            context = Context(party="home-02@suncoop" if "another" in words else party)
            return AccessRequest(who, action, node, context)
        case "readReceipt", _:
            author = "suncoop" if "wrote" in words else "gridco"
            return AccessRequest(who, action, _record(author, party if words == "party" else ""))
        case (("readMarket" | "readBook" | "readTotals"), _):
            sides = {
                "in it": {"members": ["suncoop"]},
                "not in it": {},
                "operator": {"operators": ["suncoop"]},
                "grid": {"grid": "suncoop"},
            }
            return AccessRequest(who, action, _market(**sides[words]))
        case _:
            kind = words.split(" ")[0] if action in ("propose", "manageAccounts") else "give"
            return AccessRequest(who, action, node, Context(about=about, kind=kind))


@pytest.mark.parametrize("cell", DONE, ids=str)
def test_what_is_done(cell):
    assert cell.says in ("yes", "-")
    assert allowed(asked(cell)) == (cell.says == "yes")


def test_every_action_is_in_the_tables():
    done = {cell.row.replace(",", "").split(" ")[0] for cell in DONE}
    assert done | {"readRecord", "submitRecord"} == set(Action)


def test_a_delegate_sees_nothing_of_a_record_that_no_delegation_covers():
    for cell in OPENED:
        if cell.column == "service":
            assert opens(cell) == set()
