"""Why somebody may read something, and what another policy set would change: told to administrators, and no payload."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import httpx
import pytest
from fastapi import FastAPI
from typer.testing import CliRunner

from consortium.adapters.policyfiles import read_policy_texts
from consortium.cli import policy as cli
from consortium.cli.main import app as consortium
from consortium.energy.field_groups import GROUPS, WHOLE, group_of
from consortium.metrics import Metrics
from consortium.model.names import Party
from consortium.node import Node
from consortium.pipeline.explaining import Explainer
from consortium.policy.engine import PolicyEngine
from consortium.ports.accounts import Account
from consortium.ports.party import Count
from consortium.web import problems
from consortium.web.routes import policy, records
from tests.callers import MemoryAccounts
from tests.story import BUYER, START, Story, Tokens, asker
from tests.unit.test_policy import OVERFLOW

FOLDER = Path(__file__).parents[2] / "policies"
SCHEMA, TEXTS = read_policy_texts(FOLDER)
ROOT = "administrator:root"
PEOPLE = (
    Account("ann", "staff", duties=frozenset({"billing"})),
    Account("bob", "staff", duties=frozenset({"metering"})),
    Account("cyd", "staff", duties=frozenset({"metering"})),
    Account("old", "staff", duties=frozenset({"metering"}), disabled=True),
    Account("ops", "staff", duties=frozenset({"operations"})),
    Account("root", "administrator"),
    Account("home-09", "user"),
    Account("home-10", "user"),
)
MORE = '@id("new") permit (principal is Staff, action == Action::"readRecord", resource is Record) when {\n'
MORE += ' principal.duties.contains("metering") && resource.readers.contains(principal.member) && '
MORE += 'resource.type == "contract" && context.group == "terms" };'


@pytest.fixture(scope="module")
def node():
    story = Story()
    node = story.world.nodes["cityretail"]
    node.story = story

    async def census():
        found = {}
        for _, lines in node.rows:
            for tag, (type, _) in lines.items():
                found[tag, type] = found.get((tag, type), 0) + 1
        return [Count(*key, number) for key, number in found.items()]

    node.census = census
    node.explainer = Explainer(
        "cityretail", node.access, node.opener, MemoryAccounts(*PEOPLE), node, node, frozenset, lambda: START
    )
    return node


@pytest.fixture
def client(node):
    app = FastAPI()
    app.state.services = SimpleNamespace(explainer=node.explainer, reader=node.reader, verifier=Tokens("cityretail"))
    for part in (policy, records):
        app.include_router(part.router)
    problems.install(app)

    async def ask(method, path, who=ROOT, **given):
        headers = {"authorization": f"Bearer {who}"}
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://node", headers=headers) as http:
            return await http.request(method, path, **given)

    return ask


async def explain(client, person, id, who=ROOT):
    return await client("GET", "/v1/policy/explain", who, params={"person": person, "record": id})


async def test_it_says_which_policy_decided_at_which_policy_set_and_height(client, node):
    node.access.height = 7
    found = (await explain(client, "ann@cityretail", node.story.supply.hex())).json()
    assert (found["kind"], found["duties"], found["permitted"]) == ("staff", ["billing"], sorted(GROUPS))
    assert (found["policy_set"], found["height"]) == (node.access.policy_set.hex(), 7)
    (by,) = found["decisions"][0]["policies"]
    assert (by["id"], by["file"]) == ("billing-reads-what-is-billed", "staff.cedar")
    assert by["says"].startswith("Billing staff see")
    some = (await explain(client, "bob@cityretail", node.story.supply.hex())).json()
    assert some["permitted"] == ["physical"]
    assert {row["group"]: len(row["policies"]) for row in some["decisions"]} == {
        "identity": 0,
        "money": 0,
        "physical": 1,
        "terms": 0,
    }


@pytest.mark.parametrize("person", ["ops", "root", "home-10", "bob"])
async def test_what_the_person_cannot_learn_is_not_told(client, node, person):
    """Whoever may read nothing of a record is answered for as if there were none."""
    hidden = node.story.bid.hex()
    told = (await explain(client, f"{person}@cityretail", hidden)).json()
    absent = (await explain(client, f"{person}@cityretail", "0" * 32)).json()
    assert (told.pop("record"), absent.pop("record")) == (hidden, "0" * 32)
    assert told == absent
    assert told["why"] == "no policy lets this person read it, or there is no such record"
    assert (told["permitted"], told["decisions"]) == ([], [])


async def test_what_it_says_is_what_reading_gives(client, node):
    for held, _ in node.rows:
        for account in PEOPLE:
            if account.disabled:
                continue
            found = (await explain(client, f"{account.name}@cityretail", held.id.hex())).json()
            role = "+".join([account.kind, *sorted(account.duties)])
            read = await client("GET", f"/v1/records/{held.id.hex()}", f"{role}:{account.name}")
            if read.status_code == 200:
                assert set(found["permitted"]) - {"identity"}
            assert read.status_code == 200 or not found["permitted"] or no_section(node, held, account, found)


def no_section(node, held, account, found):
    """Nothing to show although some group is permitted: the party's wrap has no key to a section of these groups."""
    party = Party("cityretail", account.name if account.kind == "user" else "")
    whole = node.opener.open_for(held, party, WHOLE)
    kind = next(kind for other, lines in node.rows if other is held for kind, _ in lines.values())
    keys = {group_of(kind, number) for number, text in enumerate(whole.sections) if text is not None}
    return not keys & set(found["permitted"])


