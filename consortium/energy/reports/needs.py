"""What each answer that combines records is computed from: by record type the field groups.

Who may not open all of it gets no such answer at all: a sum over what happens to be permitted would be a wrong sum.
Names are no part of it; who may not see them gets the answer without.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from consortium.energy.field_groups import MONEY, PHYSICAL, TERMS

Needs = Mapping[str, frozenset[str]]
_PHYSICAL, _TERMS, _MONEY = frozenset({PHYSICAL}), frozenset({TERMS}), frozenset({MONEY})

CONTRACTS: Final[Needs] = {"contract": _PHYSICAL}
ORDERS: Final[Needs] = {"order": _TERMS}
METERS: Final[Needs] = {"reading": _PHYSICAL}
INVOICE: Final[Needs] = {
    "contract": _PHYSICAL,
    "statement": _PHYSICAL | _TERMS | _MONEY,
    "dispute": _TERMS,
    "trade": _PHYSICAL | _TERMS | _MONEY,
    "payment": _MONEY,
}
POSITIONS: Final[Needs] = {
    "contract": _PHYSICAL,
    "reading": _PHYSICAL,
    "order": _TERMS,
    "trade": _PHYSICAL | _TERMS,
    "agreed": _PHYSICAL,
    "delivery": _PHYSICAL,
    "statement": _PHYSICAL | _TERMS,
}
SUMMARY: Final[Needs] = {
    **POSITIONS,
    **INVOICE,
    "certificate": _PHYSICAL,
}
