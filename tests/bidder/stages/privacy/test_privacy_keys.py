"""Identifiers → the keys of a profile."""

from __future__ import annotations

from bidder.stages.privacy import MAX_KEYS, profile_key, profile_keys
from bidder.stages.privacy.keys import ZERO_ID
from bidder.stages.request import EID, UID, Device, User, UserExt


def third_parties(*ids: str | None, source: str | None = "id.example") -> list[EID]:
    return [EID(source, [UID(each) for each in ids])]


def test_keys_come_best_first_and_each_identifier_has_its_own() -> None:
    """Our own id, the device's in lower case, then those of third parties, whose places are 2.6's or 2.5's."""
    expected = [profile_key("buyeruid", "U-1"), profile_key("ifa", "ab-c"), profile_key("id.example", "X")]
    assert [*profile_keys(User("U-1", eids=third_parties("X")), Device(ifa="AB-C"))] == expected
    assert [*profile_keys(User("U-1", ext=UserExt(eids=third_parties("X"))), Device(ifa="AB-C"))] == expected


def test_keys_can_be_asked_for_again() -> None:
    """By the next store, or an explanation."""
    keys = profile_keys(User("u"), None)
    assert [*keys] == [*keys] == [profile_key("buyeruid", "u")]


def test_only_the_first_identifiers_become_keys() -> None:
    """Of a user, and of a source, where an identifier that is none keeps its place."""
    many = third_parties(*"abcdefgh") + third_parties("z", source="other.example")
    assert [*profile_keys(User("u", eids=many), Device(ifa="i"))][2:] == [profile_key("id.example", c) for c in "abcd"]
    assert [*profile_keys(User(eids=third_parties(*[None] * (MAX_KEYS - 1), "x")), None)]
    assert profile_keys(User(eids=third_parties(*[None] * MAX_KEYS, "x")), None) == ()


def test_who_is_not_named_has_no_keys() -> None:
    """Nobody, a device that tells no id, sources without a name, without identifiers, or with empty ones."""
    assert profile_keys(None, None) == ()
    assert profile_keys(User("", eids=[]), Device(ifa=ZERO_ID)) == ()
    nameless = [EID("id.example"), *third_parties("x", source=None), *third_parties("")]
    assert profile_keys(User(eids=nameless), None) == ()


def test_identifiers_are_not_shown() -> None:
    """Whoever writes an auction into a log writes keys."""
    shown = repr(profile_keys(User("raw-1", eids=third_parties("raw-2")), Device(ifa="raw-3")))
    assert "raw" not in shown
    assert profile_key("buyeruid", "raw-1") in shown


def test_any_text_is_an_identifier() -> None:
    """Half a surrogate pair too."""
    assert [*profile_keys(User("\ud800"), None)] == [profile_key("buyeruid", "\ud800")]
