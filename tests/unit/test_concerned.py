"""Whom a record is about, where what was opened of it names nobody."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from consortium.energy.concerned import Concerned
from consortium.energy.payloads.market import Order, OrderResult, TradePoints, Verdict
from consortium.energy.payloads.settlement import StatementPhysical
from consortium.model.names import Party
from tests.vectors.payloads import BID, EXAMPLES, GATE, SUPPLY, T0

HOME, OTHER = Party("suncoop", "home-01"), Party("cityretail", "home-09")


def example(kind):
    return next(part for part in EXAMPLES if isinstance(part, kind))


class Known:
    """A view with a supply contract of home-01, grid points of both homes, and an order of home-01."""

    def __init__(self) -> None:
        sides = SimpleNamespace(sides=("cityretail", str(HOME)))
        self.contracts = {b"1": self.grid("pt-home-01", HOME), b"2": self.grid("pt-home-09", OTHER)}
        self.by_id = {SUPPLY: sides}
        order = example(Order)
        self.sessions = {("local", T0): SimpleNamespace(orders={BID: SimpleNamespace(find=lambda kind: order)})}
        self.moved = False

    @staticmethod
    def grid(point, customer):
        return SimpleNamespace(frame=SimpleNamespace(point=point, customer=str(customer)))

    def contract(self, id):
        return self.by_id.get(id)

    def signed_ids(self, kind):
        return list(self.contracts) if kind == "grid" else []

    def point_of(self, customer, at_ms):
        return None if self.moved else "pt-" + Party.parse(customer).user


@pytest.mark.parametrize(
    ("part", "users"),
    [
        (example(StatementPhysical).model_copy(update={"by": "cityretail"}), {HOME}),
        (example(StatementPhysical).model_copy(update={"by": "cityretail", "contract": GATE}), set()),
        (example(TradePoints), {HOME, OTHER}),
        (example(OrderResult), {HOME}),
        (example(Verdict), {HOME}),
        (example(Verdict).model_copy(update={"order": GATE}), set()),
        (example(Verdict).model_copy(update={"market": "other"}), set()),
    ],
)
def test_contracts_points_and_orders_say_whose_they_are(part, users):
    assert Concerned(Known()).users([part]) == users


def test_a_point_is_of_who_has_it_then_and_new_contracts_are_seen():
    known = Known()
    concerned = Concerned(known)
    del known.contracts[b"2"]
    assert concerned.users([example(TradePoints)]) == {HOME}
    known.contracts[b"3"] = known.grid("pt-home-09", OTHER)
    assert concerned.users([example(TradePoints)]) == {HOME, OTHER}
    known.moved = True
    assert concerned.users([example(TradePoints)]) == set()


def test_a_reading_s_plain_fields_are_no_sections():
    assert Concerned(Known()).users([{"type": "reading", "subject": str(HOME)}]) == set()
