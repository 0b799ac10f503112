"""`consortium demo --with-join`: a fifth member joins the running demo, sells an hour of wind, and is removed again."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from typing import Any

import httpx

from consortium.devnet import wind
from consortium.devnet.calls import Calls
from consortium.devnet.checks import Check, Seen
from consortium.devnet.day import TradingDay
from consortium.devnet.join import Newcomer
from consortium.devnet.market import AREA
from consortium.errors import ConsortiumError, OperatorError

_VOTERS = ("cityretail", "gridco", "suncoop")
_POLL_S, _PATIENCE_S = 0.1, 60.0


async def with_join(seen: Seen) -> list[Check]:
    """The lines of the closing table. A step that fails ends it: the rest would stand on nothing."""
    tokens = dict(seen.tokens)
    newcomer = Newcomer(seen.net, tokens)
    found: list[Check] = []
    steps = (
        ("windfarm checks its invitation", _invited),
        ("windfarm is voted in and joins etcd", _admitted),
        ("windfarm sells an hour of wind", _sold),
        ("windfarm is removed, and shut out", _removed),
    )
    for name, step in steps:
        try:
            held, what = await step(seen, newcomer, tokens)
        except (ConsortiumError, httpx.HTTPError, OSError, LookupError, ValueError) as error:
            held, what = False, f"{type(error).__name__}: {error}"
        found.append(Check(name, held, what))
        if not held:
            break
    return found


async def _invited(seen: Seen, newcomer: Newcomer, tokens: dict[str, str]) -> tuple[bool, str]:
    await newcomer.prepare()
    folder = await newcomer.invited_by("gridco")
    wrong, _ = await newcomer.verify(folder, digest="0" * 64)
    await newcomer.take_over(folder)
    return wrong == 1, "genesis by its digest, every block, every cosignature; with another digest refused"


async def _admitted(seen: Seen, newcomer: Newcomer, tokens: dict[str, str]) -> tuple[bool, str]:
    before = await _head(seen, newcomer, tokens, "gridco")
    await newcomer.admitted_by(_VOTERS, newcomer.public_keys())
    await newcomer.let_in()
    await newcomer.start()
    voters = ", ".join(_VOTERS)
    return True, f"{voters} voted after block {before['height']}; its etcd learned, and votes; its node takes records"


async def _sold(seen: Seen, newcomer: Newcomer, tokens: dict[str, str]) -> tuple[bool, str]:
    day: TradingDay = seen.day
    home = day.homes[0]
    start = day.end + timedelta(hours=1)
    sale = wind.Sale(newcomer.name, home.party, "gridco", start, home.point, AREA)
    async with Calls(seen.net, tokens) as calls:
        contract = await wind.sell(calls, sale, day.set_time)
        own = set(await wind.seen_by(calls, newcomer.name, contract))
        same = own == set(await wind.seen_by(calls, home.party, contract))
        others = [await wind.seen_by(calls, party, contract) for party in ("cityretail", "regulator")]
    held = len(own) == 3 and same and not any(others)
    return held, f"{wind.WH} Wh to {home.name}, stated by both; cityretail and regulator see nothing of it"


async def _removed(seen: Seen, newcomer: Newcomer, tokens: dict[str, str]) -> tuple[bool, str]:
    await newcomer.removed_by(_VOTERS)
    loop = asyncio.get_running_loop()
    end = loop.time() + _PATIENCE_S
    while (state := (await _head(seen, newcomer, tokens, newcomer.name))["state"]) != "observing":
        if loop.time() > end:
            raise OperatorError(f"the node of windfarm is {state}")
        await asyncio.sleep(_POLL_S)
    await newcomer.shut_out()
    async with Calls(seen.net, tokens, _VOTERS) as calls:
        heads = await calls.until_quiet()
        kept = await calls.get("gridco", "/v1/status")
    one = len({head["root"] for head in heads.values()}) == 1
    alarms = [alarm for alarm in kept["alarms"] if not alarm.startswith("ordering:")]
    return one and not alarms, "its node only reads on what it has; the others go on at one root, etcd with three again"


async def _head(seen: Seen, newcomer: Newcomer, tokens: dict[str, str], member: str) -> dict[str, Any]:
    async with Calls(seen.net, tokens, (member,)) as calls:
        found: dict[str, Any] = await calls.get(member, "/v1/status")
    return found
