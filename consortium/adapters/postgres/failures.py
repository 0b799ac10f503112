"""Postgres' failures in the project's families.

Messages name the class of the error and its SQLSTATE alone: what Postgres says besides may quote rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import psycopg
from psycopg import errors

from consortium.errors import ConfigurationError, ConsortiumError, DefectError, StoreUnavailable, Tampering

_AWAY = (psycopg.OperationalError, errors.ReadOnlySqlTransaction, errors.TransactionRollback)
_SETUP = (errors.UndefinedTable, errors.UndefinedColumn, errors.InvalidSchemaName, errors.InsufficientPrivilege)


@contextmanager
def translated() -> Iterator[None]:
    """Raise the project's exceptions in place of the driver's."""
    try:
        yield
    except psycopg.Error as error:
        raise translate(error) from error


def translate(error: psycopg.Error) -> ConsortiumError:
    """The project's exception for one of the driver's."""
    what = f"{type(error).__name__} ({error.sqlstate or 'no SQLSTATE'})"
    if isinstance(error, _AWAY):
        return StoreUnavailable(f"Postgres is away or refused: {what}", hint="see the log of the Postgres server")
    if isinstance(error, _SETUP):
        return ConfigurationError(
            f"the database is not set up for this program: {what}",
            hint="run the migrations, as the role that owns the database",
        )
    if isinstance(error, psycopg.IntegrityError):
        return Tampering(f"the store holds rows that it cannot hold: {what}", hint="run `consortium audit`")
    return DefectError(f"Postgres refused a statement: {what}")
