"""Reading a market as a whole: its public side for everyone in it, sessions and books for those who run it.

What it tells comes from the node's view, which knows what any party of the node may read; the policies say how much
of that is the caller's (readMarket, readBook, readTotals). Books are opened by the member's own keys.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from consortium.crypto.sealing import party_tag
from consortium.energy.contracts.contract import Contract, executes
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.field_groups import IDENTITY, TERMS, Permitted, users_in
from consortium.energy.market.bundle import BookBundle
from consortium.energy.opened import Opened
from consortium.energy.payloads.market import Order, Prices
from consortium.energy.reports import markets
from consortium.energy.reports.book import OpenedOrder, bundle, session_book
from consortium.energy.reports.totals import area_rows
from consortium.energy.sections import typed
from consortium.energy.view.sessions import Session
from consortium.energy.view.view import View
from consortium.errors import InvalidRequest, NotFound
from consortium.model.names import Party
from consortium.model.records import parse_header
from consortium.pipeline.access import Access
from consortium.pipeline.opening import Opener
from consortium.pipeline.showing import Seen, Showing
from consortium.ports.callers import Caller
from consortium.ports.party import PartyStore

Found = tuple[Contract, MarketTerms]
MAX_DAYS = 31
_DAY_MS, _HOUR_MS, _QUARTER_MS = 86_400_000, 3_600_000, 900_000
_STEPS = (900_000, 1_800_000, 3_600_000)
_MAX_VALUES = 3000
_AN_ORDER = Permitted(Order.TYPE, frozenset({TERMS, IDENTITY}))


class MarketReader:
    """Reads markets for this member's callers."""

    def __init__(
        self, member: str, access: Access, view: View, opener: Opener, party: PartyStore, showing: Showing
    ) -> None:
        self._member = Party(member)
        self._access = access
        self._view = view
        self._opener = opener
        self._party = party
        self._showing = showing

    @property
    def now_ms(self) -> int:
        """The ledger's time."""
        return self._view.now_ms

    def contract(self, contract_id: bytes) -> Contract | None:
        """A contract as all its records leave it. What of it a caller may know the caller's own records say."""
        return self._view.contract(contract_id)

    def credit_limit(self, account: str) -> int:
        """An account's credit, as far as this node knows it."""
        known = self._view.accounts.get(account)
        return known.credit_limit if known else 0

    def all(self, caller: Caller) -> list[Found]:
        """The markets that the caller is of, by name; of several contracts for one name the one that holds."""
        self._access.require_list(caller)
        found: dict[str, Found] = {}
        for contract in self._view.of_kind("market"):
            terms = contract.terms
            if not isinstance(terms, MarketTerms) or not self._access.may_see_market(caller, terms):
                continue
            known = found.get(terms.name)
            if known is None or executes(contract, self.now_ms) or not executes(known[0], self.now_ms):
                found[terms.name] = (contract, terms)
        return [found[name] for name in sorted(found)]

    def one(self, caller: Caller, name: str) -> Found:
        """Raises `NotFound` in the same words for a market that is not there and one that is not the caller's."""
        for contract, terms in self.all(caller):
            if terms.name == name:
                return contract, terms
        raise NotFound("no such market")

    def results(self, caller: Caller, name: str, from_ms: int | None, to_ms: int | None) -> list[tuple[int, Any]]:
        """Price and volume by session, for everyone in the market. Raises `NotFound`."""
        self.one(caller, name)
        return markets.result_rows(self._sessions(name, from_ms, to_ms))

    def sessions(self, caller: Caller, name: str, from_ms: int | None, to_ms: int | None) -> list[tuple[int, Any]]:
        """Sessions in figures, for the operators' staff. Raises `NotFound`, `Forbidden`."""
        self._access.require_book(caller, self.one(caller, name)[1])
        return markets.session_rows(self._sessions(name, from_ms, to_ms))

    async def book(self, caller: Caller, name: str, start_ms: int, round: int | None) -> BookBundle:
        """A gate's book with its orders opened, for the operators' staff. Raises `NotFound`, `Forbidden`."""
        self._access.require_book(caller, self.one(caller, name)[1])
        self._access.require_groups(caller, {Order.TYPE: _AN_ORDER.groups}, "see a market's book")
        contract = self._view.market_contract(name, start_ms)
        session = self._view.sessions.get((name, start_ms))
        if contract is None or session is None or not isinstance(contract.terms, MarketTerms):
            raise NotFound("no such session, or it is not closed yet")
        found = session_book(self._view, contract, contract.terms, session, round)
        opened = {order.id: await self._order(order.id) for order in found.orders}
        await self._showing.show(caller, [seen for _, seen in opened.values()])
        return bundle(found, {id: order for id, (order, _) in opened.items()})

    def series(self, caller: Caller, name: str, from_ms: int, to_ms: int) -> list[Opened]:
        """A published series (carbon, say) of a period: public to everyone in any market of this node.

        Of two values of one time the later one counts. Records are made up of what the view holds, so that a home's
        summary of a day does not open the series of a year.
        """
        if not self.all(caller):
            return []
        values = self._view.series.get(name, {})
        starts = [start for start in range(from_ms - from_ms % _HOUR_MS, to_ms, _QUARTER_MS) if start in values]
        return [_run(name, run, values) for run in _runs(starts)]

    def totals(self, caller: Caller, name: str, from_ms: int, to_ms: int) -> list[dict[str, Any]]:
        """Totals by area and interval under the group rule. Raises `NotFound`, `Forbidden`, `InvalidRequest`."""
        terms = self.one(caller, name)[1]
        self._access.require_totals(caller, terms)
        if to_ms - from_ms > MAX_DAYS * _DAY_MS:
            raise InvalidRequest(f"totals are given for at most {MAX_DAYS} days at once", field="to")
        return area_rows(self._view, terms, from_ms, to_ms)

    @property
    def view(self) -> View:
        """What the node knows."""
        return self._view

    def _sessions(self, name: str, from_ms: int | None, to_ms: int | None) -> list[Session]:
        return [
            session
            for (market, start), session in self._view.sessions.items()
            if market == name and (from_ms is None or start >= from_ms) and (to_ms is None or start < to_ms)
        ]

    async def _order(self, id: bytes) -> tuple[OpenedOrder, Seen]:
        """An order by the member's own wrap: its header, and the key of the section that is the order. Nothing else of
        the record is opened.
        """
        held = await self._party.held(id, [self._opener.tag(self._member)])
        if held is None:
            raise NotFound("an order of the book is not held here")
        header = parse_header(held.header_bytes)
        wraps, _ = self._opener.wraps(held, header)
        for wrap in wraps:
            if wrap.tag != party_tag(self._member):
                continue
            for number, plaintext in enumerate(self._opener.open_sections(held, header, wrap, _AN_ORDER)):
                key, order = wrap.keys[number], typed(plaintext) if plaintext is not None else None
                if plaintext is not None and key is not None and isinstance(order, Order):
                    tags = tuple(other.tag for other in wraps)
                    seen = Seen(id, Order.TYPE, _AN_ORDER.groups, tags, users_in([order]))
                    return OpenedOrder(held.header_bytes, number, key, plaintext), seen
        raise NotFound("an order of the book is not open to this member")


def _runs(starts: list[int]) -> Iterator[list[int]]:
    """Stretches of equal steps of 15, 30 or 60 minutes, as long as a record may be."""
    run: list[int] = []
    for start in starts:
        step = start - run[-1] if run else 0
        if run and (step not in _STEPS or (len(run) > 1 and step != run[1] - run[0]) or len(run) >= _MAX_VALUES):
            yield run
            run = []
        run.append(start)
    if run:
        yield run


def _run(name: str, starts: list[int], values: Mapping[int, int]) -> Opened:
    step_s = (starts[1] - starts[0]) // 1000 if len(starts) > 1 else 3600
    found = tuple(values[start] for start in starts)
    part = Prices(start_ms=starts[0], series=name, unit="g/kWh", interval_s=step_s, values=found)
    return Opened(f"{name}-{starts[0]}", starts[0], part.TYPE, "", (part,))
