"""Markets: rules, prices and volumes for everyone in them; sessions and books for those who run them."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime

from consortium.energy.metering import to_ms
from consortium.energy.reports import pages
from consortium.energy.reports.markets import market_words
from consortium.web import examples, examples_market
from consortium.web.reading import (
    FOUND,
    LISTED,
    After,
    Begin,
    End,
    From,
    Limit,
    MarketName,
    Rows,
    To,
    answer,
    ms,
    page,
    period,
)
from consortium.web.routes.records import Asking, Node

router = APIRouter(prefix="/v1", tags=["markets"])
Start = Annotated[
    AwareDatetime, Path(description="Start of the session (RFC 3339).", examples=["2017-06-15T18:00:00Z"])
]


@router.get(
    "/markets",
    summary="The markets that the caller is in",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.MARKET], "next": None}) | LISTED,
)
async def markets(node: Node, asking: Asking) -> Response:
    """Name, state and rules; all of them, there are few."""
    found = node.market.all(asking)
    return page([market_words(contract, terms, node.market.now_ms) for contract, terms in found], None)


@router.get(
    "/markets/{name}",
    summary="A market's rules",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.MARKET) | FOUND,
)
async def market(name: MarketName, node: Node, asking: Asking) -> Response:
    """The rules that are in force, as the operators signed them."""
    contract, terms = node.market.one(asking, name)
    return answer(market_words(contract, terms, node.market.now_ms))


@router.get(
    "/markets/{name}/results",
    summary="Price and volume by session",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.RESULT], "next": None}) | FOUND,
)
async def results(
    name: MarketName,
    node: Node,
    asking: Asking,
    start: From = None,
    end: To = None,
    after: After = -1,
    limit: Limit = 100,
) -> Response:
    """For everyone in the market. The cursor is a session's start in ms."""
    rows = node.market.results(asking, name, ms(start), ms(end))
    return page(*pages.page(rows, after, limit))


@router.get(
    "/markets/{name}/sessions",
    summary="Sessions in figures, for the operators",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.SESSION], "next": None}) | FOUND,
)
async def sessions(
    name: MarketName,
    node: Node,
    asking: Asking,
    start: From = None,
    end: To = None,
    after: After = -1,
    limit: Limit = 100,
) -> Response:
    """Bids, asks, trades, price, and whether the session is open, closed, cleared or stopped."""
    rows = node.market.sessions(asking, name, ms(start), ms(end))
    return page(*pages.page(rows, after, limit))


@router.get(
    "/markets/{name}/sessions/{start}/book",
    summary="A session's book with its orders opened, for the operators",
    response_model=dict[str, Any],
    responses=examples.of(examples_market.BOOK) | FOUND,
)
async def book(
    name: MarketName,
    start: Start,
    node: Node,
    asking: Asking,
    round: Annotated[int | None, Query(ge=0, description="Of a continuous market: which round.")] = None,
) -> Response:
    """What `consortium market replay` clears again offline."""
    bundle = await node.market.book(asking, name, to_ms(start), round)
    return Response(bundle.to_json(), media_type="application/json", headers={"Cache-Control": "no-store"})


@router.get(
    "/analytics/areas",
    summary="Totals by area and interval, under the group rule",
    response_model=Rows,
    responses=examples.of({"rows": [examples_market.AREA], "next": None}) | FOUND,
)
async def areas(
    node: Node,
    asking: Asking,
    name: Annotated[str, Query(alias="market", pattern="^[a-z][a-z0-9-]{0,30}[a-z0-9]$", description="The market.")],
    start: Begin,
    end: End,
    after: After = -1,
    limit: Limit = 100,
) -> Response:
    """For the staff of grid operator and operators. A cell that stands for too few homes, or that would give one away
    together with others, is null and named in `suppressed`. Whole local days, each once it is complete.
    """
    asked = period(start, end)
    rows = node.market.totals(asking, name, asked.start_ms, asked.end_ms)
    return page(*pages.page(enumerate(rows), after, limit))
