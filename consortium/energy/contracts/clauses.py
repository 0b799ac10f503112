"""The clauses of contracts: each has a stable id, a side, and one plain sentence in English and Chinese.

Whatever the agents do by themselves names the clause that caused it, by its id. The sentences stand in `wording`.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from typing import Literal, TypedDict

from consortium.energy.contracts.contract import Contract
from consortium.energy.contracts.plain import date_en, date_zh, energy, money, price, span, tariff_en, tariff_zh
from consortium.energy.contracts.terms import (
    BalanceTerms,
    FlexibilityTerms,
    GridTerms,
    MandateTerms,
    MarketTerms,
    P2pTerms,
    PpaTerms,
    SupplyTerms,
    Terms,
    WalletTerms,
)
from consortium.energy.contracts.wording import TEXTS


class Clause(StrEnum):
    """Every clause's id; wire format, append only."""

    SUPPLY_PRICE = "supply.price"
    SUPPLY_FEED_IN = "supply.feed-in"
    SUPPLY_GRID_FEE = "supply.grid-fee"
    SUPPLY_STATEMENT = "supply.statement"
    GRID_LOCAL_FEE = "grid.local-fee"
    GRID_AREA_FEE = "grid.area-fee"
    GRID_FEE = "grid.fee"
    GRID_METERING = "grid.metering"
    CERTIFICATE_ISSUE = "certificate.issue"
    CERTIFICATE_TRANSFER = "certificate.transfer"
    CERTIFICATE_MAKE_GOOD = "certificate.make-good"
    MANDATE_LIMITS = "mandate.limits"
    MANDATE_FORECAST = "mandate.forecast"
    MANDATE_BOUNDS = "mandate.bounds"
    WALLET_DEPOSIT = "wallet.deposit"
    WALLET_CREDIT = "wallet.credit"
    WALLET_RESERVE = "wallet.reserve"
    WALLET_ENTRIES = "wallet.entries"
    BALANCE_IMBALANCE = "balance.imbalance"
    BALANCE_ACCOUNT = "balance.account"
    MARKET_PRICE = "market.price"
    MARKET_GATE = "market.gate"
    MARKET_AGREEMENT = "market.agreement"
    MARKET_RULES = "market.rules"
    MARKET_PAYMENT = "market.payment"
    MARKET_FEE = "market.fee"
    MARKET_GROUP = "market.group"
    PPA_PRICE = "ppa.price"
    PPA_PROFILE = "ppa.profile"
    P2P_PRICE = "p2p.price"
    P2P_ENERGY = "p2p.energy"
    FLEXIBILITY_PRICE = "flexibility.price"
    FLEXIBILITY_CALL = "flexibility.call"
    TERM = "contract.term"
    NOTICE = "contract.notice"
    SIGNATURES = "contract.signatures"
    DISPUTE = "contract.dispute"


class Sentence(TypedDict):
    """One clause of a contract. `side` is who it binds."""

    id: str
    side: Literal["provider", "customer", "both"]
    en: str
    zh: str


Values = dict[str, object]
"""What the placeholders of a text stand for; a pair is English and Chinese."""


def clauses(contract: Contract) -> list[Sentence]:
    """Every clause of the contract in plain words, as far as this node may read it."""
    found: list[tuple[Clause, Values]] = []
    if contract.terms is not None:
        found += _of_terms(contract.terms, contract.currency or "")
    found += _of_frame(contract)
    sides: Values = {"provider": contract.frame.provider, "customer": contract.frame.customer}
    return [_sentence(clause, {**sides, **values}) for clause, values in found]


def _sentence(clause: Clause, values: Values) -> Sentence:
    side, en, zh = TEXTS[clause]
    texts = [
        text.format_map({name: value[n] if isinstance(value, tuple) else value for name, value in values.items()})
        for n, text in enumerate((en, zh))
    ]
    return Sentence(id=clause.value, side=side, en=texts[0], zh=texts[1])


def _of_frame(contract: Contract) -> Iterator[tuple[Clause, Values]]:
    frame = contract.frame
    start, end = frame.start_ms, frame.end_ms
    until = (f" until {date_en(end)}", f"至{date_zh(end)}止") if end else ("", "起长期有效")
    yield Clause.TERM, {"start": (date_en(start), date_zh(start)), "until": until}
    yield Clause.SIGNATURES, {}
    yield Clause.NOTICE, {"days": contract.notice_days}
    if frame.kind in ("supply", "balance", "ppa", "p2p", "flexibility"):
        yield Clause.DISPUTE, {}
    if frame.kind == "supply" and frame.grid_fee:
        yield Clause.SUPPLY_GRID_FEE, {"fee": price(frame.grid_fee, contract.currency or "")}


