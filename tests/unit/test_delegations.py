"""Who may read for whom: what a delegation covers, when it ends, and what nobody can stretch."""

from __future__ import annotations

from dataclasses import replace
from functools import partial

import pytest

from consortium.energy.delegations import Delegations, delegation_for
from consortium.energy.payloads.access import Delegation, DelegationEnd
from consortium.energy.submissions.base import validate
from consortium.energy.submissions.delegations import DelegationGiven, readers
from consortium.energy.view.facts import Fact
from consortium.energy.view.view import View
from consortium.errors import Forbidden, InvalidRequest, NotFound
from consortium.model.names import Party
from consortium.pipeline.delegating import Delegating, LiveDelegations
from consortium.ports.callers import Caller
from tests.builders import T0, noise
from tests.callers import FakeClock, custody_of
from tests.marketworld import GENESIS
from tests.teller_world import MemoryWriter

HOME, ADVISER = "home-01@suncoop", "adviser@suncoop"
DAY = 86_400_000
ID = noise("delegation", size=16)
GIVEN = Delegation(
    start_ms=T0,
    subject=HOME,
    delegate=ADVISER,
    types=("reading", "payment"),
    to_ms=T0 + 7 * DAY,
    groups=("physical",),
    until_ms=T0 + 30 * DAY,
    purpose="tax",
)
END = DelegationEnd(start_ms=T0, delegation=ID, subject=HOME, delegate=ADVISER)
SERVICE = Caller("adviser", "suncoop", "service", behalf=Party("suncoop", "home-01"))
USER = Caller("home-01", "suncoop", "user")


def fact(part, *, id=ID, author="suncoop", index=3, time_ms=T0):
    return Fact(index, id, author, time_ms, part.TYPE, part.start_ms, (part,), bytes(32))


def folded(*facts):
    found = Delegations()
    for one in facts:
        (found.end if one.type == "delegation-end" else found.give)(one)
    return found


def reads(known, *, subject=HOME, delegate=ADVISER, now_ms=T0, type="reading", start_ms=T0, group="physical"):
    return delegation_for(known, subject, delegate, now_ms, type=type, start_ms=start_ms, group=group) is not None


def test_what_it_covers():
    known = folded(fact(GIVEN))
    assert reads(known)
    assert reads(known, type="payment", start_ms=T0 + 7 * DAY - 1, now_ms=T0 + 30 * DAY - 1)


@pytest.mark.parametrize(
    "beyond",
    [
        {"subject": "home-02@suncoop"},
        {"delegate": "other@suncoop"},
        {"subject": ADVISER, "delegate": HOME},
        {"type": "contract"},
        {"type": "delegation"},
        {"group": "money"},
        {"group": "identity"},
        {"start_ms": T0 - 1},
        {"start_ms": T0 + 7 * DAY},
        {"now_ms": T0 + 30 * DAY},
    ],
    ids=str,
)
def test_what_it_does_not_cover(beyond):
    assert not reads(folded(fact(GIVEN)), **beyond)


@pytest.mark.parametrize("type", ["delegation", "delegation-end"])
def test_no_delegation_covers_delegations(type):
    assert not reads(folded(fact(GIVEN.model_copy(update={"types": ()}))), type=type)


def test_open_ones_cover_all_else():
    whole = GIVEN.model_copy(update={"types": (), "groups": (), "to_ms": 0})
    assert reads(folded(fact(whole)), type="contract", group="money", start_ms=T0 + 9999 * DAY)


def test_two_are_not_added_up():
    other = GIVEN.model_copy(update={"types": ("contract",), "groups": ("money",)})
    known = folded(fact(GIVEN), fact(other, id=noise("other", size=16)))
    assert reads(known)
    assert reads(known, type="contract", group="money")
    assert not reads(known, group="money")
    assert not reads(known, type="contract")


