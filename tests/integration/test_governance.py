"""Votes over the API of a running consortium: who may, what is counted, and that every node decides alike."""

from __future__ import annotations

import httpx
import pytest

from consortium.adapters.policyfiles import read_policy_texts
from consortium.config import POLICIES
from consortium.crypto.receipts import parse_receipt, verify_receipt
from consortium.crypto.trust import parse_policy
from consortium.model.policyset import policy_set_digest
from tests.fixtures.network import ABSENT, MEMBERS, wait_until

LATER_MS = 4_000_000_000_000


async def propose(network, who: str, kind: str, terms: dict, status: int = 200, **more) -> dict:
    client = await network.client(who)
    response = await client.post("/v1/governance/proposals", json={"kind": kind, "terms": terms, **more})
    assert response.status_code == status, response.text
    return dict(response.json())


async def vote(network, who: str, proposal: str, *, yes: bool = True, status: int = 200) -> dict:
    client = await network.client(who)

    async def voted() -> httpx.Response | None:
        """Not before the proposal has reached the member's node."""
        answer = await client.post("/v1/governance/ballots", json={"proposal": proposal, "yes": yes})
        return None if answer.status_code == 404 and status != 404 else answer

    response = await wait_until(voted, "the proposal is known")
    assert response.status_code == status, response.text
    return dict(response.json())


async def decided(network, proposal: str) -> dict[str, dict]:
    """The proposal as every node tells it, once it is decided everywhere."""

    async def found() -> dict[str, dict] | None:
        told = {}
        for member in MEMBERS:
            client = await network.client(f"{member}-admin")
            told[member] = (await client.get(f"/v1/governance/proposals/{proposal}")).json()
        return told if all(one.get("state", "open") != "open" for one in told.values()) else None

    return await wait_until(found, "every node has counted")


async def now(network, member: str) -> dict:
    client = await network.client(f"{member}-admin")
    response = await client.get("/v1/governance")
    assert response.status_code == 200, response.text
    return dict(response.json())


async def settings(network, member: str = "gridco") -> dict:
    return (await now(network, member))["settings"]


async def test_two_of_three_change_a_setting_for_everybody(network):
    before = await settings(network)
    wanted = {**before, "acknowledgement_s": before["acknowledgement_s"] + 1}
    made = await propose(network, "gridco-admin", "change-settings", {"settings": wanted}, reason="a test")
    shown = (await (await network.client("suncoop-admin")).get(f"/v1/governance/proposals/{made['id']}")).json()
    assert (shown["state"], shown["needed"]) == ("open", 2)
    assert any(line.startswith("setting acknowledgement_s:") for line in shown["changes"])
    assert (await vote(network, "gridco-admin", made["id"]))["state"] == "accepted"
    assert await settings(network) == before
    again = await vote(network, "gridco-admin", made["id"])
    assert (again["state"], again["reason"]) == ("rejected", "already-done")
    refused = await vote(network, "regulator-admin", made["id"])
    assert (refused["state"], refused["reason"]) == ("rejected", "not-entitled")
    await vote(network, "cityretail-admin", made["id"])
    told = await decided(network, made["id"])
    assert {(one["state"], one["decided"]) for one in told.values()} == {("passed", told["gridco"]["decided"])}
    for member in MEMBERS:
        assert await settings(network, member) == wanted


async def test_what_was_decided_is_known_after_a_restart(network):
    before = await now(network, "suncoop")
    await network.restart_node("suncoop")
    after = await now(network, "suncoop")
    assert {name: after[name] for name in ("members", "rules", "settings", "policy_set", "grants")} == {
        name: before[name] for name in ("members", "rules", "settings", "policy_set", "grants")
    }


@pytest.mark.parametrize("who", ["home-01", "suncoop-staff", "suncoop-meters", "regulator-officer"])
async def test_only_administrators_propose_and_vote(network, who):
    body = await propose(network, who, "remove-member", {"name": "gridco"}, 403)
    assert "gridco" not in body["detail"]
    await vote(network, who, ABSENT, status=403)


async def test_everybodys_people_see_what_the_members_decide(network):
    for who in ("home-01", "suncoop-staff", "regulator-officer"):
        response = await (await network.client(who)).get("/v1/governance/proposals")
        assert response.status_code == 200, response.text


@pytest.mark.parametrize(
    ("kind", "terms", "field"),
    [
        ("declare-war", {}, "kind"),
        ("remove-member", {}, "terms.name"),
        ("remove-member", {"name": "gridco", "more": 1}, "terms"),
        ("end-grant", {"grant": "zz"}, "terms.grant"),
        ("change-policies", {"policy_schema": "entity User;", "texts": {"a.cedar": "permit"}}, "terms.texts"),
    ],
)
async def test_what_makes_no_sense_is_refused_before_it_is_published(network, kind, terms, field):
    body = await propose(network, "gridco-admin", kind, terms, 422)
    assert body["field"] == field


async def test_a_proposal_that_does_not_exist(network):
    await vote(network, "gridco-admin", ABSENT, status=404)
    response = await (await network.client("home-01")).get(f"/v1/governance/proposals/{ABSENT}")
    assert response.status_code == 404


async def test_the_policy_set_is_the_one_that_was_voted_for(network):
    """Another set by vote, in force on every node, after a restart too; and back."""
    schema, texts = read_policy_texts(POLICIES)
    digest = policy_set_digest(schema, texts).hex()
    assert (await network.status("suncoop"))["policy_set"] == digest
    strict = {
        **texts,
        "strict.cedar": '@id("strict-no-lists")\n@says("For this test no user lists records.")\n'
        'forbid (principal is User, action == Action::"listRecords", resource);',
    }
    home = await network.client("home-01")
    assert (await home.get("/v1/records")).status_code == 200
    await change_policies(network, schema, strict)
    assert (await home.get("/v1/records")).status_code == 403
    await network.restart_node("suncoop")
    assert (await home.get("/v1/records")).status_code == 403
    await change_policies(network, schema, texts)
    assert (await home.get("/v1/records")).status_code == 200


async def change_policies(network, schema: str, texts: dict[str, str]) -> None:
    made = await propose(network, "gridco-admin", "change-policies", {"policy_schema": schema, "texts": texts})
    for who in ("gridco-admin", "suncoop-admin"):
        await vote(network, who, made["id"])
    await decided(network, made["id"])
    wanted = policy_set_digest(schema, texts).hex()

    async def everywhere() -> bool:
        return {(await network.status(member))["policy_set"] for member in MEMBERS} == {wanted}

    await wait_until(everywhere, "every node decides by the new set")


async def test_a_proposal_is_provable_like_any_record(network):
    made = await propose(
        network, "gridco-admin", "legal-hold", {"scope": SCOPE, "reference": "test"}, reason="provable"
    )
    response = await (await network.client("gridco-admin")).get(f"/v1/records/{made['id']}/header")
    assert response.status_code == 200, response.text
    header = bytes.fromhex(response.json()["header"])
    assert b"provable" in header
    assert response.json()["kind"] == "proposal"
    proof = await (await network.client("gridco-admin")).get(f"/v1/records/{made['id']}/receipt")
    assert proof.status_code == 200, proof.text
    policy = parse_policy(network.net.trust_file.read_text("utf-8"))
    assert verify_receipt(parse_receipt(proof.text), policy).header.encoded() == header


SCOPE = {"types": ["reading"], "parties": [], "areas": [], "from_ms": 0, "to_ms": 1, "groups": ["physical"]}
