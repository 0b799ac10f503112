"""Who sees what, in one table: for every type of record and section the parties that hold a key to it, and no others.

Parties stand in the table by what they are to the record. `readers` says who that is for one record at hand, so that
the same table judges any ledger: the demo's, where gridco is operator, grid operator and settlement agent at once, and
one on which these are different members.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from consortium.energy.contracts.terms import MarketTerms, parse_terms
from consortium.energy.payloads import contracts, market, metering, money, settlement
from consortium.energy.payloads.base import Part
from consortium.model.members import Genesis
from consortium.model.names import Party

P = TypeVar("P", bound=Part)

TABLE = """
record               | section   | who holds a key

reading              |           | home, home's member, grid
order                | order     | owner, owner's member, operators
order                | reserve   | owner, owner's member, agent
gate                 | gate      | market
funded               | funded    | operators
payment              | verdict   | owner, owner's member, operators
payment              | entry     | account's owner, agent
payment-refused      | refusal   | account's owner, agent
deposit              | deposit   | account's owner, agent
clearing             | clearing  | operators
difference           | difference | operators
trade                | physical  | buyer, seller, buyer's member, seller's member, operators, grid
trade                | terms     | buyer, seller, buyer's member, seller's member, operators
trade                | money     | buyer, seller, agent
trade                | keys      | compliance
result               | result    | market
order-result         | result    | owner, owner's member
order-result         | money     | owner, agent
delivery             | physical  | home, supplier, grid
agreed               | physical  | customer, provider, grid
statement            | physical  | customer, provider, grid
statement            | terms     | customer, provider
statement            | money     | customer, provider, agent
dispute              | terms     | customer, provider
certificate          | certificate | giver, holder, grid
prices               | prices    | market
complaint            | complaint | owner, owner's member, operators, compliance
call                 | call      | customer, provider, grid

contract market      | physical  | market
contract market      | terms     | market
contract mandate     | physical  | customer, provider, operators
contract mandate     | terms     | customer, provider, operators
contract supply      | physical  | customer, provider, grid
contract supply      | terms     | customer, provider
contract grid        | physical  | customer, provider, grid, operators
contract grid        | terms     | customer, provider
contract wallet      | physical  | customer, provider
contract wallet      | terms     | customer, provider
contract balance     | physical  | customer, provider
contract balance     | terms     | customer, provider
contract ppa         | physical  | customer, provider, grid
contract ppa         | terms     | customer, provider
contract p2p         | physical  | customer, provider, grid
contract p2p         | terms     | customer, provider
contract flexibility | physical  | customer, provider, grid
contract flexibility | terms     | customer, provider

contract-step market      | step | market
contract-step mandate     | step | customer, provider, operators
contract-step supply      | step | customer, provider, grid
contract-step grid        | step | customer, provider, grid, operators
contract-step wallet      | step | customer, provider
contract-step balance     | step | customer, provider
contract-step ppa         | step | customer, provider, grid
contract-step p2p         | step | customer, provider, grid
contract-step flexibility | step | customer, provider, grid
"""
"""The grid operator knows of a PPA, a standing agreement or flexibility if it names a grid point, as these here do.

Where one member has several roles it sees what each of them sees. In the demo that is gridco: as an operator it reads
orders and the prices of trades, as settlement agent the money of bills, and as grid operator the energy of both, from
which a price can be told. Who wants these apart names different members, as `tests/unit/test_separate_roles.py` does.
"""


def table() -> dict[tuple[str, str], tuple[str, ...]]:
    """The words by record and section."""
    rows: dict[tuple[str, str], tuple[str, ...]] = {}
    for line in TABLE.strip().splitlines()[1:]:
        if line.strip():
            record, section, who = (cell.strip() for cell in line.split("|"))
            if (record, section) in rows:
                raise ValueError(f"two rows for {record} {section}")
            rows[record, section] = tuple(word.strip() for word in who.split(","))
    return rows


class Seen(Protocol):
    """A record with all its sections opened."""

    @property
    def id(self) -> str: ...
    @property
    def parts(self) -> Sequence[Part | None]: ...


@dataclass(frozen=True, slots=True)
class Ledger:
    """What the words are resolved by: the one market's rules, the contracts and orders that others speak of."""

    genesis: Genesis
    rules: MarketTerms
    frames: dict[str, contracts.ContractFrame]
    orders: dict[str, market.Order]


