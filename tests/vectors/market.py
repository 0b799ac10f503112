"""What follows from records: derived ids, an account's chain, a book's tree, a clearing's digests, certificates.

The session is the worked example of docs/market.md.
"""

from __future__ import annotations

from typing import Any

from consortium.adapters.keyfile import KeyFile
from consortium.adapters.keysecrets import Secrets
from consortium.agents.market.duty import Cause, cause_key
from consortium.energy.certificates.ranges import Change, Interval
from consortium.energy.market.book import BookOrder
from consortium.energy.market.clearing import Outcome, clear
from consortium.energy.market.digests import chunks, digest_of
from consortium.energy.market.proofs import book_tree
from consortium.energy.market.screening import Refused
from consortium.energy.market.settings import MarketSettings, Mechanism
from consortium.energy.payloads.market import Side
from consortium.energy.payloads.money import EntryLine
from consortium.energy.wallets import Account, digest, next_entry
from tests.vectors.payloads import BID, GATE, HOME, OTHER, SUPPLY, T0, record
from tests.vectors.payloads import digest as sha

ORDERS: tuple[tuple[str, Side, int, int, int, int], ...] = (
    ("home-01", "bid", 500, 140, 10, 10),
    ("home-02", "bid", 300, 130, 11, 11),
    ("home-03", "ask", 400, 60, 12, 12),
    ("home-04", "ask", 300, 80, 13, 13),
    ("home-05", "bid", 200, 130, 14, 4),
    ("home-06", "ask", 500, 135, 15, 15),
)
"""Home, side, Wh, price, index, priority."""
UNFUNDED = Refused(record("order home-07"), 16, "funds")
CAUSES: tuple[Cause, ...] = (
    ("order", record("mandate"), T0),
    ("gate", "local", T0, 0),
    ("funded", GATE),
    ("clearing", GATE, sha("clearing")),
    ("difference", GATE, record("theirs")),
    ("difference", GATE, b"trades"),
    ("trade", GATE, 0),
    ("result", GATE),
    ("order-result", BID),
    ("payment", BID),
    ("payment", SUPPLY, T0, HOME, "cityretail", 1),
    ("refused", "payment", SUPPLY, T0, HOME, "cityretail", 1),
    ("agreed", record("p2p"), T0, 1),
    ("delivery", HOME, T0, 1),
    ("statement", SUPPLY, T0, 1, HOME),
    ("dispute", SUPPLY, T0, 1, HOME),
    ("accepted", SUPPLY, T0, 1, HOME),
    ("certificate", OTHER, T0, 0),
)


def derived() -> dict[str, Any]:
    """Ids of agents' records."""
    storage = sha("storage", "suncoop")
    keys = KeyFile(Secrets(*(bytes([n]) * 32 for n in range(1, 6)), storage))
    made = [
        {
            "cause": [one.hex() if isinstance(one, bytes) else one for one in cause],
            "ids_at": [n for n, one in enumerate(cause) if isinstance(one, bytes)],
            "cbor": cause_key(cause).hex(),
            "id": keys.derive_id(cause_key(cause)).hex(),
        }
        for cause in CAUSES
    ]
    return {"storage_key": storage.hex(), "ids": made}


def chain() -> list[dict[str, Any]]:
    """The first entries of an account: money comes in, is reserved, pays a trade."""
    account = Account(HOME, HOME, "USD")
    movements = (
        (EntryLine(kind="deposit", amount=200_000_000, cause=record("deposit"), clause="wallet.deposit"),),
        (EntryLine(kind="reserve", amount=0, reserved=80_000, cause=BID, clause="wallet.reserve"),),
        (
            EntryLine(kind="release", amount=0, reserved=-62_500, cause=BID, clause="wallet.reserve"),
            EntryLine(kind="trade", amount=-52_500, cause=record("trade"), clause="market.price"),
            EntryLine(kind="fee", amount=-10_000, cause=record("trade"), clause="grid.local-fee"),
        ),
    )
    links = []
    for lines in movements:
        account, entry = next_entry(account, lines, T0)
        links.append({"plaintext": entry.plaintext().hex(), "digest": digest(entry).hex()})
    return links


def outcome() -> Outcome:
    """The example's session, cleared."""
    settings = MarketSettings("local", Mechanism.UNIFORM, 3600, 1, 0, 1_000, "USD", ("suncoop",), local_fee=20)
    return clear(settings, [_order(*one) for one in ORDERS])


def _order(home: str, side: Side, wh: int, price: int, index: int, priority: int) -> BookOrder:
    name = f"order {home}"
    return BookOrder(
        record(name), f"{home}@suncoop", side, wh, price, priority, f"pt-{home}", "north", sha(name), index
    )


def clearing() -> dict[str, Any]:
    """A book, its tree and proofs, its trades, the digests of all."""
    cleared, refused = outcome(), (UNFUNDED,)
    tree, parts = book_tree(cleared.book), chunks(cleared, refused)
    names = ("id", "commitment", "index", "priority", "side", "owner", "wh", "price", "area")
    book = [{name: getattr(order, name) for name in names} for order in cleared.book]
    return {
        "book": [{k: v.hex() if isinstance(v, bytes) else v for k, v in order.items()} for order in book],
        "book_root": tree.root.hex(),
        "proofs": [[node.hex() for node in tree.proof(leaf)] for leaf in range(tree.size)],
        "refused": [{"id": one.id.hex(), "index": one.index, "reason": one.reason} for one in refused],
        "trades": [
            {"bid": one.bid.id.hex(), "ask": one.ask.id.hex(), "wh": one.wh, "price": one.price}
            for one in cleared.matches
        ],
        "price": cleared.price,
        "wh": cleared.wh,
        "chunks": [part.hex() for part in parts],
        "digest": digest_of(cleared, parts).hex(),
    }


EVENTS = (
    Change("issued", "self", 0, 830, 400, OTHER),
    Change("transferred", "local", 400, 300, 250, HOME, OTHER),
    Change("transferred", "retail", 700, 130, 130, "cityretail", OTHER),
    Change("transferred", "local", 600, 100, 100, HOME, OTHER),
    Change("cancelled", "local", 650, 50, 50, HOME),
    Change("withdrawn", "retail", 800, 30, 30, "cityretail"),
    Change("issued", "self", 830, 20, 0, OTHER),
    Change("issued", "self", 830, 20, 0, OTHER),
    Change("withdrawn", "self", 840, 10, 0, OTHER, OTHER),
)


def certificates() -> list[dict[str, Any]]:
    """Events of one producer and interval in the ledger's order, and the numbers after each; two are refused."""
    interval, rows = Interval(), []
    for one in EVENTS:
        after = interval.apply(one, OTHER)
        interval = after if isinstance(after, Interval) else interval
        names = ("event", "use", "first", "count", "cancelled", "holder", "giver")
        spans = [[s.first, s.count, s.state, s.use, s.holder] for s in interval.spans]
        rows.append(
            {
                **{name: getattr(one, name) for name in names},
                "refused": after if isinstance(after, str) else None,
                "spans": spans,
            }
        )
    return rows


def market() -> dict[str, Any]:
    """The file's content."""
    return {
        "derived_ids": derived(),
        "chain": chain(),
        "clearing": clearing(),
        "certificates": {"producer": OTHER, "events": certificates()},
    }
