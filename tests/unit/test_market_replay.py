"""A published book is cleared again offline; whatever was changed is said."""

from __future__ import annotations

import json

import pytest

from consortium.crypto.sealing import commit
from consortium.energy.market.bundle import BookBundle, BundleGate, BundleOrder, BundleResult, BundleTrade
from consortium.energy.market.clearing import clear
from consortium.energy.market.proofs import book_tree
from consortium.energy.market.replay import replay
from consortium.energy.market.screening import Candidate, screen
from consortium.energy.market.settings import MarketSettings, Mechanism
from consortium.energy.payloads.market import Order
from consortium.errors import InvalidRequest
from consortium.model.records import Header, SectionSeal

START = 36_000_000
LINES = [("bid", 100, 300), ("ask", 60, 100), ("ask", 80, 120), ("bid", 50, 200), ("bid", 10, 90), ("ask", 30, 150)]


def market(mechanism: str) -> MarketSettings:
    return MarketSettings("local", Mechanism(mechanism), 3600, 1, 0, 1_000, "USD", ("suncoop",))


def opened(n: int, side: str, wh: int, price: int) -> tuple[BundleOrder, Candidate]:
    order = Order(
        start_ms=START, market="local", session_s=3600, side=side, owner=f"home-{n:02}@suncoop", point="p1",
        area="a1", wh=wh, price=price, currency="USD",
    )  # fmt: skip
    rid, key, plaintext = bytes([n + 1]) * 16, bytes([n + 7]) * 32, order.plaintext()
    seal = SectionSeal(commit(plaintext, key, rid), bytes(32), 256)
    header = Header(rid, "sealed", "suncoop", START, (seal,), bytes(32), bytes(32))
    held = True if side == "bid" else None
    line = BundleOrder(header=header.encoded(), key=key, plaintext=plaintext, index=n, priority=n, held=held)
    return line, Candidate(rid, order, "suncoop", seal.commitment, n, held)


def bundle(mechanism: str = "uniform", since: int | None = None) -> BookBundle:
    terms, lines = market(mechanism), [opened(n, *line) for n, line in enumerate(LINES)]
    book = screen(terms, START, [one for _, one in lines]).book
    after = -1 if since is None else since
    resting = clear(terms, book[: after + 1], last=False).resting if since is not None else ()
    outcome = clear(terms, book[after + 1 :], resting=resting)
    published = tuple(BundleTrade(bid=m.bid.id, ask=m.ask.id, wh=m.wh, price=m.price) for m in outcome.matches)
    return BookBundle(
        settings=terms,
        start_ms=START,
        gate=BundleGate(id=bytes(16), index=99, since=since),
        orders=tuple(line for line, _ in lines),
        result=BundleResult(
            price=outcome.price,
            wh=outcome.wh,
            book_root=book_tree(outcome.book).root,
            book_size=len(outcome.book),
            trades=published,
        ),
    )


def said(changed: dict) -> str:
    return "; ".join(replay(BookBundle.from_json(json.dumps(changed))).findings)


@pytest.mark.parametrize(
    ("mechanism", "since"), [("uniform", None), ("pay-as-bid", None), ("continuous", None), ("continuous", 2)]
)
def test_an_honest_book_leads_to_its_result(mechanism, since):
    again = replay(BookBundle.from_json(bundle(mechanism, since).to_json()))
    assert again.findings == ()
    assert again.equal
    assert again.trades == len(bundle(mechanism, since).result.trades) > 0


def test_a_bundle_comes_back_from_its_json_unchanged():
    assert BookBundle.from_json(bundle().to_json()) == bundle()


def plain() -> dict:
    return json.loads(bundle().to_json())


def test_another_plaintext_than_was_committed_to_is_found():
    changed = plain()
    changed["orders"][1]["plaintext"] = changed["orders"][2]["plaintext"]
    assert "order 1 of the bundle: its plaintext is not what its header commits to" in said(changed)


def test_the_first_differing_trade_is_named():
    changed = plain()
    changed["result"]["trades"][1]["wh"] += 1
    assert said(changed).startswith("trade 1 differs: 41 Wh")


@pytest.mark.parametrize(("field", "words"), [("price", "the price differs"), ("wh", "the volume differs")])
def test_another_price_or_volume_is_found(field, words):
    changed = plain()
    changed["result"][field] += 1
    assert said(changed).startswith(words)


def test_a_root_over_other_orders_is_found():
    changed = plain()
    changed["result"]["book_root"] = "00" * 32
    assert said(changed) == "the published root of the book is not over these orders"


def test_an_order_left_out_is_found():
    changed = plain()
    del changed["orders"][4]
    assert said(changed) == "the published book has 6 orders, the bundle 5"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"held": False}, "should have been refused: funds"),
        ({"index": 100, "priority": 100}, "should have been refused: late"),
        ({"index": 1, "priority": 1}, "its id or its index stands in the bundle before"),
        ({"priority": 0}, "its priority is not its place in the ledger"),
        ({"section": 1}, "its header has no such section"),
        ({"header": "00"}, "its header or its plaintext is malformed"),
    ],
)
def test_an_order_that_does_not_belong_is_found(change, words):
    changed = plain()
    changed["orders"][3] |= change
    assert words in said(changed)


@pytest.mark.parametrize("mechanism", ["uniform", "continuous"])
def test_an_order_twice_is_found(mechanism):
    changed = json.loads(bundle(mechanism).to_json())
    changed["orders"].append(changed["orders"][0])
    assert said(changed) == "order 6 of the bundle: its id or its index stands in the bundle before"


def test_a_trade_kept_back_is_found():
    changed = plain()
    changed["result"]["trades"].pop()
    assert "trades were published" in said(changed)


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"v": 2}', bundle().to_json().replace("uniform", "auction")])
def test_what_is_no_bundle_is_the_callers_error(text):
    with pytest.raises(InvalidRequest):
        BookBundle.from_json(text)