def test_its_end_is_an_end():
    known = folded(fact(GIVEN), fact(END, time_ms=T0 + 5))
    assert not reads(known)
    assert known.get(ID).ended_ms == T0 + 5
    assert folded(fact(GIVEN), fact(END), fact(GIVEN)).get(ID).ended_ms == T0, "given again it stays ended"


@pytest.mark.parametrize(
    ("end", "author"),
    [
        (END, "cityretail"),
        (END.model_copy(update={"subject": ADVISER, "delegate": HOME}), "suncoop"),
        (END.model_copy(update={"subject": "home-02@suncoop"}), "suncoop"),
        (END.model_copy(update={"delegation": bytes(16)}), "suncoop"),
    ],
)
def test_nobody_elses_word_ends_it(end, author):
    assert reads(folded(fact(GIVEN), fact(end, author=author)))


@pytest.mark.parametrize(
    ("change", "author"),
    [
        ({}, "cityretail"),
        ({"subject": "home-09@cityretail"}, "suncoop"),
        ({"delegate": "adviser@cityretail"}, "suncoop"),
        ({"subject": "suncoop"}, "suncoop"),
        ({"delegate": "suncoop"}, "suncoop"),
        ({"delegate": HOME}, "suncoop"),
    ],
)
def test_what_no_honest_node_lets_through_is_none(change, author):
    assert folded(fact(GIVEN.model_copy(update=change), author=author)).get(ID) is None


def test_the_view_keeps_what_ended_when_it_is_folded_anew():
    view = View(GENESIS, "suncoop")
    view.add(fact(GIVEN))
    view.add(fact(END, id=noise("end", size=16), time_ms=T0 + 5))
    view.forget()
    assert not reads(view.delegations)
    view.add(fact(GIVEN))
    assert not reads(view.delegations), "the end is known while the fold is still on its way to it"


# --- as access asks ---


def test_nobody_reads_for_anybody_before_the_ledger_was_followed():
    known = folded(fact(GIVEN))
    for state, groups in ((None, set()), (known, {"physical"})):
        live = LiveDelegations(lambda state=state: state, lambda: T0)
        assert live.groups(SERVICE, "reading", T0) == groups
        assert live.any(SERVICE) is bool(groups)
        assert live.under(SERVICE, "reading", T0, frozenset({"physical", "terms"})) == (ID if groups else b"")


@pytest.mark.parametrize(
    "caller",
    [
        replace(SERVICE, behalf=None),
        replace(SERVICE, behalf=Party("suncoop", "home-02")),
        replace(SERVICE, member="cityretail"),
        replace(SERVICE, name="other"),
    ],
)
def test_who_was_given_nothing_has_nothing(caller):
    live = LiveDelegations(lambda: folded(fact(GIVEN)), lambda: T0)
    assert live.groups(caller, "reading", T0) == frozenset()
    assert not live.any(caller)
    assert live.under(caller, "reading", T0, frozenset({"physical"})) == b""


# --- as a user gives it ---

DATA = {
    "delegate": ADVISER,
    "types": ["reading"],
    "from": "2017-01-01T00:00:00Z",
    "until": "2018-01-01T00:00:00Z",
}


class Permits:
    """Access that permits what a user may."""

    def require_action(self, caller, action, *, about="", kind=""):
        if caller.kind not in ("user", "service") or about != f"{caller.name}@{caller.member}":
            raise Forbidden("no")


