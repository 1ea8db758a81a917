"""TC strings: what a vendor may rely on, and what counts as no consent."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.stages.privacy.bits import MAX_CHARACTERS, UnreadableError
from bidder.stages.privacy.tcf import CONSENT_ONLY, Consent, Policy, bit_of, read_consent

Make = Callable[..., str]

VENDOR = 42
POLICY = Policy(VENDOR)
PURPOSES = (1, 2, 3, 4, 7, 9, 10)

# IAB Tech Lab, "Consent string and vendor list formats v2" and "GPP Consent String Specification": their examples.
GLOBAL_EXAMPLE = (
    "COvFyGBOvFyGBAbAAAENAPCAAOAAAAAAAAAAAEEUACCKAAA"
    ".IFoEUQQgAIQwgIwQABAEAAAAOIAACAIAAAAQAIAgEAACEAAAAAgAQBAAAAAAAGBAAgAAAAAAAFAAECAAAgAAQARAEQAAAAAJAAIAAgAAAYQEAAAQmAgBC3ZAYzUw"
)
SERVICE_EXAMPLE = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"


def allowed(text: str, policy: Policy = POLICY) -> set[int]:
    bits = read_consent(text, policy.vendor_id).allowed(policy)
    return {purpose for purpose in PURPOSES if bits & bit_of(purpose)}


def test_a_string_that_allows_all_allows_all(make_tc_string: Make) -> None:
    """Every purpose, and the special feature."""
    assert allowed(make_tc_string()) == set(PURPOSES)
    assert read_consent(make_tc_string(), VENDOR).opts_in(1)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_purpose_without_consent_is_not_allowed(make_tc_string: Make, purpose: int) -> None:
    """And only that one is not."""
    text = make_tc_string(purposes=set(range(1, 12)) - {purpose})
    assert allowed(text) == set(PURPOSES) - {purpose}


def test_a_special_feature_needs_an_opt_in(make_tc_string: Make) -> None:
    """Feature 2 is not feature 1."""
    assert not read_consent(make_tc_string(special_features=[2]), VENDOR).opts_in(1)


@pytest.mark.parametrize("vendors", [[], [41], [43], [41, 43]])
def test_consent_for_other_vendors_is_none_for_ours(make_tc_string: Make, vendors: list[int]) -> None:
    """Neither the neighbours' bits nor an empty list."""
    assert allowed(make_tc_string(vendor_consents=vendors)) == set()


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([(42, 42)], True),
        ([(1, 42)], True),
        ([(42, 900)], True),
        ([(1, 41), (43, 65535)], False),
        ([(1, 2), (40, 44), (60, 60)], True),
        ([], False),
    ],
)
def test_vendors_are_read_from_ranges(make_tc_string: Make, entries: list[tuple[int, int]], expected: bool) -> None:
    """Single ids and spans, both ends included."""
    assert bool(allowed(make_tc_string(consent_ranges=entries))) is expected


def test_what_follows_a_section_of_ranges_is_read_in_its_place(make_tc_string: Make) -> None:
    """A restriction behind two sections of ranges still counts."""
    text = make_tc_string(
        consent_ranges=[(2, 3), (42, 42)], interest_ranges=[(1, 9)], restrictions=[(4, 0, [(42, 42)])]
    )
    assert allowed(text) == set(PURPOSES) - {4}


@pytest.mark.parametrize("kind", [0, 2, 3])
@pytest.mark.parametrize("purpose", PURPOSES)
def test_a_restriction_takes_a_purpose_away(make_tc_string: Make, purpose: int, kind: int) -> None:
    """Not allowed; or legitimate interest required, which we have not registered; or a type that is none."""
    text = make_tc_string(restrictions=[(purpose, kind, [(40, 45)])])
    assert allowed(text) == set(PURPOSES) - {purpose}


def test_a_restriction_for_others_changes_nothing(make_tc_string: Make) -> None:
    """Nor does one that requires the consent which is given."""
    text = make_tc_string(restrictions=[(1, 0, [(1, 41), (43, 50)]), (2, 1, [(42, 42)])])
    assert allowed(text) == set(PURPOSES)


INTEREST = Policy(VENDOR, legitimate_interest=frozenset({2, 3, 7}))
FLEXIBLE = Policy(VENDOR, legitimate_interest=frozenset({2, 7}), flexible=frozenset({2, 3, 9}))


