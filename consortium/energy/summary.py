"""What a party sees of a period at a glance: energy, money, where it came from, and why it saved or lost.

The words are the API's. Of what stands on the ledger in several versions the last one counts, and all are listed.
Money follows two paths that must not be mixed: `paid`, `earned`, `fees` and `net` are movements of the party's
account; `saved_against_retail` and what belongs to it are computed from trades and statements, paid or not.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from consortium.energy.gathering import (
    Bought,
    Correction,
    Money,
    bills,
    bought,
    carbon_values,
    cells,
    corrections,
    money,
)
from consortium.energy.intervals import Interval, Retail, explain
from consortium.energy.opened import Opened, Period, in_order, trades
from consortium.energy.origins import Certificates, certificates
from consortium.energy.shown import shown


@dataclass(frozen=True, slots=True)
class Sources:
    """Where the energy that was used came from, in Wh; together they are `used_wh`. No names: kinds only."""

    own_wh: int
    local_wh: int
    agreement_wh: int
    supplier_wh: int


@dataclass(frozen=True, slots=True)
class Summary:
    """One party's period. Energy in Wh, money in micro-units, carbon in mg.

    Figures of energy are of intervals with a complete meter reading. `carbon_mg` is net import (export counts against
    it) times the published series; `no_carbon` intervals had no value. `saved_against_retail` = `trading_gain` -
    `forecast_cost` over the intervals that are settled; `unsettled` of them are not, or their prices are not known.
    """

    party: str
    period: Period
    currency: str
    used_wh: int
    made_wh: int
    import_wh: int
    export_wh: int
    trade: Bought
    sources: Sources
    money: Money
    saved_against_retail: int
    trading_gain: int
    forecast_cost: int
    forecast_error_wh: int
    unsettled: int
    carbon_mg: int
    no_carbon: int
    certificates: Certificates
    intervals: tuple[Interval, ...]
    corrections: tuple[Correction, ...]


def summarize(
    opened: Iterable[Opened], party: str, period: Period, retail: Retail | None = None, currency: str = "USD"
) -> Summary:
    """The summary of what `party` may open. `retail` tells the supply contract's prices where no bill names them."""
    records = in_order(opened)
    owed = [bill for bill in bills(records, party, period) if bill.currency == currency]
    deals = [trade for trade in trades(records, party, period) if trade.currency == currency]
    gathered = cells(records, party, period, owed, deals)
    rows = tuple(explain(cell, retail) for cell in gathered if cell.load_wh is not None)
    carbon = carbon_values(records, rows)
    return Summary(
        party=party,
        period=period,
        currency=currency,
        used_wh=sum(row.used_wh for row in rows),
        made_wh=sum(row.made_wh for row in rows),
        import_wh=sum(row.import_wh for row in rows),
        export_wh=sum(row.export_wh for row in rows),
        trade=bought(deals, owed),
        sources=sources(rows),
        money=money(records, party, period, currency),
        saved_against_retail=sum(row.saved_against_retail or 0 for row in rows),
        trading_gain=sum(row.trading_gain or 0 for row in rows),
        forecast_cost=sum(row.forecast_cost or 0 for row in rows),
        forecast_error_wh=sum(abs(row.error_wh) for row in rows),
        unsettled=sum(row.saved_against_retail is None for row in rows),
        carbon_mg=sum(row.metered_wh * (grams or 0) for row, grams in zip(rows, carbon, strict=True)),
        no_carbon=carbon.count(None),
        certificates=certificates(records, party, period),
        intervals=rows,
        corrections=corrections(records, party, period),
    )


def sources(rows: Iterable[Interval]) -> Sources:
    """Of each interval: what the home made itself, then its agreements, then its market trades, then the supplier."""
    own = agreed = local = supplier = 0
    for row in rows:
        by_agreement = min(row.import_wh, max(0, row.agreed_wh))
        by_trade = min(row.import_wh - by_agreement, max(0, row.traded_wh))
        own += row.used_wh - row.import_wh
        agreed += by_agreement
        local += by_trade
        supplier += row.import_wh - by_agreement - by_trade
    return Sources(own_wh=own, local_wh=local, agreement_wh=agreed, supplier_wh=supplier)


def as_json(summary: Summary) -> dict[str, Any]:
    """The summary in the API's words: `trade` and `money` stand at the top, times are RFC 3339."""
    fields: dict[str, Any] = shown(summary)
    flat = {**fields.pop("trade"), **fields.pop("money"), "net": summary.money.net}
    return {**fields, **flat}
