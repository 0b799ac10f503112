"""The children of a run that crashed, found again by the next run and ended; no other process ever.

Every child is noted in `children.json` with its start time: a process id that was given to another program since has
another start time.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

import psutil

STOP_S = 10.0
# psutil derives start times from the boot time, which moves a little when the clock is set.
_SAME_START_S = 2.0


def remember(directory: Path, children: Mapping[int, str]) -> None:
    """Note the running children, by process id, with their names."""
    lines = []
    for pid, name in children.items():
        try:
            lines.append({"name": name, "pid": pid, "started": psutil.Process(pid).create_time()})
        except psutil.NoSuchProcess:
            continue
    whole = _file(directory).with_suffix(".new")
    whole.write_text(json.dumps(lines))
    whole.replace(_file(directory))


def forget(directory: Path) -> None:
    """No child runs any more."""
    _file(directory).unlink(missing_ok=True)


def end_leftovers(directory: Path) -> list[str]:
    """End what a crashed run left in `directory` running, and nothing else; the names of those processes."""
    try:
        lines = json.loads(_file(directory).read_text())
    except (FileNotFoundError, ValueError):
        return []
    found = [(line["name"], process) for line in lines if (process := _same(line["pid"], line["started"])) is not None]
    end([process for _, process in found], STOP_S)
    forget(directory)
    return [name for name, _ in found]


def _file(directory: Path) -> Path:
    return directory / "children.json"


def _same(pid: int, started: float) -> psutil.Process | None:
    """The process of that id, if it is the one that was started then."""
    try:
        process = psutil.Process(pid)
        return process if abs(process.create_time() - started) < _SAME_START_S else None
    except psutil.NoSuchProcess:
        return None


def end(processes: Iterable[psutil.Process], timeout_s: float) -> None:
    """SIGTERM to all, SIGKILL to those that remain after `timeout_s`."""
    processes = list(processes)
    for signal in ("terminate", "kill"):
        for process in processes:
            try:
                getattr(process, signal)()
            except psutil.NoSuchProcess:
                continue
        _, processes = psutil.wait_procs(processes, timeout=timeout_s)
        if not processes:
            return
