"""Naive forecasts, and how their errors are counted."""

from __future__ import annotations

import pytest

from consortium.energy.forecast import errors, forecast, rounded, utc_days_before
from consortium.errors import InvalidRequest

HOUR = 3_600_000
DAY = 24 * HOUR


def test_the_naive_forecasts_repeat_the_same_interval_of_an_earlier_day():
    history = {10 * DAY - DAY: 5, 10 * DAY - 7 * DAY: -7, 10 * DAY - HOUR: 99}
    assert forecast("day-before", utc_days_before).net_wh(10 * DAY, 3600, history) == 5
    assert forecast("week-before", utc_days_before).net_wh(10 * DAY, 3600, history) == -7


def test_without_history_nothing_is_foreseen():
    assert forecast("day-before", utc_days_before).net_wh(10 * DAY, 3600, {10 * DAY: 1}) is None
    assert forecast("day-before", lambda start, days: None).net_wh(10 * DAY, 3600, {10 * DAY: 1}) is None


def test_a_zone_says_what_the_same_interval_is():
    # The day before had a 23rd hour less: its same local hour lies 23 hours back.
    shifted = forecast("day-before", lambda start, days: start - 23 * HOUR)
    assert shifted.net_wh(10 * DAY, 3600, {10 * DAY - 23 * HOUR: 4, 9 * DAY: 1}) == 4


def test_an_unknown_forecast_is_refused():
    with pytest.raises(InvalidRequest, match="unknown forecast"):
        forecast("crystal-ball", utc_days_before)


def test_errors_are_forecast_less_actual():
    found = errors({1: 10, 2: -5, 3: None, 9: 1000}, {1: 7, 2: -1, 3: 3, 4: 8})
    assert (found.count, found.missing, found.sum_wh, found.sum_absolute_wh) == (2, 2, -1, 7)
    assert (found.mean_absolute_wh, found.bias_wh) == (4, 0)


def test_no_interval_has_no_error():
    found = errors({}, {1: 5})
    assert (found.count, found.missing, found.mean_absolute_wh, found.bias_wh) == (0, 1, 0, 0)


@pytest.mark.parametrize(
    ("value", "divisor", "result"), [(3, 2, 2), (-3, 2, -1), (-1, 2, 0), (5, 3, 2), (4, 3, 1), (-7, -2, 4), (1, 0, 0)]
)
def test_a_half_is_rounded_upwards(value, divisor, result):
    assert rounded(value, divisor) == result