def ledger_of(genesis: Genesis, records: Iterable[Seen]) -> Ledger:
    """From all records, of which exactly one holds a market's rules."""
    frames, orders, rules = {}, {}, []
    for record in records:
        for part in record.parts:
            if isinstance(part, contracts.ContractFrame):
                frames[record.id] = part
            elif isinstance(part, market.Order):
                orders[record.id] = part
            elif isinstance(part, contracts.ContractTerms) and "operators" in part.terms and "agree" in part.terms:
                rules.append(parse_terms("market", part.terms))
    (only,) = rules
    if not isinstance(only, MarketTerms):
        raise TypeError("no rules of a market")
    return Ledger(genesis, only, frames, orders)


def sides(ledger: Ledger, record: Seen) -> tuple[str, ...]:
    """The two sides of the contract that a record is or speaks of, if there is one."""
    frame = _frame(ledger, record)
    return (frame.customer, frame.provider) if frame else ()


def row_of(ledger: Ledger, record: Seen) -> str:
    """The record's name in the table: its type, of a contract with its kind."""
    part = next(part for part in record.parts if part is not None)
    frame = _frame(ledger, record)
    return f"{part.TYPE} {frame.kind}" if frame and part.TYPE in ("contract", "contract-step") else part.TYPE


def readers(ledger: Ledger, record: Seen, part: Part) -> set[str]:
    """Who may hold a key to a section of this record, by the table."""
    words = table()[row_of(ledger, record), part.PART]
    return {name for word in words for name in _WORDS[word](ledger, record, part)}


# --- the words -------------------------------------------------------------------------------------------------------


def _find(record: Seen, kind: type[P]) -> P | None:
    return next((part for part in record.parts if isinstance(part, kind)), None)


def _frame(ledger: Ledger, record: Seen) -> contracts.ContractFrame | None:
    for part in record.parts:
        if isinstance(part, contracts.ContractFrame):
            return part
        contract = getattr(part, "contract", None)
        if contract is not None:
            return ledger.frames[contract.hex()]
    return None


def _side(name: str) -> Any:
    def resolve(ledger: Ledger, record: Seen, _: Part) -> list[str]:
        frame = _frame(ledger, record)
        return [getattr(frame, name)] if frame else []

    return resolve


def _owner(ledger: Ledger, record: Seen, part: Part) -> list[str]:
    """Of an order, or of what is about one."""
    order = getattr(part, "order", None)
    if order is not None:
        return [ledger.orders[order.hex()].owner]
    return [str(part.owner)]  # type: ignore[attr-defined]


def _of_trade(name: str) -> Any:
    def resolve(_: Ledger, record: Seen, __: Part) -> list[str]:
        terms = _find(record, market.TradeTerms)
        return [getattr(terms, name)] if terms else []

    return resolve


def _member(of: Any) -> Any:
    def resolve(ledger: Ledger, record: Seen, part: Part) -> Iterator[str]:
        yield from (Party.parse(name).member for name in of(ledger, record, part))

    return resolve


def _giver(_: Ledger, __: Seen, part: Part) -> list[str]:
    """Who gave a certificate away; of one that nobody gave, who made it."""
    if not isinstance(part, settlement.Certificate):
        raise TypeError("no certificate")
    return [part.giver or part.producer]


def _market(ledger: Ledger, _: Seen, __: Part) -> set[str]:
    rules = ledger.rules
    return {*rules.members, *rules.operators}


def _home(_: Ledger, __: Seen, part: Part) -> list[str]:
    if not isinstance(part, metering.MeterReading | settlement.Delivery):
        raise TypeError("about no home")
    return [part.subject]


def _account_owner(_: Ledger, __: Seen, part: Part) -> list[str]:
    if not isinstance(part, money.Entry | money.Deposit | money.Refusal):
        raise TypeError("about no account")
    return [part.owner]


def _role(name: str) -> Any:
    return lambda ledger, *_: [member.name for member in ledger.genesis.with_role(name)]


_WORDS: dict[str, Any] = {
    "home": _home,
    "home's member": _member(_home),
    "owner": _owner,
    "owner's member": _member(_owner),
    "account's owner": _account_owner,
    "buyer": _of_trade("buyer"),
    "seller": _of_trade("seller"),
    "buyer's member": _member(_of_trade("buyer")),
    "seller's member": _member(_of_trade("seller")),
    "customer": _side("customer"),
    "provider": _side("provider"),
    "supplier": _side("provider"),
    "giver": _giver,
    "holder": lambda _, __, part: [part.holder],
    "operators": lambda ledger, *_: ledger.rules.operators,
    "agent": lambda ledger, *_: [ledger.rules.settlement_agent],
    "grid": _role("grid-operator"),
    "compliance": _role("compliance"),
    "market": _market,
}
