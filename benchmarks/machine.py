"""The machine and the programs that the figures belong to."""

from __future__ import annotations

import os
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import psycopg

from consortium.devnet.etcd_command import find_etcd


def machine(admin_url: str) -> dict[str, Any]:
    """Processor, memory, kernel, versions, the date, and how busy the machine was with other things before."""
    with psycopg.connect(admin_url) as conn:
        row = conn.execute("SHOW server_version").fetchone()
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "etcd": _etcd(),
        "postgres": str(row[0]) if row else "",
        "date": datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    }


class Others:
    """How much of the machine others use while something is measured: the figures are worth as much as this is little.

    Ours are this process, its children and theirs, and the Postgres server, which is nobody's child.
    """

    def __init__(self, postmaster: int) -> None:
        self._postmaster = psutil.Process(postmaster)
        self._begin = self._now()

    def percent(self) -> float:
        """Of all cores, since this was made."""
        busy, ours, there_was = (now - then for now, then in zip(self._now(), self._begin, strict=True))
        return max(0.0, 100 * (busy - ours) / there_was)

    def _now(self) -> tuple[float, float, float]:
        """Seconds that all cores were busy, that ours were, and that there were."""
        machine = psutil.cpu_times()
        me = psutil.Process()
        ours = sum(map(_seconds, (me, self._postmaster, *_below(me), *_below(self._postmaster))))
        return sum(machine) - machine.idle - machine.iowait, ours, sum(machine)


def _below(process: psutil.Process) -> list[psutil.Process]:
    return list(process.children(recursive=True))


def _seconds(process: psutil.Process) -> float:
    """Its own, and of its children that have ended."""
    try:
        return float(sum(process.cpu_times()[:4]))
    except psutil.NoSuchProcess:
        return 0.0


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _etcd() -> str:
    output = subprocess.run([find_etcd(), "--version"], capture_output=True, text=True, check=False).stdout
    return output.splitlines()[0].rpartition(" ")[2] if output else ""