@pytest.mark.parametrize("who", ["staff:ann", "user:home-09", "officer:x", "machine:m", "service:s"])
async def test_only_administrators_ask(client, node, who):
    for answer in (
        await explain(client, "ann@cityretail", node.story.supply.hex(), who),
        await client("POST", "/v1/policy/diff", who, json=sets(TEXTS, TEXTS)),
    ):
        assert (answer.status_code, answer.json()["detail"]) == (
            403,
            "your role does not let you ask about decisions here",
        )


@pytest.mark.parametrize(
    ("person", "status"),
    [("nobody@cityretail", 404), ("ann@gridco", 404), ("cityretail", 404), ("", 422), ("A n n", 422)],
)
async def test_a_person_of_another_member_and_nobody_are_one_answer(client, node, person, status):
    answer = await explain(client, person, node.story.supply.hex())
    assert answer.status_code == status
    assert status == 422 or answer.json()["detail"] == "no such account"


# --- comparing ---------------------------------------------------------------------------------------------------


def sets(old, new, schema=SCHEMA):
    return {"old": {"schema": SCHEMA, "texts": old}, "new": {"schema": schema, "texts": new}}


async def test_a_difference_counts_who_gains_and_who_loses(client, node):
    contracts = sum(lines.get(node.opener.tag(Party("cityretail")), ("",))[0] == "contract" for _, lines in node.rows)
    rows = (await client("POST", "/v1/policy/diff", json=sets(TEXTS, {**TEXTS, "z.cedar": MORE}))).json()["rows"]
    gained = {"role": "staff: metering", "type": "contract", "group": "terms", "before": 0, "after": 2, "gain": 2}
    assert rows == [{**gained, "lose": 0, "records": 2 * contracts}]
    back = (await client("POST", "/v1/policy/diff", json=sets({**TEXTS, "z.cedar": MORE}, TEXTS))).json()["rows"]
    assert [(row["before"], row["after"], row["gain"], row["lose"]) for row in back] == [(2, 0, 0, 2)]
    assert (await client("POST", "/v1/policy/diff", json=sets(TEXTS, TEXTS))).json()["rows"] == []


async def test_a_set_that_shuts_everything_takes_everything_from_everybody(client, node):
    shut = {"x.cedar": '@id("shut") forbid (principal, action, resource);'}
    rows = (await client("POST", "/v1/policy/diff", json=sets(TEXTS, shut))).json()["rows"]
    assert {row["role"] for row in rows} == {"staff: billing", "staff: metering", "user"}
    assert {(row["after"], row["gain"]) for row in rows} == {(0, 0)}
    assert all(row["lose"] == row["before"] for row in rows)
    assert "home-" not in json.dumps(rows)
    # Asking changed nothing.
    assert (await client("GET", f"/v1/records/{node.story.supply.hex()}", f"user:{BUYER[:7]}")).status_code == 200


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (sets(TEXTS, {"x.cedar": "permit ("}), "new"),
        (sets(TEXTS, {}), "new"),
        (sets(TEXTS, TEXTS, schema="entity ;"), "new"),
        (sets({"x.cedar": " " * 300_000}, TEXTS), "old"),
        ({"old": {"schema": SCHEMA, "texts": {}}}, "new"),
        ({**sets(TEXTS, TEXTS), "more": 1}, ""),
    ],
)
async def test_what_is_no_policy_set_is_refused_by_its_name(client, body, said):
    answer = await client("POST", "/v1/policy/diff", json=body)
    assert answer.status_code == 422
    assert said in answer.json().get("field", "")


