"""The book's tree, and the digests by which two operators compare."""

from __future__ import annotations

from dataclasses import replace

import pytest

from consortium.crypto.merkle import EMPTY_ROOT, leaf_hash, root_of
from consortium.energy.market.book import BookOrder
from consortium.energy.market.clearing import Outcome, clear
from consortium.energy.market.digests import Sizes, chunks, outcome_digest, where
from consortium.energy.market.proofs import book_tree, tree_of, verify_counted
from consortium.energy.market.screening import Refused
from consortium.energy.market.settings import MarketSettings, Mechanism
from consortium.errors import ProofInvalid

TERMS = MarketSettings("local", Mechanism.UNIFORM, 3600, 1, 0, 1_000, "USD", ("suncoop",))


def book(count: int = 200) -> list[BookOrder]:
    return [
        BookOrder(
            n.to_bytes(16, "big"), f"home-{n}@suncoop", "ask" if n % 2 else "bid", 10, 50 if n % 2 else 60, n, "p",
            "a", n.to_bytes(32, "big"), n,
        )
        for n in range(count)
    ]  # fmt: skip


@pytest.mark.parametrize("size", [*range(1, 35), 64, 65, 100])
def test_every_proof_verifies_and_the_root_is_the_ledgers_kind(size):
    commitments = [n.to_bytes(32, "big") for n in range(size)]
    tree = tree_of(commitments)
    assert tree.root == root_of([leaf_hash(one) for one in commitments])
    for leaf, commitment in enumerate(commitments):
        verify_counted(commitment, leaf, size, tree.proof(leaf), tree.root)
        with pytest.raises(ProofInvalid):
            verify_counted(bytes([1]) * 32, leaf, size, tree.proof(leaf), tree.root)


def test_an_empty_book_has_a_root_and_no_proofs():
    assert tree_of([]).root == EMPTY_ROOT
    for leaf in (-1, 0):
        with pytest.raises(ProofInvalid):
            tree_of([]).proof(leaf)


def test_the_tree_stands_in_the_ledgers_order():
    assert book_tree(reversed(book(7))) == book_tree(book(7))


def _where(own: Outcome, other: Outcome, mine: tuple = (), theirs: tuple = ()) -> str:
    sizes = [Sizes(len(one.book), len(one.matches)) for one in (own, other)]
    return where(chunks(own, mine), sizes[0], chunks(other, theirs), sizes[1])


def test_equal_clearings_differ_nowhere():
    own, other = clear(TERMS, book()), clear(TERMS, reversed(book()))
    assert outcome_digest(own) == outcome_digest(other)
    assert _where(own, other) == ""


@pytest.mark.parametrize(
    "change", [{"wh": 11}, {"price": 61}, {"priority": 3}, {"area": "b"}, {"commitment": bytes(32)}]
)
def test_a_changed_order_is_named_by_its_stretch(change):
    orders = book()
    orders[130] = replace(orders[130], **change)
    own, other = clear(TERMS, book()), clear(TERMS, orders)
    assert outcome_digest(own) != outcome_digest(other)
    assert _where(own, other).startswith("book: orders 128 to 191")


def test_a_changed_trade_is_named_by_its_stretch():
    own = clear(TERMS, book())
    matches = list(own.matches)
    matches[70] = matches[70]._replace(wh=9)
    other = replace(own, matches=tuple(matches))
    assert outcome_digest(own) != outcome_digest(other)
    assert _where(own, other) == "trades: 64 to 99"


def test_an_order_too_many_is_named_by_its_stretch():
    extra = replace(book(201)[200], price=1)
    assert _where(clear(TERMS, book()), clear(TERMS, [*book(), extra])) == "book: orders 192 to 200 (200 against 201)"


def test_refusals_and_the_price_count_as_well():
    own = clear(TERMS, book())
    refused = (Refused(bytes(16), 300, "price"),)
    assert outcome_digest(own) != outcome_digest(own, refused)
    assert outcome_digest(own) != outcome_digest(replace(own, price=56))
    assert _where(own, own, (), refused) == "refusals"


@pytest.mark.parametrize("sizes", [Sizes(200, 1), Sizes(-1, 100), Sizes(0, 0)])
def test_stretches_that_do_not_fit_their_sizes_are_said_to(sizes):
    parts = chunks(clear(TERMS, book()))
    assert where(parts, Sizes(200, 100), parts, sizes) == "a clearing's stretches do not fit its sizes"
