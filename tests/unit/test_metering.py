"""Readings: what they become."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from consortium.energy.metering import Reading
from consortium.model.encoding import decode, encode


@given(
    st.from_regex(r"[a-z][a-z0-9-]{0,10}[a-z0-9]@[a-z][a-z0-9]{1,8}", fullmatch=True),
    st.sampled_from([900, 1800, 3600]),
    st.integers(0, 1 << 40),
    st.integers(0, 1 << 40),
    st.sampled_from(["measured", "estimated"]),
)
def test_a_plaintext_is_written_in_the_order_of_the_encoding(subject, interval_s, load_wh, pv_wh, quality):
    reading = Reading(
        subject=subject,
        interval_start="2017-06-15T10:00:00-08:00",
        interval_s=interval_s,
        load_wh=load_wh,
        pv_wh=pv_wh,
        quality=quality,
    )
    plaintext = reading.plaintext()
    fields = dict(decode(plaintext).items())
    assert encode(fields) == plaintext
    assert fields == {
        "v": 1,
        "type": "reading",
        "subject": subject,
        "start_ms": 1_497_549_600_000,
        "interval_s": interval_s,
        "load_wh": load_wh,
        "pv_wh": pv_wh,
        "quality": quality,
    }
