"""A market in one process: several members' views and agents over a make-believe ledger, without network or keys.

Who may open a section is decided by its readers alone; a member opens what it, or one of its users, reads. Every agent
is the real one, and writes exactly what `consortium.agents.market.runner` would: ids from causes, each id once.

    world = MarketWorld()
    world.submit("deposit", {...})            # what a party brings by the API, checked and admitted as a node does
    world.now_ms = ...                        # the clock is the test's
    world.settle()                            # every node folds and acts until nobody has anything left to do

A node can be driven in pieces as well (`fold`, `act`, `send`, `crash`), and `replica` starts a second one of a member.
`Chaos` does that at random from a seed, so that a run is the same whenever it is run.
"""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random
from types import SimpleNamespace
from typing import Any

from consortium.agents.market.clear import Clearer
from consortium.agents.market.deliver import Deliverer
from consortium.agents.market.duty import Cause, Duty, Poisoned, cause_key
from consortium.agents.market.forecasts import Mandates
from consortium.agents.market.gates import Gatekeeper
from consortium.agents.market.pay import Payer
from consortium.agents.market.settle import Settler
from consortium.energy.catalogue import parse
from consortium.energy.payloads.base import Part
from consortium.energy.view.facts import Fact, fact_of
from consortium.energy.view.view import View
from consortium.model.members import Genesis
from consortium.model.names import Party
from consortium.model.records import DraftSection
from tests.builders import make_member

ROLES = {"cityretail": ("retailer",), "gridco": ("grid-operator",), "suncoop": ("cooperative",)}
GENESIS = Genesis("testnet", "main", 1, "x.example", tuple(make_member(name, ROLES[name]) for name in sorted(ROLES)))
AGENTS = (Mandates, Gatekeeper, Payer, Clearer, Deliverer, Settler)
"""In the runner's order."""
MOST_TURNS = 10_000


def derived(*label: object) -> bytes:
    """An id that follows from what it is called by."""
    return hashlib.sha256(repr(label).encode()).digest()[:16]


@dataclass(frozen=True)
class Entry:
    """A record as the ledger keeps it; `sections` are all of its plaintexts, which no single node need see."""

    index: int
    id: bytes
    author: str
    time_ms: int
    sections: tuple[DraftSection, ...]
    facts: dict[tuple[bool, ...], Fact | None] = field(default_factory=dict)

    def fact(self, member: str) -> Fact | None:
        """What `member` folds: its part of the record, or None if it may open nothing of it."""
        open_to_it = tuple(any(reader.member == member for reader in section.readers) for section in self.sections)
        if open_to_it not in self.facts:
            self.facts[open_to_it] = self._open(open_to_it)
        return self.facts[open_to_it]

    def _open(self, visible: tuple[bool, ...]) -> Fact | None:
        texts = [one.plaintext if may else None for one, may in zip(self.sections, visible, strict=True)]
        # As a real one does, the commitment binds the id and the first section, and differs between records.
        seal = SimpleNamespace(commitment=hashlib.sha256(self.id + self.sections[0].plaintext).digest())
        header: Any = SimpleNamespace(id=self.id, author=self.author, sections=(seal,))
        return fact_of(self.index, header, self.time_ms, texts)

    @property
    def parts(self) -> tuple[Part, ...]:
        """All sections, as somebody would see them who may open everything."""
        every = (True,) * len(self.sections)
        if every not in self.facts:
            self.facts[every] = self._open(every)
        fact = self.facts[every]
        return fact.parts if fact is not None else ()


class Node:
    """One process of a member: its view, its agents, and what it has handed on but the ledger does not show yet."""

    def __init__(self, world: MarketWorld, member: str) -> None:
        self.world = world
        self.member = member
        self.view = View(GENESIS, member)
        self.crashes = 0
        self.begin()

    def begin(self) -> None:
        """From nothing, as the runner begins."""
        self.view.forget()
        self.cursor = 0
        self.given: set[bytes] = set()
        self.outbox: deque[Duty] = deque()
        self.broken = False
        known = {Payer: self._on_ledger}
        kinds = self.world.agents.get(self.member, {})
        self.agents = tuple(kinds.get(kind, kind)(self.view, known.get(kind, self._known)) for kind in AGENTS)

    def crash(self) -> None:
        """Killed: what was not handed to the ledger yet is gone, and so is all that it knew."""
        self.crashes += 1
        self.begin()

    def _id(self, cause: Cause) -> bytes:
        return id_of(self.member, cause)

    def _on_ledger(self, cause: Cause) -> bool:
        return self._id(cause) in self.view.own_ids

    def _known(self, cause: Cause) -> bool:
        return self._on_ledger(cause) or self._id(cause) in self.given

    def fold(self, most: int | None = None) -> bool:
        """Fold the next `most` records (all of them by default); whether there were any."""
        records = self.world.records
        end = len(records) if most is None else min(len(records), self.cursor + most)
        moved = self.cursor < end
        for record in records[self.cursor : end]:
            if record.author == self.member:
                self.view.own_ids.add(record.id)
                self.given.discard(record.id)
            fact = record.fact(self.member)
            if fact is not None:
                self.view.add(fact)
                for agent in self.agents:
                    agent.see(fact)
        self.cursor = end
        last = records[end - 1].time_ms if end else 0
        self.view.now_ms = max(self.view.now_ms, self.world.now_ms if end == len(records) else last)
        return moved

    def act(self) -> None:
        """Ask the agents what is due, and hand it on."""
        if self.broken:
            return
        for agent in self.agents:
            for duty in agent.due():
                if isinstance(duty, Poisoned):
                    raise duty.error  # the runner would leave it alone: here nothing may fail unseen
                if not self._known(duty.cause):
                    self.given.add(self._id(duty.cause))
                    self.outbox.append(self.world.forge(self.member, duty))

    def send(self, most: int | None = None) -> bool:
        """Let the next `most` records that are on their way arrive; whether there were any.

        One whose id is there already is dropped; then what is on its way still arrives, and all is folded anew.
        """
        count = len(self.outbox) if most is None else min(most, len(self.outbox))
        for _ in range(count):
            duty = self.outbox.popleft()
            if not self.world.append(self.member, duty.sections, self._id(duty.cause)):
                self.broken = True
        if self.broken and not self.outbox:
            self.begin()
            return True
        return count > 0

    def turn(self) -> bool:
        """Fold all, act, send all; whether anything moved."""
        moved = self.fold()
        self.act()
        return self.send() or moved


