"""What members' nodes ask of each other, on a listener of its own that demands a client certificate.

A peer is known by a token that it signed with its own token key (in the genesis); the certificate keeps everybody
else from the door. `add-checkpoint` is C2SP tlog-witness as it stands, which authenticates by the checkpoint itself.
"""

from __future__ import annotations

import base64
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from fastapi.responses import JSONResponse, PlainTextResponse

from consortium.crypto.hints import my_slots
from consortium.crypto.notes import parse_note
from consortium.errors import InvalidRequest, NotAuthenticated, NotFound, PayloadTooLarge
from consortium.model.encoding import decode_flat, encode, encode_ordered
from consortium.model.kept import encode_kept_block
from consortium.model.names import ID_BYTES, parse_record_id
from consortium.model.records import Header
from consortium.ports.callers import Caller
from consortium.web.callers import presented
from consortium.web.routes.records import Node
from consortium.web.services import Services

MAX_NOTE_BYTES = 64 * 1024
MAX_BLOCKS_BYTES = 16 << 20
_BLOCKS_AT_ONCE = 10

router = APIRouter(prefix="/v1/peer", tags=["peers"])


async def peer(request: Request, node: Node) -> Caller:
    """The member whose node asks. Raises `NotAuthenticated`."""
    found = await node.verifier.verify(*presented(request))
    if found.kind != "peer":
        raise NotAuthenticated("not authenticated")
    return found


Peer = Annotated[Caller, Depends(peer)]


async def _text(request: Request) -> str:
    body = await request.body()
    if len(body) > MAX_NOTE_BYTES:
        raise PayloadTooLarge("a checkpoint is at most 64 KiB")
    return body.decode("utf-8", "replace")


@router.get("/status")
async def status(node: Node, asking: Peer) -> dict[str, Any]:
    """Height and tree of the moment."""
    return node.node.peer_status()


@router.get("/blocks")
async def blocks(
    node: Node, asking: Peer, start: Annotated[int, Query(ge=1)], limit: Annotated[int, Query(ge=1, le=1000)] = 100
) -> Response:
    """Kept blocks from a height on, as a sequence of length-prefixed encodings; fewer if they are large."""
    parts: list[bytes] = []
    size, end = 0, start + limit
    while start < end and size <= MAX_BLOCKS_BYTES:
        # A few at a time: each may have more than a megabyte, and whoever asks can ask many times at once.
        page = await node.ledger.blocks(start, min(_BLOCKS_AT_ONCE, end - start))
        if not page:
            break
        for kept in page:
            data = encode_kept_block(kept)
            size += len(data) + 4
            if parts and size > MAX_BLOCKS_BYTES:
                break
            parts += [len(data).to_bytes(4, "big"), data]
        start += len(page)
    return Response(b"".join(parts), media_type="application/octet-stream")


def _is_party(node: Services, member: str, header: Header) -> bool:
    if member == header.author:
        return True
    if header.author != node.member:
        return False
    return any(my_slots(key, header.id, header.slots()) for key in node.hint_keys(member))


@router.get("/payloads/{id}")
async def payload(id: str, node: Node, asking: Peer) -> Response:
    """Ciphertexts and wraps of a record, for a party of it that was away: sealed as ever.

    To its author, who is always a party, or from its author to a member that a hint addresses: nobody else can tell
    who a party is. To any other member the record does not exist.
    """
    record_id = parse_record_id(id)
    stored = await node.ledger.record(record_id)
    # Judged by the header, which every node has: what this node holds must not even show in how long a refusal takes.
    may = stored is not None and _is_party(node, asking.member, stored.header)
    held = await node.party.held(record_id) if may else None
    if held is None:
        raise NotFound("no such record")
    return Response(encode([list(held.bodies), held.wraps]), media_type="application/cbor")


@router.post("/disclosed")
async def disclosed(request: Request, node: Node, asking: Peer) -> Response:
    """Ciphertexts of what this node discloses under a grant, to the member whose officer has it: CBOR [grant, [record
    id, ...]] to [[record id, [[section, ciphertext], ...]], ...]. Of anything else the same as of what is not here.
    """
    body = await request.body()
    if len(body) > MAX_NOTE_BYTES:
        raise PayloadTooLarge("too many records are asked for at once")
    grant, records = _asked(decode_flat(body))
    found = await node.discloser.ciphertexts(asking.member, grant, records)
    rows = [[record, [[number, body] for number, body in bodies.items()]] for record, bodies in found.items()]
    return Response(encode_ordered(rows), media_type="application/cbor")


def _asked(raw: Any) -> tuple[bytes, list[bytes]]:
    if type(raw) is not tuple or len(raw) != 2 or type(raw[0]) is not bytes or type(raw[1]) is not tuple:
        raise InvalidRequest("a grant and records are asked for")
    if not all(type(record) is bytes and len(record) == ID_BYTES for record in raw[1]):
        raise InvalidRequest("a record id has 16 bytes")
    return raw[0], list(raw[1])


@router.get("/checkpoint", response_class=PlainTextResponse)
async def checkpoint(node: Node, asking: Peer) -> PlainTextResponse:
    """The best checkpoint that this node knows."""
    if node.cosigner.best is None:
        raise NotFound("there is no checkpoint yet")
    return PlainTextResponse(str(node.cosigner.best))


@router.get("/consistency")
async def consistency(
    node: Node, asking: Peer, old: Annotated[int, Query(ge=0)], new: Annotated[int, Query(ge=0)]
) -> JSONResponse:
    """The consistency proof between two sizes of the tree."""
    proof = await node.prover.consistency(old, new)
    return JSONResponse([base64.b64encode(part).decode() for part in proof])


@router.post("/checkpoint")
async def receive(request: Request, node: Node, asking: Peer) -> Response:
    """A checkpoint with cosignatures, told by another member."""
    await node.cosigner.receive(parse_note(await _text(request)))
    return Response(status_code=204)


@router.post("/add-checkpoint", response_class=PlainTextResponse)
async def add_checkpoint(request: Request, node: Node) -> Response:
    """C2SP tlog-witness add-checkpoint."""
    status_code, body = await node.cosigner.add_checkpoint(await _text(request))
    media = "text/x.tlog.size" if status_code == 409 else "text/plain; charset=utf-8"
    return Response(body, status_code, headers={"Content-Type": media})
