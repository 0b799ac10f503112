"""What the privacy controls cost, on a network of its own: three members as ever, and a regulator with an officer.

The readings of one member's homes are filled in by its staff in bulk. Then each part waits until the nodes are idle.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from benchmarks import disclosing, officer_reads, own_pages
from benchmarks.load import Spec, Target
from benchmarks.machine import Others
from benchmarks.network import PLANS, postmaster, run_load
from consortium.adapters.clock import SystemClock
from consortium.devnet.calls import Calls
from consortium.devnet.network import Devnet, MemberPlan
from consortium.energy.metering import to_rfc3339

MEMBER = "suncoop"
"""Whose homes it is about; the grid operator holds their readings as well."""
WITH_OFFICER = (*PLANS, MemberPlan(disclosing.OFFICE, ("compliance",), votes=False))
STEPS = 4
_HOMES = 5


async def measure(
    net: Devnet, *, records: int, pages: int, reads: int, step: Callable[[str], None]
) -> tuple[dict[str, Any], dict[str, float]]:
    """All of it, on a network of `WITH_OFFICER`; and how much others used of the machine in each part."""
    homes = [person for person in net.people if (person.member, person.kind) == (MEMBER, "user")]
    kinds = [person for person in net.people if person.kind in ("administrator", "officer")]
    staff = [net.person(f"{plan.name}-staff") for plan in net.plans]
    tokens = {person.name: await net.sign_in(person) for person in (*homes[:_HOMES], *kinds, *staff)}
    disturbed: dict[str, float] = {}
    async with Calls(net, tokens) as calls:
        step(f"{records:,} readings of the homes of one member")
        subjects = [home.party for home in homes]
        fill = Target(net.nodes[MEMBER].port, subjects, tokens[f"{MEMBER}-staff"])
        await run_load(Spec("bulk", [fill], records=records))
        # What is proposed before all members gave a sign of life, so before the ledger has a time, expires at once.
        await calls.until_quiet(to_rfc3339(SystemClock().now_ms()))
        step(f"{pages} pages of 100 own records")
        others = Others(postmaster(net))
        readers = [tokens[home.name] for home in homes[:_HOMES]]
        laps = records // len(homes) // own_pages.PAGE
        own = await asyncio.to_thread(own_pages.measure, net, MEMBER, readers, pages, laps)
        disturbed["own_pages"] = others.percent()
        step(f"a grant, and {records:,} records disclosed")
        others = Others(postmaster(net))
        grant, disclosed = await disclosing.measure(net, tokens, MEMBER, records)
        disturbed["disclosure"] = others.percent()
        await calls.until_quiet()
        step(f"an officer's reads, twice {reads}")
        others = Others(postmaster(net))
        read = await officer_reads.measure(net, tokens[disclosing.OFFICER], grant, reads)
        disturbed["officer_reads"] = others.percent()
    return {"own_pages": own, "disclosure": disclosed, "officer_reads": read}, disturbed
