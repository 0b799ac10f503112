"""Step 2, seal: encrypt each section for its readers, commit to its plaintext."""

from __future__ import annotations

from consortium.crypto.sealing import Entropy, Recipient, seal
from consortium.errors import UnknownParty
from consortium.model.members import Genesis
from consortium.model.names import Party
from consortium.model.records import Draft, SealedRecord
from consortium.ports import KeyCustody

MAX_RECIPIENTS = 65_536
"""So many parties and their keys are remembered."""


class Sealer:
    """Seals drafts with the member's keys. `entropy` gives random bytes (the operating system's, in a node)."""

    def __init__(self, genesis: Genesis, custody: KeyCustody, entropy: Entropy) -> None:
        self._genesis = genesis
        self._custody = custody
        self._entropy = entropy
        self._recipients: dict[Party, Recipient] = {}

    def seal(self, draft: Draft) -> SealedRecord:
        """The sealed record.

        The author's member is always among the recipients, whoever reads: it answers for what it submitted, and
        serves it to parties that were away. Raises `UnknownParty`.
        """
        parties = dict.fromkeys(reader for section in draft.sections for reader in section.readers)
        parties.setdefault(Party(draft.author))
        return seal(draft, [self._recipients.get(p) or self._recipient(p) for p in parties], self._entropy)

    def _recipient(self, party: Party) -> Recipient:
        member = self._genesis.member(party.member)
        if member is None:
            raise UnknownParty(f"{party.member} is no member of this consortium")
        keys = self._custody.pair(member.keys.encryption)
        if len(self._recipients) >= MAX_RECIPIENTS:
            self._recipients.clear()
        recipient = self._recipients[party] = Recipient(party, keys.pair, keys.hint)
        return recipient
