"""Numbers of contracts in plain words: energy in kWh, money with its currency, tariffs, dates. No floats on the way."""

from __future__ import annotations

from consortium.energy.contracts.tariffs import Band, Fixed, Indexed, Tariff
from consortium.energy.metering import to_rfc3339

DAYS_ZH = {"all": "每天", "weekday": "工作日", "weekend": "周末"}
DAYS_EN = {"all": "every day", "weekday": "on weekdays", "weekend": "at weekends"}


def decimal(units: int, digits: int, keep: int) -> str:
    """Units of 10^-digits as decimal text with at least `keep` digits after the point: 1500, 3, 0 is 1.5."""
    whole, part = divmod(abs(units), 10**digits)
    fraction = f"{part:0{digits}d}"
    fraction = fraction[:keep] + fraction[keep:].rstrip("0")
    return ("-" if units < 0 else "") + f"{whole:,}" + (f".{fraction}" if fraction else "")


def energy(wh: int) -> str:
    """Wh as kWh: "1.5 kWh"."""
    return f"{decimal(wh, 3, 0)} kWh"


def price(micro_per_wh: int, currency: str) -> str:
    """Micro-units per Wh as money per kWh: 138 is "0.138 USD/kWh"."""
    return f"{decimal(micro_per_wh, 3, 2)} {currency}/kWh"


def money(micro: int, currency: str) -> str:
    """Micro-units as money: "12.50 USD"."""
    return f"{decimal(micro, 6, 2)} {currency}"


def span(seconds: int) -> tuple[str, str]:
    """A length of time, in English and in Chinese."""
    if seconds % 60:
        return f"{seconds:,} seconds", f"{seconds:,}秒"
    return f"{seconds // 60:,} minutes", f"{seconds // 60:,}分钟"


def date_en(ms: int) -> str:
    """A time as text, UTC."""
    return to_rfc3339(ms)[:16].replace("T", " ") + " UTC"


def date_zh(ms: int) -> str:
    """A time as Chinese text, UTC."""
    text = to_rfc3339(ms)
    return f"{text[:4]}年{int(text[5:7])}月{int(text[8:10])}日{text[11:16]}（UTC）"


def tariff_en(tariff: Tariff, currency: str) -> str:
    """A tariff in English."""
    if isinstance(tariff, Fixed):
        return f"{price(tariff.price, currency)} at all times"
    if isinstance(tariff, Indexed):
        limits = ((" at most", tariff.cap), (" at least", tariff.floor))
        bounds = ",".join(f"{word} {price(p, currency)}" for word, p in limits if p is not None)
        text = f"the published price '{tariff.series}' plus {price(tariff.spread, currency)}"
        return text + (f", but{bounds}" if bounds else "")
    bands = "; ".join(_band_en(band, currency) for band in tariff.bands)
    return f"by the local time of {tariff.zone}: {bands}"


def _band_en(band: Band, currency: str) -> str:
    return f"{DAYS_EN[band.days]} {band.from_} to {band.to} {price(band.price, currency)}"


def tariff_zh(tariff: Tariff, currency: str) -> str:
    """A tariff in Chinese."""
    if isinstance(tariff, Fixed):
        return f"全天{price(tariff.price, currency)}"
    if isinstance(tariff, Indexed):
        limits = (("，最高", tariff.cap), ("，最低", tariff.floor))
        bounds = "".join(f"{word}{price(p, currency)}" for word, p in limits if p is not None)
        return f"公布价格“{tariff.series}”加{price(tariff.spread, currency)}{bounds}"
    bands = "；".join(f"{DAYS_ZH[b.days]}{b.from_}至{b.to}为{price(b.price, currency)}" for b in tariff.bands)
    return f"按{tariff.zone}当地时间计：{bands}"
