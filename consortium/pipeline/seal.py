"""Step 2, seal: encrypt each section for its readers, commit to its plaintext. A public record has nothing to seal."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from consortium.crypto.sealing import Entropy, Recipient, seal
from consortium.energy.own_keys import OwnKeys
from consortium.errors import NotReady, UnknownParty
from consortium.model.members import Membership
from consortium.model.names import Party
from consortium.model.public import Body
from consortium.model.records import EMPTY_DIGEST, Draft, Header, SealedRecord
from consortium.pipeline.escrowing import Escrowing
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

    def __init__(
        self,
        membership: Membership,
        custody: KeyCustody,
        entropy: Entropy,
        own_keys: OwnKeys | None = None,
        escrow: Escrowing | None = None,
    ) -> None:
        self._membership = membership
        self._custody = custody
        self._entropy = entropy
        self._own_keys = own_keys
        self._escrow = escrow
        # A home's readings go to the same parties every hour. `forget` when keys have changed.
        self._recipients = lru_cache(_REMEMBERED)(self._find_recipients)

    def forget(self) -> None:
        """Members, or their keys, have changed."""
        self._recipients.cache_clear()

    def seal(self, draft: Draft, type: str = "") -> SealedRecord:
        """The sealed record; `type` is what it is, for the mandates of users who keep their own key.

        The author's member is always among the recipients, whoever reads: it answers for what it submitted, and
        serves it to parties that were away. Raises `UnknownParty`, `NotReady`.
        """
        if self._own_keys is not None and not self._own_keys.loaded:
            raise NotReady("the node does not know yet who keeps their own key", hint="try again in a moment")
        keys: tuple[bytes, ...] = ()
        if self._escrow is not None:
            draft, keys = self._escrow.extended(draft, type, self._entropy)
        circle = draft.author, tuple([section.readers for section in draft.sections])
        kind = self._own_keys.sorted_out(type) if self._own_keys is not None else ""
        return seal(draft, self._recipients(circle, kind), self._entropy, keys)

    def _find_recipients(self, circle: Circle, type: str) -> tuple[Recipient, ...]:
        author, sections = circle
        parties = dict.fromkeys(reader for readers in sections for reader in readers)
        parties.setdefault(Party(author))
        return tuple(recipient for party in parties for recipient in self._wrapped_for(party, type))

    def _wrapped_for(self, party: Party, type: str) -> tuple[Recipient, ...]:
        """Once for each party; for a user who keeps their own key to that key, and to the node's only by mandate."""
        recipient = self._recipient(party)
        own = self._own_keys.of(party) if self._own_keys is not None and party.user else None
        if own is None:
            return (recipient,)
        kept = replace(recipient, own_key=own.key)
        return (kept, recipient) if type and type in own.mandate else (kept,)

    def _recipient(self, party: Party) -> Recipient:
        member = self._membership.member(party.member)
        if member is None:
            raise UnknownParty(f"{party.member} is no member of this consortium")
        keys = self._custody.pair(member.keys.encryption)
        return Recipient(party, keys.pair, keys.hint)
