"""Which of several readings of one interval counts."""

from __future__ import annotations

import pytest

from consortium.energy.readings import Metered, readings_in_force


def readings(text):
    """ "m10 e20": measured 10 Wh, then estimated 20 Wh, ordered at 1, 2, ..."""
    words = {"m": "measured", "e": "estimated", "c": "corrected"}
    return [Metered(bytes([n]) * 16, n, int(one[1:]), 0, words[one[0]]) for n, one in enumerate(text.split(), start=1)]


@pytest.mark.parametrize(
    ("came", "counts", "version", "flags", "duplicates"),
    [
        ("m10", 1, 1, "", []),
        ("e10", 1, 1, "estimated", []),
        ("e10 m20", 2, 2, "", []),
        ("e10 m10", 2, 1, "", []),  # the same figures, now measured: nothing follows from it
        ("e10 e20", 1, 1, "duplicate estimated", [2]),
        ("m10 m20", 1, 1, "duplicate", [2]),
        ("m10 m10", 1, 1, "duplicate", [2]),
        ("m10 e20", 1, 1, "duplicate", [2]),
        ("m10 c20", 2, 2, "corrected", []),
        ("m10 c20 c30", 3, 3, "corrected", []),
        ("m10 c20 c10", 3, 3, "corrected", []),
        ("m10 c20 m30", 2, 2, "corrected duplicate", [3]),
        ("c10 m20", 1, 1, "corrected duplicate", [2]),
        ("e10 m20 m30 c40 e50", 4, 3, "corrected duplicate", [3, 5]),
    ],
)
def test_the_reading_that_counts(came, counts, version, flags, duplicates):
    got = readings_in_force(readings(came), due_ms=1)
    assert got.reading is not None
    assert got.reading.ordered_ms == counts
    assert (got.version, " ".join(sorted(got.flags))) == (version, flags)
    assert [record[0] for record in got.duplicates] == duplicates


def test_no_reading_is_missing():
    got = readings_in_force([], due_ms=1)
    assert (got.reading, got.version, set(got.flags)) == (None, 0, {"missing"})


@pytest.mark.parametrize(("due_ms", "late"), [(0, True), (1, False), (None, False)])
def test_what_comes_after_its_time_is_late(due_ms, late):
    assert ("late" in readings_in_force(readings("m10 c20"), due_ms).flags) is late


def test_a_pv_figure_alone_makes_a_new_version():
    first = Metered(b"1" * 16, 1, 10, 5, "measured")
    second = Metered(b"2" * 16, 2, 10, 6, "corrected")
    assert readings_in_force([first, second]).version == 2
