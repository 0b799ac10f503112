"""The member's own keys: what the node holds, new ones, the end of old ones. For administrators; no secret leaves."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict

from consortium.errors import (
    ConfigurationError,
    DeadlineExceeded,
    Forbidden,
    IdConflict,
    InvalidRequest,
    KeysUnavailable,
    LogUnavailable,
    NotAuthenticated,
    NotReady,
    NotYet,
    StoreUnavailable,
)
from consortium.policy.requests import Action
from consortium.web import examples
from consortium.web.problems import documented
from consortium.web.reading import answer
from consortium.web.routes.records import Asking, Node
from consortium.web.submissions import answer_json

router = APIRouter(prefix="/v1/node/keys", tags=["keys"])
_FAILURES = documented(
    NotAuthenticated, Forbidden, InvalidRequest, IdConflict, ConfigurationError, KeysUnavailable, LogUnavailable,
    StoreUnavailable, NotReady, NotYet, DeadlineExceeded,
)  # fmt: skip
_KEYS = dict.fromkeys(("signing", "log", "witness", "token", "encryption"), "5f" * 32)
_HELD = {
    "generations": [{"state": "active", "since": 0, **_KEYS}], "storage": ["active"], "held": True, "retiring": False,
    "retire": "there are none",
}  # fmt: skip


class RotationIn(BaseModel):
    """What is to be new: the four keys that sign, the one that opens, all five, or the key for what is kept at rest."""

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)
    what: Literal["signing", "encryption", "all", "storage"]


@router.get("", summary="The member's keys", response_model=dict[str, Any],
            responses=examples.of(_HELD) | documented(NotAuthenticated, Forbidden, StoreUnavailable))  # fmt: skip
async def held(node: Node, asking: Asking) -> Response:
    """Public halves of all generations that the node holds, oldest first, each with the height from which on the ledger
    names it; the states of its storage keys; and what stands in the way of destroying old keys ('' if nothing).
    """
    node.access.require_action(asking, Action.MANAGE_KEYS, kind="read")
    return answer(await node.rekeyer.described())


@router.post("/rotations", summary="Rotate keys", response_model=dict[str, Any],
             responses=examples.of(examples.ANSWER) | _FAILURES)  # fmt: skip
async def rotate(body: Annotated[RotationIn, Body()], node: Node, asking: Asking) -> Response:
    """Makes new keys in the node's key file and names them on the ledger: in force with the next block, without a
    restart. A new storage key is in force at once; what is at rest is sealed anew in the background.
    """
    node.access.require_action(asking, Action.MANAGE_KEYS, kind=body.what)
    given = await node.rekeyer.rotate(body.what)
    if given is None:
        return answer(await node.rekeyer.described())
    return Response(answer_json(given), media_type="application/json")


@router.post("/retirement", summary="Destroy old keys", response_model=dict[str, Any],
             responses=examples.of(_HELD | {"retiring": True}) | _FAILURES)  # fmt: skip
async def retire(node: Node, asking: Asking) -> Response:
    """Wraps anew what only old keys open, then destroys these, in the background: `retiring` until it is done.

    409 with what stands in the way, as long as something does.
    """
    node.access.require_action(asking, Action.MANAGE_KEYS, kind="retire")
    await node.rekeyer.retire()
    return answer(await node.rekeyer.described())
