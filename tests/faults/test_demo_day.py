"""The demo as a stranger runs it: one real day on real processes, two kills on the way, every figure to the unit."""

from __future__ import annotations

import asyncio
import json
import sys

import pytest

from tests.fixtures.network import short_directory

pytestmark = pytest.mark.processes

TOTALS = {
    "bids": 307,
    "asks": 72,
    "bid_wh": 421_172,
    "ask_wh": 100_963,
    "trades": 111,
    "local_wh": 100_963,
    "local_value": 16_558_147,
    "local_fee": 2_019_260,
    "residual_bought": 400_036,
    "residual_sold_back": 26_538,
    "load": 580_104,
    "pv": 206_606,
    "import": 458_968,
    "export": 85_470,
    "certificates_self": 121_136,
    "certificates_local": 68_097,
    "certificates_retailer": 17_373,
    "feeder_net": 373_498,
    "carbon_mg": 67_456_143,
    "dso_total": 34_022_140,
}
CLEARING = {
    "5": [141, 346],
    "6": [141, 3_096],
    "7": [138, 6_647],
    "8": [137, 11_855],
    "9": [138, 8_976],
    "10": [138, 9_685],
    "11": [138, 9_575],
    "12": [138, 15_295],
    "13": [138, 13_615],
    "14": [140, 9_104],
    "15": [341, 8_236],
    "16": [345, 4_488],
    "17": [308, 45],
}


async def demo(directory, *arguments: str) -> tuple[int, str]:
    command = [sys.executable, "-m", "consortium", "demo", "--exit", "--dir", str(directory / "demo"), *arguments]
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    output, _ = await process.communicate()
    return process.returncode or 0, output.decode()


async def test_the_day_comes_to_exactly_these_figures():
    async with short_directory() as directory:
        code, output = await demo(directory)
        found = json.loads((directory / "demo" / "demo.json").read_text())
    assert code == 0, output
    assert all(check["held"] for check in found["checks"]), output
    assert len(found["checks"]) == 22
    day = found["day"]
    assert day["totals"] == TOTALS
    assert day["clearing"] == CLEARING
    accounts = day["accounts"]
    homes = [accounts[str(number)] for number in range(1, 18)]
    assert (homes[0], homes[16], sum(homes)) == (-3_347_912, -24_317_347, -127_433_720)
    assert {name: accounts[name] for name in ("retailer", "dso", "wholesale")} == {
        "retailer": 76_822_091,
        "dso": 34_022_140,
        "wholesale": 16_589_489,
    }
    assert sum(accounts.values()) == 0
    assert set(found["counts"]["applied"].values()) == {found["counts"]["records"]}
