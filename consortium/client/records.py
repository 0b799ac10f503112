"""Reading records through a node, and, with one's own key, opening and checking them without trusting it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from consortium.client.ownkey import OwnKey
from consortium.client.session import Session
from consortium.crypto.hashing import sha256
from consortium.crypto.receipts import VerifiedReceipt, parse_receipt, verify_receipt
from consortium.crypto.sealing import Wrap, open_own_wrap, open_sealed_box, open_section, party_tag
from consortium.crypto.trust import TrustPolicy
from consortium.energy.sections import in_words
from consortium.errors import CommitmentMismatch, KeysUnavailable, Malformed, PeerError, ProofInvalid
from consortium.model.names import Party
from consortium.model.records import Header, parse_header

_PAGE = 500


@dataclass(frozen=True, slots=True)
class OpenedRecord:
    """A record opened on this device: commitments checked; `sections` has None where the user may not read."""

    header: Header
    header_bytes: bytes
    type: str
    data: dict[str, Any]
    sections: tuple[bytes | None, ...]


class Records:
    """A user's records. `own` is the key that they keep, if they do."""

    def __init__(self, session: Session, party: Party, own: OwnKey | None = None) -> None:
        self._session = session
        self._party = party
        self._own = own

    def all(self, **query: Any) -> Iterator[dict[str, Any]]:
        """Every record as the node lists it, page by page; `type`, `from`, `to` as in the API."""
        after: int | None = -1
        while after is not None:
            page = self._session.json("GET", "/v1/records", params={**query, "after": after, "limit": _PAGE})
            yield from page["records"]
            after = page["next"]

    def get(self, id: str) -> dict[str, Any]:
        """One as the node opens it."""
        found: dict[str, Any] = self._session.json("GET", f"/v1/records/{id}")
        return found

    def open(self, id: str) -> OpenedRecord:
        """One that is sealed to the own key, opened here. Raises `NotFound`, `CommitmentMismatch`, `PeerError`."""
        if self._own is None:
            raise Malformed("there is no own key to open it with")
        return opened(self._session.json("GET", f"/v1/records/{id}/sealed"), id, self._party, self._own)

    def check(self, record: OpenedRecord, trust: TrustPolicy) -> VerifiedReceipt:
        """That this very record stands on the ledger, by a receipt and a trust file that did not come from the node.

        Raises `ProofInvalid`.
        """
        text = self._session.request("GET", f"/v1/records/{record.header.id.hex()}/receipt").text
        proven = verify_receipt(parse_receipt(text), trust)
        if proven.header != record.header:
            raise ProofInvalid("the receipt is for another record")
        return proven

    def keep_key(self, own: OwnKey, mandate: Sequence[str] = (), code: str = "") -> dict[str, Any]:
        """From now on records to this user are sealed to `own`; the node may open those of the types in `mandate`."""
        return self._register(own, own.public.hex(), mandate, code)

    def give_back(self, own: OwnKey, code: str = "") -> dict[str, Any]:
        """The node keeps the key again; what was sealed to `own` stays so."""
        return self._register(own, None, (), code)

    def _register(self, own: OwnKey, key: str | None, mandate: Sequence[str], code: str) -> dict[str, Any]:
        asked = self._session.json("POST", "/v1/me/key/challenge", json={"key": own.public.hex()})
        answer = open_sealed_box(bytes.fromhex(asked["box"]), own.secret).hex()
        body = {"key": key, "mandate": list(mandate), "answer": answer, "code": code}
        found: dict[str, Any] = self._session.json("PUT", "/v1/me/key", json=body)
        return found


def opened(answer: dict[str, Any], id: str, party: Party, own: OwnKey) -> OpenedRecord:
    """A record as the node hands it on, opened. The node is not believed: id, digests and commitments are checked.

    Raises `CommitmentMismatch` if its author sealed something else than it committed to, `PeerError` if what came is
    not the record, `KeysUnavailable` if the key does not open it.
    """
    try:
        header_bytes = bytes.fromhex(answer["header"])
        bodies = [bytes.fromhex(body) for body in answer["bodies"]]
        sealed_keys, mask = bytes.fromhex(answer["sealed_keys"]), int(answer["mask"])
    except (KeyError, TypeError, ValueError):
        raise PeerError("the node's answer is no sealed record") from None
    header = parse_header(header_bytes)
    if header.id.hex() != id or [sha256(body) for body in bodies] != [seal.digest for seal in header.sections]:
        raise PeerError("the node handed on something else than the record")
    wrap = Wrap(party_tag(party), mask, (None,) * len(bodies), sealed_keys)
    try:
        keys = open_own_wrap(header, wrap, own.secret, own.public).keys
    except CommitmentMismatch:
        raise KeysUnavailable(
            "this key does not open the record", hint="it was sealed to another key of yours, or wrongly by its author"
        ) from None
    sections = tuple(
        None if key is None else open_section(header, number, body, key)
        for number, (key, body) in enumerate(zip(keys, bodies, strict=True))
    )
    type, data = in_words([text for text in sections if text is not None])
    return OpenedRecord(header, header_bytes, type, data, sections)
