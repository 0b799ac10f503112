"""What the demo shows: each check makes a real call and says what it saw."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psycopg

from consortium.devnet.day import TradingDay
from consortium.devnet.figures import Figures, rows
from consortium.devnet.network import Devnet
from consortium.errors import ConsortiumError

Tokens = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Check:
    """A line of the closing table."""

    name: str
    held: bool
    seen: str


@dataclass(frozen=True, slots=True)
class Seen:
    """What the checks look at: the network, the day as it was lived, every node's status, the day in figures."""

    net: Devnet
    day: TradingDay
    tokens: Tokens
    heads: Mapping[str, dict[str, Any]]
    figures: Figures

    @property
    def home(self) -> str:
        """The home that the checks look at."""
        return self.day.rows[0].home

    async def get(self, member: str, account: str, path: str) -> httpx.Response:
        """Any answer to an account at a member's node."""
        return await _get(self.net, member, self.tokens[account], path)

    def member_of(self, home: str) -> str:
        """Its member."""
        return self.net.person(home).member

    def ids_of(self, home: str) -> list[str]:
        """The ids of its readings of the day."""
        day = {row.start.isoformat() for row in self.day.rows}
        return [answer["id"] for (name, at), answer in self.day.answers.items() if name == home and at in day]


async def status(net: Devnet, member: str, token: str) -> dict[str, Any]:
    """A node's status."""
    response = await _get(net, member, token, "/v1/status")
    found: dict[str, Any] = response.json()
    return found


async def run_all(seen: Seen) -> list[Check]:
    """All checks, in the order of the table."""
    return await make(_CHECKS, seen)


async def make(checks: Sequence[tuple[str, Callable[[Seen], Awaitable[tuple[bool, str]]]]], seen: Seen) -> list[Check]:
    """Make each check. One that fails to answer is one that does not hold."""
    found = []
    for name, check in checks:
        try:
            held, what = await check(seen)
        except (httpx.HTTPError, psycopg.Error, OSError, LookupError, ValueError, ConsortiumError) as error:
            held, what = False, f"{type(error).__name__}: {error}"
        found.append(Check(name, held, what))
    return found


async def _ordered(seen: Seen) -> tuple[bool, str]:
    answers = seen.day.answers.values()
    day = [answer for home in {row.home for row in seen.day.rows} for answer in seen.ids_of(home)]
    held = len(day) == len(seen.day.rows) and len({a["index"] for a in answers}) == len(answers)
    return (
        held,
        f"{len(day)} of {len(seen.day.rows)} readings of the day, {seen.heads['gridco']['size']} records in all",
    )


async def _applied(seen: Seen) -> tuple[bool, str]:
    sizes = {name: head["size"] for name, head in seen.heads.items()}
    return len(set(sizes.values())) == 1, ", ".join(f"{name} {size}" for name, size in sizes.items())


async def _one_root(seen: Seen) -> tuple[bool, str]:
    found = {(head["height"], head["block"], head["root"]) for head in seen.heads.values()}
    head = seen.heads["gridco"]
    return len(found) == 1, f"{head['height']} blocks, root {head['root'][:16]}…, the same on {len(seen.heads)} nodes"


async def _own_readings(seen: Seen) -> tuple[bool, str]:
    home = seen.home
    period = {"from": seen.day.start.isoformat(), "to": seen.day.end.isoformat(), "type": "reading"}
    records = await rows(seen.day.calls, seen.net.person(home).party, "/v1/records", period)
    load = sum(record["data"]["load_wh"] for record in records)
    expected = [row for row in seen.day.rows if row.home == home]
    held = len(records) == len(expected) and load == sum(row.load_wh for row in expected)
    return held, f"{home} reads {len(records)} readings, {load:,} Wh"


