"""A call of flexibility, by the contract's customer."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import ConfigDict, Field

from consortium.energy.contracts.contract import Contract, executes
from consortium.energy.contracts.terms import FlexibilityTerms
from consortium.energy.metering import to_ms
from consortium.energy.payloads import contracts
from consortium.energy.payloads.base import PartyText, Wh
from consortium.energy.submissions.base import (
    IdText,
    Interval,
    Moment,
    Submitted,
    no_such_contract,
    parties,
    whole,
)
from consortium.errors import InvalidRequest
from consortium.model.records import DraftSection

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory

_ID = "0123456789abcdef0123456789abcdef"


class FlexibilityCall(Submitted):
    """A call of flexibility: the provider is to use less in an interval."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "contract": _ID,
                    "by": "gridco",
                    "start": "2017-06-15T18:00:00-08:00",
                    "interval_s": 3600,
                    "wh": 800,
                }
            ]
        }
    )
    ACTOR: ClassVar[str] = "by"

    contract: IdText = Field(description="The flexibility contract's id, 32 lowercase hex digits.")
    by: PartyText = Field(description="Who calls: the contract's customer, as member or user@member.")
    start: Moment = Field(description="Start of the interval, RFC 3339 with its offset.")
    interval_s: Interval = Field(3600, description="Length of the interval in seconds: 900, 1800 or 3600.")
    wh: Annotated[Wh, Field(gt=0)] = Field(description="How much less, in whole Wh, more than 0.")

    @property
    def actor(self) -> str:
        """Who calls."""
        return self.by

    @cached_property
    def start_ms(self) -> int:
        """Start of the interval, UTC milliseconds."""
        return to_ms(self.start)

    def check(self, now_ms: int) -> None:
        """Intervals are whole. Raises `InvalidRequest`."""
        whole(self.start_ms, self.interval_s, "data.start")

    def admit(self, directory: Directory) -> None:
        """Within the contract, and ahead. Raises `NotFound` for a contract that is not theirs, `InvalidRequest`."""
        contract = self._contract(directory)
        terms = contract.terms
        if not executes(contract, self.start_ms):
            raise InvalidRequest("the contract is not in force then", field="data.start", hint="see its term and state")
        if isinstance(terms, FlexibilityTerms) and self.wh > terms.max_wh:
            hint = f"at most {terms.max_wh} Wh an interval"
            raise InvalidRequest("the contract does not promise as much", field="data.wh", hint=hint)
        if directory.now_ms and self.start_ms <= directory.now_ms:
            raise InvalidRequest("the interval has begun", field="data.start", hint="call an interval that is to come")

    def sections(self, directory: Directory) -> tuple[DraftSection, ...]:
        """The call, for both sides and the grid, which works out what of it was met. Raises `NotFound`."""
        readers = (*parties(self._contract(directory).sides), *directory.grid_operators)
        call = contracts.Call(
            start_ms=self.start_ms, contract=bytes.fromhex(self.contract), interval_s=self.interval_s, wh=self.wh
        )
        return (call.section(readers),)

    def _contract(self, directory: Directory) -> Contract:
        contract = directory.contract(bytes.fromhex(self.contract))
        if contract is None or contract.frame.kind != "flexibility" or contract.frame.customer != self.by:
            raise no_such_contract()
        return contract
