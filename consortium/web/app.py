"""The two FastAPI apps of a node: the API for callers, and the door for other members' nodes."""

from __future__ import annotations

from fastapi import FastAPI

from consortium.web import problems
from consortium.web.limits import BodyLimit
from consortium.web.routes import auth, log, peers, records, system
from consortium.web.services import Services

_ABOUT = """A member's node of the ledger. Every error is RFC 9457 `application/problem+json` with a stable `type`.

A refusal to read looks the same as "no such record"."""


def api(services: Services) -> FastAPI:
    """For users, staff, machines and auditors."""
    app = _app(services, title="consortium", description=_ABOUT)
    for part in (records.router, log.router, auth.router, system.router):
        app.include_router(part)
    return app


def peer_api(services: Services) -> FastAPI:
    """For other members' nodes; served with mutual TLS."""
    app = _app(services, title="consortium peers", docs_url=None, redoc_url=None, openapi_url=None)
    app.include_router(peers.router)
    return app


def _app(services: Services, **arguments: object) -> FastAPI:
    app = FastAPI(version="1", **arguments)  # type: ignore[arg-type]
    app.state.services = services
    app.add_middleware(BodyLimit)
    problems.install(app)
    return app
