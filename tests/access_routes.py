"""Every route of the API by whether records that are about users leave by it.

A route that stands in neither table fails a test: whoever adds one says which it is, and how it is asked, so that what
leaves by it can be compared with the ledger.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Asked:
    """How a route is asked: what the path and the query get of the day at hand. With `own`
    only a user asks it about themself, with `officer` only an officer under a grant.
    """

    path: Mapping[str, str] = field(default_factory=dict)
    query: tuple[str, ...] = ()
    own: bool = False
    officer: bool = False


PERIOD = ("from", "to")
PAYLOADS: dict[str, Asked] = {
    "/v1/records": Asked(query=("limit",)),
    "/v1/records/{id}": Asked({"id": "record"}),
    "/v1/orders": Asked(query=PERIOD),
    "/v1/orders/{id}/proof": Asked({"id": "order"}),
    "/v1/contracts": Asked(query=("limit",)),
    "/v1/contracts/{id}": Asked({"id": "contract"}),
    "/v1/me/summary": Asked(query=PERIOD),
    "/v1/me/forecast": Asked(query=("start",)),
    "/v1/positions": Asked(query=PERIOD),
    "/v1/readings": Asked(query=PERIOD),
    "/v1/invoices": Asked(query=PERIOD),
    "/v1/certificates": Asked(query=PERIOD),
    "/v1/disputes": Asked(query=PERIOD),
    "/v1/wallet": Asked(query=("account",)),
    "/v1/wallet/statement": Asked(query=("account",)),
    "/v1/markets/{name}/sessions/{start}/book": Asked({"name": "market", "start": "session"}),
    "/v1/grants/{grant}/records": Asked({"grant": "grant"}, officer=True),
    "/v1/grants/{grant}/records/{id}": Asked({"grant": "grant", "id": "record"}, officer=True),
    "/v1/records/{id}/sealed": Asked(own=True),
    "/v1/me/accesses": Asked(own=True),
    "/v1/delegations": Asked(own=True),
}
"""GET routes by which opened records leave."""

OTHERS: dict[str, str] = {
    "POST /v1/records": "a submitter gets what became of it, nothing of what it holds",
    "POST /v1/records/stream": "as above",
    "POST /v1/orders": "as above",
    "POST /v1/contracts": "as above",
    "POST /v1/contracts/{id}/steps": "as above",
    "POST /v1/prices": "as above",
    "POST /v1/deposits": "as above",
    "POST /v1/calls": "as above",
    "POST /v1/complaints": "as above",
    "POST /v1/delegations": "as above",
    "DELETE /v1/delegations/{id}": "as above",
    "GET /v1/records/{id}/header": "public headers, which every node has",
    "GET /v1/records/{id}/receipt": "public headers and proofs",
    "GET /v1/log/*": "public",
    "GET /v1/markets": "a market's rules, in which no user stands",
    "GET /v1/markets/{name}": "as above",
    "GET /v1/markets/{name}/results": "price and volume of all together",
    "GET /v1/markets/{name}/sessions": "as above",
    "GET /v1/analytics/areas": "sums under the group rule",
    "POST /v1/grants": "public records",
    "GET /v1/grants": "public records",
    "GET /v1/grants/{grant}": "public records",
    "GET /v1/grants/{grant}/missing": "ids of records that nobody disclosed",
    "GET /v1/grants/{grant}/evidence": "votes, and ids and receipts of the officer's own access records",
    "* /v1/erasures": "public records",
    "* /v1/erasures/*": "public records",
    "* /v1/node/keys": "keys",
    "* /v1/node/keys/*": "keys",
    "* /v1/me/key": "keys",
    "* /v1/me/key/*": "keys",
    "* /v1/auth/*": "logins",
    "* /v1/me/sessions": "logins",
    "* /v1/me/sessions/{id}": "logins",
    "* /v1/me/second-factor": "logins",
    "* /v1/me/second-factor/*": "logins",
    "* /v1/accounts": "accounts, no records",
    "* /v1/accounts/*": "accounts, no records",
    "* /v1/governance": "public records",
    "* /v1/governance/*": "public records",
    "* /v1/policy/*": "decisions, no records",
    "GET /v1/status": "public",
    "GET /healthz": "public",
    "GET /readyz": "public",
    "GET /metrics": "public",
}
"""By "METHOD path" why nothing leaves by a route that a user would have to be told of; * for any method or end."""


def unplaced(described: Mapping[str, Any]) -> list[str]:
    """The routes of an OpenAPI document that stand in neither table."""
    routes = [(method.upper(), path) for path, methods in described["paths"].items() for method in methods]
    return [f"{method} {path}" for method, path in routes if not _placed(method, path)]


def _placed(method: str, path: str) -> bool:
    if method == "GET" and path in PAYLOADS:
        return True
    return any(_is(method, path, *line.split(" ")) for line in OTHERS)


def _is(method: str, path: str, wanted: str, pattern: str) -> bool:
    fits: Callable[[str], bool] = (
        (lambda text: text.startswith(pattern[:-1])) if pattern.endswith("/*") else (lambda text: text == pattern)
    )
    return wanted in ("*", method) and fits(path)
