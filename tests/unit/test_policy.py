"""The policies and their examples; and that whatever goes wrong in deciding denies."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cedarpy
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.adapters.policyfiles import load_examples, load_policies, read_policy_texts
from consortium.errors import ConfigurationError
from consortium.policy import engine as engine_module
from consortium.policy.engine import PolicyEngine
from consortium.policy.examples import parse_examples, run
from consortium.policy.requests import AccessRequest, Action, Context, NodeResource, Principal, RecordResource

FOLDER = Path(__file__).parents[2] / "policies"
SCHEMA, TEXTS = read_policy_texts(FOLDER)
ENGINE = PolicyEngine(SCHEMA, TEXTS)

ROLES = ("user", "staff", "machine", "officer", "administrator", "service", "peer")
HOME = Principal("user", "home-01@suncoop", "suncoop")
STAFF = Principal("staff", "somebody@suncoop", "suncoop", frozenset({"billing", "metering", "trading"}))
OWN = RecordResource("suncoop", "gridco", frozenset({"home-01@suncoop"}), "reading")
GOOD = AccessRequest(HOME, Action.READ_RECORD, OWN, Context(group="physical"))
LISTING = AccessRequest(HOME, Action.LIST_RECORDS, NodeResource("suncoop"), Context(party="home-01@suncoop"))
"""Who may do what in all: tests/matrix.md, asked by tests/unit/test_matrix_table.py."""


def test_a_decision_names_its_policies():
    assert ENGINE.decide(GOOD).policies == ("user-reads-own-records",)
    foreign = AccessRequest(HOME, Action.READ_STATUS, NodeResource("gridco"))
    assert ENGINE.decide(foreign).policies == ("everyone-only-own-member",)
    assert ENGINE.decide(GOOD).policy_set == ENGINE.digest


names = st.sampled_from(["suncoop", "gridco", "home-01@suncoop", "home-01@gridco", "", "Suncoop"]) | st.text(max_size=8)
relations = st.frozensets(st.sampled_from(["delegate", "grant", "grid-operator", "market-operator"]), max_size=3)
types = st.sampled_from(["reading", "order", "contract", ""]) | names
records = st.builds(RecordResource, names, names, st.frozensets(names, max_size=3), types, names, relations)
duties = st.frozensets(st.sampled_from(["billing", "metering", "trading", "operations"]))
principals = st.builds(Principal, st.sampled_from(ROLES), names, names, duties)
groups = st.sampled_from(["physical", "terms", "money", "identity", ""])
contexts = st.builds(Context, groups, names, st.integers(0, 1 << 41), names, st.booleans(), names, names)
requests = st.builds(
    AccessRequest, principals, st.sampled_from([*Action, "else"]), records | st.builds(NodeResource, names), contexts
)


@settings(max_examples=400, deadline=None)
@given(requests)
def test_no_foreign_member_is_ever_allowed(asked):
    if asked.principal.member == asked.resource.member:
        asked = replace(asked, resource=replace(asked.resource, member=asked.principal.member + "x"))
    assert not ENGINE.decide(asked).allowed


@settings(max_examples=60, deadline=None)
@given(requests)
def test_a_remembered_decision_is_the_one_that_a_fresh_evaluation_gives(asked):
    first, again = ENGINE.decide(asked), ENGINE.decide(asked)
    assert again == first
    assert PolicyEngine(SCHEMA, TEXTS, memo=0).decide(asked) == first


# --- errors ----------------------------------------------------------------------------------------------------

OVERFLOW = "9223372036854775807 + 1 == 1"  # the validator lets it pass; evaluating it fails


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
        assert engine.decide(GOOD).allowed
    assert len(counted) == 1


def test_a_request_that_differs_anywhere_is_evaluated_by_itself(counted):
    engine = PolicyEngine(SCHEMA, TEXTS)
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
        replace(GOOD, principal=replace(GOOD.principal, duties=frozenset({"billing"}))),
        replace(GOOD, resource=replace(GOOD.resource, relations=frozenset({"grant"}))),
        replace(GOOD, context=replace(GOOD.context, group="terms")),
        replace(GOOD, context=replace(GOOD.context, purpose="audit")),
        replace(GOOD, context=replace(GOOD.context, now_ms=60_000)),
        LISTING,
        replace(LISTING, context=Context(party="home-02@suncoop")),
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


def test_every_policy_has_its_sentence_and_its_file_says_whose_it_is():
    """A compliance officer reads these, and `policy explain` repeats them."""
    assert all(rule.says.endswith(".") and len(rule.says) > 30 for rule in ENGINE.rules.values())
    for rule in ENGINE.rules.values():
        assert rule.id.split("-")[0] in (rule.file.removesuffix(".cedar"), "billing", "metering", "trading"), rule
    assert {rule.file for rule in ENGINE.rules.values()} == TEXTS.keys()
    assert all(text.startswith("// ") for text in TEXTS.values())


# --- examples --------------------------------------------------------------------------------------------------

EXAMPLES = [(name, example) for name, found in load_examples(FOLDER).items() for example in found]


@pytest.mark.parametrize(("name", "example"), EXAMPLES, ids=[example.says for _, example in EXAMPLES])
def test_an_example_kept_beside_the_policies(name, example):
    (outcome,) = run(ENGINE, [example])
    assert outcome.right, (name, outcome.policies)


def test_every_policy_decides_an_example_and_every_role_has_one_of_each_kind():
    outcomes = run(ENGINE, [example for _, example in EXAMPLES])
    assert {policy for outcome in outcomes for policy in outcome.policies} == ENGINE.rules.keys()
    for kind in ROLES[:-1]:
        assert {example.allow for _, example in EXAMPLES if example.who.kind == kind} == {True, False}, kind


def test_a_wrong_example_is_seen():
    (_, good), *_ = EXAMPLES
    (outcome,) = run(ENGINE, [good.model_copy(update={"allow": not good.allow})])
    assert not outcome.right


def test_an_example_that_fails_in_evaluation_is_wrong_even_if_it_says_deny():
    text = f'@id("broken") forbid (principal, action, resource) when {{ {OVERFLOW} }};'
    denied = next(example for _, example in EXAMPLES if not example.allow)
    (outcome,) = run(PolicyEngine(SCHEMA, {**TEXTS, "zz.cedar": text}), [denied])
    assert (outcome.right, outcome.errors) == (False, True)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({}, "nothing else"),
        ({"example": []} | {"other": 1}, "nothing else"),
        ({"example": [{"says": "x"}]}, "allow"),
        ({"example": [{"says": "x", "allow": True, "who": {"kind": "user"}, "action": "fly"}]}, "action"),
        ({"example": [{"says": "x", "allow": True, "who": {"name": "x"}, "action": "vote"}]}, "who.kind"),
        ({"example": [{"says": "x", "allow": True, "who": {"kind": "x"}, "action": "vote", "typo": 1}]}, "typo"),
    ],
)
def test_examples_that_are_not_well_formed_are_refused(tables, said):
    with pytest.raises(ConfigurationError, match=said) as caught:
        parse_examples("some.toml", tables)
    assert "some.toml" in str(caught.value)
