"""Digests of a clearing, by which operators compare what they computed without showing it.

`chunks` has a digest per stretch of 64 orders of the book, then one per stretch of 64 trades, then one of all
refusals; the digest of the clearing covers them, the price and the volume. All are SHA-256 of deterministic CBOR.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from consortium.crypto.hashing import sha256
from consortium.energy.market.clearing import Outcome
from consortium.energy.market.screening import Refused
from consortium.model.encoding import encode_ordered

STRETCH = 64
_VERSION = 1


class Sizes(NamedTuple):
    """How many orders and trades a clearing has: what its chunks are read by."""

    book: int
    trades: int


def chunks(outcome: Outcome, refused: Sequence[Refused] = ()) -> tuple[bytes, ...]:
    """The digests of an outcome's stretches."""
    orders = [[o.id, o.commitment, o.index, o.priority, o.side, o.owner, o.wh, o.price, o.area] for o in outcome.book]
    trades = [[m.bid.id, m.ask.id, m.wh, m.price] for m in outcome.matches]
    refusals = [[one.id, one.index, str(one.reason)] for one in sorted(refused, key=lambda one: one.index)]
    return (*_digests("book", orders), *_digests("trades", trades), sha256(encode_ordered(["refusals", refusals])))


def outcome_digest(outcome: Outcome, refused: Sequence[Refused] = ()) -> bytes:
    """The digest of book, trades and refusals: equal if, and only if, two operators computed the same."""
    return digest_of(outcome, chunks(outcome, refused))


def digest_of(outcome: Outcome, parts: Sequence[bytes]) -> bytes:
    """`outcome_digest` where the chunks are there already."""
    sizes = [len(outcome.book), len(outcome.matches)]
    return sha256(encode_ordered(["clearing", _VERSION, *sizes, outcome.price, outcome.wh, list(parts)]))


def where(own: Sequence[bytes], own_sizes: Sizes, other: Sequence[bytes], other_sizes: Sizes) -> str:
    """Where two clearings differ, in words: the first stretch of the book, of the trades, the refusals.

    '' if all chunks are equal. Numbers count from 0. `other` may be anything that its author wrote.
    """
    if not _fits(own, own_sizes) or not _fits(other, other_sizes):
        return "a clearing's stretches do not fit its sizes"
    mine, theirs = _split(own, own_sizes), _split(other, other_sizes)
    places = [
        _first("book: orders", mine[0], theirs[0], own_sizes.book, other_sizes.book),
        _first("trades:", mine[1], theirs[1], own_sizes.trades, other_sizes.trades),
        "refusals" if mine[2] != theirs[2] else "",
    ]
    return "; ".join(place for place in places if place)


def _digests(name: str, lines: Sequence[list[Any]]) -> list[bytes]:
    starts = range(0, len(lines), STRETCH)
    return [sha256(encode_ordered([name, start, lines[start : start + STRETCH]])) for start in starts]


def _count(size: int) -> int:
    return -(-size // STRETCH)


def _fits(parts: Sequence[bytes], sizes: Sizes) -> bool:
    return min(sizes) >= 0 and len(parts) == _count(sizes.book) + _count(sizes.trades) + 1


def _split(parts: Sequence[bytes], sizes: Sizes) -> tuple[Sequence[bytes], Sequence[bytes], bytes]:
    middle = _count(sizes.book)
    return parts[:middle], parts[middle:-1], parts[-1]


def _first(name: str, mine: Sequence[bytes], theirs: Sequence[bytes], own_size: int, other_size: int) -> str:
    if own_size == other_size and list(mine) == list(theirs):
        return ""
    shared = min(len(mine), len(theirs))
    number = next((i for i in range(shared) if mine[i] != theirs[i]), shared)
    end = min((number + 1) * STRETCH, max(own_size, other_size))
    counts = f" ({own_size} against {other_size})" if own_size != other_size else ""
    return f"{name} {number * STRETCH} to {end - 1}{counts}"
