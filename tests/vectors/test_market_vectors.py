"""Payloads and what follows from them, by a second implementation written from docs/formats.md (see test_vectors.py).

It uses hashlib and `cbor2` alone. The project's own readers are then tried on the same bytes.
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from typing import Any

import cbor2
import pytest

from consortium.energy.certificates.holdings import Holdings
from consortium.energy.metering import Reading
from consortium.energy.payloads.base import KINDS, read_part
from consortium.energy.payloads.money import Entry
from consortium.energy.payloads.settlement import Certificate
from consortium.energy.sections import opened_of
from consortium.energy.view.facts import fact_of
from consortium.energy.wallets import verify_chain
from consortium.errors import Malformed
from consortium.model.records import parse_header
from tests.vectors import make


def load(name: str) -> Any:
    return json.loads((make.DIRECTORY / f"{name}.json").read_text(encoding="utf-8"))


PAYLOADS, MARKET = load("payloads"), load("market")
HEADER = parse_header(bytes.fromhex(load("header")["encoded"]))


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def cbor(value: Any) -> bytes:
    return cbor2.dumps(value, canonical=True)


def plain(value: Any) -> Any:
    """The JSON of the vectors with its bytes."""
    if isinstance(value, dict):
        return raw(value["hex"]) if set(value) == {"hex"} else {k: plain(v) for k, v in value.items()}
    return [plain(v) for v in value] if isinstance(value, list) else value


# --- payloads ---


def test_there_is_an_example_of_every_section():
    assert sorted((s["type"], s["part"]) for s in PAYLOADS["sections"]) == sorted(KINDS)


@pytest.mark.parametrize("case", PAYLOADS["sections"], ids=lambda c: f"{c['type']}-{c['part']}")
def test_a_section(case):
    data = raw(case["cbor"])
    assert cbor(plain(case["value"])) == data
    part = read_part(data)
    assert type(part) is KINDS[case["type"], case["part"]]
    assert part.plaintext() == data
    assert case["value"]["v"] == 1
    name = {"part"} if case["part"] else set()
    assert set(case["value"]) == {"v", "type", *name, *type(part).model_fields}


def test_a_reading_is_what_is_submitted_as_one():
    found = next(case for case in PAYLOADS["sections"] if case["type"] == "reading")
    submitted = Reading(
        subject="home-01@suncoop",
        interval_start=datetime.fromtimestamp(found["value"]["start_ms"] // 1000, UTC).isoformat(),
        load_wh=1_330,
        pv_wh=830,
    )
    assert submitted.plaintext().hex() == found["cbor"]


@pytest.mark.parametrize("case", PAYLOADS["refused"], ids=lambda c: c["why"])
def test_what_is_refused(case):
    cbor2.loads(raw(case["cbor"]))  # it is CBOR; what is wrong is its content
    with pytest.raises(Malformed):
        read_part(raw(case["cbor"]))


@pytest.mark.parametrize("case", PAYLOADS["not_known"], ids=lambda c: c["why"])
def test_what_is_not_known(case):
    assert read_part(raw(case["cbor"])) is None


@pytest.mark.parametrize("case", [*PAYLOADS["refused"], *PAYLOADS["not_known"]], ids=lambda c: c["why"])
def test_whoever_wrote_it_stops_no_reader(case):
    """Any member may have sealed it: it is no fact of the view's, and no record that is shown."""
    assert fact_of(0, HEADER, 0, [raw(case["cbor"])]) is None
    assert opened_of(HEADER.id, 0, HEADER.author, [raw(case["cbor"])]) is None


# --- derived ids, chain ---


def test_derived_ids():
    v = MARKET["derived_ids"]
    blinding = hashlib.blake2b(b"", key=raw(v["storage_key"]), person=b"consortium bkey", digest_size=32).digest()
    for case in v["ids"]:
        cause = [raw(one) if n in case["ids_at"] else one for n, one in enumerate(case["cause"])]
        assert cbor(cause) == raw(case["cbor"])
        made = hashlib.blake2b(cbor(cause), key=blinding, person=b"consortium derid", digest_size=16)
        assert made.hexdigest() == case["id"]
    assert len({case["id"] for case in v["ids"]}) == len(v["ids"])


def test_an_accounts_chain():
    previous, balance, held = bytes(32), 0, 0
    for number, link in enumerate(MARKET["chain"], start=1):
        entry = cbor2.loads(raw(link["plaintext"]))
        balance += sum(line["amount"] for line in entry["lines"])
        held += sum(line["reserved"] for line in entry["lines"])
        assert (entry["sequence"], entry["previous"]) == (number, previous)
        assert (entry["balance"], entry["reserved"]) == (balance, held)
        previous = sha256(raw(link["plaintext"]))
        assert previous.hex() == link["digest"]
    assert (number, balance, held) == (3, 199_937_500, 17_500)


def test_the_projects_own_check_of_the_chain():
    entries = [read_part(raw(link["plaintext"])) for link in MARKET["chain"]]
    assert all(isinstance(entry, Entry) for entry in entries)
    assert verify_chain(entries, head=raw(MARKET["chain"][-1]["digest"])) == ""
    assert "left out" in verify_chain([entries[0], entries[2]])


