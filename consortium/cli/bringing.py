"""How the commands that bring something send it: one record, one answer on standard output."""

from __future__ import annotations

import json
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from consortium.cli.client import Client
from consortium.errors import InvalidRequest

Url = Annotated[str, typer.Option(envvar="CONSORTIUM_URL", help="The node's URL.")]
Id = Annotated[
    str | None, typer.Option(help="A record id of your own, 32 hex digits: a second try with it brings nothing twice.")
]
Until = Annotated[str, typer.Option(help="What to wait for: ordered, applied or witnessed.")]
Timeout = Annotated[float, typer.Option(help="Time limit in seconds.")]
By = Annotated[str, typer.Option(envvar="CONSORTIUM_PARTY", help="In whose name, as member or user@member.")]


def bring(url: str, path: str, data: dict[str, Any], id: str | None, wait: str, timeout: float) -> None:
    """Send the data and print what became of it; what is None is left out. Raises as the client does."""
    body = {name: value for name, value in {"id": id, **data}.items() if value is not None}
    answer = Client(url).request("POST", path, json=body, params={"wait": wait, "timeout_s": timeout})
    typer.echo(answer.text)


def read_data(file: str) -> dict[str, Any]:
    """The JSON object in a file, or for - on standard input. Raises `InvalidRequest`."""
    try:
        data = json.loads(sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes())
    except OSError as error:
        raise InvalidRequest(f"cannot read {file}: {error.strerror}") from error
    except ValueError:
        raise InvalidRequest(f"{file} holds no JSON") from None
    if not isinstance(data, dict):
        raise InvalidRequest(f"{file} holds no JSON object")
    return data


def now() -> str:
    """The present in RFC 3339, whole seconds."""
    return datetime.now(UTC).isoformat(timespec="seconds")
