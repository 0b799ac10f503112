"""Made-up readings as a member's meters send them: hourly, one id each."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta

_FIRST = datetime(2017, 1, 1, tzinfo=UTC)
_HOURS = 24 * 365


def readings(subjects: Sequence[str]) -> Iterator[bytes]:
    """Submissions as JSON, for ever: every subject's readings of an hour, then those of the next hour."""
    hours = itertools.cycle([(_FIRST + timedelta(hours=n)).isoformat() for n in range(_HOURS)])
    for number, hour in enumerate(hours):
        for subject in subjects:
            yield (
                f'{{"id":"{os.urandom(16).hex()}","type":"reading","data":{{"subject":"{subject}",'
                f'"interval_start":"{hour}","interval_s":3600,'
                f'"load_wh":{400 + number % 2000},"pv_wh":{number % 700}}}}}'
            ).encode()
