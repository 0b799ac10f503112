"""A contract as one of its readers sees it: frame, terms if they may, state, sentences, and its history."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from consortium.energy.contracts.clauses import clauses
from consortium.energy.contracts.contract import Contract, state_at
from consortium.energy.contracts.terms import Terms, parse_terms
from consortium.energy.opened import Opened
from consortium.energy.payloads.contracts import ContractFrame, ContractStep, ContractTerms
from consortium.energy.sections import part_in_words
from consortium.energy.shown import shown
from consortium.errors import InvalidRequest


def contract_words(record: Opened, folded: Contract, steps: Iterable[Opened], at_ms: int) -> dict[str, Any] | None:
    """The contract that `record` proposed, or None if it is none.

    `folded` is what its node makes of all its records; what is told of it besides its state is only what the reader
    opened. `steps` are the contract-step records of that reader.
    """
    frame, section = record.part(ContractFrame), record.part(ContractTerms)
    if frame is None:
        return None
    terms = _terms(frame, section)
    seen = replace(folded, terms=terms, currency=section.currency if section else None)
    return {
        "id": record.id,
        "index": record.index,
        "author": record.author,
        "state": str(state_at(folded, at_ms)),
        "replaced_by": folded.replaced_by.hex() if folded.replaced_by else None,
        "frame": part_in_words(frame),
        "currency": seen.currency,
        "terms": shown(section.terms) if section else None,
        "clauses": [_clause(clause) for clause in clauses(seen)],
        "history": history(folded, steps),
    }


def _terms(frame: ContractFrame, section: ContractTerms | None) -> Terms | None:
    if section is None:
        return None
    try:
        return parse_terms(frame.kind, section.terms)
    except InvalidRequest:
        return None


def _clause(clause: Any) -> dict[str, Any]:
    return dict(clause) if isinstance(clause, Mapping) else shown(clause)


def history(folded: Contract, steps: Iterable[Opened]) -> list[dict[str, Any]]:
    """The steps with their record ids; `effect` says whether the step changed anything."""
    effective = {seen.index for seen in folded.steps}
    return [
        {"id": record.id, "index": record.index, "author": record.author, **part_in_words(step)}
        | {"effect": record.index in effective}
        for record in steps
        if (step := record.part(ContractStep)) is not None and step.contract == folded.id
    ]
