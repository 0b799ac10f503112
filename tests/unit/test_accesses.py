"""A list of accesses, checked by whoever has it: gaps, times that do not fit, and what is about others."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.energy.accesses import AHEAD, BACK_DATED, FIRST, LATE, AuthorChain, Told, digest, verify
from consortium.energy.payloads.access import Access
from consortium.energy.payloads.base import read_part
from tests.builders import T0, noise

HOME, OTHER = "home-01@suncoop", "home-02@suncoop"
MINUTE = 60_000


def access(sequence, previous, at_ms, subject=HOME, **changed):
    given = {
        "last_ms": at_ms,
        "role": "staff",
        "duties": ("billing",),
        "name": "",
        "member": "cityretail",
        "basis": "duties",
        "under": None,
        "purpose": "",
        "records": (noise("record", sequence, size=16),),
        "types": ("reading",),
        "groups": ("physical",),
        "answers": 1,
    }
    return Access(start_ms=at_ms, subject=subject, sequence=sequence, previous=previous, **(given | changed))


def chain(count, author="cityretail", subject=HOME, step_ms=MINUTE, first=0):
    """Told every minute, ten seconds after each read."""
    found, previous = [], FIRST
    for n in range(count):
        part = access(n + 1, previous, T0 + n * step_ms, subject)
        previous = digest(part)
        found.append(Told(noise(author, n, size=16).hex(), first + n, author, part.start_ms + 10_000, part))
    return found


def timings(told):
    return [row.timing for row in verify(told, HOME).rows]


def test_whole_chains_of_several_authors():
    told = [*chain(3), *chain(2, "regulator", first=10)]
    found = verify(reversed(told), HOME)
    assert found.whole
    assert found.chains == (AuthorChain("cityretail", 3, ""), AuthorChain("regulator", 2, ""))
    assert [row.told for row in found.rows] == told
    assert timings(told) == [""] * 5


def test_nothing_is_whole():
    assert verify([], HOME).whole
    assert verify([], HOME).rows == ()


@pytest.mark.parametrize("taken", [0, 1, 2])
def test_a_record_that_was_taken_out_is_missed(taken):
    told = [*chain(4), *chain(2, "regulator", first=10)]
    del told[taken]
    found = verify(told, HOME)
    assert not found.whole
    assert [chain.author for chain in found.chains if chain.wrong] == ["cityretail"]
    assert f"after number {taken} comes number {taken + 2}" in found.chains[0].wrong
    assert found.chains[0].count == taken


@pytest.mark.parametrize("change", [{"answers": 2}, {"purpose": "x"}, {"records": (bytes(16),)}, {"last_ms": T0 + 1}])
def test_a_record_that_was_changed_is_seen_in_the_next(change):
    told = chain(3)
    told[1] = replace(told[1], access=told[1].access.model_copy(update=change))
    found = verify(told, HOME)
    assert not found.whole
    assert "number 3 does not follow from number 2" in found.chains[0].wrong


def test_a_second_record_at_one_place_is_seen():
    told = chain(3)
    again = replace(told[1], id="ff" * 16, index=9, access=told[1].access.model_copy(update={"answers": 5}))
    assert not verify([*told, again], HOME).whole


def test_what_is_about_others_is_no_part_of_it():
    found = verify([*chain(2), *chain(3, subject=OTHER, first=10)], HOME)
    assert found.whole
    assert {row.told.access.subject for row in found.rows} == {HOME}


def test_a_chain_that_is_out_of_the_ledgers_order_is_whole_all_the_same():
    told = chain(3)
    told[1], told[2] = replace(told[1], index=2), replace(told[2], index=1)
    assert verify(told, HOME).whole


def test_a_read_that_is_told_late_is_flagged():
    told = chain(2)
    assert timings([told[0], replace(told[1], time_ms=told[1].access.start_ms + 180_000)]) == ["", ""]
    assert timings([told[0], replace(told[1], time_ms=told[1].access.start_ms + 180_001)]) == ["", LATE]


def test_a_node_that_back_dates_an_access_is_caught_by_the_ledgers_time_and_by_its_own_chain():
    told = chain(1)
    yesterday = access(2, digest(told[0].access), T0 - 24 * 60 * MINUTE)
    assert timings([*told, Told("ee" * 16, 5, "cityretail", T0 + MINUTE, yesterday)]) == ["", BACK_DATED]
    alone = access(1, FIRST, T0 - 24 * 60 * MINUTE)
    assert timings([Told("ee" * 16, 5, "cityretail", T0 + MINUTE, alone)]) == [LATE]


@pytest.mark.parametrize("field", ["start_ms", "last_ms"])
def test_a_time_that_had_not_come_is_flagged(field):
    part = access(1, FIRST, T0).model_copy(update={field: T0 + 10 * MINUTE})
    assert timings([Told("ee" * 16, 5, "cityretail", T0, part)]) == [AHEAD]


def test_a_clock_that_is_set_back_a_little_is_no_fraud():
    told = chain(1)
    part = access(2, digest(told[0].access), T0 - 2 * MINUTE)
    assert timings([*told, Told("ee" * 16, 5, "cityretail", T0, part)]) == ["", ""]


def test_what_is_read_from_a_record_is_what_its_digest_is_of():
    part = chain(1)[0].access
    again = read_part(part.plaintext())
    assert isinstance(again, Access)
    assert digest(again) == digest(part)