@pytest.mark.parametrize(
    ("policy", "changes", "purpose", "expected"),
    [
        (POLICY, {}, 2, False),  # registered with consent: an interest is no basis
        (INTEREST, {}, 2, True),
        (INTEREST, {"vendor_interests": [41]}, 2, False),  # the user objected to the vendor
        (INTEREST, {"interests": [7]}, 2, False),  # the user objected to the purpose
        (INTEREST, {}, 3, False),  # no legitimate interest for profiles (TCF v2.2)
        (INTEREST, {"restrictions": [(2, 1, [(42, 42)])]}, 2, False),  # consent required, not flexible
        (INTEREST, {"restrictions": [(2, 2, [(42, 42)])]}, 2, True),
        (FLEXIBLE, {"restrictions": [(2, 1, [(42, 42)])]}, 2, False),  # consent required and not given
        (FLEXIBLE, {"restrictions": [(2, 1, [(42, 42)])], "purposes": [2], "vendor_consents": [42]}, 2, True),
        (FLEXIBLE, {"restrictions": [(9, 2, [(42, 42)])]}, 9, True),  # flexible towards an interest
        (FLEXIBLE, {"restrictions": [(3, 2, [(42, 42)])]}, 3, False),  # never for profiles
        (FLEXIBLE, {"restrictions": [(9, 1, [(42, 42)]), (9, 2, [(42, 42)])]}, 9, False),  # both at once
    ],
)
def test_the_legal_basis_is_the_one_registered_or_demanded(
    make_tc_string: Make, policy: Policy, changes: dict[str, Any], purpose: int, expected: bool
) -> None:
    """With legitimate interests signalled for all purposes, and consent for none."""
    fields: dict[str, Any] = {
        "purposes": [],
        "vendor_consents": [],
        "interests": range(1, 12),
        "vendor_interests": [42],
    }
    text = make_tc_string(**(fields | changes))
    assert (purpose in allowed(text, policy)) is expected


def test_consent_only_purposes_are_those_of_the_framework() -> None:
    """TCF v2.2 took legitimate interest from purposes 3 to 6; purpose 1 never had it."""
    assert {1, 3, 4, 5, 6} == CONSENT_ONLY


@pytest.mark.parametrize(
    "changes", [{"version": 1}, {"version": 3}, {"service_specific": False}, {"disclosed": []}, {"disclosed": [41, 43]}]
)
def test_a_string_of_another_kind_is_unreadable(make_tc_string: Make, changes: dict[str, Any]) -> None:
    """Another version, a global scope, or a vendor that was not disclosed."""
    with pytest.raises(UnreadableError):
        read_consent(make_tc_string(**changes), VENDOR)


def test_strings_since_tcf_23_must_disclose_the_vendor(make_tc_string: Make) -> None:
    """Until 2026-02-28 the segment may be missing, later it may not."""
    assert allowed(make_tc_string(updated_ds=17_723_231_999))
    assert allowed(make_tc_string(updated_ds=17_723_232_000, disclosed=[42]))
    with pytest.raises(UnreadableError):
        read_consent(make_tc_string(updated_ds=17_723_232_000), VENDOR)


def test_the_published_example_of_a_service_is_read() -> None:
    """It allows nothing, and says so in every field."""
    assert read_consent(SERVICE_EXAMPLE, VENDOR) == Consent(0, 0, 0, False, False, {})


def test_a_string_from_a_public_corpus_is_read() -> None:
    """Written by consent platforms: one allows vendor 2 all, the other allows vendor 42 nothing."""
    assert allowed("CPdECS0PdECS0ACABBENAzCv_____3___wAAAQNd_X9cAAAAAAAA", Policy(2)) == set(PURPOSES)
    few = read_consent("CPaYLJBPaYLJBIPAAAENCSCgAPAAAAAAAAAAGsQAQGsAAAAA.YAAAAAAAAAA", VENDOR)
    assert (few.purposes, few.vendor_consent) == (0b1111 << 20, False)


def test_the_published_example_of_a_global_string_gives_nothing() -> None:
    """Its scope is gone."""
    with pytest.raises(UnreadableError, match="scope"):
        read_consent(GLOBAL_EXAMPLE, VENDOR)


def test_every_truncation_is_unreadable(make_tc_string: Make) -> None:
    """Whatever the place at which the string breaks off."""
    text = make_tc_string(consent_ranges=[(40, 44)], restrictions=[(2, 0, [(1, 5), (7, 7)])])
    for end in range(len(text)):
        with pytest.raises(UnreadableError):
            read_consent(text[:end], VENDOR)


@pytest.mark.parametrize("entries", [[(0, 42)], [(44, 41)], [(0, 0)]])
def test_a_range_that_cannot_be_is_unreadable(make_tc_string: Make, entries: list[tuple[int, int]]) -> None:
    """Vendor 0, or an end before its start."""
    with pytest.raises(UnreadableError):
        read_consent(make_tc_string(consent_ranges=entries), VENDOR)


def test_a_string_too_long_is_unreadable(make_tc_string: Make) -> None:
    """What a string can ask to be read is bounded."""
    with pytest.raises(UnreadableError):
        read_consent(make_tc_string() + "A" * MAX_CHARACTERS, VENDOR)


@given(text=st.text(max_size=300))
def test_any_text_is_read_or_unreadable(text: str) -> None:
    """Nothing else is raised; and what is no TC string is never consent."""
    with pytest.raises(UnreadableError):
        read_consent(text, VENDOR)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # the fixture is a function without state
@given(data=st.data())
def test_a_damaged_string_is_read_or_unreadable(data: st.DataObject, make_tc_string: Make) -> None:
    """A character replaced: an answer or `UnreadableError`, nothing else."""
    text = make_tc_string(consent_ranges=[(40, 44)], restrictions=[(2, 0, [(1, 5)])], disclosed=[42])
    place = data.draw(st.integers(0, len(text) - 1))
    damaged = text[:place] + data.draw(st.characters(codec="utf-8")) + text[place + 1 :]
    try:
        consent = read_consent(damaged, VENDOR)
    except UnreadableError:
        return
    assert isinstance(consent, Consent)
