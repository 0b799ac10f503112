"""`python -m benchmarks [--quick] [--dir DIR] [--out FILE]`."""

from __future__ import annotations

import argparse
import asyncio
from pathlib import Path

from benchmarks.progress import steps
from benchmarks.report import RESULTS, show, write
from benchmarks.run import FULL, QUICK, run
from consortium.cli.output import console, reported


def main() -> None:
    """Measure, show, write. Misses no target silently; ends with 0 if everything could be measured."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="a minute instead of five, and a shorter ledger")
    parser.add_argument("--dir", type=Path, default=Path(".bench"), help="for all that it starts; removed at the end")
    parser.add_argument("--out", type=Path, default=RESULTS, help="the results as JSON")
    arguments = parser.parse_args()
    plan = QUICK if arguments.quick else FULL
    with reported():
        with steps(console, plan.steps) as step:
            results = asyncio.run(run(plan, arguments.dir.resolve(), step))
        show(results, console)
        write(results, arguments.out)
        console.print(f"written to {arguments.out}")


if __name__ == "__main__":
    main()
