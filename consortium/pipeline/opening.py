"""Opening what this node holds: used by reading, by the index, and by nothing that orders or applies."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from consortium.crypto.padding import pad
from consortium.crypto.sealing import Wrap, open_section, open_wrap, party_tag, pick_wraps
from consortium.energy.field_groups import WHOLE, Permitted
from consortium.errors import CommitmentMismatch, Malformed, NotFound
from consortium.model.members import Membership
from consortium.model.names import Party
from consortium.model.records import DraftSection, Header, parse_header
from consortium.pipeline.rewraps import fitting_pair, kept_wraps
from consortium.ports.keys import KeyCustody
from consortium.ports.party import HeldRecord


@dataclass(frozen=True, slots=True)
class OpenedPayload:
    """A record as one party sees it: `sections` has None where the party may not read.

    `tags` are those of all parties of this node that hold a key to any of it. `sealed` is what a user who keeps their
    own key gets instead: a wrap that only they can open.
    """

    header: Header
    sections: tuple[bytes | None, ...]
    tags: tuple[bytes, ...] = ()
    sealed: Wrap | None = None


class Opener:
    """Opens held records with the member's keys. Every opening checks the commitment."""

    def __init__(self, membership: Membership, custody: KeyCustody) -> None:
        self._membership = membership
        self._custody = custody

    def tag(self, party: Party) -> bytes:
        """The party's tag as the node's index stores it: blinded under the storage key."""
        return self._custody.blind(party_tag(party))

    def wraps(self, held: HeldRecord, header: Header) -> tuple[tuple[Wrap, ...], CommitmentMismatch | None]:
        """The wraps that are addressed to this node and open, and what is wrong with one that does not."""
        if held.rewraps:
            kept, wrong = kept_wraps(self._custody, held, header)
            return tuple(kept), wrong
        pair = fitting_pair(self._membership, self._custody, header)
        try:
            wraps = pick_wraps(header, held.wraps, held.slots)
        except Malformed:
            return (), CommitmentMismatch(header.author, header.id.hex(), 0)
        opened: list[Wrap] = []
        wrong = None
        for wrap in wraps:
            try:
                opened.append(open_wrap(header, wrap, pair))
            except CommitmentMismatch as error:
                wrong = error
        return tuple(opened), wrong

    def blinded_readers(self, wraps: tuple[Wrap, ...]) -> tuple[bytes, ...]:
        """The blinded tags of those wraps' parties."""
        return tuple(self._custody.blind(wrap.tag) for wrap in wraps)

    def open_sections(
        self, held: HeldRecord, header: Header, wrap: Wrap, permitted: Permitted = WHOLE
    ) -> tuple[bytes | None, ...]:
        """The plaintexts that the wrap's keys open, commitments checked. Raises `CommitmentMismatch`.

        A section that is not `permitted` is not opened; one that turns out to be another than its place says is
        dropped at once.
        """
        opened = (
            open_section(header, number, held.bodies[number], key)
            if key is not None and permitted.opens(number)
            else None
            for number, key in enumerate(wrap.keys)
        )
        return tuple(text if text is None or permitted.keeps(text) else None for text in opened)

    def open_for(self, held: HeldRecord, party: Party, permitted: Permitted) -> OpenedPayload:
        """What is permitted of the record as `party` sees it. Raises `NotFound` if no wrap is theirs,
        `CommitmentMismatch`.
        """
        header = parse_header(held.header_bytes)
        tag = party_tag(party)
        wraps, _ = self.wraps(held, header)
        # Of a user who keeps their own key and gave a mandate there are two: one that the node opens, and one for them.
        own = sorted((wrap for wrap in wraps if wrap.tag == tag), key=lambda wrap: wrap.sealed_keys is not None)
        if not own:
            raise NotFound("no such record")
        sections = self.open_sections(held, header, own[0], permitted)
        sealed = own[-1] if own[-1].sealed_keys is not None else None
        return OpenedPayload(header, sections, tuple(wrap.tag for wrap in wraps), sealed)

    def may_open(self, held: HeldRecord, party: Party) -> bool:
        """Whether `party` has a key to any section. Who only keeps a record for others has none."""
        wraps, _ = self.wraps(held, parse_header(held.header_bytes))
        tag = party_tag(party)
        return any(wrap.tag == tag and (wrap.sealed_keys is not None or any(wrap.keys)) for wrap in wraps)

    def open_all(self, held: HeldRecord) -> OpenedPayload:
        """The record as the node sees it: every section that any of its parties may read.

        For what the node does by itself, never for a caller. Raises `CommitmentMismatch`.
        """
        header = parse_header(held.header_bytes)
        wraps, wrong = self.wraps(held, header)
        if wrong is not None:
            raise wrong
        sections: list[bytes | None] = [None] * len(header.sections)
        seen: set[tuple[bytes | None, ...]] = set()
        for wrap in wraps:
            if wrap.sealed_keys is not None or wrap.keys in seen:
                continue
            seen.add(wrap.keys)
            for number, plaintext in enumerate(self.open_sections(held, header, wrap)):
                sections[number] = plaintext if plaintext is not None else sections[number]
        return OpenedPayload(header, tuple(sections))

    def holds(self, held: HeldRecord, sections: Sequence[DraftSection]) -> bool:
        """Whether a held record of this member is the one that these sections make.

        A section that no party of this node may read is compared by its padded size: more of it nobody here can see.
        """
        opened = self.open_all(held)
        added = opened.sections[
            len(sections) :
        ]  # sealing may have added the section `escrow`, which is not ours to read
        if len(opened.sections) < len(sections) or added not in ((), (None,)):
            return False
        return all(
            section.plaintext == plaintext if plaintext is not None else len(pad(section.plaintext)) == seal.size_class
            for plaintext, section, seal in zip(opened.sections, sections, opened.header.sections, strict=False)
        )
