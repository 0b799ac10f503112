"""Whoever adds a route says whether records leave by it: then it is compared with the ledger."""

from __future__ import annotations

import copy

from consortium.web.app import api
from tests.access_routes import OTHERS, PAYLOADS, unplaced


def test_every_route_stands_in_one_of_the_tables():
    described = api(None).openapi()
    assert unplaced(described) == []
    assert set(PAYLOADS) <= set(described["paths"])
    for line in OTHERS:
        assert line.split(" ")[1].removesuffix("*").rstrip("/") in " ".join(described["paths"]), line


def test_a_route_that_nobody_placed_is_seen():
    described = copy.deepcopy(api(None).openapi())
    described["paths"]["/v1/exports"] = {"get": {}}
    described["paths"]["/v1/records"]["delete"] = {}
    assert sorted(unplaced(described)) == ["DELETE /v1/records", "GET /v1/exports"]
