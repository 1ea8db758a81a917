"""When requests arrive."""

from __future__ import annotations

from itertools import pairwise

import pytest

from loadtest.sending.arrivals import Profile, Segment, arrivals, segments


def times(profile: Profile, rate: float, duration_s: float, **more: object) -> list[float]:
    return list(arrivals(segments(profile, rate, duration_s), poisson=profile is Profile.POISSON, **more))


@pytest.mark.parametrize("profile", list(Profile))
def test_arrivals_ascend_within_the_duration(profile: Profile):
    """Whatever the profile, times only grow, and none is before the start or after the end."""
    found = times(profile, 200, 12)
    assert all(a <= b for a, b in pairwise(found))
    assert found[0] >= 0
    assert found[-1] < 12


def test_a_constant_rate_has_even_steps():
    """1,000 a second for two seconds are 2,000 arrivals, a millisecond apart."""
    found = times(Profile.CONSTANT, 1000, 2)
    assert len(found) == 2000
    assert all(b - a == pytest.approx(0.001) for a, b in pairwise(found))


def test_a_ramp_ends_ten_times_as_dense_as_it_began():
    """From a tenth of the rate to the rate: 55 % of the arrivals in all, and the area says when each comes."""
    found = times(Profile.RAMP, 100, 10)
    assert len(found) == 550
    first, last = (sum(low <= at < low + 1 for at in found) for low in (0, 9))
    assert first == pytest.approx(14.5, abs=1)
    assert last == pytest.approx(95.5, abs=1)


def test_bursts_keep_the_mean():
    """Three times the rate in one second of five, half of it in the others: the rate on average."""
    found = times(Profile.BURST, 100, 10)
    assert len(found) == 1000
    per_s = [sum(low <= at < low + 1 for at in found) for low in range(10)]
    assert per_s == [50, 50, 50, 50, 300] * 2


def test_poisson_is_seeded_and_random():
    """The same seed gives the same times; gaps vary as an exponential's do, whose deviation is its mean."""
    found = times(Profile.POISSON, 1000, 20, seed=5)
    assert found == times(Profile.POISSON, 1000, 20, seed=5)
    assert found != times(Profile.POISSON, 1000, 20, seed=6)
    gaps = [b - a for a, b in pairwise(found)]
    mean = sum(gaps) / len(gaps)
    deviation = (sum((gap - mean) ** 2 for gap in gaps) / len(gaps)) ** 0.5
    assert mean == pytest.approx(0.001, rel=0.05)
    assert deviation == pytest.approx(mean, rel=0.05)


@pytest.mark.parametrize("profile", [Profile.CONSTANT, Profile.RAMP, Profile.BURST])
def test_workers_share_the_profile(profile: Profile):
    """What three workers send together is what one would send alone."""
    shared = [at for worker in range(3) for at in times(profile, 90, 10, worker=worker, workers=3)]
    assert sorted(shared) == pytest.approx(times(profile, 90, 10))


def test_poisson_workers_differ_and_add_up():
    """Each of four has arrivals of its own; together they have the rate."""
    shared = [times(Profile.POISSON, 1000, 10, worker=worker, workers=4) for worker in range(4)]
    assert len({tuple(each) for each in shared}) == 4
    assert sum(map(len, shared)) == pytest.approx(10_000, rel=0.05)


def test_a_warm_up_has_the_rate_that_the_profile_starts_with():
    """It comes before the profile, and is not part of it."""
    assert segments(Profile.RAMP, 100, 10, 2) == [Segment(2, 10, 10), Segment(10, 10, 100)]
