"""What the reading routes share: periods, cursors, answers."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import Path, Query, Response
from pydantic import AwareDatetime, BaseModel, BeforeValidator

from consortium.energy.metering import require_rfc3339, to_ms
from consortium.energy.opened import Period
from consortium.errors import Forbidden, InvalidRequest, NotAuthenticated, NotFound, StoreUnavailable
from consortium.pipeline.portfolio import Wanted
from consortium.pipeline.read import MAX_PAGE
from consortium.web.problems import documented

_MAX_INDEX = (1 << 63) - 1
MAX_PERIOD = timedelta(days=367)
"""A leap year, whatever the clocks did: of what is answered by interval, so that a caller cannot ask for centuries."""
_given = BeforeValidator(lambda value: value and require_rfc3339(value))
_BEGIN, _END = "Start of the period (RFC 3339).", "End of the period, not included."

From = Annotated[AwareDatetime | None, _given, Query(alias="from", description=_BEGIN)]
To = Annotated[AwareDatetime | None, _given, Query(alias="to", description=_END)]
At = Annotated[AwareDatetime | None, _given, Query(description="State at this time; by default the ledger's time.")]
Begin = Annotated[
    AwareDatetime, _given, Query(alias="from", description=_BEGIN, examples=["2017-06-15T00:00:00-08:00"])
]
End = Annotated[AwareDatetime, _given, Query(alias="to", description=_END, examples=["2017-06-16T00:00:00-08:00"])]
After = Annotated[int, Query(ge=-1, le=_MAX_INDEX, description="Cursor: `next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=MAX_PAGE, description="At most so many rows.")]
Currency = Annotated[str, Query(pattern="^[A-Z]{3}$", description="ISO 4217 code.")]
Account = Annotated[
    str | None, Query(pattern="^[a-z0-9@-]{2,70}$", description="An account kept by the caller; by default their own.")
]
MarketName = Annotated[
    str, Path(pattern="^[a-z][a-z0-9-]{0,30}[a-z0-9]$", description="The market's name.", examples=["local"])
]


class Rows(BaseModel):
    """A page of a list; pass `next` as `after` for the following page (null: no more)."""

    rows: list[dict[str, Any]]
    next: int | None = None


LISTED = documented(NotAuthenticated, Forbidden, InvalidRequest, StoreUnavailable)
FOUND = documented(NotAuthenticated, Forbidden, NotFound, InvalidRequest, StoreUnavailable)


def ms(moment: datetime | None) -> int | None:
    """UTC milliseconds, or None."""
    return None if moment is None else to_ms(moment)


def period(start: datetime, end: datetime) -> Period:
    """Raises `InvalidRequest` if it is empty, or so long that its rows alone would keep the node busy."""
    if end <= start:
        raise InvalidRequest("a period ends after it starts", field="to")
    if end - start > MAX_PERIOD:
        raise InvalidRequest(f"a period has at most {MAX_PERIOD.days} days", field="to")
    return Period(to_ms(start), to_ms(end))


def wanted(start: datetime | None, end: datetime | None, after: int) -> Wanted:
    """A period and a cursor."""
    return Wanted((), ms(start), ms(end), after)


def answer(value: Any) -> Response:
    """JSON that nobody on the way may keep: it is one caller's."""
    text = json.dumps(value, ensure_ascii=False)
    return Response(text, media_type="application/json", headers={"Cache-Control": "no-store"})


def page(rows: list[Any], last: int | None) -> Response:
    """A page of a list."""
    return answer({"rows": rows, "next": last})
