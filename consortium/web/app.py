"""The two FastAPI apps of a node: the API for callers, and the door for other members' nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from consortium.web import examples, problems
from consortium.web.examples_models import MODELS
from consortium.web.gate import Gate
from consortium.web.limits import BodyLimit
from consortium.web.routes import (
    accesses,
    accounts,
    auth,
    erasure,
    governance,
    holdings,
    keys,
    log,
    markets,
    me,
    nodekeys,
    officer,
    own,
    peers,
    policy,
    records,
    system,
    trading,
)
from consortium.web.services import Services
from consortium.web.shortcut import Endpoint, QuickApi

_ABOUT = """A member's node of the ledger. Every error is RFC 9457 `application/problem+json` with a stable `type`.

A refusal to read looks the same as "no such record"."""
_REF = "#/components/schemas/{model}"


def api(services: Services) -> FastAPI:
    """For users, staff, machines, officers, administrators and services."""
    shortcuts = {"/v1/records": records.submit, "/v1/records/stream": records.submit_many}
    app = _app(services, shortcuts, title="consortium", description=_ABOUT)
    for part in (
        records,
        trading,
        me,
        holdings,
        markets,
        log,
        auth,
        own,
        keys,
        nodekeys,
        accounts,
        governance,
        erasure,
        officer,
        accesses,
        policy,
        system,
    ):
        app.include_router(part.router)
    app.openapi = lambda: _described(app)  # type: ignore[method-assign]
    return app


def peer_api(services: Services) -> FastAPI:
    """For other members' nodes; served with mutual TLS."""
    app = _app(services, {}, title="consortium peers", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(peers.router)
    return app


def _app(services: Services, shortcuts: Mapping[str, Endpoint], **arguments: object) -> FastAPI:
    app = QuickApi(services, shortcuts, version="1", redirect_slashes=False, **arguments)
    app.add_middleware(BodyLimit)

    def shut() -> str:
        return services.node.reads_shut()

    app.add_middleware(Gate, shut=shut)
    problems.install(app)  # last: what it adds goes around all else
    return app


def _described(app: FastAPI) -> dict[str, Any]:
    """The OpenAPI document, with the schemas that routes name but FastAPI does not find by itself."""
    if app.openapi_schema is None:
        found = get_openapi(title=app.title, version=app.version, description=app.description, routes=app.routes)
        schemas = found["components"]["schemas"]
        schemas["Problem"] = problems.Problem.model_json_schema(ref_template=_REF)
        schemas |= examples.schemas()
        for name, example in MODELS.items():
            schemas[name]["examples"] = [example]
        app.openapi_schema = found
    return app.openapi_schema
