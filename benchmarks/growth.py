"""Applying to a ledger that is long already, a process of its own: `Spec` as JSON in, results as JSON out.

The rows that are there already are made in the database, of the same shape as real ones; the blocks that are applied
on top of them are real. The node is a party to every record: everything that it keeps grows.
"""

from __future__ import annotations

import json
import os
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median

import uvloop

from benchmarks.applying import Node, open_keys
from benchmarks.batches import Author
from benchmarks.filling import Filling
from consortium.bootstrap import open_stores, read_genesis
from consortium.crypto.merkle import TILE_BITS, TILE_WIDTH, Tree
from consortium.ledger.state import LedgerState, MemberState, initial

_ROUNDS = 5


@dataclass(frozen=True, slots=True)
class Spec:
    """`sizes` are numbers of records, rising; at each of them rounds of `batches` batches of `size` are applied."""

    directory: str
    genesis: str
    author: str
    subjects: list[str]
    member: str
    url: str
    admin_url: str
    sizes: list[int]
    batches: int
    size: int = 500


async def growth(spec: Spec) -> dict[str, float]:
    """Microseconds per record at each size: the median of some rounds."""
    directory, genesis = Path(spec.directory), read_genesis(Path(spec.genesis))
    author = Author(genesis, spec.author, open_keys(directory, spec.author), spec.subjects)
    custody = open_keys(directory, spec.member)
    filling = Filling(spec.url, spec.admin_url, author.records(1)[0])
    found, sequence, state = {}, 0, initial(genesis)
    for size in spec.sizes:
        state = _continued(state, filling.fill(state.height, state.tree.size, size), size, sequence, spec.author)
        times = []
        async with open_stores(spec.url) as stores:
            for _ in range(_ROUNDS + 1):
                node = Node(genesis, spec.member, custody, stores, state)
                seconds, _ = await node.replay(list(author.entries(sequence, spec.batches, spec.size)), index=True)
                times.append(seconds / spec.batches / spec.size * 1e6)
                sequence, state = sequence + spec.batches, node.applier.state
        found[str(size)] = median(times[1:])  # the first one warms up
    return found


def _continued(state: LedgerState, last: tuple[int, bytes], size: int, sequence: int, author: str) -> LedgerState:
    """The state after blocks that nobody applied: a tree of the right shape, whatever its hashes."""
    tails = [[os.urandom(32)] * ((size >> TILE_BITS * level) % TILE_WIDTH) for level in range(8)]
    while len(tails) > 1 and not size >> TILE_BITS * (len(tails) - 1):
        tails.pop()
    members = {**state.members, author: MemberState(sequence, state.time_ms)}
    height, digest = last
    tree, position = Tree.from_tails(size, tails), max(state.position, sequence)
    return replace(state, height=height, digest=digest, position=position, tree=tree, members=members)


def main() -> None:
    """One run."""
    spec = Spec(**json.loads(sys.stdin.read()))
    print(json.dumps(uvloop.run(growth(spec))))


if __name__ == "__main__":
    main()
