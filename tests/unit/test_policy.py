"""The policies: who may do what, as one table; and that whatever goes wrong in deciding denies."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from pathlib import Path

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.adapters.policyfiles import load_policies, read_policy_texts
from consortium.energy.catalogue import TYPES
from consortium.errors import ConfigurationError
from consortium.policy import engine as engine_module
from consortium.policy.engine import PolicyEngine
from consortium.policy.requests import AccessRequest, Action, NodeResource, Principal, RecordResource

FOLDER = Path(__file__).parents[2] / "policies"
SCHEMA, TEXTS = read_policy_texts(FOLDER)
ENGINE = PolicyEngine(SCHEMA, TEXTS)

ROLES = ("user", "staff", "machine", "auditor", "peer")
NAMES = {"user": "home-01@suncoop"} | dict.fromkeys(ROLES[1:], "somebody@suncoop")

# The record's relation to a caller of suncoop.
RELATIONS = {
    "own party reads it": lambda p: RecordResource("suncoop", "gridco", frozenset({p.name}), "reading"),
    "own member reads it": lambda p: RecordResource("suncoop", "gridco", frozenset({"suncoop"}), "reading"),
    "own member wrote it": lambda p: RecordResource("suncoop", "suncoop", frozenset(), "reading"),
    "a neighbour reads it": lambda p: RecordResource("suncoop", "gridco", frozenset({"home-02@suncoop"}), "reading"),
    "nobody here reads it": lambda p: RecordResource("suncoop", "gridco", frozenset(), "reading"),
    "it is about the caller": lambda p: RecordResource("suncoop", "gridco", frozenset(), "reading", p.name),
    "a neighbour's reading": lambda p: RecordResource("suncoop", "suncoop", frozenset(), "reading", "home-02@suncoop"),
    "an order in own name": lambda p: RecordResource("suncoop", "suncoop", frozenset(), "order", p.name),
    "an order in a neighbour's": lambda p: RecordResource(
        "suncoop", "suncoop", frozenset(), "order", "home-02@suncoop"
    ),
    "an order in the member's": lambda p: RecordResource("suncoop", "suncoop", frozenset(), "order", "suncoop"),
    "the node": lambda p: NodeResource("suncoop"),
}
WRITTEN_HERE = (
    "own member wrote it",
    "a neighbour's reading",
    "an order in own name",
    "an order in a neighbour's",
    "an order in the member's",
)
LISTED = {"own": lambda p: p.name, "member's": lambda p: p.member, "neighbour's": lambda p: "home-02@suncoop"}

ALLOWED = {
    ("user", "readRecord", "own party reads it"),
    ("user", "readReceipt", "own party reads it"),
    ("staff", "readRecord", "own member reads it"),
    ("staff", "readReceipt", "own member reads it"),
    ("user", "submitRecord", "an order in own name"),
    ("staff", "submitRecord", "a neighbour's reading"),
    ("staff", "submitRecord", "an order in the member's"),
    ("machine", "submitRecord", "own member wrote it"),
    ("machine", "submitRecord", "a neighbour's reading"),
    *product(("staff", "machine"), ("readReceipt",), WRITTEN_HERE),
    ("user", "listRecords", "own"),
    ("staff", "listRecords", "member's"),
    *product(("user", "staff", "machine", "auditor"), ("readHeader",), RELATIONS),
    *product(("user", "staff", "machine", "auditor"), ("readStatus",), ("the node",)),
}


def caller(role: str) -> Principal:
    return Principal(role, NAMES[role], "suncoop")


def _cells():
    for role, action in product(ROLES, Action):
        for relation in LISTED if action is Action.LIST_RECORDS else RELATIONS:
            yield role, action, relation


CELLS = list(_cells())


def request_for(role: str, action: Action, relation: str) -> AccessRequest:
    who = caller(role)
    if action is Action.LIST_RECORDS:
        return AccessRequest(who, action, NodeResource("suncoop"), LISTED[relation](who))
    return AccessRequest(who, action, RELATIONS[relation](who))


@pytest.mark.parametrize(("role", "action", "relation"), CELLS)
def test_the_table(role, action, relation):
    decision = ENGINE.decide(request_for(role, action, relation))
    assert decision.allowed == ((role, str(action), relation) in ALLOWED)
    assert decision.policy_set == ENGINE.digest
    assert bool(decision.policies) == decision.allowed


def test_the_table_names_only_cells_that_exist():
    assert {(r, str(a), n) for r, a, n in CELLS} >= ALLOWED


OWN, STAFFS = ("user", "own"), ("staff", "member's")
BROUGHT = {
    "reading": {("staff", "a user's"), STAFFS, ("machine", "a user's"), ("machine", "member's")},
    "order": {OWN, STAFFS},
    "contract": {OWN, STAFFS},
    "contract-step": {OWN, STAFFS},
    "prices": {STAFFS},
    "deposit": {STAFFS},
    "call": {OWN, STAFFS},
    "complaint": {OWN, STAFFS},
}
"""Who may bring what in whose name; nobody anything in a name that is not of this table."""


@pytest.mark.parametrize("type", [*TYPES, "payment", "trade", "clearing", "gate"])
def test_who_brings_what_in_whose_name(type):
    for role in ROLES:
        who = caller(role)
        own = who.name if role == "user" else ""
        names = {"own": own, "a user's": "home-02@suncoop", "member's": "suncoop", "stranger's": "gridco"}
        for name, subject in names.items():
            resource = RecordResource("suncoop", "suncoop", frozenset(), type, subject)
            allowed = ENGINE.decide(AccessRequest(who, Action.SUBMIT_RECORD, resource)).allowed
            if name in ("own", "a user's", "member's") and subject and type in TYPES:
                assert allowed == ((role, name) in BROUGHT[type]), (role, name)
            elif role in ("user", "auditor", "peer"):
                assert not allowed, (role, name)


def test_the_table_of_what_is_brought_is_whole():
    assert BROUGHT.keys() == TYPES.keys()


def test_a_decision_names_its_policies():
    assert ENGINE.decide(request_for("user", Action.READ_RECORD, "own party reads it")).policies == (
        "user-reads-own-records",
    )
    foreign = replace(request_for("user", Action.READ_STATUS, "the node"), resource=NodeResource("gridco"))
    assert ENGINE.decide(foreign).policies == ("everyone-only-own-member",)


@pytest.mark.parametrize(("role", "action", "relation"), CELLS)
def test_the_same_caller_has_nothing_at_another_members_node(role, action, relation):
    asked = request_for(role, action, relation)
    elsewhere = replace(asked, resource=replace(asked.resource, member="gridco"))
    assert not ENGINE.decide(elsewhere).allowed


names = st.sampled_from(["suncoop", "gridco", "home-01@suncoop", "home-01@gridco", "", "Suncoop"]) | st.text(max_size=8)
records = st.builds(RecordResource, names, names, st.frozensets(names, max_size=3), names, names)
principals = st.builds(Principal, st.sampled_from(ROLES), names, names)
requests = st.builds(
    AccessRequest, principals, st.sampled_from([*Action, "else"]), records | st.builds(NodeResource, names), names
)


@settings(max_examples=400, deadline=None)
@given(requests)
def test_no_foreign_member_is_ever_allowed(asked):
    if asked.principal.member == asked.resource.member:
        asked = replace(asked, resource=replace(asked.resource, member=asked.principal.member + "x"))
    assert not ENGINE.decide(asked).allowed


@settings(max_examples=300, deadline=None)
@given(requests)
def test_a_remembered_decision_is_the_one_that_a_fresh_evaluation_gives(asked):
    first, again = ENGINE.decide(asked), ENGINE.decide(asked)
    assert again == first
    assert PolicyEngine(SCHEMA, TEXTS, memo=0).decide(asked) == first


# --- errors ----------------------------------------------------------------------------------------------------

OVERFLOW = "9223372036854775807 + 1 == 1"  # the validator lets it pass; evaluating it fails
GOOD = request_for("user", Action.READ_RECORD, "own party reads it")


@pytest.mark.parametrize("effect", ["forbid", "permit"])
def test_a_policy_that_fails_in_evaluation_denies(effect):
    text = f'@id("broken") {effect} (principal, action, resource) when {{ {OVERFLOW} }};'
    broken = PolicyEngine(SCHEMA, {**TEXTS, "zz.cedar": text})
    assert ENGINE.decide(GOOD).allowed
    decision = broken.decide(GOOD)
    assert (decision.allowed, decision.policies, decision.errors) == (False, (), True)


def test_cedar_alone_would_have_skipped_the_failing_forbid():
    """Why the engine looks at the errors: without that, this request is allowed."""
    text = "\n".join([*TEXTS.values(), f"forbid (principal, action, resource) when {{ {OVERFLOW} }};"])
    question, entities = engine_module.cedar_request(GOOD)
    assert cedarpy.is_authorized(question, text, entities, schema=SCHEMA).decision is cedarpy.Decision.Allow


def test_an_exception_denies_and_is_not_remembered(monkeypatch):
    engine = PolicyEngine(SCHEMA, TEXTS)

    def broken(*_args, **_kwargs):
        raise RuntimeError("out of order")

    with monkeypatch.context() as patch:
        patch.setattr(cedarpy, "is_authorized", broken)
        decision = engine.decide(GOOD)
        assert (decision.allowed, decision.errors) == (False, True)
    assert engine.decide(GOOD).allowed


@pytest.mark.parametrize(
    "asked",
    [
        replace(GOOD, action="open"),
        replace(GOOD, resource=NodeResource("suncoop")),
        replace(GOOD, action=Action.LIST_RECORDS),
        replace(GOOD, resource=replace(GOOD.resource, readers={"home-01@suncoop"})),
    ],
    ids=["unknown action", "wrong resource", "listing a record", "readers that can change"],
)
def test_what_does_not_fit_the_schema_denies_with_an_error(asked):
    decision = ENGINE.decide(asked)
    assert (decision.allowed, decision.errors) == (False, True)


# --- memory ----------------------------------------------------------------------------------------------------


@pytest.fixture
def counted(monkeypatch):
    calls = []
    real = cedarpy.is_authorized

    def counting(*args, **kwargs):
        calls.append(args[0])
        return real(*args, **kwargs)

    monkeypatch.setattr(cedarpy, "is_authorized", counting)
    return calls


def test_an_equal_request_is_evaluated_once(counted):
    engine = PolicyEngine(SCHEMA, TEXTS)
    for _ in range(3):
        assert engine.decide(request_for("user", Action.READ_RECORD, "own party reads it")).allowed
    assert len(counted) == 1


def test_a_request_that_differs_anywhere_is_evaluated_by_itself(counted):
    engine = PolicyEngine(SCHEMA, TEXTS)
    listing = request_for("user", Action.LIST_RECORDS, "own")
    different = [
        GOOD,
        replace(GOOD, principal=replace(GOOD.principal, kind="staff")),
        replace(GOOD, principal=replace(GOOD.principal, name="home-02@suncoop")),
        replace(GOOD, principal=replace(GOOD.principal, member="gridco")),
        replace(GOOD, action=Action.READ_RECEIPT),
        replace(GOOD, resource=replace(GOOD.resource, member="gridco")),
        replace(GOOD, resource=replace(GOOD.resource, author="suncoop")),
        replace(GOOD, resource=replace(GOOD.resource, readers=frozenset())),
        replace(GOOD, resource=replace(GOOD.resource, type="trade")),
        replace(GOOD, resource=replace(GOOD.resource, subject="home-01@suncoop")),
        listing,
        replace(listing, party="home-02@suncoop"),
    ]
    for asked in different * 2:
        engine.decide(asked)
    assert len(counted) == len(different)


def test_the_memory_is_bounded(counted):
    engine = PolicyEngine(SCHEMA, TEXTS, memo=2)
    asked = [replace(GOOD, resource=replace(GOOD.resource, type=kind)) for kind in "abc"]
    for one in [*asked, asked[0]]:
        assert engine.decide(one).allowed
    assert len(counted) == 4
    assert engine._memo.cache_info().currsize == 2


# --- loading ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('@id("typo") permit (principal is User, action, resource) when { principal.nmae == "x" };', "typo"),
        ('@id("opt") permit (principal, action, resource is Record) when { resource.subject == "x" };', "opt"),
        ('@id("never") permit (principal is User, action, resource is User);', "never"),
        ("permit (principal, action, resource);", "@id"),
        ('@id("") permit (principal, action, resource);', "@id"),
        ('@id("user-reads-own-records") permit (principal, action, resource);', "user.cedar"),
        ('@id("x") permit (principal, action, resource); @id("x") permit (principal, action, resource);', "x is taken"),
        ('@id("x") permit (principal == ?principal, action, resource);', "templates"),
        ('@id("x") permit (principal', "parse"),
    ],
)
def test_an_invalid_policy_is_refused_at_load(text, said):
    with pytest.raises(ConfigurationError) as caught:
        PolicyEngine(SCHEMA, {**TEXTS, "zz-new.cedar": text})
    assert "zz-new.cedar" in str(caught.value)
    assert said in str(caught.value)


def test_no_policies_and_a_broken_schema_are_refused():
    with pytest.raises(ConfigurationError, match="no policies"):
        PolicyEngine(SCHEMA, {})
    with pytest.raises(ConfigurationError, match="schema"):
        PolicyEngine("entity ;", TEXTS)


def test_the_digest_is_of_what_decides():
    renamed = {f"x-{name}": text for name, text in reversed(TEXTS.items())}
    assert PolicyEngine(SCHEMA, renamed).digest == ENGINE.digest
    assert len(ENGINE.digest) == 32
    changed = {**TEXTS, "user.cedar": TEXTS["user.cedar"] + "\n"}
    assert PolicyEngine(SCHEMA, changed).digest != ENGINE.digest
    assert PolicyEngine(SCHEMA + "\n", TEXTS).digest != ENGINE.digest


def test_policies_come_from_a_folder(tmp_path):
    assert load_policies(FOLDER).digest == ENGINE.digest
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policies(tmp_path)
    (tmp_path / "consortium.cedarschema").write_text(SCHEMA)
    with pytest.raises(ConfigurationError, match="no policies"):
        load_policies(tmp_path)
    (tmp_path / "bad.cedar").write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        load_policies(tmp_path)


def test_every_policy_has_its_sentence():
    """A compliance officer reads these: each policy has a comment right above its @id."""
    for name, text in TEXTS.items():
        lines = text.splitlines()
        for number, line in enumerate(lines):
            if line.startswith("@id"):
                assert lines[number - 1].startswith("// "), f"{name}: {line}"