async def _others_refused(seen: Seen) -> tuple[bool, str]:
    home = seen.home
    member = seen.member_of(home)
    other = next(p for p in seen.net.people if p.kind == "user" and p.member == member and p.name != home)
    codes = {
        (await _get(seen.net, member, seen.tokens[other.name], f"/v1/records/{record_id}")).status_code
        for record_id in seen.ids_of(home)
    }
    absent = await _get(seen.net, member, seen.tokens[other.name], f"/v1/records/{'0' * 32}")
    refused = await _get(seen.net, member, seen.tokens[other.name], f"/v1/records/{seen.ids_of(home)[0]}")
    held = codes == {404} and refused.content == absent.content
    return held, f"{other.name} gets {', '.join(map(str, sorted(codes)))} for them, the same words as for no record"


_OPENED_BY_INDEX = """
SELECT count(*) FROM node.entries WHERE type NOT IN ('escrow', 'escrow-share', 'disclosure', 'access')
"""
"""What the node found when it opened what it holds: of supervised records it has the ciphertext, and keys in parts."""


async def _regulator_holds_nothing(seen: Seen) -> tuple[bool, str]:
    url = seen.net.nodes["regulator"].database_url
    async with await psycopg.AsyncConnection.connect(url) as conn:
        held = await (await conn.execute(_OPENED_BY_INDEX)).fetchone()
        missing = await (await conn.execute("SELECT count(*) FROM node.missing")).fetchone()
        headers = await (await conn.execute("SELECT count(*) FROM ledger.records")).fetchone()
    counts = (held or (1,))[0], (missing or (1,))[0], (headers or (0,))[0]
    # Records go on coming: users are told of reads that came before.
    held_back = counts[:2] == (0, 0) and counts[2] >= seen.heads["regulator"]["size"]
    return held_back, f"{counts[2]} headers, {counts[0]} payloads that it can open"


async def _receipt(seen: Seen) -> tuple[bool, str]:
    home = seen.home
    record_id = seen.ids_of(home)[0]
    response = await _get(seen.net, seen.member_of(home), seen.tokens[home], f"/v1/records/{record_id}/receipt")
    path = seen.net.directory / "receipt.tlog-proof"
    path.write_text(response.text, "utf-8")
    code, text = await _verify(seen.net, path, record_id)
    changed = seen.net.directory / "receipt-changed.tlog-proof"
    changed.write_text(_change(response.text), "utf-8")
    refused, _ = await _verify(seen.net, changed, record_id)
    cosigners = response.text.count("\n\u2014 ") - 1
    held = response.status_code == 200 and code == 0 and refused != 0
    return held, f"verifies with {cosigners} cosignatures, no network; with one changed byte refused. {text}".strip()


async def _verify(net: Devnet, path: Path, record_id: str) -> tuple[int, str]:
    """The command that anyone would use, in a process of its own."""
    arguments = ["receipt", "verify", str(path), "--trust", str(net.trust_file), "--id", record_id]
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consortium", *arguments,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    await process.communicate()
    return process.returncode if process.returncode is not None else 1, ""


def _change(text: str) -> str:
    """One character of the proof's first hash (or of the root) replaced."""
    lines = text.split("\n")
    at = 3 if lines[3] else 6
    lines[at] = ("B" if lines[at][0] == "A" else "A") + lines[at][1:]
    return "\n".join(lines)


async def _faults(seen: Seen) -> tuple[bool, str]:
    head = seen.heads["gridco"]
    held = head["state"] == "running" and head["root"] == seen.heads["suncoop"]["root"] and not head["alarms"]
    return held, "etcd of cityretail and the node of gridco: SIGKILL; the day went on, gridco caught up to the root"


async def _get(net: Devnet, member: str, token: str, path: str) -> httpx.Response:
    async with httpx.AsyncClient(base_url=net.nodes[member].url, trust_env=False, timeout=30.0) as http:
        return await http.get(path, auth=net.auth(token))


_CHECKS: tuple[tuple[str, Callable[[Seen], Awaitable[tuple[bool, str]]]], ...] = (
    ("records ordered", _ordered),
    ("applied on each member", _applied),
    ("blocks and one root", _one_root),
    ("a home reads its own day", _own_readings),
    ("another home does not", _others_refused),
    ("the regulator opens no payload", _regulator_holds_nothing),
    ("a receipt verifies offline", _receipt),
    ("killed and healed", _faults),
)
