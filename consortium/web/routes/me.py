"""A party's own affairs: summary, forecast, positions, invoices, certificates, disputes."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import AwareDatetime

from consortium.energy.metering import to_ms
from consortium.energy.payloads.settlement import Certificate, Dispute
from consortium.energy.reports.pages import record_words
from consortium.web import examples, examples_market
from consortium.web.reading import (
    LISTED,
    After,
    Begin,
    Currency,
    End,
    From,
    Limit,
    Rows,
    To,
    answer,
    page,
    period,
    wanted,
)
from consortium.web.routes.records import Asking, Node

router = APIRouter(prefix="/v1", tags=["me"])


@router.get(
    "/me/summary",
    summary="A period at a glance",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.SUMMARY) | LISTED,
)
async def summary(node: Node, asking: Asking, start: Begin, end: End, currency: Currency = "USD") -> Response:
    """Used, made, bought, sold, from whom in kinds, paid, earned, fees, saved against retail, carbon, certificates; and
    interval by interval why. Energy in Wh, money in micro-units, carbon in mg.
    """
    return answer(await node.personal.summary(asking, period(start, end), currency))


@router.get(
    "/me/forecast",
    summary="What the known forecasts say",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.FORECAST) | LISTED,
)
async def forecast(
    node: Node,
    asking: Asking,
    start: Annotated[AwareDatetime, Query(description="First interval (RFC 3339).")],
    hours: Annotated[int, Query(ge=1, le=168, description="How many hours from there.")] = 24,
) -> Response:
    """Net demand in Wh by each forecast, and how wrong it was where the meter has been read already."""
    return answer(await node.personal.forecast(asking, to_ms(start), hours))


@router.get(
    "/positions",
    summary="Positions by interval",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.POSITION], "next": None}) | LISTED,
)
async def positions(
    node: Node,
    asking: Asking,
    start: Begin,
    end: End,
    after: After = -1,
    limit: Limit = 100,
    currency: Currency = "USD",
) -> Response:
    """Ordered, traded, metered, deviation; and what the supplier delivered. The cursor is an interval's start in ms."""
    return page(*await node.personal.positions(asking, period(start, end), currency, after, limit))


@router.get(
    "/readings",
    summary="Meters by interval, with what is to be said of each",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.METER], "next": None}) | LISTED,
)
async def readings(
    node: Node, asking: Asking, start: Begin, end: End, after: After = -1, limit: Limit = 100
) -> Response:
    """The reading that counts of each interval that is over; flags: missing, late, duplicate, estimated, corrected.

    Users see their own meter, staff the meters that their member may read. The cursor counts rows.
    """
    return page(*await node.personal.meters(asking, period(start, end), after, limit))


@router.get(
    "/invoices",
    summary="The invoice of a period",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.INVOICE) | LISTED,
)
async def invoices(node: Node, asking: Asking, start: Begin, end: End, currency: Currency = "USD") -> Response:
    """By contract, each line with its clause and the records behind it; corrections as reversal and new."""
    return answer(await node.personal.invoice(asking, period(start, end), currency))


@router.get(
    "/certificates",
    summary="Certificates of origin",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.CERTIFICATE], "next": None}) | LISTED,
)
async def certificates(
    node: Node, asking: Asking, start: From = None, end: To = None, after: After = -1, limit: Limit = 100
) -> Response:
    """The certificate records that the caller's party can open: issued, transferred, cancelled, withdrawn."""
    found, last = await node.personal.records(asking, "certificate", wanted(start, end, after), limit)
    rows = [row for record in found if (row := record_words(record, Certificate)) is not None]
    return page(node.personal.masked(asking, Certificate.TYPE, rows), last)


@router.get(
    "/disputes",
    summary="Disputes",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.DISPUTE], "next": None}) | LISTED,
)
async def disputes(
    node: Node, asking: Asking, start: From = None, end: To = None, after: After = -1, limit: Limit = 100
) -> Response:
    """Where two sides' statements differ: both computations, and where."""
    found, last = await node.personal.records(asking, "dispute", wanted(start, end, after), limit)
    rows = [row for record in found if (row := record_words(record, Dispute)) is not None]
    return page(node.personal.masked(asking, Dispute.TYPE, rows), last)
