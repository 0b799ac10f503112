"""Pairing across grid areas: who trades how much is given; who with whom is chosen for the least fees.

Energy meets within its own area first. What is left goes across as a transportation problem between areas, solved
exactly (successive shortest paths), which is small: areas, not orders.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

from consortium.energy.market.book import BookOrder
from consortium.energy.market.settings import MarketSettings

Pair = tuple[BookOrder, BookOrder, int]
Flow = dict[tuple[str, str], int]
"""Wh by (seller's area, buyer's area)."""


def pair_by_area(settings: MarketSettings, pairs: Sequence[Pair]) -> Sequence[Pair]:
    """The same volumes of the same orders, paired anew where they stand in several areas.

    `pairs` are bid, ask, Wh as the lists met; the answer has the order of the bids, then of the asks.
    """
    areas = {bid.area for bid, _, _ in pairs} | {ask.area for _, ask, _ in pairs}
    if len(areas) < 2:
        return pairs
    bids, asks = _volumes(pairs, 0), _volumes(pairs, 1)
    demand, supply = _by_area(bids), _by_area(asks)
    wanted, offered = _queues(bids), _queues(asks)
    flow = _flows(settings, supply, demand)
    paired: list[Pair] = []
    for source, target in sorted(flow, key=lambda way: (way[0] != way[1], way)):
        paired += _meet(wanted[target], offered[source], flow[source, target])
    bid_place = {bid.id: place for place, (bid, _) in enumerate(bids)}
    ask_place = {ask.id: place for place, (ask, _) in enumerate(asks)}
    return sorted(paired, key=lambda pair: (bid_place[pair[0].id], ask_place[pair[1].id]))


def _volumes(pairs: Sequence[Pair], side: int) -> list[tuple[BookOrder, int]]:
    """Each executed order of one side with its Wh, in its list's order."""
    orders: dict[bytes, tuple[BookOrder, int]] = {}
    for pair in pairs:
        order: BookOrder = pair[0] if side == 0 else pair[1]
        orders[order.id] = (order, orders.get(order.id, (order, 0))[1] + pair[2])
    return list(orders.values())


def _by_area(volumes: Sequence[tuple[BookOrder, int]]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for order, wh in volumes:
        totals[order.area] = totals.get(order.area, 0) + wh
    return totals


def _queues(volumes: Sequence[tuple[BookOrder, int]]) -> dict[str, deque[tuple[BookOrder, int]]]:
    queues: dict[str, deque[tuple[BookOrder, int]]] = {}
    for order, wh in volumes:
        queues.setdefault(order.area, deque()).append((order, wh))
    return queues


def _meet(bids: deque[tuple[BookOrder, int]], asks: deque[tuple[BookOrder, int]], amount: int) -> list[Pair]:
    """Take `amount` Wh from the front of both queues."""
    pairs: list[Pair] = []
    while amount:
        (bid, wanted), (ask, offered) = bids.popleft(), asks.popleft()
        wh = min(wanted, offered, amount)
        pairs.append((bid, ask, wh))
        amount -= wh
        if wanted > wh:
            bids.appendleft((bid, wanted - wh))
        if offered > wh:
            asks.appendleft((ask, offered - wh))
    return pairs


def _flows(settings: MarketSettings, supply: Mapping[str, int], demand: Mapping[str, int]) -> Flow:
    flow: Flow = {(area, area): min(supply[area], demand[area]) for area in sorted(supply) if area in demand}
    left = {area: wh - flow.get((area, area), 0) for area, wh in sorted(supply.items())}
    wanted = {area: wh - flow.get((area, area), 0) for area, wh in sorted(demand.items())}
    cost = {(source, target): settings.area_fee(target, source) for source in left for target in wanted}
    for way, wh in cheapest(left, wanted, cost).items():
        flow[way] = flow.get(way, 0) + wh
    return {way: wh for way, wh in flow.items() if wh}


def cheapest(supply: Mapping[str, int], demand: Mapping[str, int], cost: Mapping[tuple[str, str], int]) -> Flow:
    """The cheapest flow that brings all supply to all demand, whose sums are equal; ties by the areas' names."""
    left, wanted = dict(supply), dict(demand)
    flow: Flow = {}
    while any(left.values()):
        path = _shortest_path(left, wanted, cost, flow)
        # Ways forward gain, ways back (every second one) give up what they carried.
        wh = min([left[path[0]], wanted[path[-1]], *(flow[path[i + 1], path[i]] for i in range(1, len(path) - 1, 2))])
        left[path[0]] -= wh
        wanted[path[-1]] -= wh
        for i in range(len(path) - 1):
            way, change = ((path[i], path[i + 1]), wh) if i % 2 == 0 else ((path[i + 1], path[i]), -wh)
            flow[way] = flow.get(way, 0) + change
    return {way: wh for way, wh in flow.items() if wh}


def _shortest_path(
    left: Mapping[str, int], wanted: Mapping[str, int], cost: Mapping[tuple[str, str], int], flow: Flow
) -> list[str]:
    """From a source with supply left to a target with demand left: source, target, source, ..., target.

    Bellman and Ford's, since a way back has a negative cost; the flow so far is the cheapest, so there is no negative
    circle.
    """
    sources = {area: (0, [area]) for area in left if left[area]}
    targets: dict[str, tuple[int, list[str]]] = {}
    changed = True
    while changed:
        changed = False
        for (source, target), price in cost.items():
            if source in sources and (target not in targets or sources[source][0] + price < targets[target][0]):
                targets[target] = (sources[source][0] + price, [*sources[source][1], target])
                changed = True
        for (source, target), wh in flow.items():
            price = cost[source, target]
            if wh and target in targets and (source not in sources or targets[target][0] - price < sources[source][0]):
                sources[source] = (targets[target][0] - price, [*targets[target][1], source])
                changed = True
    return min(targets[area] for area in wanted if wanted[area])[1]
