"""The sections of wallets: what stands in an account, movement by movement, chained."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import BaseModel, ConfigDict, Field

from consortium.energy.payloads.base import (
    NAMES,
    Amount,
    Currency,
    Digest,
    Group,
    Name,
    Part,
    PartyText,
    RecordId,
    Text,
)

Movement = Literal["deposit", "withdrawal", "reserve", "release", "trade", "fee", "bill", "imbalance", "reversal"]
AccountName = Annotated[
    str, Field(pattern=r"^[a-z0-9@-]{2,70}$", description="A party, or an outside account's name."), NAMES
]


class EntryLine(BaseModel):
    """One movement: `amount` changes the balance, `reserved` what of it is set aside. `clause` names what caused it."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    kind: Movement
    amount: Amount
    reserved: Amount = 0
    cause: RecordId
    clause: str = ""


class Entry(Part):
    """The next link of an account's chain. Readers: the account's owner, the settlement agent.

    `sequence` counts from 1; `previous` is the SHA-256 of the previous entry's plaintext (32 zero bytes at first), so
    that an owner sees that nothing is left out. `balance` and `reserved` are what stands after it.
    """

    TYPE: ClassVar[str] = "payment"
    PART: ClassVar[str] = "entry"
    GROUP: ClassVar[Group] = "money"
    account: AccountName
    owner: PartyText
    sequence: Annotated[int, Field(ge=1)]
    previous: Digest
    lines: tuple[EntryLine, ...]
    balance: Amount
    reserved: Annotated[Amount, Field(ge=0)]
    currency: Currency


class Deposit(Part):
    """Money that came into an account from outside (or left it, if negative). By the settlement agent's staff.
    Readers: owner, the settlement agent.
    """

    TYPE: ClassVar[str] = "deposit"
    PART: ClassVar[str] = "deposit"
    GROUP: ClassVar[Group] = "money"
    account: AccountName
    owner: PartyText
    amount: Amount
    currency: Currency
    reference: Text = ""


class Refusal(Part):
    """The settlement agent could not pay: nothing moved. Readers: the payer's owner, the settlement agent."""

    TYPE: ClassVar[str] = "payment-refused"
    PART: ClassVar[str] = "refusal"
    GROUP: ClassVar[Group] = "money"
    market: Name | None = None
    account: AccountName
    owner: PartyText
    cause: RecordId
    reason: Text
