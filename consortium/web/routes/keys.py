"""Users who keep their own key: registering it, and getting records as they are sealed, to open them oneself."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict, Field

from consortium.energy.field_groups import TYPES
from consortium.errors import (
    DeadlineExceeded,
    Forbidden,
    InvalidRequest,
    NotAuthenticated,
    NotFound,
    NotReady,
    StoreUnavailable,
)
from consortium.model.names import parse_record_id
from consortium.ports.accounts import Account
from consortium.ports.callers import Caller
from consortium.web.callers import CallerDep
from consortium.web.problems import documented
from consortium.web.routes.own import Node
from consortium.web.routes.records import RecordId

router = APIRouter(prefix="/v1", tags=["me"])

_TIMEOUT_S = 30.0
_REFUSED: dict[int | str, dict[str, Any]] = documented(
    NotAuthenticated, Forbidden, InvalidRequest, NotReady, DeadlineExceeded, StoreUnavailable
)
Key = Annotated[str, Field(pattern="^[0-9a-f]{64}$", description="An X25519 public key, in hex.", examples=["00" * 32])]
Types = Annotated[
    list[Annotated[str, Field(pattern="^[a-z][a-z-]{0,30}[a-z]$")]],
    Field(max_length=32, description="Record types that the node may go on opening.", examples=[["reading"]]),
]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)


class OwnKeyOut(_Strict):
    """The key that one keeps; `key` is null while the node keeps it."""

    key: str | None
    mandate: Types
    sequence: Annotated[int, Field(description="Counts one's registrations; 0: there was none.", examples=[1])]
    since: datetime | None


class BoxRequest(_Strict):
    """The key to show possession of: the new one, or to go back to the node's the one of now."""

    key: Key


class BoxOut(_Strict):
    """A sealed box (libsodium's crypto_box_seal) of 32 bytes; good for two minutes and one answer."""

    box: Annotated[str, Field(examples=["00" * 80])]


class OwnKeyRequest(_Strict):
    """The key from now on, null for the node's, and the 32 bytes of the box."""

    key: Key | None
    mandate: Types = []
    answer: Annotated[str, Field(pattern="^[0-9a-f]{64}$", examples=["00" * 32])]
    code: Annotated[str, Field(max_length=32, description="Of the second factor, where there is one.")] = ""


class SealedOut(_Strict):
    """All in hex: what it takes to open a record with one's own key (docs/formats.md)."""

    header: str
    index: int
    bodies: Annotated[list[str], Field(description="The sections' ciphertexts.")]
    mask: Annotated[int, Field(description="Which sections' keys are there, by bit.")]
    sealed_keys: Annotated[str, Field(description="The content keys, in a box that only the own key opens.")]


@router.get("/me/key", summary="One's own encryption key", responses=_REFUSED)
async def own_key(asking: CallerDep, node: Node, response: Response) -> OwnKeyOut:
    """Which key records to oneself are sealed to, and what the node may open all the same."""
    response.headers["cache-control"] = "no-store"
    return _out(await node.own_keys.account(_user(asking).name))


@router.post("/me/key/challenge", summary="Ask for a box to open", responses=_REFUSED)
async def challenge(body: BoxRequest, asking: CallerDep, node: Node, response: Response) -> BoxOut:
    """Who opens it holds the private half."""
    response.headers["cache-control"] = "no-store"
    return BoxOut(box=node.possession.ask(_user(asking).name, bytes.fromhex(body.key)).hex())


@router.put("/me/key", summary="Keep one's own key", responses=_REFUSED)
async def keep(body: OwnKeyRequest, asking: CallerDep, node: Node, response: Response) -> OwnKeyOut:
    """From now on records to oneself are sealed to this key, by every member. Answers when that is on the ledger.

    The node then opens none of them but those of the types in `mandate`. With `key` null it opens all again; what was
    sealed to the own key stays so.
    """
    name, key = _user(asking).name, bytes.fromhex(body.key or "")
    if not TYPES.issuperset(body.mandate) or (body.mandate and not key):
        raise InvalidRequest("a mandate names record types, for an own key", field="mandate")
    known = await node.own_keys.account(name)
    if not key and not known.own_key:
        raise InvalidRequest("there is no own key", field="key")
    await node.factors.require(name, body.code)
    node.possession.require(name, key or known.own_key, bytes.fromhex(body.answer))
    response.headers["cache-control"] = "no-store"
    return _out(await node.own_keys.register(name, key, frozenset(body.mandate), _TIMEOUT_S))


@router.get(
    "/records/{id}/sealed",
    summary="A record as it is sealed to one's own key",
    responses=documented(NotAuthenticated, NotFound, InvalidRequest, StoreUnavailable),
)
async def sealed(id: RecordId, asking: CallerDep, node: Node, response: Response) -> SealedOut:
    """For a user who keeps their own key; 404 for any other record, and for anybody else."""
    held, wrap = await node.reader.sealed(asking, parse_record_id(id))
    response.headers["cache-control"] = "no-store"
    return SealedOut(
        header=held.header_bytes.hex(),
        index=held.index,
        bodies=[body.hex() for body in held.bodies],
        mask=wrap.mask,
        sealed_keys=(wrap.sealed_keys or b"").hex(),
    )


def _user(caller: Caller) -> Caller:
    if caller.kind != "user" or caller.behalf is not None:
        raise Forbidden("only users keep a key of their own")
    return caller


def _out(account: Account) -> OwnKeyOut:
    return OwnKeyOut(
        key=account.own_key.hex() or None,
        mandate=sorted(account.mandate),
        sequence=account.key_sequence,
        since=datetime.fromtimestamp(account.key_ms / 1000, UTC) if account.key_sequence else None,
    )
