"""The laws of clearing, on random books, against brute force where a book is small enough."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from itertools import pairwise, permutations, product

from hypothesis import given, settings
from hypothesis import strategies as st

from consortium.energy.market.areas import cheapest
from consortium.energy.market.book import BookOrder
from consortium.energy.market.clearing import Outcome, clear
from consortium.energy.market.screening import Candidate, screen
from consortium.energy.market.settings import MarketSettings, Mechanism
from consortium.energy.payloads.market import Order

FEES = (("a", "b", 3), ("b", "a", 5), ("a", "c", 1), ("c", "a", 2), ("b", "c", 4), ("c", "b", 6))
QUICK = settings(max_examples=120, deadline=None)


def market(mechanism: Mechanism) -> MarketSettings:
    return MarketSettings("local", mechanism, 3600, 1, -50, 1_000, "USD", ("suncoop",), area_fees=FEES)


UNIFORM, PAY_AS_BID, CONTINUOUS = (market(mechanism) for mechanism in Mechanism)


@st.composite
def books(draw, *, size: int = 24, wh: int = 40, prices: int = 12, areas: str = "abc", owners: int = 0):
    """Orders of one session; few prices and priorities, so that ties are common. No owners: all differ."""
    lines = draw(
        st.lists(
            st.tuples(
                st.sampled_from(["bid", "ask"]),
                st.integers(1, wh),
                st.integers(-3, prices),
                st.integers(0, 3),
                st.sampled_from(areas),
                st.integers(0, max(0, owners - 1)),
            ),
            max_size=size,
        )
    )
    return [
        BookOrder(
            n.to_bytes(16, "big"), f"home-{owner if owners else n}@suncoop", side, amount, price, priority, "point",
            area, n.to_bytes(32, "big"), n,
        )
        for n, (side, amount, price, priority, area, owner) in enumerate(lines)
    ]  # fmt: skip


def trades(outcome: Outcome) -> list[tuple[bytes, bytes, int, int]]:
    return [(m.bid.id, m.ask.id, m.wh, m.price) for m in outcome.matches]


def ranked(book: list[BookOrder], side: str) -> list[BookOrder]:
    sign = -1 if side == "bid" else 1
    return sorted((o for o in book if o.side == side), key=lambda o: (sign * o.price, o.priority, o.index))


@QUICK
@given(books(), st.sampled_from([UNIFORM, PAY_AS_BID, CONTINUOUS]))
def test_it_balances_is_rational_and_never_trades_more_than_an_order(book, terms):
    outcome = clear(terms, book)
    bought, sold = Counter(), Counter()
    for match in outcome.matches:
        assert (match.bid.side, match.ask.side) == ("bid", "ask")
        assert match.wh > 0
        assert match.ask.price <= match.price <= match.bid.price
        bought[match.bid.id] += match.wh
        sold[match.ask.id] += match.wh
    assert bought.total() == sold.total() == outcome.wh
    assert dict(bought + sold) == dict(outcome.wh_of)
    assert all((bought + sold)[one.id] <= one.wh for one in book)
    assert outcome.value == sum(match.value for match in outcome.matches)


@QUICK
@given(books(), st.randoms(use_true_random=False), st.sampled_from([UNIFORM, PAY_AS_BID]))
def test_arrival_changes_nothing_while_the_tie_order_stands(book, rng, terms):
    """Arrivals are shuffled; what has equal side, price and priority keeps its order among itself."""
    before = trades(clear(terms, book))
    shuffled = list(book)
    rng.shuffle(shuffled)
    assert trades(clear(terms, shuffled)) == before
    place = {one.id: n for n, one in enumerate(shuffled)}
    ties: dict[tuple[str, int, int], list[BookOrder]] = {}
    for one in book:
        ties.setdefault((one.side, one.price, one.priority), []).append(one)
    arrived = [
        replace(one, index=index)
        for group in ties.values()
        for one, index in zip(group, sorted(place[one.id] for one in group), strict=True)
    ]
    assert trades(clear(terms, arrived)) == before


@QUICK
@given(books())
def test_the_executed_orders_stand_at_the_front_of_both_lists(book):
    outcome = clear(UNIFORM, book)
    for side in ("bid", "ask"):
        filled = [(outcome.wh_of.get(one.id, 0), one.wh) for one in ranked(book, side)]
        executed = [got for got, _ in filled if got]
        assert all(got == wanted for got, wanted in filled[: max(0, len(executed) - 1)])
        assert not any(got for got, _ in filled[len(executed) :])


@QUICK
@given(books())
def test_the_price_lies_halfway_between_the_last_bid_and_the_last_ask(book):
    outcome = clear(UNIFORM, book)
    if not outcome.matches:
        return
    last = min(match.bid.price for match in outcome.matches) + max(match.ask.price for match in outcome.matches)
    assert outcome.price == last // 2
    assert {match.price for match in outcome.matches} == {outcome.price}


@QUICK
@given(books())
def test_no_one_price_supports_a_larger_volume(book):
    def volume(price: int) -> int:
        demand = sum(one.wh for one in book if one.side == "bid" and one.price >= price)
        return min(demand, sum(one.wh for one in book if one.side == "ask" and one.price <= price))

    assert clear(UNIFORM, book).wh == max(volume(price) for price in range(-4, 14))


@settings(max_examples=60, deadline=None)
@given(books(size=5, wh=3))
def test_no_allocation_has_a_larger_welfare(book):
    def welfare(amounts) -> int | None:
        signed = [(wh if one.side == "bid" else -wh, one.price) for one, wh in zip(book, amounts, strict=True)]
        return sum(wh * price for wh, price in signed) if not sum(wh for wh, _ in signed) else None

    outcome = clear(UNIFORM, book)
    every = (welfare(amounts) for amounts in product(*(range(one.wh + 1) for one in book)))
    assert welfare([outcome.wh_of.get(one.id, 0) for one in book]) == max(w for w in every if w is not None)


@QUICK
@given(books())
def test_pay_as_bid_trades_the_same_volumes_each_at_its_bids_price(book):
    paid = clear(PAY_AS_BID, book)
    assert paid.wh_of == clear(UNIFORM, book).wh_of
    assert all(match.price == match.bid.price for match in paid.matches)
    assert paid.price == (paid.value // paid.wh if paid.matches else None)


@QUICK
@given(books())
def test_areas_change_neither_volumes_nor_price(book):
    outcome, alone = clear(UNIFORM, book), clear(UNIFORM, [replace(one, area="a") for one in book])
    assert (outcome.price, outcome.wh, outcome.wh_of) == (alone.price, alone.wh, alone.wh_of)


@QUICK
@given(books())
def test_energy_meets_in_its_own_area_first(book):
    outcome = clear(UNIFORM, book)
    within, asked, offered = Counter(), Counter(), Counter()
    for match in outcome.matches:
        asked[match.bid.area] += match.wh
        offered[match.ask.area] += match.wh
        if match.bid.area == match.ask.area:
            within[match.bid.area] += match.wh
    assert within == asked & offered


@settings(max_examples=80, deadline=None)
@given(
    st.lists(st.sampled_from("abc"), min_size=1, max_size=5).flatmap(
        lambda sources: st.tuples(
            st.just(sources), st.lists(st.sampled_from("abc"), min_size=len(sources), max_size=len(sources))
        )
    ),
    st.lists(st.integers(0, 9), min_size=9, max_size=9),
)
def test_the_way_across_areas_is_the_cheapest(ends, prices):
    sources, targets = ends
    cost = dict(zip(product("abc", "abc"), prices, strict=True))
    flow = cheapest(Counter(sources), Counter(targets), cost)
    out, arrived = Counter(), Counter()
    for (source, target), wh in flow.items():
        assert wh > 0
        out[source] += wh
        arrived[target] += wh
    assert (out, arrived) == (Counter(sources), Counter(targets))
    least = min(sum(cost[way] for way in zip(sources, order, strict=True)) for order in permutations(targets))
    assert sum(cost[way] * wh for way, wh in flow.items()) == least


@QUICK
@given(books(size=30), st.sets(st.integers(0, 30)))
def test_continuous_trading_is_the_same_wherever_rounds_end(book, cuts):
    whole = clear(CONTINUOUS, book, last=False)
    made, resting = [], ()
    for start, end in pairwise([0, *sorted(cuts), 31]):
        part = clear(CONTINUOUS, book[start:end], resting=resting, last=False)
        made += trades(part)
        resting = part.resting
    assert made == trades(whole)
    assert resting == whole.resting
    assert clear(CONTINUOUS, book).resting == ()


@QUICK
@given(books(size=30))
def test_continuous_trading_is_price_then_time_at_the_resting_price(book):
    """Against the plainest way to say it: look through all that rests for every arrival."""
    left = {one.id: one.wh for one in book}
    resting: list[BookOrder] = []
    expected = []
    for one in book:
        sign = 1 if one.side == "bid" else -1
        fitting = [r for r in resting if r.side != one.side and sign * (one.price - r.price) >= 0]
        for other in sorted(fitting, key=lambda r: (sign * r.price, r.index)):
            wh = min(left[one.id], left[other.id])
            if wh:
                pair = (one.id, other.id) if one.side == "bid" else (other.id, one.id)
                expected.append((*pair, wh, other.price))
                left[one.id] -= wh
                left[other.id] -= wh
        resting.append(one)
    outcome = clear(CONTINUOUS, book, last=False)
    assert trades(outcome) == expected
    assert {r.order.id: r.wh for r in outcome.resting} == {key: wh for key, wh in left.items() if wh}


@QUICK
@given(books(owners=3), st.sampled_from([UNIFORM, PAY_AS_BID, CONTINUOUS]))
def test_nobody_trades_with_themselves(book, terms):
    candidates = [
        Candidate(
            one.id,
            Order(
                start_ms=0, market="local", session_s=3600, side=one.side, owner=one.owner, point="p1", area="a1",
                wh=one.wh, price=one.price, currency="USD",
            ),
            "suncoop", one.commitment, one.index, held=True,
        )
        for one in book
    ]  # fmt: skip
    screened = screen(terms, 0, candidates)
    assert {one.reason for one in screened.refused} <= {"self-trade"}
    assert len(screened.book) + len(screened.refused) == len(book)
    assert all(match.bid.owner != match.ask.owner for match in clear(terms, screened.book).matches)
    if terms is not CONTINUOUS:
        # And no more is refused than needs to be: each refused order crosses one of its owner's in the book.
        by_id = {one.id: one for one in book}
        for refused in screened.refused:
            mine = by_id[refused.id]
            assert any(
                own.owner == mine.owner and own.side != mine.side and own.index < mine.index
                and (mine.price >= own.price if mine.side == "bid" else own.price >= mine.price)
                for own in screened.book
            )  # fmt: skip
