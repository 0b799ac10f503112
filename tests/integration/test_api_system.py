"""Status, health, readiness, metrics, and the API's description."""

from __future__ import annotations

import re

import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.fixtures.network import MEMBERS, reading, wait_until

pytestmark = pytest.mark.processes


async def test_all_members_show_one_root_and_no_alarm(network):
    answer = await network.submit_as_meters(reading(), "witnessed")

    async def calm():  # on a busy machine etcd may answer late once: the alarm `ordering` comes, and goes again
        heads = await network.agreed(answer["index"] + 1)
        return None if any(head["alarms"] for head in heads.values()) else heads

    heads = await wait_until(calm, "no node raises an alarm")
    assert len({(head["height"], head["root"], head["size"]) for head in heads.values()}) == 1
    for member, head in heads.items():
        assert (head["member"], head["state"], head["alarms"]) == (member, "running", [])
        assert (head["network"], head["channel"], head["epoch"]) == ("demo", "main", 1)
        assert len(bytes.fromhex(head["policy_set"])) == 32

    async def seen():
        peers = (await network.status("suncoop"))["peers"]
        return set(peers) == set(MEMBERS) - {"suncoop"} and all(
            peer["size"] > answer["index"] for peer in peers.values()
        )

    await wait_until(seen, "suncoop knows how far the others are")


async def test_the_node_checks_its_own_ledger(network):
    height = (await network.submit_as_meters(reading()))["height"]

    async def checked():
        return (await network.status("suncoop"))["checked_height"] >= height

    await wait_until(checked, "the self-check has passed the block")


async def test_health_and_readiness_need_no_token(network):
    for member in MEMBERS:
        client = await network.client("", at=member)
        assert (await client.get("/healthz")).json() == {"status": "ok"}
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()) == (200, {"status": "ready"})


# --- metrics -------------------------------------------------------------------------------------------------


async def metrics(network, member):
    response = await (await network.client("", at=member)).get("/metrics")
    assert response.status_code == 200
    assert response.headers["content-type"].startswith("text/plain")
    samples = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            samples[sample.name, *sorted(sample.labels.items())] = sample.value
    return response.text, samples


async def test_metrics_move_with_a_record(network):
    answer = await network.submit_as_meters(reading())
    _, before = await metrics(network, "suncoop")
    for _ in range(3):
        answer = await network.submit_as_meters(reading(), "witnessed")
    _, after = await metrics(network, "suncoop")
    assert after["consortium_height",] >= answer["height"] > before["consortium_height",]
    assert after["consortium_tree_size",] == answer["index"] + 1 == before["consortium_tree_size",] + 3
    assert not [name for name, *_ in after if "held" in name], "read block by block it would tell who trades with whom"
    for name in ("order_seconds", "apply_seconds", "batch_records"):
        assert after[f"consortium_{name}_count",] >= before[f"consortium_{name}_count",] + 3, name
        assert after[f"consortium_{name}_sum",] > before[f"consortium_{name}_sum",], name


async def test_metrics_tell_of_lag_log_peers_and_tampering(network):
    answer = await network.submit_as_meters(reading(), "witnessed")

    async def told():
        _, now = await metrics(network, "regulator")
        others = [(("member", member),) for member in MEMBERS if member != "regulator"]
        return (
            all(now.get(("consortium_peer_height", *other), 0) >= answer["height"] for other in others)
            and sum(now.get(("consortium_peer_checkpoint_size", *other), 0) > answer["index"] for other in others) >= 2
            and now["consortium_witnessed_size",] > answer["index"]
            and now["consortium_log_up",] == 1
            and now["consortium_log_lag",] <= 5
            and 0 < now["consortium_log_used_ratio",] < 0.5
        )

    await wait_until(told, "the regulator's metrics tell of its peers and the log")
    text, now = await metrics(network, "regulator")
    assert now["consortium_tampering",] == 0
    assert now["consortium_backlog",] == 0
    assert now["consortium_policy_errors",] == 0
    for name in ("rejected_records", "refused_batches", "commitment_mismatches"):
        assert f"# TYPE consortium_{name}_total counter" in text


