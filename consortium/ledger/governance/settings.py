"""The ledger's settings: what all members hold themselves to, changed by vote."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Days = Annotated[int, Field(ge=0, le=40_000)]
Seconds = Annotated[int, Field(ge=1, le=365 * 86_400)]
TypeWord = Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{0,30}[a-z0-9]$")]


class Retention(BaseModel):
    """How long records of a type are kept: not less than `keep_days`, and erased after `erase_days` (0: never)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)
    keep_days: Days
    erase_days: Days = 0


def _retention() -> dict[str, Retention]:
    """Readings may go once they are settled; what money follows from is kept for ten years (books of account)."""
    ten_years = Retention(keep_days=3650)
    money = ("contract", "contract-step", "trade", "statement", "payment", "deposit", "payment-refused", "dispute")
    return {
        "reading": Retention(keep_days=0, erase_days=1095),
        "order": Retention(keep_days=0, erase_days=1095),
        "access": Retention(keep_days=1095, erase_days=3650),
        **dict.fromkeys(money, ten_years),
    }


class LedgerSettings(BaseModel):
    """`supervised` types are wrapped to escrow keys as well; `escrow_needed` shares open one. Deadlines in seconds of
    ledger time: a holder that has not disclosed, or a member that has not acknowledged a tombstone, by then is overdue.
    An emergency grant ends after `emergency_s` unless it was confirmed. `name_staff`: whether users see staff by name.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    retention: dict[TypeWord, Retention] = Field(default_factory=_retention)
    supervised: Annotated[tuple[TypeWord, ...], Field(max_length=32)] = ("trade",)
    escrow_needed: Annotated[int, Field(ge=2, le=64)] = 2
    disclosure_s: Seconds = 3600
    acknowledgement_s: Seconds = 86_400
    emergency_s: Seconds = 3 * 86_400
    name_staff: bool = False