# --- clearing ---


def naive_root(leaves: list[bytes]) -> bytes:
    if len(leaves) < 2:
        return sha256(b"\x00" + leaves[0]) if leaves else sha256(b"")
    k = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\x01" + naive_root(leaves[:k]) + naive_root(leaves[k:]))


def path(leaf: int, leaves: list[bytes]) -> list[bytes]:
    """RFC 6962 section 2.1.1."""
    if len(leaves) < 2:
        return []
    k = 1 << (len(leaves) - 1).bit_length() - 1
    if leaf < k:
        return [*path(leaf, leaves[:k]), naive_root(leaves[k:])]
    return [*path(leaf - k, leaves[k:]), naive_root(leaves[:k])]


def test_a_books_tree():
    v = MARKET["clearing"]
    leaves = [raw(order["commitment"]) for order in v["book"]]
    assert [order["index"] for order in v["book"]] == sorted(order["index"] for order in v["book"])
    assert naive_root(leaves).hex() == v["book_root"]
    assert [[raw(node) for node in proof] for proof in v["proofs"]] == [path(n, leaves) for n in range(len(leaves))]


def test_the_example_clears_as_its_rules_say():
    v = MARKET["clearing"]
    bids = sorted((o for o in v["book"] if o["side"] == "bid"), key=lambda o: (-o["price"], o["priority"], o["index"]))
    asks = sorted((o for o in v["book"] if o["side"] == "ask"), key=lambda o: (o["price"], o["priority"], o["index"]))
    wanted = [bid for bid in bids for _ in range(bid["wh"])]
    offered = [ask for ask in asks for _ in range(ask["wh"])]
    met = [(bid, ask) for bid, ask in zip(wanted, offered, strict=False) if bid["price"] >= ask["price"]]
    price = (met[-1][0]["price"] + met[-1][1]["price"]) // 2
    pairs: dict[tuple[str, str], int] = {}
    for bid, ask in met:
        pairs[bid["id"], ask["id"]] = pairs.get((bid["id"], ask["id"]), 0) + 1
    assert (v["price"], v["wh"]) == (price, len(met)) == (105, 700)
    trades = [{"bid": bid, "ask": ask, "wh": wh, "price": price} for (bid, ask), wh in pairs.items()]
    assert v["trades"] == trades


def test_a_clearings_digests():
    v = MARKET["clearing"]
    names = ("id", "commitment", "index", "priority", "side", "owner", "wh", "price", "area")
    book = [[raw(o[name]) if name in ("id", "commitment") else o[name] for name in names] for o in v["book"]]
    trades = [[raw(t["bid"]), raw(t["ask"]), t["wh"], t["price"]] for t in v["trades"]]
    refused = [[raw(r["id"]), r["index"], r["reason"]] for r in v["refused"]]
    chunks = [cbor(["book", 0, book]), cbor(["trades", 0, trades]), cbor(["refusals", refused])]
    assert [sha256(chunk).hex() for chunk in chunks] == v["chunks"]
    whole = ["clearing", 1, len(book), len(trades), v["price"], v["wh"], [sha256(chunk) for chunk in chunks]]
    assert sha256(cbor(whole)).hex() == v["digest"]


# --- certificates ---


def test_certificates_number_by_number():
    """Each number by itself: state, use, holder. What must not be has no effect."""
    producer, numbers = MARKET["certificates"]["producer"], list[tuple[str, str, str]]()
    for event in MARKET["certificates"]["events"]:
        first, end = event["first"], event["first"] + event["count"]
        used = first + event["cancelled"]
        if event["refused"]:
            pass
        elif event["event"] == "issued":
            assert first == len(numbers)
            numbers += [("used" if n < used else "live", "self", producer) for n in range(first, end)]
        elif event["event"] == "withdrawn":
            state = "given" if event["giver"] else "void"
            numbers[first:end] = [(state, use, holder) for _, use, holder in numbers[first:end]]
        else:
            owner = event["giver"] or event["holder"]
            assert all((state, holder) == ("live", owner) for state, _, holder in numbers[first:end])
            moved = [("used" if n < used else "live", event["use"], event["holder"]) for n in range(first, end)]
            numbers[first:end] = moved
        spans = [
            (n, state, use, holder) for f, count, state, use, holder in event["spans"] for n in range(f, f + count)
        ]
        assert spans == [(n, *one) for n, one in enumerate(numbers)]
    assert sum(bool(event["refused"]) for event in MARKET["certificates"]["events"]) == 2


def test_the_projects_own_fold_of_the_certificates():
    producer, holdings = MARKET["certificates"]["producer"], Holdings()
    for event in MARKET["certificates"]["events"]:
        fields = {k: v for k, v in event.items() if k not in ("refused", "spans")}
        part = Certificate(start_ms=0, interval_s=3600, producer=producer, version=1, **fields)
        assert holdings.apply(part) == (event["refused"] or "")
        spans = [[s.first, s.count, s.state, s.use, s.holder] for s in holdings.interval(producer, 0).spans]
        assert spans == event["spans"]
    assert holdings.owed(producer) == 20  # 30 were used and are no more, 10 were given up for them
