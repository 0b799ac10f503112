"""What all submitted types share: their fields in the API's words, and how a wrong one is refused.

Times are RFC 3339 with an offset and whole seconds, ids are hex, energy is Wh, money integer micro-units. A refusal
names the field and says what belongs there; it repeats nothing of what was sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from consortium.energy.contracts.contract import Contract, executes, party_suspended
from consortium.energy.contracts.terms import MarketTerms
from consortium.energy.metering import require_rfc3339
from consortium.errors import InvalidRequest, NotFound
from consortium.model.names import Party

if TYPE_CHECKING:
    from consortium.energy.catalogue import Directory

Model = TypeVar("Model", bound=BaseModel)
MAX_HINT = 300
EARLIEST, LATEST = datetime(2000, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


class Submitted(BaseModel):
    """Base of the submitted types: strict, frozen, nothing unknown."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def _plausible(moment: datetime) -> datetime:
    if moment.microsecond or not EARLIEST <= moment < LATEST:
        raise ValueError("a time is of whole seconds, from 2000 to 2199")
    return moment


def _is_int(value: Any) -> Any:
    # `Literal` compares: 3600.0 would pass.
    if type(value) is not int:
        raise ValueError("Input should be a valid integer")
    return value


Moment = Annotated[AwareDatetime, BeforeValidator(require_rfc3339), AfterValidator(_plausible), Field(strict=False)]
IdText = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Interval = Annotated[Literal[900, 1800, 3600], BeforeValidator(_is_int)]


def validate(model: type[Model], data: Any, at: str) -> Model:
    """`data` as a `model`. Raises `InvalidRequest` for the first thing that is wrong."""
    try:
        return model.model_validate(data)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        raise _refusal(model, first["type"], first["msg"], first["loc"], at) from None


def _refusal(model: type[BaseModel], kind: str, said: str, place: Iterable[object], at: str) -> InvalidRequest:
    # The name of a field that is not ours is the caller's text, and is not repeated; so is an unknown tag.
    known, tags = _words(model)
    names: list[str] = []
    for part in place:
        if isinstance(part, int) or part in known:
            names.append(str(part))
        elif part not in tags:
            break
    if kind == "extra_forbidden":
        message = "unknown field"
    else:
        message = "its type is unknown" if kind.startswith("union_tag") else said.removeprefix("Value error, ")
    return InvalidRequest(message, field=".".join(filter(None, [at, *names])), hint=_hint(model, names, message))


@lru_cache(maxsize=64)
def _words(model: type[BaseModel]) -> tuple[frozenset[str], frozenset[str]]:
    """All names of fields in the model and what is in it; and the tags that tell one inner model from another."""
    names: set[str] = set()
    tags: set[str] = set()
    waiting: list[Any] = [model.model_json_schema()]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            names |= set(value.get("properties", ()))
            tags |= {str(value["const"])} if "const" in value else set()
            waiting += value.values()
        elif isinstance(value, list):
            waiting += value
    return frozenset(names), frozenset(tags)


def _hint(model: type[BaseModel], names: list[str], message: str) -> str:
    """What belongs into the field, or which fields there are."""
    fields = {info.alias or name: info for name, info in model.model_fields.items()}
    info = fields.get(names[0]) if names else None
    if info is not None and info.description and message != "unknown field":
        return info.description
    return ("its fields are " + ", ".join(fields))[:MAX_HINT]


def no_such_contract() -> NotFound:
    """What is said of a contract that is not there, or that the caller is no side of."""
    return NotFound("no such contract", hint="its id is that of the record that proposed it; only its sides act on it")


def market_of(directory: Directory, name: str, at_ms: int, party: Party) -> MarketTerms:
    """The market's rules at a time. Raises `InvalidRequest`, alike for no market and for one that is not theirs."""
    terms = directory.market(name, at_ms)
    if terms is None or party.member not in (*terms.members, *terms.operators):
        raise InvalidRequest(
            "there is no such market then", field="data.market", hint="name a market that your member takes part in"
        )
    return terms


def require_not_suspended(directory: Directory, terms: MarketTerms, party: str, at_ms: int, field: str) -> None:
    """Raises `InvalidRequest` if the market suspended the party or its member."""
    for contract in _rules(directory, terms):
        if executes(contract, at_ms) and party_suspended(contract, party, at_ms):
            hint = "ask the market's operators; orders are taken again once it is resumed"
            raise InvalidRequest("the market has suspended this party", field=field, hint=hint)


def _rules(directory: Directory, terms: MarketTerms) -> Iterable[Contract]:
    """The contracts that hold the market's rules: their sides are its operators."""
    for operator in terms.operators:
        for contract in directory.contracts_of("market", operator):
            if isinstance(contract.terms, MarketTerms) and contract.terms.name == terms.name:
                yield contract


def parties(names: Iterable[str]) -> tuple[Party, ...]:
    """The parties of these texts."""
    return tuple(Party.parse(name) for name in names)


def whole(start_ms: int, interval_s: int, field: str) -> None:
    """Raises `InvalidRequest` unless an interval of that length may start then."""
    if start_ms % (interval_s * 1000):
        hint = f"in UTC it starts at a multiple of {interval_s // 60} minutes"
        raise InvalidRequest("an interval starts at a multiple of its length", field=field, hint=hint)
