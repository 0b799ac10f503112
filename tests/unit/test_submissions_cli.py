"""The commands that bring something send what the API takes; and how a body becomes a submission."""

from __future__ import annotations

import json
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner

from consortium.cli import bringing
from consortium.cli.main import app
from consortium.energy import catalogue
from consortium.energy.catalogue import TYPES
from consortium.errors import InvalidRequest, PayloadTooLarge
from consortium.web.submissions import MAX_RECORD_BYTES, parse_data

ID = "0123456789abcdef0123456789abcdef"
NOW = 1_900_000_000_000
ORDER = "order submit --market local --start 2017-06-15T10:00:00-08:00 --side ask --wh 500 --currency USD"
COMMANDS = {
    # command: path, type, fields that it says
    f"{ORDER} --price -5 --owner home-01@suncoop --id {ID}": (
        "/v1/orders",
        "order",
        {"price_micro_per_wh": -5, "side": "ask", "owner": "home-01@suncoop", "id": ID},
    ),
    "contract propose FILE:contract": ("/v1/contracts", "contract", {"kind": "supply"}),
    f"contract countersign {ID} --by gridco": (f"/v1/contracts/{ID}/steps", "contract-step", {"step": "countersigned"}),
    f"contract suspend {ID} --by gridco --party suncoop --reason late": (
        f"/v1/contracts/{ID}/steps",
        "contract-step",
        {"step": "suspended", "party": "suncoop", "reason": "late"},
    ),
    f"contract resume {ID} --by gridco": (f"/v1/contracts/{ID}/steps", "contract-step", {"step": "resumed"}),
    f"contract end {ID} --by gridco --effective 2018-01-01T00:00:00Z": (
        f"/v1/contracts/{ID}/steps",
        "contract-step",
        {"step": "ended", "effective": "2018-01-01T00:00:00Z"},
    ),
    "market prices FILE:prices": ("/v1/prices", "prices", {"series": "wholesale"}),
    "wallet deposit --agent gridco --account wholesale --owner gridco --amount -7 --currency USD": (
        "/v1/deposits",
        "deposit",
        {"amount": -7, "owner": "gridco"},
    ),
}


@pytest.fixture
def sent(monkeypatch):
    calls = []

    def client(_url):
        def request(method, path, *, json, params):
            calls.append((method, path, json, params))
            return SimpleNamespace(text="{}")

        return SimpleNamespace(request=request)

    monkeypatch.setattr(bringing, "Client", client)
    return calls


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_sends_what_the_api_takes(sent, tmp_path, command):
    path, type, said = COMMANDS[command]
    words = []
    for word in command.split():
        if word.startswith("FILE:"):
            file = tmp_path / "data.json"
            file.write_text(json.dumps(TYPES[type].model_config["json_schema_extra"]["examples"][0]))
            word = str(file)
        words.append(word)
    result = CliRunner().invoke(app, [*words, "--url", "http://127.0.0.1:1"])
    assert result.exit_code == 0, result.output
    ((method, where, body, params),) = sent
    assert (method, where, params["wait"]) == ("POST", path, "applied")
    assert body.items() >= said.items()
    given = {"contract": ID} if type == "contract-step" else {}
    submission = parse_data(type, json.dumps(body).encode(), **given)
    catalogue.parse(submission.type, submission.data).check(NOW)


def test_a_file_that_is_no_object_is_refused(sent, tmp_path):
    for text in ("[]", "{"):
        file = tmp_path / "data.json"
        file.write_text(text)
        assert CliRunner().invoke(app, ["market", "prices", str(file), "--url", "x"]).exit_code == 2
    assert CliRunner().invoke(app, ["market", "prices", str(tmp_path / "none"), "--url", "x"]).exit_code == 2
    assert not sent


def test_the_data_and_an_id_make_a_submission():
    made = parse_data("call", json.dumps({"id": ID, "wh": 5}).encode(), contract=ID)
    assert (made.id, made.type, made.data) == (bytes.fromhex(ID), "call", {"wh": 5, "contract": ID})
    assert parse_data("call", b"{}").id is None


@pytest.mark.parametrize(
    ("body", "field"),
    [(b"", ""), (b"[]", ""), (b"{", ""), (b'{"id": 7}', "id"), (b'{"id": "A"}', "id"), (b'{"contract": "x"}', "data")],
)
def test_a_body_that_makes_no_submission_is_refused(body, field):
    with pytest.raises(InvalidRequest) as caught:
        parse_data("contract-step", body, contract=ID)
    assert caught.value.field == field


def test_a_body_is_bounded():
    with pytest.raises(PayloadTooLarge):
        parse_data("order", b" " * (MAX_RECORD_BYTES + 1))
