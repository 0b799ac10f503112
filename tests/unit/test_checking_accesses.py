"""A user checks the list of who read their records: chains, receipts and times, with nothing but a trust file."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from consortium.client import accesses as client
from consortium.client.accesses import check_accesses, told_of
from consortium.energy.metering import to_rfc3339
from consortium.errors import Malformed, ProofInvalid
from tests.unit.test_accesses import HOME, OTHER, chain

TRUST = SimpleNamespace()


@pytest.fixture
def receipts(monkeypatch):
    """By id what a receipt proves: (id, author, index), or None for one that does not hold. Receipts' own checks are
    those of tests/unit/test_receipts.py.
    """
    proven: dict[str, tuple[str, str, int] | None] = {}

    def verify(text, trust):
        if proven[text] is None:
            raise ProofInvalid("the inclusion proof does not lead to the root")
        id, author, index = proven[text]
        return SimpleNamespace(header=SimpleNamespace(id=bytes.fromhex(id), author=author), index=index)

    monkeypatch.setattr(client, "parse_receipt", lambda text: text)
    monkeypatch.setattr(client, "verify_receipt", verify)
    return proven


def rows(told, receipts):
    receipts |= {one.id: (one.id, one.author, one.index) for one in told}
    return [
        {
            "id": one.id,
            "index": one.index,
            "author": one.author,
            "ledger_time": to_rfc3339(one.time_ms),
            "plaintext": one.access.plaintext().hex(),
        }
        for one in told
    ]


def problems(given):
    return check_accesses(given, HOME, str, TRUST).problems


def test_what_holds_has_no_problems(receipts):
    told = chain(3)
    given = rows(told, receipts)
    assert [told_of(row) for row in given] == told
    assert problems(given) == ()


def test_a_row_that_was_left_out_is_missed(receipts):
    given = rows(chain(3), receipts)
    assert any("after number 1 comes number 3" in problem for problem in problems([given[0], given[2]]))


def test_a_row_about_somebody_else_is_no_row_of_mine(receipts):
    given = rows(chain(1, subject=OTHER), receipts)
    assert any("somebody else" in problem for problem in problems(given))


@pytest.mark.parametrize("proves", [None, ("00" * 16, "cityretail", 1), ("", "suncoop", 1), ("", "cityretail", 7)])
def test_a_receipt_of_something_else_is_none(receipts, proves):
    given = rows(chain(3), receipts)
    id = given[1]["id"]
    receipts[id] = proves and (proves[0] or id, *proves[1:])
    (problem,) = problems(given)
    assert problem.startswith(f"record {id}: its receipt")


def test_late_and_back_dated_rows_are_told(receipts):
    given = rows(chain(2), receipts)
    given[1]["ledger_time"] = to_rfc3339(1_600_000_000_000)
    assert problems(given) == (f"record {given[1]['id']} of cityretail is late",)


@pytest.mark.parametrize("change", [{"plaintext": "zz"}, {"plaintext": "a0"}, {"ledger_time": "now"}, {"index": None}])
def test_what_is_no_row_is_refused(receipts, change):
    given = rows(chain(1), receipts)
    with pytest.raises(Malformed):
        problems([given[0] | change])
