"""The whole OpenAPI, fuzzed with each role's token (schemathesis): no 5xx, no undocumented status, type or body.

Examples are few and always the same (derandomized). Each example of an operation is sent in everybody's name; where a
path names a record, half of the examples name one that exists. The `default` answer of the document, which stands for
what nobody foresaw, does not count as documented here.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import secrets
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.core.failures import FailureGroup
from schemathesis.schemas import APIOperation
from schemathesis.specs.openapi import checks as openapi_checks

from consortium.bootstrap import open_stores
from consortium.client.dpop import DpopKey, headers
from consortium.devnet.network import Person
from consortium.devnet.network import _account as account_of
from consortium.errors import OperatorError
from consortium.ports.accounts import DUTIES
from tests.fixtures.network import ABSENT, Network, reading, wait_until

pytestmark = pytest.mark.processes

POSITIVE, NEGATIVE = 4, 3
"""Examples of each operation: well-formed ones and broken ones."""
CHECKS = [
    schemathesis.checks.not_a_server_error,
    openapi_checks.status_code_conformance,
    openapi_checks.content_type_conformance,
    openapi_checks.response_schema_conformance,
]
ROLES = (
    *((f"fuzz-{duty}", "staff", "suncoop", frozenset({duty})) for duty in sorted(DUTIES)),
    ("fuzz-operator", "staff", "gridco", frozenset({"trading"})),
    ("fuzz-grid", "staff", "gridco", frozenset({"metering"})),
    ("fuzz-machine", "machine", "suncoop", frozenset()),
    ("fuzz-service", "service", "suncoop", frozenset()),
    ("fuzz-admin", "administrator", "suncoop", frozenset()),
    ("fuzz-officer", "officer", "regulator", frozenset()),
)


@schemathesis.serializer("application/x-ndjson")
def lines(_: Any, value: Any) -> bytes:
    """A stream of records: what schemathesis made up, on a line."""
    return value if isinstance(value, bytes) else json.dumps(value).encode() + b"\n"


class Auth(requests.auth.AuthBase):
    """A person's token on a request, with a proof for exactly that request where the token is bound to a key."""

    def __init__(self, token: str, key: DpopKey | None) -> None:
        self._token, self._key = token, key

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers.update(headers(self._token, self._key, str(request.method), str(request.url)))
        return request


@dataclass(slots=True)
class Caller:
    """Somebody at a node."""

    person: Person | None
    url: str
    session: requests.Session = field(default_factory=requests.Session)


@dataclass(slots=True)
class World:
    """Who calls, and which ids there are: a record of each caller's, one that no caller may read."""

    network: Network
    callers: Sequence[Caller]
    ids: Sequence[str]
    found: Counter[str] = field(default_factory=Counter)
    answers: Counter[tuple[str, int]] = field(default_factory=Counter)


async def people(network: Network) -> list[Person]:
    """Accounts of their own, so that whatever the fuzzing does to them (signing out, say) is done to nobody else."""
    made = [Person("fuzz-home", "user", "suncoop", password=secrets.token_urlsafe(18))]
    made += [Person(n, k, m, seed=secrets.token_bytes(32), duties=d) for n, k, m, d in ROLES]
    for person in made:
        async with open_stores(network.net.nodes[person.member].database_url) as stores:
            await stores.accounts.put_account(account_of(person))
    return made


async def sign_in(network: Network, caller: Caller) -> None:
    if caller.person is not None:
        token = await network.net.sign_in(caller.person)
        caller.session.auth = Auth(token, network.net.dpop_keys[token])


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def world(network: Network) -> AsyncIterator[World]:
    nobody = Caller(None, network.net.nodes["suncoop"].url)
    callers = [nobody, *(Caller(p, network.net.nodes[p.member].url) for p in await people(network))]
    for caller in callers:
        caller.session.trust_env = False
        await sign_in(network, caller)
    own = await network.submit_as_meters(reading("fuzz-home@suncoop"), "witnessed")
    other = await network.submit_as_meters(reading("home-09@cityretail"), "witnessed")
    yield World(network, callers, (own["id"], other["id"], ABSENT))
    await restored(network)


