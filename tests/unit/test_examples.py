"""The examples that the API's description shows of its models are ones that the models take."""

from __future__ import annotations

import json

import pytest
from pydantic import BaseModel

from consortium.web.examples_models import MODELS
from consortium.web.routes import accounts, erasure, governance, keys, nodekeys, officer, own, policy

ROUTES = (accounts, erasure, governance, keys, nodekeys, officer, own, policy)
CLASSES = {
    name: value
    for module in ROUTES
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, BaseModel)
}


@pytest.mark.parametrize("name", MODELS)
def test_an_example_fits_its_model(name):
    assert CLASSES[name].model_validate_json(json.dumps(MODELS[name]))
