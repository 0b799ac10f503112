"""The sections of contracts and of the steps in their life."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal

from pydantic import Field

from consortium.energy.payloads.base import (
    Currency,
    Group,
    IntervalS,
    Name,
    Part,
    PartyText,
    Price,
    RecordId,
    Text,
    TimeMs,
    Wh,
)

Kind = Literal["supply", "grid", "mandate", "wallet", "balance", "market", "ppa", "p2p", "flexibility"]
Zone = Annotated[str, Field(max_length=100, description="An IANA name or an offset.")]
Step = Literal["countersigned", "suspended", "resumed", "ended", "accepted"]


class ContractFrame(Part):
    """Who, where, when: what the grid may know of a contract. Readers: both sides, the grid operators if it has a
    `point` or is a PPA, a standing agreement or a flexibility contract; of a market or mandate also the operators.

    `start_ms` is the first moment of its term, `end_ms` the first one after it (0: open). `provider` serves,
    `customer` is served; the customer of a home's contract is the home. `proposer` is one of them. `grid_fee` is what
    the provider hands on to the grid operator per Wh that it delivers. `amends` names the contract that this one
    replaces from its start on. `notice_days` is the terms' own: every node has to know when an end takes effect. So are
    the energy and its intervals (`interval_s` to `max_calls`), None where the kind has none: the grid works out what
    an agreement moves, and reads no price for it.
    """

    TYPE: ClassVar[str] = "contract"
    PART: ClassVar[str] = "physical"
    GROUP: ClassVar[Group] = "physical"
    kind: Kind
    end_ms: TimeMs
    provider: PartyText
    customer: PartyText
    proposer: PartyText
    point: Name | None = None
    area: Name | None = None
    grid_fee: Price = 0
    amends: RecordId | None = None
    notice_days: Annotated[int, Field(ge=0, le=3650)] = 0
    interval_s: IntervalS | None = None
    zone: Zone | None = None
    profile_wh: Annotated[tuple[Wh, ...], Field(max_length=96)] | None = None
    max_wh: Wh | None = None
    max_calls: Annotated[int, Field(ge=1)] | None = None


class ContractTerms(Part):
    """What the sides agreed on, by the kind's own fields (`energy.contracts.terms`).

    Readers: the two sides; of a market or mandate also the operators.
    """

    TYPE: ClassVar[str] = "contract"
    PART: ClassVar[str] = "terms"
    GROUP: ClassVar[Group] = "terms"
    currency: Currency
    terms: dict[str, Any]


class ContractStep(Part):
    """A step in a contract's life, by one of its sides; `start_ms` is when it takes effect. Readers: as the frame's.

    `party` is set where a market suspends or resumes one party and not itself.
    """

    TYPE: ClassVar[str] = "contract-step"
    PART: ClassVar[str] = "step"
    GROUP: ClassVar[Group] = "physical"
    contract: RecordId
    by: PartyText
    step: Step
    party: PartyText | None = None
    reason: Text = ""


class Call(Part):
    """A call of flexibility: use `wh` less than your baseline in this interval. Readers: both sides, the grid
    operators.
    """

    TYPE: ClassVar[str] = "call"
    PART: ClassVar[str] = "call"
    GROUP: ClassVar[Group] = "physical"
    contract: RecordId
    interval_s: IntervalS
    wh: Annotated[Wh, Field(gt=0)]