class MarketWorld:
    """The ledger, its clock, and the nodes that follow it. `agents` puts other classes in a member's agents' places."""

    def __init__(self, agents: dict[str, dict[type, type]] | None = None) -> None:
        self.agents = agents or {}
        self.forge: Callable[[str, Duty], Duty] = lambda member, duty: duty
        self.records: list[Entry] = []
        self.now_ms = 0
        self._ids: set[bytes] = set()
        self._submitted = 0
        self._desks: dict[str, tuple[View, list[int]]] = {}
        self.nodes = [Node(self, name) for name in ROLES]

    def node(self, member: str) -> Node:
        """The first node of a member."""
        return next(node for node in self.nodes if node.member == member)

    def replica(self, member: str) -> Node:
        """One more process of a member, with the same keys: it derives the same ids."""
        self.nodes.append(Node(self, member))
        return self.nodes[-1]

    def append(self, author: str, sections: Iterable[DraftSection], id: bytes) -> bool:
        """Order a record; False if its id is there."""
        if id in self._ids:
            return False
        self._ids.add(id)
        self.records.append(Entry(len(self.records), id, author, self.now_ms, tuple(sections)))
        return True

    def write(self, author: str, *parts: tuple[Part, str]) -> bytes:
        """A record of sections as any member may write it, each with its readers as text with blanks between."""
        self._submitted += 1
        record_id = derived("submitted", self._submitted)
        self.append(author, [part.section(tuple(map(Party.parse, names.split()))) for part, names in parts], record_id)
        return record_id

    def submit(self, type: str, data: dict[str, Any]) -> bytes:
        """What a party brings at its own member's node, checked as there; the record's id. Raises `InvalidRequest`."""
        content = parse(type, data)
        content.check(self.now_ms)
        member = Party.parse(content.actor).member
        view = self.desk(member)
        content.admit(view)
        self._submitted += 1
        record_id = derived("submitted", self._submitted)
        self.append(member, content.sections(view), record_id)
        return record_id

    def desk(self, member: str) -> View:
        """What a member knows when it takes a submission: the whole ledger, whatever its agents have folded."""
        view, cursor = self._desks.setdefault(member, (View(GENESIS, member), [0]))
        for record in self.records[cursor[0] :]:
            if (fact := record.fact(member)) is not None:
                view.add(fact)
        cursor[0] = len(self.records)
        view.now_ms = max(view.now_ms, self.now_ms)
        return view

    def settle(self) -> None:
        """Until nobody has anything to do."""
        for _ in range(MOST_TURNS):
            moved = [node.turn() for node in self.nodes]
            if not any(moved):
                return
        raise AssertionError("the nodes do not come to rest")

    # --- reading all, as nobody could --------------------------------------------------------------------------

    def every(self, kind: type[Any]) -> list[Any]:
        """All sections of a class, in the ledger's order."""
        return [part for record in self.records for part in record.parts if isinstance(part, kind)]

    def found(self, kind: type[Any]) -> list[tuple[Entry, Any]]:
        """The same with their records."""
        return [(record, part) for record in self.records for part in record.parts if isinstance(part, kind)]


@lru_cache(maxsize=65_536)
def id_of(member: str, cause: Cause) -> bytes:
    """The id of an agent's record: keyed by its member, so that no two members' are the same."""
    return hashlib.sha256(member.encode() + b"\0" + cause_key(cause)).digest()[:16]


class Chaos:
    """Drives nodes in pieces and at random: any of them folds, acts or sends a little, or is killed."""

    def __init__(self, seed: int, crashes: int = 0) -> None:
        self._random = Random(seed)
        self._crashes = crashes

    def __call__(self, world: MarketWorld, steps: int) -> None:
        """So many steps."""
        pick = self._random
        for _ in range(steps):
            node = pick.choice(world.nodes)
            step = pick.randrange(20)
            if step < 8:
                node.fold(pick.choice((1, 2, 5, 20, None)))
            elif step < 13:
                node.act()
            elif step < 19:
                node.send(pick.choice((1, 2, 5, 20, None)))
            elif self._crashes:
                self._crashes -= 1
                node.crash()
