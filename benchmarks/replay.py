"""Replaying a log into an empty database, a process of its own: `Spec` as JSON in, results as JSON out.

Three times: as a member that is a party to every record and keeps its payload; as one that besides opens each record
for its index, as a node does beside applying; and as a member that is a party to none.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import uvloop

from benchmarks.applying import node, open_keys
from benchmarks.batches import Author
from benchmarks.bounds import bound
from benchmarks.sizes import stored_bytes
from consortium.bootstrap import read_genesis
from consortium.model.blocks import LogEntry
from consortium.model.members import Genesis


@dataclass(frozen=True, slots=True)
class Replica:
    """A member, a migrated and empty database of its own, and whether it indexes what it may read."""

    member: str
    url: str
    index: bool


@dataclass(frozen=True, slots=True)
class Spec:
    """A log of `batches` batches of `size` records, written by `author` for its `subjects`."""

    directory: str
    genesis: str
    author: str
    subjects: list[str]
    replicas: dict[str, Replica]
    batches: int
    size: int = 500

    @classmethod
    def from_json(cls, text: str) -> Spec:
        """The inverse of `json.dumps(asdict(spec))`."""
        raw = json.loads(text)
        return cls(**{**raw, "replicas": {name: Replica(**each) for name, each in raw["replicas"].items()}})


async def replay(spec: Spec) -> dict[str, Any]:
    """All figures of the replay."""
    directory, genesis = Path(spec.directory), read_genesis(Path(spec.genesis))
    author = Author(genesis, spec.author, open_keys(directory, spec.author), spec.subjects)
    entries = list(author.entries(0, spec.batches, spec.size))
    records = spec.batches * spec.size
    found: dict[str, Any] = {"records": records, "log_bytes": sum(len(entry.data) for entry in entries) / records}
    for name, replica in spec.replicas.items():
        found[name] = await _one(genesis, directory, replica, entries, records)
    return found


async def _one(
    genesis: Genesis, directory: Path, replica: Replica, entries: list[LogEntry], records: int
) -> dict[str, Any]:
    empty = stored_bytes(replica.url)
    async with node(genesis, replica.member, open_keys(directory, replica.member), replica.url) as applying:
        seconds, kept = await applying.replay(entries, index=replica.index)
    stored = (stored_bytes(replica.url) - empty) / records
    least = bound(entries, replica.url, held=kept > 0)
    return {
        "per_s": records / seconds,
        "kept": kept,
        "bytes_per_record": stored,
        "bound_per_s": least.per_s,
        "bound_us": {name.removesuffix("_s"): value * 1e6 for name, value in asdict(least).items()},
    }


def main() -> None:
    """One replay."""
    spec = Spec.from_json(sys.stdin.read())
    print(json.dumps(uvloop.run(replay(spec))))


if __name__ == "__main__":
    main()