def _of_terms(terms: Terms, currency: str) -> list[tuple[Clause, Values]]:
    match terms:
        case SupplyTerms():
            return _supply(terms, currency)
        case GridTerms():
            return _grid(terms, currency)
        case MandateTerms():
            return _mandate(terms, currency)
        case WalletTerms():
            names: Values = {"account": terms.account, "credit": money(terms.credit_limit, currency)}
            ids = (Clause.WALLET_DEPOSIT, Clause.WALLET_CREDIT, Clause.WALLET_RESERVE, Clause.WALLET_ENTRIES)
            return [(id, names) for id in ids]
        case BalanceTerms():
            values: Values = {"series": terms.series, "account": terms.account}
            return [(Clause.BALANCE_IMBALANCE, values), (Clause.BALANCE_ACCOUNT, values)]
        case MarketTerms():
            return _market(terms, currency)
        case _:
            return _bilateral(terms, currency)


def _supply(terms: SupplyTerms, currency: str) -> list[tuple[Clause, Values]]:
    tariff = (tariff_en(terms.tariff, currency), tariff_zh(terms.tariff, currency))
    return [
        (Clause.SUPPLY_PRICE, {"tariff": tariff}),
        (Clause.SUPPLY_FEED_IN, {"price": price(terms.feed_in, currency)}),
        (Clause.SUPPLY_STATEMENT, {}),
    ]


def _grid(terms: GridTerms, currency: str) -> list[tuple[Clause, Values]]:
    found: list[tuple[Clause, Values]] = [
        (Clause.GRID_LOCAL_FEE, {"fee": price(terms.local_fee, currency)}),
        (Clause.GRID_FEE, {"fee": price(terms.grid_fee, currency)}),
    ]
    if terms.area_fees:
        fees = [(area, price(fee, currency)) for area, fee in sorted(terms.area_fees.items())]
        english = ", ".join(f"{fee} from area {area}" for area, fee in fees)
        found.append((Clause.GRID_AREA_FEE, {"fees": (english, "、".join(f"来自{area}区{fee}" for area, fee in fees))}))
    ids = (Clause.GRID_METERING, Clause.CERTIFICATE_ISSUE, Clause.CERTIFICATE_TRANSFER, Clause.CERTIFICATE_MAKE_GOOD)
    return [*found, *((id, Values()) for id in ids)]


def _mandate(terms: MandateTerms, currency: str) -> list[tuple[Clause, Values]]:
    values: Values = {
        "market": terms.market,
        "bid": terms.bid_share_percent,
        "ask": terms.ask_share_percent,
        "energy": energy(terms.max_wh),
        "low": price(terms.price_min, currency),
        "high": price(terms.price_max, currency),
        "operators": (", ".join(terms.operators), "、".join(terms.operators)),
    }
    return [(id, values) for id in (Clause.MANDATE_LIMITS, Clause.MANDATE_FORECAST, Clause.MANDATE_BOUNDS)]


def _market(terms: MarketTerms, currency: str) -> list[tuple[Clause, Values]]:
    values: Values = {
        **terms.model_dump(include={"name", "zone", "agree", "settlement_agent", "grid_operator", "group_k"}),
        "share": terms.group_share_percent,
        "mechanism": MECHANISMS[terms.mechanism],
        "minutes": terms.session_s // 60,
        "opens": span(terms.opens_s),
        "gate": span(terms.gate_s),
        "lead": terms.lead,
        "operators": (", ".join(terms.operators), "、".join(terms.operators)),
        "energy": energy(terms.min_wh),
        "low": price(terms.price_min, currency),
        "high": price(terms.price_max, currency),
        "fee": price(terms.local_fee, currency),
    }
    ids = ("price", "gate", "agreement", "rules", "payment", "fee", "group")
    return [(Clause(f"market.{id}"), values) for id in ids]


MECHANISMS = {
    "uniform": ("all trades of a session have one price, halfway between last bid and last ask", "同一时段统一出清价"),
    "pay-as-bid": ("each trade is at the price of its bid", "每笔交易按买方报价成交"),
    "continuous": ("each trade is at the price of the order that stood first", "每笔交易按先到订单的价格成交"),
}


def _bilateral(terms: PpaTerms | P2pTerms | FlexibilityTerms, currency: str) -> list[tuple[Clause, Values]]:
    values: Values = {"price": price(terms.price, currency)}
    if isinstance(terms, PpaTerms):
        values |= {"energy": energy(sum(terms.profile)), "zone": terms.zone, "count": len(terms.profile)}
        return [(Clause.PPA_PRICE, values), (Clause.PPA_PROFILE, values)]
    values["energy"] = energy(terms.max_wh)
    if isinstance(terms, P2pTerms):
        values["minutes"] = terms.interval_s // 60
        return [(Clause.P2P_PRICE, values), (Clause.P2P_ENERGY, values)]
    values["calls"] = terms.max_calls
    return [(Clause.FLEXIBILITY_PRICE, values), (Clause.FLEXIBILITY_CALL, values)]
