"""Step 2, seal: encrypt each section for its readers, commit to its plaintext. A public record has nothing to seal."""

from __future__ import annotations

from functools import lru_cache

from consortium.crypto.sealing import Entropy, Recipient, seal
from consortium.errors import UnknownParty
from consortium.model.members import Membership
from consortium.model.names import Party
from consortium.model.public import Body
from consortium.model.records import EMPTY_DIGEST, Draft, Header, SealedRecord
from consortium.ports.keys import KeyCustody

Circle = tuple[str, tuple[tuple[Party, ...], ...]]
"""The author and the readers of each section."""
_REMEMBERED = 16_384


def public_record(record_id: bytes, author: str, created_ms: int, body: Body) -> SealedRecord:
    """A record that everybody may read, ready to be ordered: its header is all of it."""
    header = Header(record_id, body.KIND, author, created_ms, (), b"", EMPTY_DIGEST, body.encoded())
    return SealedRecord(header, header.encoded(), (), b"")


class Sealer:
    """Seals drafts with the member's keys. `entropy` gives random bytes (the operating system's, in a node)."""

    def __init__(self, membership: Membership, custody: KeyCustody, entropy: Entropy) -> None:
        self._membership = membership
        self._custody = custody
        self._entropy = entropy
        # A home's readings go to the same parties every hour. `forget` when keys have changed.
        self._recipients = lru_cache(_REMEMBERED)(self._find_recipients)

    def forget(self) -> None:
        """Members, or their keys, have changed."""
        self._recipients.cache_clear()

    def seal(self, draft: Draft) -> SealedRecord:
        """The sealed record.

        The author's member is always among the recipients, whoever reads: it answers for what it submitted, and
        serves it to parties that were away. Raises `UnknownParty`.
        """
        circle = draft.author, tuple([section.readers for section in draft.sections])
        return seal(draft, self._recipients(circle), self._entropy)

    def _find_recipients(self, circle: Circle) -> tuple[Recipient, ...]:
        author, sections = circle
        parties = dict.fromkeys(reader for readers in sections for reader in readers)
        parties.setdefault(Party(author))
        return tuple(self._recipient(party) for party in parties)

    def _recipient(self, party: Party) -> Recipient:
        member = self._membership.member(party.member)
        if member is None:
            raise UnknownParty(f"{party.member} is no member of this consortium")
        keys = self._custody.pair(member.keys.encryption)
        return Recipient(party, keys.pair, keys.hint)
