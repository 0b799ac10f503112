"""The vectors of public records, read by hand: CBOR of a map, nothing else."""

from __future__ import annotations

import json
from pathlib import Path

import cbor2
import pytest

from consortium.ledger.governance.terms import TERMS, terms_of
from consortium.model.public import BODIES, Proposal, parse_body

VECTORS = json.loads((Path(__file__).parent / "public.json").read_text("utf-8"))["bodies"]


def in_hex(value):
    """As the vectors write it."""
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, dict):
        return {key: in_hex(item) for key, item in value.items()}
    return [in_hex(item) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("vector", VECTORS, ids=lambda v: f"{v['kind']}-{v['body'].get('kind', '')}")
def test_a_body_is_the_map_of_its_fields(vector):
    raw = bytes.fromhex(vector["encoded"])
    fields = cbor2.loads(raw)
    assert fields.pop("v") == 1
    assert in_hex(fields) == vector["body"]
    body = parse_body(vector["kind"], raw)
    assert body.encoded() == raw
    if isinstance(body, Proposal):
        terms = terms_of(body)
        assert json.loads(json.dumps(in_hex(cbor2.loads(cbor2.dumps(terms.model_dump()))))) == vector["body"]["terms"]


def test_there_is_a_vector_of_each_kind():
    assert {v["kind"] for v in VECTORS} == set(BODIES)
    assert {v["body"]["kind"] for v in VECTORS if v["kind"] == "proposal"} == set(TERMS)
