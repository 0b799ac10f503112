"""A whole ledger with every payload opened, as nobody could: by all members' real keys out of their real databases.

For each section it says which parties hold a key to it, found wrap by wrap, and not by whom it was meant for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from consortium.adapters.postgres.rows import HELD, held_of
from consortium.crypto.sealing import party_tag
from consortium.energy.payloads.base import Part, read_part
from consortium.energy.view import facts  # noqa: F401  # all kinds of payloads register
from consortium.model.names import Party
from consortium.model.records import Header, parse_header
from consortium.pipeline.opening import Opener
from tests.fixtures.network import MEMBERS, Network, wait_until

P = TypeVar("P", bound=Part)
AFTERWARDS = frozenset(
    {"access", "delegation", "delegation-end", "disclosure", "erasure-request", "erasure-refused", "escrow"}
    | {"escrow-share", "user-key"}
)
"""Types that come of reading and governing, and not of the day."""


@dataclass(slots=True)
class Opened:
    """A record: `holders` and `parts` by section. `at` are the members whose nodes hold its payload."""

    id: str
    index: int
    author: str
    holders: list[set[str]]
    parts: list[Part | None]
    at: set[str] = field(default_factory=set)

    @property
    def type(self) -> str:
        """Of its payload."""
        return next(part.TYPE for part in self.parts if part is not None)

    def find(self, kind: type[P]) -> P | None:
        """The section of that class."""
        return next((part for part in self.parts if isinstance(part, kind)), None)


def everyone(network: Network) -> list[str]:
    """Every party that could hold a key."""
    homes = [person.party for person in network.net.people if person.kind == "user"]
    return [*homes, *MEMBERS]


async def opened_ledger(network: Network, without: frozenset[str] = AFTERWARDS) -> list[Opened]:
    """All records that any node holds the payload of, in the ledger's order, but those of types `without`."""
    await network.agreed()
    found: dict[int, Opened] = {}
    names = {party_tag(Party.parse(name)): name for name in everyone(network)}
    for member in MEMBERS:
        await wait_until(lambda member=member: _complete(network, member), f"{member} has fetched what it missed")
        opener = Opener(network.net.genesis, network.custody(member))
        for held in await _held(network, member):
            header = parse_header(held.header_bytes)
            record = found.setdefault(held.index, _blank(held, header))
            record.at.add(member)
            wraps, wrong = opener.wraps(held, header)
            assert wrong is None, wrong
            for wrap in wraps:
                for number, text in enumerate(opener.open_sections(held, header, wrap)):
                    if text is not None:
                        record.holders[number].add(names[wrap.tag])
                        record.parts[number] = read_part(text)
    return [found[index] for index in sorted(found) if found[index].type not in without]


def _blank(held: Any, header: Header) -> Opened:
    count = len(header.sections)
    return Opened(held.id.hex(), held.index, header.author, [set() for _ in range(count)], [None] * count)


async def _held(network: Network, member: str) -> Sequence[Any]:
    async with network.database(member) as conn:
        rows = await (await conn.execute(HELD + "ORDER BY tree_index")).fetchall()
    return held_of(rows)


async def _complete(network: Network, member: str) -> bool:
    async with network.database(member) as conn:
        row = await (await conn.execute("SELECT count(*) FROM node.missing")).fetchone()
    return row == (0,)


def every(records: Iterable[Opened], kind: type[P]) -> list[P]:
    """All sections of a class, in the ledger's order."""
    return [part for record in records for part in record.parts if isinstance(part, kind)]
