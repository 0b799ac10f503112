"""Child processes of a devnet: started with a log file each, waited for by a condition, and never left behind.

What a run that crashed left behind, the next one in the same directory ends: see `leftovers`.
"""

from __future__ import annotations

import asyncio
import os
import socket
import subprocess
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from consortium.devnet.leftovers import STOP_S, end, end_leftovers, forget, remember
from consortium.errors import OperatorError

_POLL_S = 0.05
_TAIL_LINES = 30


class ChildError(OperatorError):
    """A child ended, or did not become ready in time; the message ends with the tail of its log."""


class Child:
    """A started process and its log file."""

    def __init__(self, name: str, process: psutil.Popen, log: Path) -> None:
        self.name = name
        self.log = log
        self._process = process

    @property
    def pid(self) -> int:
        return int(self._process.pid)

    @property
    def running(self) -> bool:
        return self._process.poll() is None

    def tail(self, lines: int = _TAIL_LINES) -> str:
        """The end of its log."""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    async def wait_until(self, condition: Callable[[], Awaitable[bool]], what: str, timeout_s: float) -> None:
        """Wait until `condition` holds. Raises `ChildError` if the process ends first, or `timeout_s` is over."""
        loop = asyncio.get_running_loop()
        end = loop.time() + timeout_s
        while not await condition():
            if not self.running:
                raise ChildError(f"{self.name} ended with code {self._process.poll()}; {self.log}:\n{self.tail()}")
            if loop.time() > end:
                raise ChildError(f"{self.name} is not {what} after {timeout_s:g} s; {self.log}:\n{self.tail()}")
            await asyncio.sleep(_POLL_S)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self.running:
            self._process.kill()
        self._process.wait()

    def stop(self, timeout_s: float = STOP_S) -> None:
        """SIGTERM, after `timeout_s` SIGKILL; returns once it is gone."""
        stop_together([self], timeout_s)


def stop_together(children: Iterable[Child], timeout_s: float = STOP_S) -> None:
    """SIGTERM to all at once, after `timeout_s` SIGKILL; returns once they are gone."""
    end([child._process for child in children if child.running], timeout_s)


class Processes:
    """All children of one run; a context manager that stops them, whatever happened."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._directory = directory
        self._children: list[Child] = []
        end_leftovers(directory)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def children(self) -> Sequence[Child]:
        """Those that run."""
        return [child for child in self._children if child.running]

    def start(
        self, name: str, command: Sequence[str], *, env: Mapping[str, str] | None = None, cwd: Path | None = None
    ) -> Child:
        """Start a process whose output is appended to `<directory>/<name>.log`. Raises `ChildError`.

        It has a session of its own, so that Ctrl-C in the terminal reaches only the parent, which ends it in order.
        """
        log = self._directory / f"{name}.log"
        with log.open("ab") as output:
            try:
                process = psutil.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    env=None if env is None else dict(env),
                    cwd=cwd,
                    start_new_session=True,
                )
            except OSError as error:
                raise ChildError(f"{name} cannot be started: {error}") from error
        child = Child(name, process, log)
        self._children.append(child)
        remember(self._directory, {each.pid: each.name for each in self.children})
        return child

    def close(self, timeout_s: float = STOP_S) -> None:
        """Stop all children at once; after `timeout_s` they are killed."""
        stop_together(self.children, timeout_s)
        self._children.clear()
        forget(self._directory)


def free_ports(count: int) -> list[int]:
    """Loopback TCP ports that nobody listens on. They are free when found, not reserved."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def environment(*, without: str = "", **added: str) -> dict[str, str]:
    """The environment of this process, without the variables that begin with `without`, with `added` ones."""
    kept = {name: value for name, value in os.environ.items() if not (without and name.startswith(without))}
    return {**kept, **added}
