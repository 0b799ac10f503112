"""Whether an order's owner has ground to complain: the order stood before the gate, and no result accounts for it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from consortium.energy.market.proofs import verify_counted
from consortium.errors import InvalidRequest, ProofInvalid


def ground(order_index: int, gate_index: int, proof: Mapping[str, Any], published: Mapping[str, Any]) -> str:
    """What is wrong, in words for the complaint. Raises `InvalidRequest` where there is no ground.

    `proof` is the answer of /v1/orders/{id}/proof, `published` the round of the session's result (id of the gate, root
    and size of its book). Nothing is taken from the node's own word: the proof is checked here.
    """
    if order_index >= gate_index:
        raise InvalidRequest("the order does not stand before the gate", hint="after the gate an order is late")
    result = proof["result"]
    if result is None:
        return "the session has its result, and none names the order"
    if result["state"] == "refused":
        if result["reason"]:
            raise InvalidRequest("the order was refused, with a reason: " + result["reason"])
        return "the order was refused without a reason"
    given = result["proof"]
    if (given["book_root"], given["book_size"]) != (published["book_root"], published["book_size"]):
        return "the proof is for another book than the published one"
    if not _counted(proof["commitment"], given):
        return "the proof that the order was counted does not hold"
    raise InvalidRequest("the order was counted: its proof holds")


def _counted(commitment: str, given: Mapping[str, Any]) -> bool:
    path = [bytes.fromhex(step) for step in given["path"]]
    root = bytes.fromhex(given["book_root"])
    try:
        verify_counted(bytes.fromhex(commitment), given["leaf"], given["book_size"], path, root)
    except ProofInvalid:
        return False
    return True
