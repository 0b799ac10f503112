"""The tree as C2SP tlog-tiles: checkpoint, tiles, entries; and the trust file to verify receipts with.

Checkpoint and hash tiles need no token, so that any witness or monitor works unchanged: a hash of a header that holds
a random id tells nothing but that one more record exists. Entries are headers, and need one.
"""

from __future__ import annotations

import re
from typing import Annotated

from fastapi import APIRouter, Depends, Path, Response
from fastapi.responses import PlainTextResponse

from consortium.crypto.merkle import TILE_WIDTH
from consortium.errors import Forbidden, NotAuthenticated, NotFound, StoreUnavailable
from consortium.ledger.witnessing import trust_file
from consortium.web import examples
from consortium.web.callers import caller
from consortium.web.problems import documented
from consortium.web.routes.records import Asking, Node

router = APIRouter(prefix="/v1/log", tags=["log"])
_TILE = re.compile(r"((?:x[0-9]{3}/)*)([0-9]{3})(?:\.p/([1-9][0-9]{0,2}))?")
_INDEX_BITS = 56
"""2**64 leaves are more than any tree will have, and a store's numbers end at 2**63."""
_FOR_EVER = {"Cache-Control": "public, max-age=31536000, immutable"}
TilePath = Annotated[
    str, Path(description="Index in groups of three digits, .p/width for a partial tile.", examples=["x001/067.p/12"])
]


class _Octets(Response):
    media_type = "application/octet-stream"


def parse_tile_path(path: str) -> tuple[int, int]:
    """Index and width from `x001/x234/067` or `x001/x234/067.p/12`. Raises `NotFound`."""
    match = _TILE.fullmatch(path)
    if match is None:
        raise NotFound("no such tile")
    prefix, last, width = match.groups()
    if prefix.startswith("x000/"):
        raise NotFound("no such tile")
    number = int(prefix.replace("x", "").replace("/", "") + last)
    partial = int(width) if width else TILE_WIDTH
    if number >> _INDEX_BITS or (width and partial >= TILE_WIDTH):
        raise NotFound("no such tile")
    return number, partial


@router.get(
    "/checkpoint",
    summary="The latest cosigned checkpoint",
    response_class=PlainTextResponse,
    responses=examples.of(examples.CHECKPOINT, "text/plain") | documented(NotFound),
)
async def checkpoint(node: Node) -> PlainTextResponse:
    """C2SP tlog-checkpoint, with the cosignatures of a quorum."""
    if node.cosigner.best is None:
        raise NotFound("there is no checkpoint yet")
    return PlainTextResponse(str(node.cosigner.best), headers={"Cache-Control": "max-age=1"})


@router.get(
    "/trust",
    summary="The trust file for receipts",
    response_class=PlainTextResponse,
    responses=examples.of(examples.TRUST, "text/plain") | documented(),
)
async def trust(node: Node) -> PlainTextResponse:
    """C2SP tlog-policy: the members' log and witness keys and their quorum. Compare it with one that you trust."""
    return PlainTextResponse(trust_file(node.membership))


@router.get(
    "/tile/entries/{path:path}",
    summary="An entry bundle",
    dependencies=[Depends(caller)],
    response_class=_Octets,
    responses=examples.of_bytes("Up to 256 entries.")
    | documented(NotAuthenticated, Forbidden, NotFound, StoreUnavailable),
)
async def entries(path: TilePath, node: Node, asking: Asking) -> Response:
    """Record headers, each with a 16-bit length (tlog-tiles, "Log entries")."""
    node.access.require_header(asking)
    index, width = parse_tile_path(path)
    return _Octets(await node.prover.entries(index, width), headers=_FOR_EVER)


@router.get(
    "/tile/{level}/{path:path}",
    summary="A tile of the tree",
    response_class=_Octets,
    responses=examples.of_bytes("Up to 256 hashes of 32 bytes.") | documented(NotFound, StoreUnavailable),
)
async def tile(
    level: Annotated[str, Path(description="0 to 63.", examples=["0"])], path: TilePath, node: Node
) -> Response:
    """Up to 256 hashes (tlog-tiles, "Merkle Tree")."""
    if not re.fullmatch(r"[0-9]|[1-5][0-9]|6[0-3]", level):
        raise NotFound("no such tile")
    index, width = parse_tile_path(path)
    hashes = await node.prover.tile(int(level), index, width)
    return _Octets(hashes, headers=_FOR_EVER)
