"""Money that came into an account from outside, booked by who keeps the account."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, Field

from consortium.energy.contracts.contract import Contract, executes
from consortium.energy.contracts.terms import WalletTerms
from consortium.energy.metering import to_ms
from consortium.energy.payloads import money
from consortium.energy.payloads.base import Amount, Currency, PartyText, Text
from consortium.energy.submissions.base import (
    Moment,
    Submitted,
    parties,
)
from consortium.errors import InvalidRequest
from consortium.model.names import Party
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory


class MoneyIn(Submitted):
    """Money that came into an account from outside, or left it."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "agent": "gridco",
                    "account": "home-01@suncoop",
                    "amount": 50_000_000,
                    "currency": "USD",
                    "booked": "2017-06-01T09:00:00-08:00",
                    "reference": "bank transfer 4711",
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "agent"

    agent: PartyText = Field(description="The settlement agent that keeps the account, a member.")
    account: money.AccountName = Field(description="The account: its owner's name as user@member, or another name.")
    owner: PartyText | None = Field(None, description="Who owns it; needed where the account's name does not say so.")
    amount: Amount = Field(description="Whole micro-units of the currency; negative for money that left the account.")
    currency: Currency = Field(description="ISO 4217 code, the account's.")
    booked: Moment = Field(description="When it came in, RFC 3339 with its offset.")
    reference: Text = Field("", description="What it was, in at most 500 characters.")

    @property
    def actor(self) -> str:
        """The settlement agent."""
        return self.agent

    @cached_property
    def start_ms(self) -> int:
        """When it came in, UTC milliseconds."""
        return to_ms(self.booked)

    def check(self, now_ms: int) -> None:
        """Money moves, and it did so already. Raises `InvalidRequest`."""
        if self.amount == 0:
            raise InvalidRequest("no money moves", field="data.amount", hint="above 0 what came in, below 0 what left")
        if self.start_ms > now_ms:
            raise InvalidRequest("a movement is booked once it happened", field="data.booked", hint="not in the future")
        if self.owner is None and "@" not in self.account:
            hint = "the party that owns the outside account"
            raise InvalidRequest("the account's name does not say who owns it", field="data.owner", hint=hint)

    def admit(self, directory: Directory) -> None:
        """The agent keeps such an account, and no more leaves it than is free. Raises `InvalidRequest`."""
        self._wallet(directory)
        free = directory.available(self.account)
        if self.amount < 0 and free is not None and free + self.amount < 0:
            hint = "what is reserved for bids is not free"
            raise InvalidRequest("the account does not hold as much", field="data.amount", hint=hint)

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The movement, for owner and settlement agent. Raises `InvalidRequest`."""
        owner = self._wallet(directory).frame.customer
        deposit = money.Deposit(
            start_ms=self.start_ms,
            account=self.account,
            owner=owner,
            amount=self.amount,
            currency=self.currency,
            reference=self.reference,
        )
        return (deposit.section(parties((owner, self.agent))),)

    def _wallet(self, directory: Directory) -> Contract:
        """The contract under which the agent keeps the account. Raises `InvalidRequest`."""
        for contract in directory.contracts_of("wallet", _as_party(self.owner or self.account)):
            terms = contract.terms
            ours = contract.frame.provider == self.agent and executes(contract, self.start_ms)
            if ours and isinstance(terms, WalletTerms) and terms.account == self.account:
                if contract.currency != self.currency:
                    raise InvalidRequest(
                        "the account is in another currency", field="data.currency", hint="see its contract"
                    )
                return contract
        hint = "a wallet contract that both sides signed names the account and who keeps it"
        raise InvalidRequest("the agent keeps no such account then", field="data.account", hint=hint)


def _as_party(text: str) -> str:
    try:
        return str(Party.parse(text))
    except InvalidRequest:
        raise InvalidRequest("an account is a party's, or has an owner", field="data.account", hint="name it") from None
