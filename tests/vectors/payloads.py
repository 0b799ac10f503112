"""An example of every section that stands in a sealed payload, and payloads that are refused or not known.

Ids and digests are SHA-256 of a text (`make.seed`). The figures hang together where that is easy, and are no day's.
"""

from __future__ import annotations

import hashlib
from typing import Any

from consortium.energy.payloads.access import Access, Delegation, DelegationEnd
from consortium.energy.payloads.base import Part
from consortium.energy.payloads.contracts import Call, ContractFrame, ContractStep, ContractTerms
from consortium.energy.payloads.disclosures import Disclosure, Escrow, EscrowShares
from consortium.energy.payloads.erasure import ErasureRefused, ErasureRequest
from consortium.energy.payloads.keys import UserKey
from consortium.energy.payloads.market import (
    Clearing,
    Complaint,
    Difference,
    Funded,
    Gate,
    Order,
    OrderDone,
    OrderResult,
    Prices,
    Reserve,
    Result,
    TradeMoney,
    TradePoints,
    TradeTerms,
    Verdict,
)
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.money import Deposit, Entry, EntryLine, Refusal
from consortium.energy.payloads.settlement import (
    Agreed,
    Certificate,
    Delivery,
    Dispute,
    Line,
    StatementMoney,
    StatementPhysical,
    StatementTerms,
)
from consortium.model.encoding import encode

T0 = 1_497_484_800_000
HOUR = 3_600_000
HOME, OTHER = "home-01@suncoop", "home-09@cityretail"


def digest(*words: str) -> bytes:
    """SHA-256 of the words joined by '/', after 'consortium vectors'."""
    return hashlib.sha256("/".join(("consortium vectors", *words)).encode()).digest()


def record(name: str) -> bytes:
    """A record's id."""
    return digest("id", name)[:16]


BID, ASK, GATE, SUPPLY = record("bid"), record("ask"), record("gate"), record("supply")
TARIFF = {"type": "fixed", "price": 240}
LINE = Line(clause="supply.price", wh=200, price=240, amount=48_000)
BACK = Line(clause="supply.price", wh=190, price=240, amount=45_600)
RESERVE_LINE = EntryLine(kind="reserve", amount=0, reserved=80_000, cause=BID, clause="wallet.reserve")
IN_MARKET: dict[str, Any] = {"start_ms": T0, "market": "local"}
BILL: dict[str, Any] = {"start_ms": T0, "contract": SUPPLY, "by": HOME, "version": 1}

