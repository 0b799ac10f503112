"""When a record may be erased, when it must be, and what stands in the way. Pure.

Three things stand in the way, and are asked in this order: a legal hold, the time for which its class is kept, and
what still has to follow from it (a reading that is not settled, a contract in force, an account in use).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from consortium.energy.contracts.lifecycle import Contract
from consortium.energy.contracts.terms import WalletTerms
from consortium.energy.field_groups import users_in
from consortium.energy.payloads.base import Part
from consortium.energy.payloads.contracts import ContractFrame, ContractStep
from consortium.energy.payloads.market import Order, Reserve, TradePoints
from consortium.energy.payloads.metering import MeterReading
from consortium.energy.payloads.money import Deposit, Entry, Refusal
from consortium.energy.scoping import Places, about
from consortium.energy.view.known import Known
from consortium.energy.zones import HOUR_MS
from consortium.model.names import Party
from consortium.model.scope import Scope

DAY_MS = 86_400_000
UNSTATED_DAYS = 3650
"""Of a type that the settings do not name: kept as long as books of account, and never erased by itself."""


class RetentionClass(Protocol):
    """A class of the ledger's settings: kept for `keep_days` at least, erased after `erase_days` (0: never)."""

    @property
    def keep_days(self) -> int: ...
    @property
    def erase_days(self) -> int: ...


Classes = Mapping[str, RetentionClass]
"""By type of record."""


@dataclass(frozen=True, slots=True)
class Seen:
    """A record as its holder can open it: `created_ms` is when its author made it, `parts` its sections."""

    id: bytes
    index: int
    author: str
    created_ms: int
    parts: tuple[Part, ...]

    @property
    def type(self) -> str:
        """Its type, '' if nothing of it is known here."""
        return self.parts[0].TYPE if self.parts else ""

    @property
    def start_ms(self) -> int:
        """What it is about, or, where that is not known, when it was made."""
        return self.parts[0].start_ms if self.parts else self.created_ms

    @property
    def users(self) -> tuple[Party, ...]:
        """The users whom it names."""
        return users_in(self.parts)


def keep_days(classes: Classes, type: str) -> int:
    """For how many days records of a type are kept at least."""
    return classes[type].keep_days if type in classes else UNSTATED_DAYS


def erase_days(classes: Classes, type: str) -> int:
    """After how many days records of a type go by themselves, never before they may; 0: they stay."""
    found = classes.get(type)
    return max(found.erase_days, found.keep_days) if found is not None and found.erase_days else 0


def age_from(seen: Seen) -> int:
    """From when on a record's age counts, UTC ms: what it is about, or, if that is later, when it was made."""
    return max(seen.start_ms, seen.created_ms)


def kept_until(classes: Classes, seen: Seen) -> int:
    """Before this time, UTC ms, nobody has it erased but a court. 0 for a class that is kept for no time: a record is
    made by its author's clock, which may be ahead of the ledger's.
    """
    days = keep_days(classes, seen.type)
    return age_from(seen) + days * DAY_MS if days else 0


def is_due(classes: Classes, seen: Seen, now_ms: int) -> bool:
    """Whether its class orders that it is gone by now."""
    days = erase_days(classes, seen.type)
    return bool(days) and age_from(seen) + days * DAY_MS <= now_ms


def due_before(classes: Classes, now_ms: int) -> dict[str, int]:
    """By type the start before which records are to go, UTC ms; types that stay for ever are left out."""
    return {type: now_ms - days * DAY_MS for type in sorted(classes) if (days := erase_days(classes, type))}


def held_by(scope: Scope, seen: Seen, places: Places) -> bool:
    """Whether a legal hold of this scope keeps the record. In doubt (an area that nobody here knows) it does."""
    if not seen.parts:
        return True  # what nobody here can open may be anything
    if seen.type not in scope.types or not scope.from_ms <= seen.start_ms < scope.to_ms:
        return False
    found = about(seen.parts, places)
    areas = found.areas or frozenset(scope.areas)
    return scope.covers(seen.type, seen.start_ms, found.parties | {seen.author}, areas)


def needed_for(seen: Seen, known: Known) -> str:
    """What has still to follow from the record on this node, in words; '' if nothing has."""
    for part in seen.parts:
        if isinstance(part, MeterReading) and _unsettled(part, known):
            return "the interval is not settled yet"
        if isinstance(part, Order | Reserve) and not known.session(part.market, part.start_ms).final:
            return "the order's session is not over"
        if isinstance(part, ContractFrame) and _in_force(known.contract(seen.id), known):
            return "the contract is in force"
        if isinstance(part, ContractStep) and _in_force(known.contract(part.contract), known):
            return "the contract is in force"
        if isinstance(part, Entry | Deposit | Refusal) and _in_use(part.account, known):
            return "the account is in use"
    return ""


def _unsettled(reading: MeterReading, known: Known) -> bool:
    """Whether a supplier's bill still waits for it: as far as this node would see that bill."""
    length = known.interval_s(reading.subject, reading.start_ms) * 1000
    start = reading.start_ms - reading.start_ms % length
    supply = known.in_force("supply", reading.subject, start)
    if supply is None:
        return False
    delivery = known.meter(reading.subject).delivery(start)
    if delivery is None:
        return True
    if known.member not in {Party.parse(side).member for side in supply.sides}:
        return False
    return len(known.statements.get((supply.id, start, delivery[1].version), {})) < len(set(supply.sides))


def _in_force(contract: Contract | None, known: Known) -> bool:
    """Whether it is proposed or holds, now or later: nothing says yet that it is over."""
    if contract is None:
        return False
    ends = [end for end in (contract.frame.end_ms, contract.stopped_ms) if end]
    return not ends or min(ends) > known.now_ms


def _in_use(account: str, known: Known) -> bool:
    return any(_account_of(wallet) == account and _in_force(wallet, known) for wallet in known.of_kind("wallet"))


def _account_of(wallet: Contract) -> str:
    """Who may not read a wallet's terms takes its customer's account, which bears the customer's name."""
    return wallet.terms.account if isinstance(wallet.terms, WalletTerms) else wallet.frame.customer


def hours_of(parts: Sequence[Part], known: Known | None = None) -> tuple[tuple[str, int], ...]:
    """What of the market a record speaks of: users and sessions, each with the hours (UTC ms) that it reaches into.

    Once it is erased here, nothing is computed anew about them here: it would come out otherwise. `known` tells whose
    the grid points of a trade are.
    """
    if not parts:
        return ()
    start = parts[0].start_ms
    length = max(_length_s(part) for part in parts) * 1000
    hours = range(start - start % HOUR_MS, start + max(1, length), HOUR_MS)
    names = {str(user) for user in users_in(parts)}
    for part in parts:
        if isinstance(market := getattr(part, "market", None), str):
            names.add(f"market:{market}")
        if isinstance(part, TradePoints) and known is not None:
            homes = (known.subject_at(point, start) for point in (part.buyer_point, part.seller_point))
            names |= {home for home in homes if home is not None}
    return tuple((name, hour) for name in sorted(names) for hour in hours)


def _length_s(part: Part) -> int:
    found = getattr(part, "interval_s", None) or getattr(part, "session_s", None) or 0
    return found if isinstance(found, int) else 0