def delegating(known=None):
    clock = FakeClock(T0 // 1000)
    writer = MemoryWriter("suncoop", clock)
    writer.knows = partial(_known, writer)
    state = known if known is not None else Delegations()
    made = Delegating("suncoop", Permits(), lambda: state, lambda: T0, writer, custody_of("suncoop"), clock, bytes)
    return made, writer


async def _known(writer, id):
    return id in writer.drafts


async def test_a_delegation_is_sealed_to_subject_delegate_and_their_member():
    made, writer = delegating()
    await made.give(USER, ID, DATA, "applied", 5.0)
    (section,) = writer.drafts[ID].sections
    assert set(section.readers) == {Party("suncoop", "home-01"), Party("suncoop", "adviser"), Party("suncoop")}
    assert writer.drafts[ID].author == "suncoop"


@pytest.mark.parametrize(
    ("change", "field", "words"),
    [
        ({"delegate": "adviser@cityretail"}, "delegate", "own member"),
        ({"delegate": HOME}, "delegate", "another user"),
        ({"delegate": "suncoop"}, "delegate", "another user"),
        ({"types": ["reading", "delegation"]}, "types", "not known"),
        ({"types": ["no-such-type"]}, "types", "not known"),
        ({"groups": ["identity"]}, "groups", "not known"),
        ({"to": "2016-01-01T00:00:00Z"}, "to", "after it starts"),
        ({"until": "2017-06-01T00:00:00Z"}, "until", "future"),
        ({"until": "2020-01-01T00:00:00Z"}, "until", "two years"),
        ({"purpose": "x" * 101}, "purpose", "100"),
        ({"subject": "home-02@suncoop"}, "", "unknown field"),
        ({"from": None}, "from", ""),
    ],
)
async def test_what_is_refused_and_why(change, field, words):
    made, writer = delegating()
    with pytest.raises(InvalidRequest) as refused:
        await made.give(USER, ID, DATA | change, "applied", 5.0)
    assert refused.value.field == field
    assert words in str(refused.value)
    assert not writer.drafts


@pytest.mark.parametrize(
    "caller",
    [
        Caller("clerk", "suncoop", "staff"),
        Caller("root", "suncoop", "administrator"),
        SERVICE,
        replace(USER, name="home-02", behalf=Party("suncoop", "home-01")),
    ],
)
async def test_nobody_gives_or_ends_but_the_user_in_their_own_name(caller):
    made, writer = delegating(folded(fact(GIVEN)))
    with pytest.raises(Forbidden):
        await made.give(caller, ID, DATA, "applied", 5.0)
    with pytest.raises(Forbidden):
        await made.end(caller, ID, "applied", 5.0)
    assert not writer.drafts


async def test_an_end_is_one_record_however_often_it_is_asked_for():
    made, writer = delegating(folded(fact(GIVEN)))
    first = await made.end(USER, ID, "applied", 5.0)
    assert await made.end(USER, ID, "applied", 5.0) == first
    assert len(writer.drafts) == 1


@pytest.mark.parametrize("caller", [replace(USER, name="home-02"), replace(USER, name="adviser")])
async def test_others_delegations_are_not_there(caller):
    made, _ = delegating(folded(fact(GIVEN)))
    for id in (ID, bytes(16)):
        with pytest.raises(NotFound) as refused:
            await made.end(caller, id, "applied", 5.0)
        assert str(refused.value) == "no such delegation"


def test_both_sides_see_it_and_nobody_else():
    made, _ = delegating(folded(fact(GIVEN), fact(GIVEN, id=noise("second", size=16), index=4), fact(END)))
    for caller in (USER, replace(SERVICE, behalf=None)):
        rows, last = made.list(caller, -1, 1)
        assert ([row["state"] for row in rows], last) == (["ended"], 3)
        rows, last = made.list(caller, 3, 10)
        assert ([row["state"] for row in rows], last) == (["in force"], None)
    assert made.list(replace(USER, name="home-02"), -1, 10) == ([], None)


def test_a_submission_and_its_record_say_the_same():
    given = validate(DelegationGiven, DATA | {"to": "2017-02-01T00:00:00Z", "purpose": "tax"}, "")
    part = given.part(Party("suncoop", "home-01"))
    assert part.groups == ("money", "physical", "terms")
    assert (part.start_ms, part.to_ms) == (1_483_228_800_000, 1_485_907_200_000)
    assert len(readers(part)) == 3