async def test_metrics_name_no_user_and_no_record(network):
    record = reading("home-02@suncoop")
    await network.submit_as_meters(record)
    await (await network.client("home-02")).get(f"/v1/records/{record['id']}")
    for member in MEMBERS:
        text, _ = await metrics(network, member)
        assert "home-" not in text
        assert "staff" not in text
        assert not re.search(r"[0-9a-f]{32}", text)


# --- OpenAPI -------------------------------------------------------------------------------------------------

PUBLIC = {"/healthz", "/readyz", "/metrics", "/v1/log/checkpoint", "/v1/log/trust", "/v1/log/tile/{level}/{path}"}
PROBLEMS = "application/problem+json"


@pytest.fixture(scope="module")
async def described(network):
    return (await (await network.client("", at="gridco")).get("/openapi.json")).json()


def operations(described):
    for path, item in described["paths"].items():
        for method, operation in item.items():
            yield f"{method.upper()} {path}", path, operation


def resolved(described, schema):
    while "$ref" in schema:
        found = described
        for part in schema["$ref"].removeprefix("#/").split("/"):
            found = found[part]
        schema = found
    return schema


def refs(value):
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        for inner in value.values():
            yield from refs(inner)
    elif isinstance(value, list):
        for inner in value:
            yield from refs(inner)


def has_example(described, content):
    if content.get("example") is not None or content.get("examples"):
        return True
    schema = resolved(described, content["schema"])
    fields = schema.get("properties", {})
    if schema.get("examples"):
        return True
    return bool(fields) and all("examples" in resolved(described, field) for field in fields.values())


def test_every_reference_in_the_description_leads_somewhere(described):
    found = set(refs(described))
    assert found
    for ref in found:
        assert resolved(described, {"$ref": ref})
    assert "HTTPValidationError" not in described["components"]["schemas"]


def test_the_description_covers_the_api(described):
    assert described["openapi"].startswith("3.")
    names = {name for name, _, _ in operations(described)}
    assert names == {
        "POST /v1/records",
        "GET /v1/records",
        "POST /v1/records/stream",
        "GET /v1/records/{id}",
        "GET /v1/records/{id}/header",
        "GET /v1/records/{id}/receipt",
        "POST /v1/orders",
        "GET /v1/orders",
        "POST /v1/contracts",
        "GET /v1/contracts",
        "POST /v1/contracts/{id}/steps",
        "POST /v1/prices",
        "POST /v1/deposits",
        "POST /v1/calls",
        "POST /v1/complaints",
        "GET /v1/me/summary",
        "GET /v1/me/forecast",
        "GET /v1/positions",
        "GET /v1/readings",
        "GET /v1/invoices",
        "GET /v1/certificates",
        "GET /v1/disputes",
        "GET /v1/contracts/{id}",
        "GET /v1/orders/{id}/proof",
        "GET /v1/wallet",
        "GET /v1/wallet/statement",
        "GET /v1/markets",
        "GET /v1/markets/{name}",
        "GET /v1/markets/{name}/results",
        "GET /v1/markets/{name}/sessions",
        "GET /v1/markets/{name}/sessions/{start}/book",
        "GET /v1/analytics/areas",
        "GET /v1/log/checkpoint",
        "GET /v1/log/trust",
        "GET /v1/log/tile/entries/{path}",
        "GET /v1/log/tile/{level}/{path}",
        "POST /v1/auth/login",
        "POST /v1/auth/challenge",
        "POST /v1/auth/answer",
        "POST /v1/auth/refresh",
        "POST /v1/auth/logout",
        "GET /v1/auth/jwks",
        "GET /v1/me/sessions",
        "DELETE /v1/me/sessions",
        "DELETE /v1/me/sessions/{id}",
        "POST /v1/me/second-factor",
        "POST /v1/me/second-factor/confirm",
        "POST /v1/me/second-factor/remove",
        "GET /v1/me/key",
        "PUT /v1/me/key",
        "POST /v1/me/key/challenge",
        "GET /v1/records/{id}/sealed",
        "GET /v1/node/keys",
        "POST /v1/node/keys/rotations",
        "POST /v1/node/keys/retirement",
        "GET /v1/accounts",
        "POST /v1/accounts",
        "POST /v1/accounts/{name}/confirm",
        "DELETE /v1/accounts/{name}/invitation",
        "POST /v1/accounts/{name}/disable",
        "POST /v1/accounts/{name}/enable",
        "PUT /v1/accounts/{name}/duties",
        "POST /v1/accounts/{name}/reset",
        "POST /v1/accounts/{name}/revoke",
        "POST /v1/auth/accept",
        "GET /v1/governance",
        "GET /v1/governance/proposals",
        "POST /v1/governance/proposals",
        "GET /v1/governance/proposals/{id}",
        "POST /v1/governance/ballots",
        "POST /v1/erasures",
        "GET /v1/erasures",
        "GET /v1/erasures/{id}",
        "POST /v1/grants",
        "GET /v1/grants",
        "GET /v1/grants/{grant}",
        "GET /v1/grants/{grant}/records",
        "GET /v1/grants/{grant}/records/{id}",
        "GET /v1/grants/{grant}/missing",
        "GET /v1/grants/{grant}/evidence",
        "GET /v1/me/accesses",
        "GET /v1/delegations",
        "POST /v1/delegations",
        "DELETE /v1/delegations/{id}",
        "GET /v1/policy/explain",
        "POST /v1/policy/diff",
        "GET /v1/status",
        "GET /healthz",
        "GET /readyz",
        "GET /metrics",
    }


