"""What a party sees of its own affairs: contracts, orders, positions, money, certificates, and all of it at a glance.

Everything is computed from the records that the caller's party opens by its own keys. Of the node's view only what is
the caller's anyway is used besides: the state of the caller's own contracts, their own credit and tariff, and the
market's public series.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from typing import Any, TypeVar

from consortium.energy.contracts.pricing import price_at
from consortium.energy.contracts.tariffs import Indexed
from consortium.energy.contracts.terms import MarketTerms, SupplyTerms
from consortium.energy.field_groups import IDENTITY, MONEY, without_names
from consortium.energy.forecast import FORECASTS, Errors, errors, forecast
from consortium.energy.invoices import invoice
from consortium.energy.metering import to_rfc3339
from consortium.energy.opened import Opened, Period, in_force, reading_fields, readings
from consortium.energy.payloads.contracts import ContractFrame
from consortium.energy.payloads.market import Order, OrderResult
from consortium.energy.reports import needs
from consortium.energy.reports.contracts import contract_words
from consortium.energy.reports.meters import meter_rows
from consortium.energy.reports.orders import FOLLOWING, order_rows, proof_words
from consortium.energy.reports.pages import page
from consortium.energy.reports.positions import position_rows
from consortium.energy.reports.wallet import own_entries, statement_rows, wallet_words
from consortium.energy.sections import opened_of
from consortium.energy.shown import shown
from consortium.energy.summary import Summary, as_json, summarize
from consortium.energy.zones import earlier
from consortium.errors import NotFound
from consortium.pipeline.access import Access, is_delegate, party_of
from consortium.pipeline.markets import MarketReader
from consortium.pipeline.portfolio import Portfolio, Wanted
from consortium.pipeline.read import Reader
from consortium.ports.callers import Caller

T = TypeVar("T")
CARBON = "carbon"
Page = tuple[list[dict[str, Any]], int | None]
_DAY_MS = 86_400_000
_SILENT_MS = 7 * 86_400_000
"""A meter that fell silent is looked for this long."""
_LOOK_BACK_MS = 8 * _DAY_MS
_CONTRACTS = ("contract", "contract-step")
_ROUNDS = 20
"""Pages of payments that one page of a statement is gathered from: an agent's hold other accounts' entries too."""


class Personal:
    """Answers about the caller's own party."""

    def __init__(self, access: Access, portfolio: Portfolio, reader: Reader, market: MarketReader) -> None:
        self._access = access
        self._portfolio = portfolio
        self._reader = reader
        self._market = market

    # --- contracts -------------------------------------------------------------------------------------------

    async def contracts(self, caller: Caller, at_ms: int | None, after: int, limit: int) -> Page:
        """The caller's contracts in the order of their proposals."""
        self._access.require_groups(caller, needs.CONTRACTS, "see contracts")
        found, last = await self._portfolio.page(caller, "contract", Wanted(after=after), limit)
        steps = await self._portfolio.own(caller, Wanted(("contract-step",))) if found else []
        rows = [words for record in found if (words := self._contract(record, steps, at_ms)) is not None]
        return self._masked(caller, _CONTRACTS, rows), last

    async def contract(self, caller: Caller, id: bytes, at_ms: int | None) -> dict[str, Any]:
        """One contract. Raises `NotFound`."""
        record = await self._one(caller, id)
        steps = await self._portfolio.own(caller, Wanted(("contract-step",), after=record.index))
        words = self._contract(record, steps, at_ms)
        if words is None:
            raise NotFound("no such record")
        return self._masked(caller, _CONTRACTS, words)

    def _contract(self, record: Opened, steps: Sequence[Opened], at_ms: int | None) -> dict[str, Any] | None:
        folded = self._market.contract(bytes.fromhex(record.id))
        if folded is None:
            return None
        return contract_words(record, folded, steps, self._market.now_ms if at_ms is None else at_ms)

    # --- orders ----------------------------------------------------------------------------------------------

    async def orders(self, caller: Caller, wanted: Wanted, limit: int) -> Page:
        """The caller's orders of a period of sessions, with what became of each."""
        self._access.require_groups(caller, needs.ORDERS, "see orders")
        found, last = await self._portfolio.page(caller, "order", wanted, limit)
        starts = [order.start_ms for record in found if (order := record.part(Order)) is not None]
        if not starts:
            return [], last
        following = Wanted(FOLLOWING, min(starts), max(starts) + 1)
        rows = order_rows(found, await self._portfolio.own(caller, following))
        if MONEY not in self._access.groups(caller, Order.TYPE):
            rows = [{**row, "reserved": None} for row in rows]  # nothing is not the same as not told
        return self._masked(caller, (Order.TYPE, *FOLLOWING), rows), last

    async def order_proof(self, caller: Caller, id: bytes) -> dict[str, Any]:
        """What shows that an order of the caller's was counted. Raises `NotFound`."""
        held, opened = await self._reader.opened(caller, id)
        for number, plaintext in enumerate(opened.sections):
            record = opened_of(held.id, held.index, opened.header.author, [plaintext])
            order = record.part(Order) if record else None
            if order is not None:
                results = await self._portfolio.own(
                    caller, Wanted(("order-result",), order.start_ms, order.start_ms + 1)
                )
                commitment = opened.header.sections[number].commitment
                return proof_words(id, held.header_bytes.hex(), commitment, _result_of(id, results))
        raise NotFound("no such record")

    # --- money -----------------------------------------------------------------------------------------------

    async def wallet(self, caller: Caller, account: str | None) -> dict[str, Any]:
        """An account of the caller's, by its whole chain. Raises `NotFound` for one without entries here."""
        name = account or str(party_of(caller))
        chain = await self._portfolio.chain(caller, name)
        # A delegate is told nothing of an account, its limit neither, unless its entries are delegated.
        if chain.account is None and (account is not None or is_delegate(caller)):
            raise NotFound("no such account")
        words = wallet_words(chain.account, name, self._market.credit_limit(name), chain.wrong)
        return self._masked(caller, ("payment",), words)

    async def statement(self, caller: Caller, account: str | None, wanted: Wanted, limit: int) -> Page:
        """The entries of an account, with their lines and causes."""
        name, rows, after = account or str(party_of(caller)), list[dict[str, Any]](), wanted.after
        for _ in range(_ROUNDS):
            found, last = await self._portfolio.page(
                caller, "payment", Wanted(from_ms=wanted.from_ms, to_ms=wanted.to_ms, after=after), limit
            )
            for record in found:
                rows += self._masked(caller, ("payment",), statement_rows([record], name))
                if len(rows) >= limit:
                    return rows, record.index
            if last is None:
                return rows, None
            after = last
        return rows, after

    async def invoice(self, caller: Caller, period: Period, currency: str) -> dict[str, Any]:
        """The invoice of a period, each line with its records."""
        self._access.require_groups(caller, needs.INVOICE, "see invoices", period.start_ms)
        party = str(party_of(caller))
        opened = own_entries(await self._of_period(caller, period, needs.INVOICE), party)
        return self._masked(caller, needs.INVOICE, invoice(opened, party, period, currency).as_json())

    # --- energy ----------------------------------------------------------------------------------------------

    async def summary(self, caller: Caller, period: Period, currency: str) -> dict[str, Any]:
        """The period at a glance."""
        self._access.require_groups(caller, needs.SUMMARY, "see a summary", period.start_ms)
        return self._masked(caller, needs.SUMMARY, as_json(await self._summary(caller, period, currency)))

    async def positions(self, caller: Caller, period: Period, currency: str, after: int, limit: int) -> Page:
        """By interval: ordered, traded, metered, deviation, deliveries. The cursor is an interval's start."""
        self._access.require_groups(caller, needs.POSITIONS, "see positions", period.start_ms)
        opened = await self._of_period(caller, period, needs.POSITIONS)
        party = str(party_of(caller))
        intervals = summarize(own_entries(opened, party), party, period, None, currency).intervals
        rows, last = page(position_rows(intervals, opened), after, limit)
        return self._masked(caller, needs.POSITIONS, rows), last

    async def meters(self, caller: Caller, period: Period, after: int, limit: int) -> Page:
        """By interval and home: the reading that counts, and what is to be said of it."""
        self._access.require_groups(caller, needs.METERS, "see meters", period.start_ms)
        wanted = Wanted(("reading",), period.start_ms - _SILENT_MS, period.end_ms)
        opened = await self._portfolio.own(caller, wanted)
        rows, last = page(enumerate(meter_rows(opened, period, self._market.now_ms)), after, limit)
        return self._masked(caller, needs.METERS, rows), last

    async def forecast(self, caller: Caller, start_ms: int, hours: int) -> dict[str, Any]:
        """What each known forecast says of the intervals from `start_ms` on, and its error where they came already."""
        self._access.require_groups(caller, needs.METERS, "see forecasts", start_ms)
        party, zone, step_s = str(party_of(caller)), *self._grid(caller)
        period = Period(start_ms - _LOOK_BACK_MS, start_ms + hours * 3_600_000)
        wanted = Wanted(("reading",), period.start_ms, period.end_ms)
        history = _net(await self._portfolio.own(caller, wanted), party, period, step_s)
        starts = range(start_ms, period.end_ms, step_s * 1000)
        rows: dict[str, Any] = {}
        for name in FORECASTS:
            known = forecast(name, lambda start, days: earlier(zone, start, step_s, days))
            said = {start: known.net_wh(start, step_s, history) for start in starts}
            actual = {start: history[start] for start in starts if start in history}
            rows[name] = {"net_wh": [said[start] for start in starts], "error": _errors(errors(said, actual))}
        return {
            "party": party,
            "zone": zone,
            "interval_s": step_s,
            "starts": [to_rfc3339(start) for start in starts],
            "forecasts": rows,
            "metered_wh": [history.get(start) for start in starts],
        }

    # --- plain lists -----------------------------------------------------------------------------------------

    async def records(self, caller: Caller, type: str, wanted: Wanted, limit: int) -> tuple[list[Opened], int | None]:
        """The caller's records of one type, opened: those of their sections that the caller may see."""
        return await self._portfolio.page(caller, type, wanted, limit)

    def masked(self, caller: Caller, type: str, rows: list[Any]) -> list[Any]:
        """Rows made of records of that type, without the names that the caller may not see."""
        return self._masked(caller, (type,), rows)

    async def _summary(self, caller: Caller, period: Period, currency: str) -> Summary:
        party = str(party_of(caller))
        opened = own_entries(await self._of_period(caller, period, needs.SUMMARY), party)
        opened += self._market.series(caller, CARBON, period.start_ms, period.end_ms)

        def retail(start_ms: int, _: int) -> tuple[int, int] | None:
            return self._retail(party, start_ms)

        return summarize(opened, party, period, retail, currency)

    async def _of_period(self, caller: Caller, period: Period, types: Collection[str]) -> list[Opened]:
        """All records of these types of a period, and the contracts' frames, which began before it."""
        found = await self._portfolio.own(caller, Wanted(tuple(types), period.start_ms, period.end_ms))
        earlier_ones = await self._portfolio.own(caller, Wanted(("contract",), None, period.start_ms))
        return [record for record in earlier_ones if record.part(ContractFrame)] + found

    def _masked(self, caller: Caller, types: Iterable[str], words: T) -> T:
        """An answer that was made of these types, without the names that the caller may not see of each of them."""
        if all(IDENTITY in self._access.groups(caller, type, anywhen=True) for type in types):
            return words
        masked: T = without_names(words, str(party_of(caller)))[0]
        return masked

    async def _one(self, caller: Caller, id: bytes) -> Opened:
        held, opened = await self._reader.opened(caller, id)
        record = opened_of(held.id, held.index, opened.header.author, opened.sections)
        if record is None:
            raise NotFound("no such record")
        return record

    def _retail(self, party: str, start_ms: int) -> tuple[int, int] | None:
        """Retail and feed-in price by the party's own supply contract."""
        contract = self._market.view.in_force("supply", party, start_ms)
        terms = contract.terms if contract else None
        if not isinstance(terms, SupplyTerms):
            return None
        series = self._market.view.series.get(terms.tariff.series) if isinstance(terms.tariff, Indexed) else None
        price, _ = price_at(terms, start_ms, series)
        return None if price is None else (price, terms.feed_in)

    def _grid(self, caller: Caller) -> tuple[str, int]:
        """Zone and interval of the caller's market; of several the first one."""
        for _, terms in self._market.all(caller):
            return _zone_of(terms)
        return "+00:00", 3600


def _zone_of(terms: MarketTerms) -> tuple[str, int]:
    return terms.zone, terms.session_s


def _net(opened: Sequence[Opened], party: str, period: Period, step_s: int) -> dict[int, int]:
    """Net demand by start, of the readings in force that are of the market's own interval length."""
    found = {}
    for (start, length), records in readings(opened, party, period).items():
        fields = reading_fields(in_force(records))
        if length == step_s and fields is not None:
            found[start] = fields["load_wh"] - fields["pv_wh"]
    return found


def _errors(found: Errors) -> dict[str, Any]:
    return {str(key): value for key, value in shown(found).items()}


def _result_of(id: bytes, results: Sequence[Opened]) -> tuple[str, OrderResult] | None:
    for record in results:
        result = record.part(OrderResult)
        if result is not None and result.order == id:
            return record.id, result
    return None
