"""Opening what this node holds: used by reading, by the index, and by nothing that orders or applies."""

from __future__ import annotations

from dataclasses import dataclass

from consortium.crypto.sealing import Wrap, open_section, open_wrap, party_tag, pick_wraps
from consortium.errors import CommitmentMismatch, Malformed, NotFound
from consortium.model.members import Genesis
from consortium.model.names import Party
from consortium.model.records import Header, parse_header
from consortium.ports import HeldRecord, KeyCustody


@dataclass(frozen=True, slots=True)
class OpenedPayload:
    """A record as one party sees it: `sections` has None where the party may not read."""

    header: Header
    sections: tuple[bytes | None, ...]


class Opener:
    """Opens held records with the member's keys. Every opening checks the commitment."""

    def __init__(self, genesis: Genesis, custody: KeyCustody) -> None:
        self._genesis = genesis
        self._custody = custody

    def tag(self, party: Party) -> bytes:
        """The party's tag as the node's index stores it: blinded under the storage key."""
        return self._custody.blind(party_tag(party))

    def wraps(self, held: HeldRecord, header: Header) -> tuple[tuple[Wrap, ...], CommitmentMismatch | None]:
        """The wraps that are addressed to this node and open, and what is wrong with one that does not."""
        author = self._genesis.member(header.author)
        if author is None:
            raise Malformed("a held record has an author outside the consortium")
        pair = self._custody.pair(author.keys.encryption).pair
        try:
            wraps = pick_wraps(header, held.wraps, held.slots)
        except Malformed:
            return (), CommitmentMismatch(header.author, header.id.hex(), 0)
        opened: list[Wrap] = []
        wrong: CommitmentMismatch | None = None
        for wrap in wraps:
            try:
                opened.append(open_wrap(header, wrap, pair))
            except CommitmentMismatch as error:
                wrong = error
        return tuple(opened), wrong

    def blinded_readers(self, wraps: tuple[Wrap, ...]) -> tuple[bytes, ...]:
        """The blinded tags of those wraps' parties."""
        return tuple(self._custody.blind(wrap.tag) for wrap in wraps)

    def open_sections(self, held: HeldRecord, header: Header, wrap: Wrap) -> tuple[bytes | None, ...]:
        """The plaintexts that the wrap's keys open, commitments checked. Raises `CommitmentMismatch`."""
        return tuple(
            None if key is None else open_section(header, number, held.bodies[number], key)
            for number, key in enumerate(wrap.keys)
        )

    def open_for(self, held: HeldRecord, party: Party) -> OpenedPayload:
        """The record as `party` sees it. Raises `NotFound` if no wrap is theirs, `CommitmentMismatch`."""
        header = parse_header(held.header_bytes)
        tag = party_tag(party)
        wraps, _ = self.wraps(held, header)
        for wrap in wraps:
            if wrap.tag == tag:
                return OpenedPayload(header, self.open_sections(held, header, wrap))
        raise NotFound("no such record")
