"""What each kind of proposal says, typed. Wire format: append only (docs/formats.md, "Public records")."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar

from pydantic import BaseModel, ConfigDict, Field

from consortium.crypto.hints import is_usable_key
from consortium.errors import InvalidRequest, Malformed
from consortium.ledger.governance.rules import KINDS, OWN, Rule
from consortium.ledger.governance.settings import LedgerSettings
from consortium.model.members import ROLES, MemberKeys
from consortium.model.names import MONTH, NO_MEMBER, Party
from consortium.model.public import Id, Key, Proposal, Text, TimeMs, Word, read_model
from consortium.model.scope import Scope

PartyText = Annotated[str, Field(pattern=r"^[a-z0-9-]{2,32}(@[a-z0-9-]{2,32})?$")]
Period = Annotated[str, Field(pattern=MONTH)]


class Keys(BaseModel):
    """A member's five public keys, 32 bytes each (`consortium.model.members.MemberKeys`)."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_bytes="hex", val_json_bytes="hex")
    signing: Key
    log: Key
    witness: Key
    token: Key
    encryption: Key

    def as_keys(self) -> MemberKeys:
        """The same as the model's value."""
        return MemberKeys(self.signing, self.log, self.witness, self.token, self.encryption)

    @classmethod
    def of(cls, keys: MemberKeys) -> Keys:
        """From the model's value."""
        return cls(**{name: getattr(keys, name) for name in MemberKeys.__slots__})


class Terms(BaseModel):
    """Base of all terms. `KIND` is the proposal's kind."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, ser_json_bytes="hex", val_json_bytes="hex")
    KIND: ClassVar[str] = ""

    def about(self) -> str:
        """The member that it is about, or ''."""
        return ""

    def rule(self) -> str:
        """The kind of the rule that it is counted by."""
        return self.KIND


class AdmitMember(Terms):
    """A new member, or one that had been removed, from the next block on. Its node answers others at `peer_url`."""

    KIND: ClassVar[str] = "admit-member"
    name: Word
    roles: Annotated[tuple[str, ...], Field(max_length=8)]
    keys: Keys
    peer_url: Annotated[str, Field(max_length=300, pattern=r"^(https://[a-zA-Z0-9.:\[\]-]+)?$")] = ""


class RemoveMember(Terms):
    """A member's node can no longer append, vote, cosign or ask others; what it wrote stays."""

    KIND: ClassVar[str] = "remove-member"
    name: Word

    def about(self) -> str:
        return self.name


class RotateKeys(Terms):
    """A member's new keys, by itself: the batch that carries it is the last one under the old."""

    KIND: ClassVar[str] = "rotate-keys"
    name: Word
    keys: Keys

    def about(self) -> str:
        return self.name


class RevokeKeys(Terms):
    """New keys for a member whose keys were stolen, by the others: whoever has the old can nothing any more."""

    KIND: ClassVar[str] = "revoke-keys"
    name: Word
    keys: Keys

    def about(self) -> str:
        return self.name


class ChangePolicies(Terms):
    """Another policy set: the schema, and the policies by file name, as they are to be read and parsed."""

    KIND: ClassVar[str] = "change-policies"
    policy_schema: Annotated[str, Field(min_length=1)]
    texts: Annotated[dict[str, str], Field(min_length=1, max_length=64)]


class ChangeRules(Terms):
    """Other rules for these kinds of proposals; the others stay."""

    KIND: ClassVar[str] = "change-rules"
    rules: Annotated[dict[str, Rule], Field(min_length=1)]


class ChangeSettings(Terms):
    """The ledger's settings as a whole."""

    KIND: ClassVar[str] = "change-settings"
    settings: LedgerSettings


class OpenGrant(Terms):
    """A scope for an officer. `key` is the X25519 public key to which content keys are disclosed; `basis` the law."""

    KIND: ClassVar[str] = "open-grant"
    officer: PartyText
    key: Key
    scope: Scope
    purpose: Annotated[str, Field(min_length=1, max_length=300)]
    basis: Annotated[str, Field(min_length=1, max_length=300)]
    until_ms: TimeMs
    emergency: bool = False

    def rule(self) -> str:
        return "emergency-grant" if self.emergency else self.KIND


class EndGrant(Terms):
    """A grant, or a release of escrow keys, ends from the next block on."""

    KIND: ClassVar[str] = "end-grant"
    grant: Id


class ConfirmGrant(Terms):
    """The review of an emergency grant: it runs on to its own end."""

    KIND: ClassVar[str] = "confirm-grant"
    grant: Id


class Erase(Terms):
    """A court's order to erase records, whoever wrote them."""

    KIND: ClassVar[str] = "erase"
    records: Annotated[tuple[Id, ...], Field(min_length=1, max_length=1000)]
    reference: Text


class LegalHold(Terms):
    """Nothing inside the scope is erased until the hold is released."""

    KIND: ClassVar[str] = "legal-hold"
    scope: Scope
    reference: Text


class ReleaseHold(Terms):
    """A legal hold ends."""

    KIND: ClassVar[str] = "release-hold"
    hold: Id


class ReleaseEscrow(Terms):
    """The members hand the shares of one area's and period's escrow keys to the compliance members."""

    KIND: ClassVar[str] = "release-escrow"
    area: Word
    period: Period
    purpose: Annotated[str, Field(min_length=1, max_length=300)]


TERMS: dict[str, type[Terms]] = {
    terms.KIND: terms
    for terms in (
        AdmitMember, RemoveMember, RotateKeys, RevokeKeys, ChangePolicies, ChangeRules, ChangeSettings, OpenGrant,
        EndGrant, ConfirmGrant, Erase, LegalHold, ReleaseHold, ReleaseEscrow,
    )
}  # fmt: skip


def terms_of(proposal: Proposal) -> Terms:
    """The typed terms. Raises `Malformed`."""
    kind = TERMS.get(proposal.kind)
    if kind is None:
        raise Malformed("unknown kind of proposal")
    terms = read_model(kind, _lists_as_tuples(proposal.terms))
    _check(terms)
    return terms


def _lists_as_tuples(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return tuple(_lists_as_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _lists_as_tuples(item) for key, item in value.items()}
    return value


def _check(terms: Terms) -> None:
    if isinstance(terms, AdmitMember) and terms.name in NO_MEMBER:
        raise Malformed("a member cannot be called so")
    if isinstance(terms, AdmitMember) and list(terms.roles) != sorted(set(terms.roles) & ROLES):
        raise Malformed("roles are sorted words")
    if isinstance(terms, ChangeRules) and not set(terms.rules) <= set(KINDS) - OWN:
        raise Malformed("a rule for an unknown kind of proposal")
    # With a point of low order nobody shares a key: every node would stop at the member's next batch.
    if isinstance(terms, AdmitMember | RotateKeys | RevokeKeys) and not is_usable_key(terms.keys.encryption):
        raise Malformed("an encryption key is no usable X25519 key")
    if isinstance(terms, OpenGrant):
        _check_party(terms.officer)


def _check_party(text: str) -> None:
    """`PartyText` is wider than a party's name."""
    try:
        Party.parse(text)
    except InvalidRequest as error:
        raise Malformed("an officer is a party") from error