_CONTRACTS: tuple[Part, ...] = (
    ContractFrame(
        start_ms=T0,
        kind="supply",
        end_ms=T0 + 7 * 24 * HOUR,
        provider="cityretail",
        customer=HOME,
        proposer="cityretail",
        point="pt-home-01",
        area="north",
        grid_fee=80,
        notice_days=14,
    ),
    ContractTerms(start_ms=T0, currency="USD", terms={"tariff": TARIFF, "feed_in": 50, "notice_days": 14}),
    ContractStep(start_ms=T0, contract=SUPPLY, by=HOME, step="countersigned"),
    Call(start_ms=T0, contract=record("flexibility"), interval_s=3600, wh=800),
)
_MARKET: tuple[Part, ...] = (
    Order(
        **IN_MARKET,
        session_s=3600,
        side="bid",
        owner=HOME,
        point="pt-home-01",
        area="north",
        wh=500,
        price=140,
        currency="USD",
        mandate=record("mandate"),
    ),
    Reserve(**IN_MARKET, owner=HOME, amount=80_000, currency="USD"),
    Verdict(**IN_MARKET, order=BID, held=True, amount=80_000),
    Gate(**IN_MARKET, round=0, last=True),
    Funded(**IN_MARKET, gate=GATE),
    Clearing(
        **IN_MARKET,
        gate=GATE,
        by="gridco",
        digest=digest("clearing"),
        chunks=(digest("book"), digest("trades"), digest("refusals")),
        book_root=digest("book root"),
        book_size=2,
        trades=1,
        wh=300,
        price=135,
    ),
    Difference(
        **IN_MARKET, gate=GATE, clearings=(record("ours"), record("theirs")), where="book: orders 0 to 1 (2 against 1)"
    ),
    TradePoints(**IN_MARKET, session_s=3600, buyer_point="pt-home-01", seller_point="pt-home-09", wh=300, fee=6_000),
    TradeTerms(
        **IN_MARKET,
        gate=GATE,
        number=0,
        buyer=HOME,
        seller=OTHER,
        bid=BID,
        ask=ASK,
        price=135,
        value=40_500,
        currency="USD",
    ),
    TradeMoney(**IN_MARKET, bid=BID, buyer=HOME, seller=OTHER, grid="gridco", value=40_500, fee=6_000, currency="USD"),
    Result(
        **IN_MARKET,
        session_s=3600,
        gate=GATE,
        round=0,
        last=True,
        price=135,
        wh=300,
        trades=1,
        book_root=digest("book root"),
        book_size=2,
    ),
    OrderResult(
        **IN_MARKET,
        order=BID,
        gate=GATE,
        state="counted",
        wh=300,
        value=40_500,
        price=135,
        leaf=0,
        book_root=digest("book root"),
        book_size=2,
        proof=(digest("sibling"),),
    ),
    OrderDone(**IN_MARKET, order=BID, owner=HOME),
    Prices(start_ms=T0, series="wholesale", unit="micro/Wh", interval_s=3600, values=(34, -5, 61)),
    Complaint(**IN_MARKET, owner=HOME, order=BID, gate=GATE, order_index=340, gate_index=377, why="no result names it"),
)
_MONEY: tuple[Part, ...] = (
    Entry(
        start_ms=T0,
        account=HOME,
        owner=HOME,
        sequence=2,
        previous=digest("entry 1"),
        lines=(RESERVE_LINE,),
        balance=200_000_000,
        reserved=80_000,
        currency="USD",
    ),
    Deposit(
        start_ms=T0 - 3 * HOUR, account=HOME, owner=HOME, amount=200_000_000, currency="USD", reference="transfer 4711"
    ),
    Refusal(start_ms=T0, account=HOME, owner=HOME, cause=BID, reason="funds"),
)
_SETTLEMENT: tuple[Part, ...] = (
    MeterReading(start_ms=T0, subject=HOME, interval_s=3600, load_wh=1_330, pv_wh=830, quality="measured"),
    Delivery(start_ms=T0, interval_s=3600, subject=HOME, contract=SUPPLY, version=1, bought_wh=200, sold_back_wh=0),
    Agreed(start_ms=T0, interval_s=3600, contract=record("p2p"), version=1, wh=120, fee=2_400),
    StatementPhysical(**BILL, interval_s=3600, wh_out=200, wh_in=0, grid_fee=16_000),
    StatementTerms(**BILL, lines=(LINE,), amount=48_000, currency="USD", causes=(record("delivery"),)),
    StatementMoney(
        **BILL,
        customer=HOME,
        provider="cityretail",
        grid="gridco",
        amount=48_000,
        grid_fee=16_000,
        currency="USD",
    ),
    Dispute(
        start_ms=T0,
        contract=SUPPLY,
        version=1,
        statements=(record("provider's"), record("customer's")),
        by=HOME,
        provider=(LINE,),
        customer=(BACK,),
        where="physical: wh_out 200 against 190",
    ),
    Certificate(
        start_ms=T0,
        interval_s=3600,
        producer=OTHER,
        event="transferred",
        use="local",
        first=400,
        count=300,
        cancelled=300,
        holder=HOME,
        giver=OTHER,
        version=2,
    ),
)
_ACCESS: tuple[Part, ...] = (
    Access(
        start_ms=T0,
        last_ms=T0 + 5_000,
        subject=HOME,
        role="officer",
        duties=(),
        name="inspector",
        member="regulator",
        basis="grant",
        under=record("grant"),
        purpose="case 7",
        records=(BID, SUPPLY),
        types=("contract", "order"),
        groups=("physical", "terms"),
        answers=2,
        sequence=2,
        previous=digest("access 1"),
    ),
    Delegation(
        start_ms=T0,
        subject=HOME,
        delegate="adviser@suncoop",
        types=("payment", "reading"),
        to_ms=T0 + 7 * 24 * HOUR,
        groups=("money", "physical"),
        until_ms=T0 + 30 * 24 * HOUR,
        purpose="tax return",
    ),
    DelegationEnd(start_ms=T0, delegation=record("delegation"), subject=HOME, delegate="adviser@suncoop"),
    ErasureRequest(start_ms=T0, subject=HOME, records=(record("delivery"), record("statement"))),
    ErasureRefused(
        start_ms=T0,
        request=record("erasure-request"),
        subject=HOME,
        records=(record("statement"),),
        reasons=("records of this type are kept until 2027-06-13T00:00:00Z",),
    ),
)
_KEYS: tuple[Part, ...] = (
    UserKey(start_ms=T0, subject=HOME, key=digest("own key"), mandate=("contract", "reading"), sequence=1),
)
_DISCLOSED: tuple[Part, ...] = (
    Disclosure(start_ms=T0, grant=record("grant"), after=-1, up_to=340, count=1, box=digest("box")),
    Escrow(
        start_ms=1_496_275_200_000,
        area="area-1",
        period="2017-06",
        dealers=("gridco", "suncoop"),
        boxes=(digest("part", "gridco"), digest("part", "suncoop")),
    ),
    EscrowShares(
        start_ms=1_496_275_200_000,
        release=record("release"),
        area="area-1",
        period="2017-06",
        dealers=("gridco", "suncoop"),
        shares=(b"\x01" + digest("share", "gridco")[:16], b"\x01" + digest("share", "suncoop")[:16]),
    ),
)
EXAMPLES: tuple[Part, ...] = (*_CONTRACTS, *_MARKET, *_MONEY, *_SETTLEMENT, *_ACCESS, *_KEYS, *_DISCLOSED)


