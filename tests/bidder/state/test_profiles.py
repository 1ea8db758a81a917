"""The written form of a profile."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.domain import Profile
from bidder.state.profiles import MAX_VALUE_BYTES, decode_profile, encode_profile

COUNTS = st.integers(min_value=0, max_value=2**53)


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    st.builds(
        Profile,
        segments=st.frozensets(st.text(max_size=20), max_size=10),
        impressions_today=COUNTS,
        last_impression_s=COUNTS,
        campaign_impressions=st.dictionaries(st.text(max_size=20), COUNTS, max_size=10),
    )
)
def test_a_profile_is_read_as_it_was_written(profile: Profile) -> None:
    """Every profile comes back equal after being written."""
    assert decode_profile(encode_profile(profile)) == profile


def test_every_field_is_optional() -> None:
    """An empty object is a profile of which nothing is known."""
    assert decode_profile(b"{}") == Profile()


def test_fields_of_a_newer_writer_are_left_alone() -> None:
    """A field that is not known does not make the profile unreadable."""
    assert decode_profile(b'{"n": 2, "x": [1]}') == Profile(impressions_today=2)


@pytest.mark.parametrize(
    "value",
    [
        b"",
        b"\xff",
        b"[]",
        b"null",
        b'{"s": "sports"}',
        b'{"s": [1]}',
        b'{"n": -1}',
        b'{"n": 1.5}',
        b'{"n": true}',
        b'{"t": "now"}',
        b'{"c": []}',
        b'{"c": {"a": -1}}',
        b'{"s": ["a"]',
        b"[" * 10_000,
    ],
)
def test_what_is_no_profile_is_a_value_error(value: bytes) -> None:
    """A value of another shape is refused and not half read."""
    with pytest.raises(ValueError, match=r"\w"):
        decode_profile(value)


def test_a_long_value_is_refused_before_it_is_parsed() -> None:
    """A value over the limit is refused, one at the limit is read."""
    fitting = orjson.dumps({"s": ["x" * (MAX_VALUE_BYTES - 10)]})
    assert len(fitting) == MAX_VALUE_BYTES
    assert decode_profile(fitting).segments
    with pytest.raises(ValueError, match=f"at most {MAX_VALUE_BYTES}"):
        decode_profile(fitting + b" ")
