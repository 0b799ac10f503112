"""The examples of what is read of markets, contracts and wallets."""

from __future__ import annotations

from typing import Any

from consortium.web.examples import ID

OTHER = "fedcba9876543210fedcba9876543210"
DIGEST = "3b" * 32
START = "2017-06-15T18:00:00Z"
HOME = "home-01@suncoop"
PERIOD = {"start": "2017-06-15T08:00:00Z", "end": "2017-06-16T08:00:00Z"}
SUMMARY: dict[str, Any] = {
    "party": HOME,
    "period": PERIOD,
    "currency": "USD",
    "used_wh": 23_105,
    "made_wh": 14_820,
    "import_wh": 15_010,
    "export_wh": 6_725,
    "sources": {"own_wh": 8_095, "local_wh": 1_310, "agreement_wh": 0, "supplier_wh": 13_700},
    "saved_against_retail": 412_345,
    "trading_gain": 500_345,
    "forecast_cost": 88_000,
    "forecast_error_wh": 4_211,
    "unsettled": 0,
    "carbon_mg": 2_405_000,
    "no_carbon": 0,
    "certificates": {"self_wh": 8_095, "local_wh": 5_100, "retail_wh": 1_625, "received_wh": 1_310},
    "intervals": [],
    "corrections": [],
    "bought_wh": 1_310,
    "sold_wh": 5_100,
    "paid": 4_102_000,
    "earned": 754_088,
    "fees": 26_200,
    "net": -3_347_912,
}
FORECAST: dict[str, Any] = {
    "party": HOME,
    "zone": "-08:00",
    "interval_s": 3600,
    "starts": [START],
    "forecasts": {
        "day-before": {
            "net_wh": [691],
            "error": {
                "count": 1,
                "missing": 0,
                "sum_wh": 40,
                "sum_absolute_wh": 40,
                "mean_absolute_wh": 40,
                "bias_wh": 40,
            },
        }
    },
    "metered_wh": [651],
}
POSITION: dict[str, Any] = {
    "start": START,
    "interval_s": 3600,
    "ordered_wh": 691,
    "traded_wh": 500,
    "agreed_wh": 0,
    "metered_wh": 651,
    "error_wh": 40,
    "deviation_wh": 151,
    "bought_wh": 151,
    "sold_back_wh": 0,
    "deliveries": [{"id": ID, "subject": HOME, "contract": OTHER, "version": 1, "bought_wh": 151, "sold_back_wh": 0}],
}
INVOICE: dict[str, Any] = {
    "party": HOME,
    "period": PERIOD,
    "currency": "USD",
    "sections": [
        {
            "contract": OTHER,
            "role": "customer",
            "lines": [
                {
                    "clause": "supply.price",
                    "kind": "charge",
                    "state": "paid",
                    "wh": 151,
                    "price": 349,
                    "amount": 52_699,
                    "start": START,
                    "last": START,
                    "ids": [ID],
                }
            ],
            "subtotal": {"paid": 52_699, "open": 0, "disputed": 0, "total": 52_699},
        }
    ],
    "total": {"paid": 52_699, "open": 0, "disputed": 0, "total": 52_699},
}
CERTIFICATE: dict[str, Any] = {
    "id": ID,
    "index": 340,
    "start": START,
    "interval_s": 3600,
    "producer": HOME,
    "event": "issued",
    "use": "self",
    "first": 0,
    "count": 830,
    "cancelled": 830,
    "holder": HOME,
    "giver": None,
    "version": 1,
}
_LINE = {"clause": "supply.price", "wh": 151, "price": 349, "amount": 52_699}
DISPUTE: dict[str, Any] = {
    "id": ID,
    "index": 341,
    "start": START,
    "contract": OTHER,
    "version": 1,
    "statements": [ID, OTHER],
    "by": "suncoop",
    "provider": [{**_LINE, "price": 350, "amount": 52_850}],
    "customer": [_LINE],
    "where": "line 1 (supply.price): price 349 against 350",
}
CONTRACT: dict[str, Any] = {
    "id": ID,
    "index": 12,
    "author": "cityretail",
    "state": "in force",
    "replaced_by": None,
    "frame": {
        "start": "2017-06-01T08:00:00Z",
        "kind": "supply",
        "end": None,
        "provider": "cityretail",
        "customer": HOME,
        "proposer": "cityretail",
        "point": "point-01",
        "area": "area-1",
        "grid_fee": 80,
        "amends": None,
        "notice_days": 0,
    },
    "currency": "USD",
    "terms": {"tariff": {"kind": "fixed", "price": 349}, "feed_in": 50, "notice_days": 0},
    "clauses": [
        {
            "id": "supply.feed-in",
            "side": "provider",
            "en": "cityretail buys each kWh that the meter gives beyond what was traded at 0.05 USD/kWh.",
            "zh": "电表上网电量超出已交易电量的部分，cityretail以0.05 USD/kWh收购。",
        }
    ],
    "history": [
        {
            "id": OTHER,
            "index": 14,
            "author": "suncoop",
            "start": "2017-06-01T08:00:00Z",
            "contract": ID,
            "by": HOME,
            "step": "countersigned",
            "party": None,
            "reason": "",
            "effect": True,
        }
    ],
}
ORDER_RESULT: dict[str, Any] = {
    "id": OTHER,
    "start": START,
    "market": "local",
    "order": ID,
    "gate": OTHER,
    "state": "counted",
    "reason": "",
    "wh": 500,
    "value": 69_000,
    "price": 138,
    "proof": {"leaf": 3, "path": [DIGEST], "book_size": 23, "book_root": DIGEST},
}
ORDER: dict[str, Any] = {
    "id": ID,
    "index": 300,
    "start": START,
    "market": "local",
    "session_s": 3600,
    "side": "bid",
    "owner": HOME,
    "point": "point-01",
    "area": "area-1",
    "wh": 691,
    "price": 191,
    "currency": "USD",
    "mandate": OTHER,
    "reserved": 145_801,
    "held": True,
    "state": "counted",
    "result": ORDER_RESULT,
}
METER: dict[str, Any] = {
    "subject": HOME,
    "start": START,
    "interval_s": 3600,
    "load_wh": 1521,
    "pv_wh": 830,
    "reading": ID,
    "version": 2,
    "flags": ["corrected"],
    "duplicates": [],
}
PROOF: dict[str, Any] = {
    "order": ID,
    "commitment": DIGEST,
    "header": "890150" + ID + "...",
    "result": ORDER_RESULT,
    "holds": True,
}
WALLET: dict[str, Any] = {
    "account": HOME,
    "owner": HOME,
    "currency": "USD",
    "balance": 46_652_088,
    "reserved": 145_801,
    "credit_limit": 0,
    "available": 46_506_287,
    "entries": 57,
    "head": DIGEST,
    "whole": True,
    "wrong": "",
}
ENTRY: dict[str, Any] = {
    "id": ID,
    "index": 322,
    "start": START,
    "account": HOME,
    "owner": HOME,
    "sequence": 57,
    "previous": DIGEST,
    "lines": [{"kind": "trade", "amount": -69_000, "reserved": 0, "cause": OTHER, "clause": "market.price"}],
    "balance": 46_652_088,
    "reserved": 145_801,
    "currency": "USD",
}
MARKET: dict[str, Any] = {
    "name": "local",
    "contract": ID,
    "state": "in force",
    "from": "2017-06-01T08:00:00Z",
    "to": None,
    "rules": {
        "name": "local",
        "zone": "-08:00",
        "currency": "USD",
        "mechanism": "uniform",
        "session_s": 3600,
        "opens_s": 86_400,
        "gate_s": 0,
        "round_s": 0,
        "min_wh": 1,
        "price_min": 0,
        "price_max": 1_000_000,
        "operators": ["gridco", "suncoop"],
        "agree": 2,
        "settlement_agent": "gridco",
        "grid_operator": "gridco",
        "members": ["cityretail", "gridco", "suncoop"],
        "local_fee": 20,
        "area_fees": [],
        "group_k": 15,
        "group_share_percent": 15,
    },
}
RESULT: dict[str, Any] = {
    "market": "local",
    "start": START,
    "session_s": 3600,
    "price": 138,
    "wh": 9_685,
    "trades": 11,
    "final": True,
    "rounds": [
        {
            "id": ID,
            "gate": OTHER,
            "round": 0,
            "price": 138,
            "wh": 9_685,
            "trades": 11,
            "book_root": DIGEST,
            "book_size": 23,
        }
    ],
}
SESSION: dict[str, Any] = {
    "market": "local",
    "start": START,
    "state": "cleared",
    "ordered": 17,
    "bids": 9,
    "asks": 8,
    "bid_wh": 14_000,
    "ask_wh": 9_685,
    "trades": 11,
    "wh": 9_685,
    "value": 1_336_530,
    "fee": 193_700,
    "price": 138,
    "differences": [],
}
BOOK: dict[str, Any] = {
    "v": 1,
    "settings": {
        "name": "local",
        "mechanism": "uniform",
        "session_s": 3600,
        "min_wh": 1,
        "price_min": 0,
        "price_max": 1_000_000,
        "currency": "USD",
        "members": ["cityretail", "gridco", "suncoop"],
        "local_fee": 20,
        "area_fees": [],
        "opens_s": 86_400,
        "from_ms": 1_496_304_000_000,
        "until_ms": 0,
    },
    "start_ms": 1_497_549_600_000,
    "gate": {"id": OTHER, "index": 360, "last": True, "since": None},
    "orders": [],
    "result": {"price": None, "wh": 0, "book_root": DIGEST, "book_size": 0, "trades": []},
}
AREA: dict[str, Any] = {
    "start": START,
    "area": "area-1",
    "interval_s": 3600,
    "published": True,
    "demand_wh": 24_170,
    "import_wh": 19_123,
    "generation_wh": None,
    "export_wh": None,
    "bids_wh": None,
    "asks_wh": None,
    "suppressed": ["generation", "export", "bids", "asks"],
    "price": 138,
    "traded_wh": 9_685,
}
