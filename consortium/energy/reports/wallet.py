"""A wallet as its owner sees it: what stands in it, and its statement, entry by entry."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from consortium.energy.opened import Opened
from consortium.energy.payloads.money import Entry
from consortium.energy.sections import part_in_words
from consortium.energy.wallets import Account


def wallet_words(account: Account | None, name: str, credit_limit: int, wrong: str) -> dict[str, Any]:
    """Balance, reserved, available; `whole` says whether the chain verifies, `wrong` where it does not."""
    reserved = sum(account.reserved.values()) if account else 0
    balance = account.balance if account else 0
    return {
        "account": name,
        "owner": account.owner if account else None,
        "currency": account.currency if account else None,
        "balance": balance,
        "reserved": reserved,
        "credit_limit": credit_limit,
        "available": balance + credit_limit - reserved,
        "entries": account.sequence if account else 0,
        "head": account.previous.hex() if account else None,
        "whole": not wrong,
        "wrong": wrong,
    }


def statement_rows(payments: Iterable[Opened], account: str) -> list[dict[str, Any]]:
    """The account's entries with their lines; each line names its cause and the clause."""
    return [
        {"id": record.id, "index": record.index, **part_in_words(entry)}
        for record in payments
        for entry in record.parts
        if isinstance(entry, Entry) and entry.account == account
    ]


def own_entries(opened: Iterable[Opened], account: str) -> list[Opened]:
    """The records without the entries of other accounts, which a settlement agent can open as well."""
    return [
        Opened(
            record.id,
            record.index,
            record.type,
            record.author,
            tuple(part for part in record.parts if not isinstance(part, Entry) or part.account == account),
        )
        for record in opened
    ]
