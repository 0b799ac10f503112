"""What a market's contract sets: mechanism, sessions, bounds, fees, and what a mandate permits.

Prices and fees are integer micro-units per Wh, energy integer Wh, times UTC milliseconds.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import ClassVar

from pydantic import ConfigDict

from consortium.errors import InvalidRequest


class Mechanism(StrEnum):
    """How a session's book becomes trades."""

    UNIFORM = "uniform"
    PAY_AS_BID = "pay-as-bid"
    CONTINUOUS = "continuous"


@dataclass(frozen=True, slots=True)
class MarketSettings:
    """The rules of one market, as far as orders and clearing need them.

    `members` are the organisations in the market. `area_fees` are (from, to, fee): what a buyer in area `to` pays on
    top of `local_fee` for energy from a seller in area `from`; a pair that is not listed costs nothing more. Orders
    open `opens_s` before a session (0: at any time); sessions lie within [from_ms, until_ms), `until_ms` 0 is open.
    Raises `InvalidRequest` where no order could ever be good.
    """

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(strict=True, extra="forbid")

    name: str
    mechanism: Mechanism
    session_s: int
    min_wh: int
    price_min: int
    price_max: int
    currency: str
    members: tuple[str, ...]
    local_fee: int = 0
    area_fees: tuple[tuple[str, str, int], ...] = ()
    opens_s: int = 0
    from_ms: int = 0
    until_ms: int = 0

    def __post_init__(self) -> None:
        if self.session_s not in (900, 1800, 3600):
            raise InvalidRequest("a session is 900, 1800 or 3600 seconds long", field="session_s")
        if self.min_wh < 1 or self.price_min > self.price_max:
            raise InvalidRequest("a market takes at least 1 Wh, at prices from its lowest to its highest")
        if self.local_fee < 0 or any(fee < 0 for _, _, fee in self.area_fees):
            raise InvalidRequest("a fee is not negative", field="area_fees")
        if len({(source, target) for source, target, _ in self.area_fees}) != len(self.area_fees):
            raise InvalidRequest("a pair of areas has one fee", field="area_fees")

    def area_fee(self, buyer_area: str, seller_area: str) -> int:
        """The fee per Wh between two areas, without the local fee."""
        for source, target, fee in self.area_fees:
            if source == seller_area and target == buyer_area:
                return fee
        return 0

    def fee(self, buyer_area: str, seller_area: str) -> int:
        """What a buyer pays for the grid per Wh: the local fee and the fee between the areas."""
        return self.local_fee + self.area_fee(buyer_area, seller_area)

    def highest_fee(self, buyer_area: str) -> int:
        """The most that a buyer in this area can pay for the grid per Wh, whoever sells: what a bid must reserve."""
        return self.local_fee + max([0, *(fee for _, target, fee in self.area_fees if target == buyer_area)])

    def is_session(self, start_ms: int) -> bool:
        """Whether a session of this market starts then: at multiples of its length in UTC, as meters' intervals do."""
        length = self.session_s * 1000
        within = self.from_ms <= start_ms and (not self.until_ms or start_ms + length <= self.until_ms)
        return within and start_ms % length == 0


@dataclass(frozen=True, slots=True)
class MandateLimits:
    """What a mandate in force permits: orders of `owner` in `market`, at most `max_wh` in a session, at such prices."""

    owner: str
    market: str
    max_wh: int
    price_min: int
    price_max: int
