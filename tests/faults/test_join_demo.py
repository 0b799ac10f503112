"""The demo with a fifth member, as a stranger runs it: every check holds."""

from __future__ import annotations

import pytest

from tests.faults.test_demo_day import demo
from tests.fixtures.network import short_directory

pytestmark = pytest.mark.processes


async def test_a_fifth_member_joins_trades_and_is_removed_in_the_demo():
    async with short_directory() as directory:
        code, output = await demo(directory, "--with-join")
    assert code == 0, output
    words = [line.split("│")[1].strip() for line in output.splitlines() if line.count("│") == 4]
    assert [word for word in words if word] == ["holds"] * 26, output
    for sentence in ("windfarm checks its invitation", "windfarm sells an hour of wind", "windfarm is removed"):
        assert sentence in output