# --- the command -------------------------------------------------------------------------------------------------

RUN = CliRunner()


def test_the_command_checks_a_folder_and_runs_its_examples(tmp_path):
    assert RUN.invoke(consortium, ["policy", "check", str(FOLDER)]).exit_code == 0
    tested = RUN.invoke(consortium, ["policy", "test", str(FOLDER)])
    assert tested.exit_code == 0
    assert "examples hold" in tested.output
    for name, text in {"consortium.cedarschema": SCHEMA, **TEXTS}.items():
        (tmp_path / name).write_text(text)
    assert RUN.invoke(consortium, ["policy", "test", str(tmp_path)]).exit_code == 3  # no examples
    (tmp_path / "examples").mkdir()
    (tmp_path / "examples" / "wrong.toml").write_text(
        '[[example]]\nsays = "Staff read."\nallow = true\nwho = { kind = "staff" }\naction = "readRecord"\n'
        'record = { type = "reading", relation = "party", group = "physical" }\n'
    )
    wrong = RUN.invoke(consortium, ["policy", "test", str(tmp_path)])
    assert wrong.exit_code == 1
    assert "Staff read." in wrong.output
    assert "0 of 1" in wrong.output
    (tmp_path / "broken.cedar").write_text("permit (")
    assert RUN.invoke(consortium, ["policy", "check", str(tmp_path)]).exit_code == 3


async def test_the_command_shows_why_and_what_would_change(client, node, tmp_path, monkeypatch):
    given = {"GET": (await explain(client, "bob@cityretail", node.story.supply.hex())).json()}
    given["POST"] = (await client("POST", "/v1/policy/diff", json=sets(TEXTS, {**TEXTS, "z.cedar": MORE}))).json()
    monkeypatch.setattr(
        cli,
        "Client",
        lambda url: SimpleNamespace(
            json=lambda *_, **__: given["GET"], request=lambda *_, **__: SimpleNamespace(json=lambda: given["POST"])
        ),
    )
    args = ["policy", "explain", "--url", "x", "--person", "bob@cityretail", "--record", "00"]
    shown = RUN.invoke(consortium, args, env={"COLUMNS": "200"}).output
    assert "metering-reads-volumes" in shown
    assert "no policy permits it" in shown
    table = RUN.invoke(consortium, ["policy", "diff", str(FOLDER), str(FOLDER), "--url", "x"]).output
    assert "staff: metering" in table


# --- failing policies --------------------------------------------------------------------------------------------


async def test_a_policy_that_fails_in_evaluation_denies_and_shows_in_the_metrics():
    story = Story()
    world_node = story.world.nodes["cityretail"]
    node = Node("cityretail", Metrics(), None, 1.0)
    listening = SimpleNamespace(listen=lambda _: None, observe=None, metrics=SimpleNamespace(batch=None))
    node.attach(SimpleNamespace(applier=listening, orderer=listening, access=world_node.access))

    def errors():
        return node.metrics.registry.get_sample_value("consortium_policy_errors")

    assert errors() == 0
    broken = {**TEXTS, "z.cedar": f'@id("z") forbid (principal, action, resource) when {{ {OVERFLOW} }};'}
    world_node.access.replace(PolicyEngine(SCHEMA, broken), 5)
    ask = asker(story)
    for who in (f"user:{BUYER}", "staff:ann@cityretail"):
        assert (await ask(who, f"/v1/records/{story.supply.hex()}")).status_code == 404
        assert (await ask(who, "/v1/contracts")).status_code == 403
    assert errors() >= 4