def test_every_operation_is_described_with_examples(described):
    for name, _, operation in operations(described):
        assert operation["summary"], name
        assert operation["description"], name
        success = operation["responses"].get("200") or operation["responses"]["204"]
        assert success["description"], name
        for media, content in success.get("content", {}).items():
            assert has_example(described, content), (name, media)
        for parameter in operation.get("parameters", ()):
            assert parameter.get("description"), (name, parameter["name"])
        for media, content in operation.get("requestBody", {}).get("content", {}).items():
            assert has_example(described, content), (name, media)


def test_every_operation_names_its_problems(described):
    for name, path, operation in operations(described):
        answers = operation["responses"].items()
        problems = {status: response for status, response in answers if status not in ("200", "204")}
        assert "default" in problems, name
        for status, response in problems.items():
            assert set(response["content"]) == {PROBLEMS}, (name, status)
            content = response["content"][PROBLEMS]
            assert resolved(described, content["schema"])["title"] == "Problem"
            for example in content["examples"].values():
                assert example["value"]["type"].startswith("urn:consortium:problem:")
                assert status in ("default", str(example["value"]["status"]))
        if path not in PUBLIC and not path.startswith("/v1/auth"):
            assert "401" in problems, name
            assert operation["security"] == [{"HTTPBearer": []}], name


async def test_a_described_example_can_be_submitted(network, described):
    body = described["paths"]["/v1/records"]["post"]["requestBody"]["content"]["application/json"]
    answer = await network.submit("suncoop-meters", body["examples"]["reading"]["value"])
    promised = described["paths"]["/v1/records"]["post"]["responses"]["200"]["content"]["application/json"]["example"]
    assert set(answer) == set(promised)


async def test_described_fields_are_the_fields_that_come(network, described):
    record = reading()
    await network.submit_as_meters(record)
    home = await network.client("home-01")
    for path, actual in {
        "/v1/records/{id}": f"/v1/records/{record['id']}",
        "/v1/records/{id}/header": f"/v1/records/{record['id']}/header",
        "/v1/records": "/v1/records",
        "/v1/status": "/v1/status",
    }.items():
        content = described["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]
        assert set((await home.get(actual)).json()) == set(content["example"]), path
        assert set(resolved(described, content["schema"])["properties"]) >= set(content["example"]), path
