"""From the block in which a grant is decided to the moment at which the officer's node holds, and has checked, all of
the records that it covers.

Each reading is disclosed by two holders, its home's member and the grid operator: the officer's node is done with a
record when one of them has given a key and a ciphertext that hold, and done with all when it has judged both.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from time import perf_counter
from typing import Any

import httpx
import psycopg

from benchmarks.watching import watching, written
from consortium.devnet.network import Devnet
from consortium.errors import OperatorError

OFFICE, OFFICER = "regulator", "regulator-officer"
VOTERS = ("gridco", "suncoop")
"""Two of three participants: a majority."""
_POLL_S = 0.05
_PATIENCE_S = 120.0
_WANTED = {
    "types": ["reading"],
    "groups": ["identity", "physical"],
    "from": "2017-01-01T00:00:00Z",
    "to": "2018-01-01T00:00:00Z",
    "until": "2090-01-01T00:00:00Z",
    "purpose": "benchmark",
    "basis": "REMIT, Art. 13",
}
_STATE = """
SELECT count(DISTINCT tree_index) FILTER (WHERE state = 1), count(*) FILTER (WHERE state = 1),
    count(*) FILTER (WHERE state = 2)
FROM node.disclosed WHERE grant_id = %b
"""


async def measure(net: Devnet, tokens: Mapping[str, str], member: str, records: int) -> tuple[str, dict[str, Any]]:
    """A grant for the readings of a member's users, `records` of them; its id, and how long what follows takes.

    Raises `OperatorError`.
    """
    response = await _post(net, tokens, OFFICER, "/v1/grants", {**_WANTED, "parties": [member]})
    if response.status_code != 200 or response.json()["state"] != "accepted":
        raise OperatorError(f"no grant can be asked for: {response.status_code} {response.text[:200]}")
    asked = response.json()
    async with watching(net) as watched:
        before = watched.height(OFFICE)
        for voter in VOTERS:
            decided = await _vote(net, tokens, f"{voter}-admin", asked["id"])
        opened_at, settled_at = await _received(net, bytes.fromhex(asked["id"]), records)
        await watched.until(decided)
        began = watched.at(VOTERS[-1], decided)
        disclosures = written(net.nodes[OFFICE].database_url, before)["disclosure"]
        written_at = watched.at(OFFICE, disclosures[1])
    return asked["id"], {
        "records": records,
        "disclosures": disclosures[2],
        "written_s": written_at - began,
        "opened_s": opened_at - began,
        "settled_s": settled_at - began,
    }


async def _received(net: Devnet, grant: bytes, records: int) -> tuple[float, float]:
    """When all records were open at the officer's node, and when what each of two holders gave was."""
    opened_at = 0.0
    end = perf_counter() + _PATIENCE_S
    async with await psycopg.AsyncConnection.connect(net.nodes[OFFICE].database_url, autocommit=True) as connection:
        while perf_counter() < end:
            row = await (await connection.execute(_STATE, [grant], prepare=True)).fetchone() or (0, 0, 0)
            opened, claims, refused = row
            if refused:
                raise OperatorError(f"{refused} disclosures were refused")
            if opened >= records and not opened_at:
                opened_at = perf_counter()
            if claims >= 2 * records:
                return opened_at, perf_counter()
            await asyncio.sleep(_POLL_S)
    raise OperatorError(f"{opened} of {records} records were disclosed within {_PATIENCE_S:g} s")


async def _vote(net: Devnet, tokens: Mapping[str, str], account: str, proposal: str) -> int:
    """Cast a ballot, again while the proposal has still to reach the member's node; the height of its block."""
    end = perf_counter() + _PATIENCE_S
    while perf_counter() < end:
        response = await _post(net, tokens, account, "/v1/governance/ballots", {"proposal": proposal, "yes": True})
        if response.status_code == 200 and response.json()["state"] == "accepted":
            return int(response.json()["height"])
        await asyncio.sleep(_POLL_S)
    raise OperatorError(f"{account} cannot vote: {response.status_code} {response.text[:200]}")


async def _post(
    net: Devnet, tokens: Mapping[str, str], account: str, path: str, body: Mapping[str, Any]
) -> httpx.Response:
    url = net.nodes[net.person(account).member].url
    async with httpx.AsyncClient(base_url=url, trust_env=False, timeout=_PATIENCE_S) as http:
        return await http.post(path, json=body, auth=net.auth(tokens[account]))
