"""The group rule, and whom a day's totals are made of.

A total stands for a group only if at least `homes` homes contribute something to it and none contributes more than
`share_percent` of it. A contribution of 0 does not count: who has no panels is seen from the street.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from consortium.errors import InvalidRequest


@dataclass(frozen=True, slots=True)
class Rule:
    """The group rule of a market. Raises `InvalidRequest` for a rule that protects nobody."""

    homes: int = 15
    share_percent: int = 15

    def __post_init__(self) -> None:
        if self.homes < 3 or not 0 < self.share_percent <= 50:
            raise InvalidRequest("a group is at least 3 homes, none with more than half of the total", field="group")

    def passes(self, values: Iterable[int]) -> bool:
        """Whether the total of these contributions, one of each home, may be known. Signs do not matter."""
        sizes = [abs(value) for value in values if value]
        return len(sizes) >= self.homes and 100 * max(sizes) <= self.share_percent * sum(sizes)


@dataclass(frozen=True, slots=True)
class Contribution:
    """What one home adds to one interval, in Wh. `index` is the tree index of the record that says so.

    `load_wh` is None where there is no reading. Every home of the market must be given, if only with such a row: a
    home that is not mentioned cannot be hidden.
    """

    home: str
    area: str
    start_ms: int
    index: int
    load_wh: int | None
    pv_wh: int = 0
    bid_wh: int = 0
    ask_wh: int = 0


@dataclass(frozen=True, slots=True)
class Day:
    """The contributions of a day, never published themselves.

    `roster` are the homes that stayed in one area and were read in every interval, with a row per start; `rest` is
    what is known of all others, by home.
    """

    starts: tuple[int, ...]
    roster: Mapping[str, tuple[Contribution, ...]]
    rest: Mapping[str, Mapping[int, Contribution]]

    def areas(self) -> tuple[str, ...]:
        """The areas of the roster's homes."""
        return tuple(sorted({rows[0].area for rows in self.roster.values()}))


def day(starts: Sequence[int], contributions: Iterable[Contribution], cutoff: int) -> Day:
    """A day from what stood on the ledger before index `cutoff`; of one home and interval the last word counts.

    `cutoff` must be fixed by the ledger once and for all (the first record after a stated time, say), so that the
    same day gives the same totals whenever it is asked for, and no correction can be differenced. Raises
    `InvalidRequest` if the day is empty or an interval stands in it twice.
    """
    if not starts or len(set(starts)) != len(starts):
        raise InvalidRequest("a day has each of its intervals once", field="starts")
    wanted, known = set(starts), dict[str, dict[int, Contribution]]()
    for row in sorted(contributions, key=lambda row: row.index):
        if row.index < cutoff and row.start_ms in wanted:
            known.setdefault(row.home, {})[row.start_ms] = row
    whole = {home for home, rows in known.items() if _is_whole(rows, wanted)}
    return Day(
        tuple(starts),
        {home: tuple(known[home][start] for start in starts) for home in sorted(whole)},
        {home: rows for home, rows in known.items() if home not in whole},
    )


def _is_whole(rows: Mapping[int, Contribution], wanted: set[int]) -> bool:
    read = {start for start, row in rows.items() if row.load_wh is not None}
    return read == wanted and len({row.area for row in rows.values()}) == 1