def as_json(value: Any) -> Any:
    """Plain values; bytes as {"hex": ...}, which no payload has as a map."""
    if isinstance(value, bytes):
        return {"hex": value.hex()}
    if isinstance(value, dict):
        return {key: as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


def _fields(part: Part) -> dict[str, Any]:
    name = {"part": part.PART} if part.PART else {}
    return {"v": 1, "type": part.TYPE, **name, **part.model_dump()}


def _changed(type: str, part: str, /, without: str = "", **changes: Any) -> str:
    example = next(one for one in EXAMPLES if (type, part) == (one.TYPE, one.PART))
    fields = {**_fields(example), **changes}
    fields.pop(without, None)
    return encode(fields).hex()


def _refused() -> dict[str, str]:
    lines = [{"clause": "supply.price", "wh": 1, "price": 2, "amount": 2, "tax": 0}]
    return {
        "a field that is not known": _changed("gate", "gate", note="x"),
        "a field that is missing": _changed("gate", "gate", without="last"),
        "a field of a line that is not known": _changed("statement", "terms", lines=lines),
        "a float for energy": _changed("order", "order", wh=500.0),
        "a float for money": _changed("trade", "money", value=40_500.5),
        "text for a number": _changed("order", "order", wh="500"),
        "a number for a boolean": _changed("gate", "gate", last=1),
        "a boolean for a number": _changed("gate", "gate", round=False),
        "text for an id": _changed("order", "order", mandate="0" * 16),
        "an id of 15 bytes": _changed("payment", "verdict", order=bytes(15)),
        "a digest of 31 bytes": _changed("result", "result", book_root=bytes(31)),
        "energy below zero": _changed("reading", "", load_wh=-1),
        "energy of 2^53 Wh": _changed("order", "order", wh=1 << 53),
        "an order of nothing": _changed("order", "order", wh=0),
        "an amount of 2^60": _changed("deposit", "deposit", amount=1 << 60),
        "a reservation below zero": _changed("order", "reserve", amount=-1),
        "a party without a name": _changed("order", "order", owner="@suncoop"),
        "a currency that is no code": _changed("order", "order", currency="usd"),
        "a word that is none of those": _changed("order", "order", side="buy"),
        "an interval of a second": _changed("reading", "", interval_s=1),
        "a time before 1970": _changed("gate", "gate", start_ms=-1),
        "a text of 501 characters": _changed("complaint", "complaint", why="x" * 501),
        "an entry before the first": _changed("payment", "entry", sequence=0),
        "an access without a record": _changed("access", "access", records=[]),
        "an access to 501 records": _changed("access", "access", records=[bytes(16)] * 501),
        "null for what must be there": _changed("order", "order", point=None),
    }


def _not_known() -> dict[str, str]:
    return {
        "another version": _changed("gate", "gate", v=2),
        "true for the version": _changed("gate", "gate", v=True),
        "another type": _changed("gate", "gate", type="door"),
        "another section of a known type": _changed("gate", "gate", part="lock"),
        "a map for the type": _changed("gate", "gate", type={}),
        "an array for the payload": encode([1, "gate"]).hex(),
    }


def payloads() -> dict[str, Any]:
    """The file's content."""
    sections = [
        {"type": p.TYPE, "part": p.PART, "value": as_json(_fields(p)), "cbor": p.plaintext().hex()} for p in EXAMPLES
    ]
    return {
        "sections": sections,
        "refused": [{"why": why, "cbor": data} for why, data in _refused().items()],
        "not_known": [{"why": why, "cbor": data} for why, data in _not_known().items()],
    }
