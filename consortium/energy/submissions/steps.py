"""A step in a contract's life, in the name of one of its sides."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, ClassVar

from pydantic import ConfigDict, Field

from consortium.energy.contracts.contract import Contract
from consortium.energy.contracts.lifecycle import advance
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.metering import to_ms
from consortium.energy.payloads import contracts as payloads
from consortium.energy.payloads.base import PartyText, Text
from consortium.energy.submissions.base import IdText, Moment, Submitted, no_such_contract
from consortium.energy.submissions.contracts import frame_readers
from consortium.errors import InvalidRequest, NotReady
from consortium.model.names import Party
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory


class ContractStepTaken(Submitted):
    """A step in a contract's life: countersign, suspend, resume, end, or accept the other side's figures."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contract": "0123456789abcdef0123456789abcdef",
                    "by": "home-01@suncoop",
                    "step": "countersigned",
                    "effective": "2017-06-01T00:00:00-08:00",
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "by"

    contract: IdText = Field(description="The contract's id, 32 lowercase hex digits.")
    by: PartyText = Field(description="The side that takes the step, as member or user@member.")
    step: payloads.Step = Field(description="countersigned, suspended, resumed, ended or accepted.")
    effective: Moment = Field(
        description="When it takes effect, RFC 3339 with its offset; for accepted the start of the disputed interval."
    )
    party: PartyText | None = Field(
        None, description="Where a market suspends or resumes one party: that party, as member or user@member."
    )
    reason: Text = Field("", description="Why, in at most 500 characters.")

    @property
    def actor(self) -> str:
        """The side that takes the step."""
        return self.by

    @cached_property
    def start_ms(self) -> int:
        """When it takes effect, UTC milliseconds."""
        return to_ms(self.effective)

    def check(self, now_ms: int) -> None:
        """A step for one party is a market's suspension. Raises `InvalidRequest`."""
        if self.party is not None and self.step not in ("suspended", "resumed"):
            hint = "leave it out: only a suspension in a market, and its end, are about one party"
            raise InvalidRequest("this step is about the whole contract", field="data.party", hint=hint)

    def admit(self, directory: Directory) -> None:
        """May it be taken now. Raises `NotFound` for a contract that is not theirs, `InvalidRequest`, `NotReady`."""
        if not directory.now_ms:
            raise NotReady("the ledger's time is not known yet", hint="ask again once most members have spoken")
        contract = self._contract(directory)
        known = {contract.id: contract}
        if contract.frame.amends is not None and (old := directory.contract(contract.frame.amends)) is not None:
            known[old.id] = old
        author = Party.parse(self.by).member
        refused = advance(known, self._payload(), author, contract.index + 1, directory.now_ms)
        if isinstance(refused, str):
            raise InvalidRequest(refused, field="data.step", hint="read the contract: its state says what can follow")

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The step, for whoever reads the contract's frame. Raises `NotFound`."""
        contract = self._contract(directory)
        return (self._payload().section(frame_readers(contract.frame, contract.terms, directory)),)

    def _payload(self) -> payloads.ContractStep:
        return payloads.ContractStep(
            start_ms=self.start_ms,
            contract=bytes.fromhex(self.contract),
            by=self.by,
            step=self.step,
            party=self.party,
            reason=self.reason,
        )

    def _contract(self, directory: Directory) -> Contract:
        contract = directory.contract(bytes.fromhex(self.contract))
        if contract is None or not (self.by in contract.sides or self._operates(contract)):
            raise no_such_contract()
        return contract

    def _operates(self, contract: Contract) -> bool:
        terms = contract.terms
        return self.party is not None and isinstance(terms, MarketTerms) and self.by in terms.operators
