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


def busy_percent(seconds: float = 1.0) -> float:
    """How much of the machine's time others use, before anything of ours runs."""
    return psutil.cpu_percent(interval=seconds)


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text("utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")


def _etcd() -> str:
    output = subprocess.run([find_etcd(), "--version"], capture_output=True, text=True, check=False).stdout
    return output.splitlines()[0].rpartition(" ")[2] if output else ""
