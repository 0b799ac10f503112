"""All of etcd is lost, with its disks: the members agree on a block, sign it, and go on in a new epoch.

Nothing that was applied is missing, and the audit of the whole holds.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import sys

import pytest

from tests.faults.support import broken_network, same_ledger
from tests.fixtures.network import MEMBERS, Network, reading, wait_until

pytestmark = pytest.mark.processes


async def consortium(*arguments: str) -> tuple[int, str]:
    """The command in a process of its own."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "consortium", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def recover(network: Network, step: str, member: str) -> tuple[int, str]:
    file = network.net.directory / "recovery.json"
    return await consortium("recover", step, str(file), "--config", str(network.net.nodes[member].config))


async def test_the_members_go_on_after_all_of_etcd_was_lost():
    async with broken_network(trim_interval_s=600) as network:
        net = network.net
        old = [await network.submit_as_meters(reading("home-01@suncoop"), "witnessed") for _ in range(3)]
        heads = await network.agreed(len(old))
        for member in net.etcd.members:
            net.etcd.kill(member)
        await wait_until(lambda: _at_rest(network), "nothing comes out of the log any more")
        for node in net.nodes.values():
            node.child.stop()
        shutil.rmtree(net.directory / "etcd")

        await _new_etcd(net)
        assert (await recover(network, "state", "gridco"))[0] == 0
        code, said = await recover(network, "open", "gridco")
        assert (code, "too few members" in said) == (2, True), said
        first = await _in_most_hands(network)
        assert (await recover(network, "state", first))[0] == 0
        signed = [m for m in MEMBERS if m != "regulator" and (await recover(network, "sign", m))[0] == 0]
        assert len(signed) >= 2, signed
        for member in MEMBERS:
            code, said = await recover(network, "open", member)
            if code:  # the last block had not reached it: it comes back with what the others hold
                assert "ends at block" in said, said
                continue
            net.launch(member)
        for member in MEMBERS:
            if net.nodes[member].child.running:
                await net.wait_ready(member)
        new = await network.submit_as_meters(reading("home-01@suncoop"), "witnessed")
        alive = [member for member in MEMBERS if net.nodes[member].child.running]
        assert len(alive) >= 3, alive
        after = await network.agreed(heads["gridco"]["size"] + 2, alive)
        assert {head["epoch"] for head in after.values()} == {2}
        home = await network.client("home-01")
        for record in (*old, new):
            assert (await home.get(f"/v1/records/{record['id']}")).status_code == 200
            assert (await home.get(f"/v1/records/{record['id']}/receipt")).status_code == 200
        directory = net.directory / "export"
        assert (await consortium("export", str(directory), "--config", str(net.nodes["gridco"].config)))[0] == 0
        code, said = await consortium("audit", str(directory), "--trust", str(net.trust_file))
        assert code == 0, said
        await same_ledger(network, alive)


async def _new_etcd(net) -> None:
    """What the operators do: an empty cluster, its users, their rights for the next epoch."""
    await net.etcd.start()
    names = [plan.name for plan in net.plans]
    await net.etcd.set_up_users(names, net.genesis.network)
    await net.etcd.open_channel(names, net.genesis.network, net.genesis.channel, 2)


async def _at_rest(network: Network) -> bool:
    """Whether every node has stood still for a moment."""
    before = {member: (await network.status(member))["block"] for member in MEMBERS}
    await asyncio.sleep(0.5)
    return before == {member: (await network.status(member))["block"] for member in MEMBERS}


async def _in_most_hands(network: Network) -> str:
    """A member whose last block is that of as many as possible."""
    ends = {}
    for member in MEMBERS:
        assert (await recover(network, "state", member))[0] == 0
        ends[member] = json.loads((network.net.directory / "recovery.json").read_text())["block"]
    return max(MEMBERS, key=lambda member: (list(ends.values()).count(ends[member]), member))