async def restored(network: Network) -> None:
    """Everybody as they were: the fuzzing's administrator may have shut or signed out whoever an example names."""
    for person in network.net.people:
        async with open_stores(network.net.nodes[person.member].database_url) as stores:
            await stores.accounts.put_account(account_of(person))
    for person in network.net.people:

        async def signed_in(person: Person = person) -> str | None:
            try:
                return await network.net.sign_in(person)
            except OperatorError:  # what a node knows of an account is some seconds old
                return None

        network.renew(person.name, await wait_until(signed_in, f"{person.name} signs in"))


def strict(described: dict[str, Any]) -> dict[str, Any]:
    """The document without its answers for whatever else happens."""
    for path in described["paths"].values():
        for operation in path.values():
            operation["responses"].pop("default", None)
    return described


def operations(described: dict[str, Any]) -> Iterator[APIOperation]:
    for result in schemathesis.openapi.from_dict(described).get_all_operations():
        yield result.ok()


async def test_no_role_gets_an_undocumented_answer(world: World):
    async with world.network.client_with("", "suncoop") as client:
        described = strict((await client.get("/openapi.json")).json())
    world.found.clear()
    for operation in operations(described):
        await asyncio.to_thread(fuzz, world, operation)
        for caller in world.callers:  # it may have signed itself out
            if caller.session.get(caller.url + "/v1/status").status_code == 401:
                await sign_in(world.network, caller)
    assert not world.found, "\n".join(f"{count} x {what}" for what, count in sorted(world.found.items()))
    for caller in world.callers:  # the examples are not all refused at the door
        assert world.answers[name(caller), 200] > 5, name(caller)


async def test_an_undocumented_answer_would_be_found(world: World):
    async with world.network.client_with("", "suncoop") as client:
        described = strict((await client.get("/openapi.json")).json())
    path = "/v1/records/{id}/header"
    responses = described["paths"][path]["get"]["responses"]
    described["paths"] = {path: {"get": described["paths"][path]["get"]}}
    del responses["404"]
    responses["200"]["content"] = {"text/plain": {}}
    world.found.clear()
    for operation in operations(described):
        await asyncio.to_thread(fuzz, world, operation)
    found = "\n".join(world.found)
    assert "Undocumented status code" in found
    assert "Undocumented Content-Type" in found


def fuzz(world: World, operation: APIOperation) -> None:
    """Send some well-formed and some broken requests of an operation in everybody's name."""
    ids, numbers = itertools.cycle(world.ids), itertools.count()
    closed = bool(operation.definition.raw.get("security"))
    for mode, count in ((GenerationMode.POSITIVE, POSITIVE), (GenerationMode.NEGATIVE, NEGATIVE)):

        @settings(
            max_examples=count,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case) -> None:
            if "id" in case.path_parameters and next(numbers) % 2:
                case.path_parameters["id"] = next(ids)
            for caller in world.callers if closed else world.callers[:1]:
                check(world, caller, case)

        with suppress(Unsatisfiable):  # what takes no parameters cannot be asked wrongly
            send()


def name(caller: Caller) -> str:
    return caller.person.name if caller.person else "nobody"


def check(world: World, caller: Caller, case: schemathesis.Case) -> None:
    try:
        response = case.call(base_url=caller.url, session=caller.session, timeout=60)
    except requests.RequestException as error:
        world.found[f"{case.method} {case.path} by {name(caller)}: {type(error).__name__}: {case.query}"] += 1
        return
    world.answers[name(caller), response.status_code] += 1
    try:
        case.validate_response(response, checks=CHECKS)
    except FailureGroup as group:
        for failure in group.exceptions:
            what = f"{case.method} {case.path} by {name(caller)}: {response.status_code}: {failure}".replace("\n", " ")
            world.found[what[:400]] += 1
