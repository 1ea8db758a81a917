"""GPP strings: their sections, and who opted out in the United States."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.stages.privacy.bits import UnreadableError
from bidder.stages.privacy.gpp import MAX_SECTIONS, allows_sale, opts_out, read_sections

Make = Callable[..., str]

TCF_EXAMPLE = "CPXxRfAPXxRfAAfKABENB-CgAAAAAAAAAAYgAAAAAAAA"

# Field names in the order of IAB Tech Lab's section specifications; a number repeats a field of several activities.
STATE = "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SaleOptOut TargetedAdvertisingOptOut"
END = "MspaCoveredTransaction MspaOptOutOptionMode MspaServiceProviderMode"
SECTIONS = {
    (7, 1): "SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice"
    " SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut"
    " TargetedAdvertisingOptOut SensitiveData*12 KnownChild*2 PersonalDataConsents " + END,
    (7, 2): "SharingNotice SaleOptOutNotice SharingOptOutNotice TargetedAdvertisingOptOutNotice"
    " SensitiveDataProcessingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut"
    " TargetedAdvertisingOptOut SensitiveData*16 KnownChild*3 PersonalDataConsents " + END,
    (8, 1): "SaleOptOutNotice SharingOptOutNotice SensitiveDataLimitUseNotice SaleOptOut SharingOptOut"
    " SensitiveData*9 KnownChild*2 PersonalDataConsents " + END,
    (9, 1): f"{STATE} SensitiveData*8 KnownChild {END}",
    (10, 1): f"{STATE} SensitiveData*7 KnownChild {END}",
    (11, 1): "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataProcessingOptOutNotice"
    f" SaleOptOut TargetedAdvertisingOptOut SensitiveData*8 KnownChild {END}",
    (12, 1): f"{STATE} SensitiveData*8 KnownChild*3 {END}",
    (13, 1): f"{STATE} SensitiveData*8 KnownChild*3 AdditionalDataProcessingConsent {END}",
    (14, 1): f"{STATE} SensitiveData*8 KnownChild*3 AdditionalDataProcessingConsent {END}",
    (15, 1): f"{STATE} SensitiveData*11 KnownChild*3 AdditionalDataProcessingConsent {END}",
    (16, 1): f"{STATE} SensitiveData*8 KnownChild AdditionalDataProcessingConsent {END}",
    (17, 1): f"{STATE} SensitiveData*9 KnownChild*5 AdditionalDataProcessingConsent {END}",
    (18, 1): "SharingNotice SaleOptOutNotice TargetedAdvertisingOptOutNotice SensitiveDataOptOutNotice"
    f" SaleOptOut TargetedAdvertisingOptOut SensitiveData*8 KnownChild {END}",
    (19, 1): f"{STATE} SensitiveData*8 KnownChild AdditionalDataProcessingConsent {END}",
    (20, 1): f"{STATE} SensitiveData*8 KnownChild*3 AdditionalDataProcessingConsent {END}",
    (21, 1): f"{STATE} SensitiveData*10 KnownChild*5 AdditionalDataProcessingConsent {END}",
    (22, 1): f"{STATE} SensitiveData*8 KnownChild AdditionalDataProcessingConsent {END}",
}
SENSITIVE_NOTICES = ("SensitiveDataProcessingOptOutNotice", "SensitiveDataLimitUseNotice", "SensitiveDataOptOutNotice")


def fields(section: tuple[int, int]) -> list[str]:
    names = []
    for name in SECTIONS[section].split():
        base, _, count = name.partition("*")
        names += [base] * int(count or 1)
    return names


def granting(name: str) -> int:
    """The value of somebody who was told, and did not opt out."""
    if name.endswith("Notice"):
        return 1
    return 2 if name.endswith("OptOut") or name == "MspaServiceProviderMode" else 0


def denied(name: str) -> list[int]:
    """The values of field `name` that must count as an opt-out."""
    if name in SENSITIVE_NOTICES or name == "SensitiveData" or name.startswith(("MspaC", "MspaO")):
        return []
    if name.endswith("Notice"):
        return [2, 3]
    if name in ("KnownChild", "AdditionalDataProcessingConsent"):
        return [1, 2, 3]
    return [1, 3]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("DBABMA~" + TCF_EXAMPLE, {2: TCF_EXAMPLE}),
        ("DBABM~" + TCF_EXAMPLE, {2: TCF_EXAMPLE}),
        ("DBACNYA~" + TCF_EXAMPLE + "~1YNN", {2: TCF_EXAMPLE, 6: "1YNN"}),
        ("DBACNY~" + TCF_EXAMPLE + "~1YNN", {2: TCF_EXAMPLE, 6: "1YNN"}),
        ("DBABjw~" + TCF_EXAMPLE + "~1YNN", {5: TCF_EXAMPLE, 6: "1YNN"}),
        ("DBABLA~BVVqAAAACCA.QA", {7: "BVVqAAAACCA.QA"}),
        ("DBAA", {}),
    ],
)
def test_the_published_headers_are_read(text: str, expected: dict[int, str]) -> None:
    """Examples of the GPP Consent String Specification, single sections and a range, and two seen in traffic."""
    assert read_sections(text) == expected


def test_many_sections_are_told_apart(make_gpp_string: Make) -> None:
    """Ids are offsets in Fibonacci coding."""
    sections = {number: f"s{number}" for number in (2, 6, 7, 8, 13, 22, 27, 60)}
    assert read_sections(make_gpp_string(sections)) == sections


@pytest.mark.parametrize("text", ["", "~", "DBABMA", "DBABMA~a~b", "CBABMA~a", "DCABMA~a", "DBABAAAAA~a", "DBABM?~a"])
def test_a_string_whose_header_does_not_fit_is_unreadable(text: str) -> None:
    """Nothing, too few or too many sections, another type or version, no end of a number."""
    with pytest.raises(UnreadableError):
        read_sections(text)


def test_the_number_of_sections_is_bounded(make_gpp_string: Make) -> None:
    """More than there will ever be is no GPP string."""
    with pytest.raises(UnreadableError):
        read_sections(make_gpp_string(dict.fromkeys(range(1, MAX_SECTIONS + 2), "a")))


@pytest.mark.parametrize("section", SECTIONS)
def test_who_was_told_and_did_not_opt_out_is_in(make_us_section: Make, section: tuple[int, int]) -> None:
    """In every section, with and without the sub-section of Global Privacy Control."""
    values = [granting(name) for name in fields(section)]
    for gpc in (None, False):
        assert not opts_out(section[0], make_us_section(values, version=section[1], gpc=gpc))
    assert not opts_out(section[0], make_us_section([0] * len(values), version=section[1]))


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_that_forbids_is_read_in_its_place(make_us_section: Make, section: tuple[int, int]) -> None:
    """Each field alone, with each of its values: an opt-out exactly where its specification makes it one."""
    names = fields(section)
    for place, name in enumerate(names):
        for value in range(4):
            values = [granting(other) for other in names]
            values[place] = value
            said = opts_out(section[0], make_us_section(values, version=section[1]))
            assert said is (value in denied(name)), (name, place, value)


@pytest.mark.parametrize("section", SECTIONS)
def test_global_privacy_control_opts_out(make_us_section: Make, section: tuple[int, int]) -> None:
    """Whatever the core says."""
    values = [granting(name) for name in fields(section)]
    assert opts_out(section[0], make_us_section(values, version=section[1], gpc=True))


@pytest.mark.parametrize("section", SECTIONS)
def test_a_section_cut_short_or_of_another_version_opts_out(make_us_section: Make, section: tuple[int, int]) -> None:
    """As does one with an unknown sub-section."""
    values = [granting(name) for name in fields(section)]
    whole = make_us_section(values, version=section[1])
    assert all(opts_out(section[0], whole[:end]) for end in range(len(whole) - 1))
    assert opts_out(section[0], make_us_section(values, version=3))
    assert opts_out(section[0], whole + ".gA")
    assert opts_out(section[0], whole + ".")


@pytest.mark.parametrize("section_id", [0, 1, 2, 3, 5, 23, 24, 25, 26, 27, 28, 99])
def test_a_section_not_known_to_the_letter_opts_out(section_id: int) -> None:
    """Whatever it says."""
    assert opts_out(section_id, "BAAAAAAAAAAAAAAAAAA")


@pytest.mark.parametrize(
    ("section_id", "text", "expected"),
    [
        (7, "BAAAAAAAAQA.QA", False),
        (7, "BVVVkkkklWA.YA", True),
        (8, "BAAAAABA.QA", False),
        (8, "BVWSSSVY.YA", True),
        (9, "BAAAABA", False),
        (9, "BVWSSVY", True),
        (7, "BVVqAAAACCA.QA", False),
        (8, "BVpAAEBY.QA", False),
    ],
)
def test_published_sections_are_read(section_id: int, text: str, expected: bool) -> None:
    """Strings of IAB Tech Lab's own encoder, and two seen in traffic."""
    assert opts_out(section_id, text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1---", True),
        ("1YNN", True),
        ("1NNY", True),
        ("1ynn", True),
        ("1YYN", False),
        ("1-Y-", False),
        ("2YNN", False),
        ("1QNN", False),
        ("1YN", False),
        ("1YNN-", False),
        ("1YNX", False),
        (1, False),
        (None, False),
    ],
)
def test_a_us_privacy_string_allows_sale_or_not(text: object, expected: bool) -> None:
    """Only a whole string of version 1 without an opt-out does."""
    assert allows_sale(text) is expected


@given(text=st.text(max_size=200))
def test_any_text_as_a_section_opts_out(text: str) -> None:
    """No text that was not encoded for it grants anything."""
    assert opts_out(21, text)


@given(text=st.one_of(st.text(max_size=200), st.text("DBACMNYLgjw~.", max_size=40)))
def test_any_text_is_a_string_of_sections_or_unreadable(text: str) -> None:
    """Nothing else is raised."""
    try:
        sections = read_sections(text)
    except UnreadableError:
        return
    assert all(isinstance(number, int) for number in sections)
