"""Keep-alive GETs that cost next to nothing, each with its time: what is measured shall be the node's own."""

from __future__ import annotations

import http.client
import json
import math
from collections.abc import Sequence
from time import perf_counter
from typing import Any, Self

from consortium.client.dpop import headers
from consortium.devnet.network import Devnet, NodeHandle
from consortium.errors import OperatorError

_PATIENCE_S = 60.0


class Asker:
    """One account at its own member's node, one request at a time; `times` are the seconds of its good answers.

    It blocks: run it in a thread of its own.
    """

    def __init__(self, net: Devnet, node: NodeHandle, token: str) -> None:
        self._url = node.url
        self._token = token
        self._key = net.dpop_keys.get(token)
        self._http = http.client.HTTPConnection("127.0.0.1", node.port, timeout=_PATIENCE_S)
        self.times: list[float] = []

    def __enter__(self) -> Self:
        self._http.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.close()

    def get(self, path: str) -> dict[str, Any]:
        """The JSON of the answer, decoded off the clock. Raises `OperatorError` for any other than 200."""
        proved = dict(headers(self._token, self._key, "GET", self._url + path))
        began = perf_counter()
        self._http.request("GET", path, headers=proved)
        response = self._http.getresponse()
        body = response.read()
        self.times.append(perf_counter() - began)
        if response.status != 200:
            raise OperatorError(f"GET {path.partition('?')[0]}: {response.status} {body[:200]!r}")
        found: dict[str, Any] = json.loads(body)
        return found


def ms(times: Sequence[float], quantile: float) -> float:
    """A quantile of seconds, in milliseconds."""
    ordered = sorted(times)
    return ordered[max(0, math.ceil(quantile * len(ordered)) - 1)] * 1000
