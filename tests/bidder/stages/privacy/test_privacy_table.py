"""The table of privacy signals, row by row, through decoding: what is forbidden is gone, what is not stays."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bidder.domain import Auction
from bidder.stages.decode import MalformedError, decode
from bidder.stages.privacy import FORBIDS, NO_VENDOR, Forbidden, Policy, redact
from bidder.stages.privacy.redaction import rounded
from bidder.stages.request import BidRequest, Device, DeviceExt, Geo, Regs, Site, User, UserExt
from bidder.stages.wire import read_tolerantly

Body = Callable[..., bytes]
Make = Callable[..., str]
Parts = dict[str, Any]

POLICY = Policy(42)
DOCUMENT = Path(__file__).parents[4] / "docs" / "privacy.md"

US_GRANTED, US_OPTED_OUT = "BVVqAAAACCA.QA", "BVVVkkkklWA.YA"
GPP_GRANTED, GPP_OPTED_OUT = f"DBABLA~{US_GRANTED}", f"DBABLA~{US_OPTED_OUT}"
ALL_PURPOSES = set(range(1, 12))


def regs_of_26(fields: Parts) -> Parts:
    return {"regs": fields}


def regs_of_25(fields: Parts) -> Parts:
    return {"regs": {"ext": fields}}


def gdpr_of_26(consent: str) -> Parts:
    return {"regs": {"gdpr": 1}, "user": {"consent": consent}}


def gdpr_of_25(consent: str) -> Parts:
    return {"regs": {"ext": {"gdpr": 1}}, "user": {"ext": {"consent": consent}}}


PLAIN = [
    ("coppa", {"regs": {"coppa": 1}}),
    ("lmt", {"device": {"lmt": 1}}),
    ("dnt", {"device": {"dnt": 1}}),
    ("dnt", {"device": {"dnt": "1"}}),
    *(("atts", {"device": {"ext": {"atts": status}}}) for status in (0, 1, 2, "denied", [], {})),
    *(("gpc", {"regs": {"ext": {"gpc": value}}}) for value in (1, "1", True, [], {})),
    *(
        (name, place(fields))
        for place in (regs_of_26, regs_of_25)
        for name, fields in [
            ("us_privacy_opt_out", {"us_privacy": "1YYN"}),
            ("us_privacy_opt_out", {"us_privacy": "1-Y-"}),
            ("us_privacy_opt_out", {"us_privacy": "nonsense"}),
            ("gpp_unreadable", {"gpp": "nonsense", "gpp_sid": [7]}),
            ("gpp_unreadable", {"gpp": "DBACNYA"}),
            ("gpp_section_unknown", {"gpp": "DBABjw~a~1YNN", "gpp_sid": [5]}),
            ("gpp_section_unknown", {"gpp_sid": [23]}),
            ("gpp_us_opt_out", {"gpp_sid": [7]}),
            ("gpp_us_opt_out", {"gpp_sid": [6]}),
            ("gpp_us_opt_out", {"gpp": GPP_OPTED_OUT, "gpp_sid": [7]}),
            ("gpp_us_opt_out", {"gpp": GPP_OPTED_OUT}),
            ("gpp_us_opt_out", {"gpp": GPP_OPTED_OUT, "gpp_sid": [0]}),
            ("gpp_us_opt_out", {"gpp": GPP_GRANTED, "gpp_sid": [8]}),
            ("gpp_us", {"gpp": GPP_GRANTED, "gpp_sid": [7]}),
            ("gpp_us", {"gpp": GPP_GRANTED}),
            ("gdpr_no_consent", {"gdpr": 1}),
            ("gdpr_no_consent", {"gdpr": 2}),
            ("gdpr_no_consent", {"gpp_sid": [2]}),
        ]
    ),
    *(("gdpr_no_consent", place(text)) for place in (gdpr_of_26, gdpr_of_25) for text in ("", "nonsense", "BOlOrv1")),
    *(("gdpr_no_consent", {"regs": {"ext": {"gdpr": value}}}) for value in ("yes", True, 1.0, [], {}, "")),
    *(
        ("gpp_unreadable", {"regs": {"ext": {"gpp": GPP_GRANTED, "gpp_sid": value}}})
        for value in ("seven", [True], [7.5], {}, [[7]])
    ),
    ("gdpr_no_consent", {"user": {"consent": "nonsense"}}),
]

CONSENTS = [
    *((f"tcf_purpose_{number}", {"purposes": ALL_PURPOSES - {number}}) for number in (1, 2, 3, 4, 7, 9, 10)),
    ("tcf_special_feature_1", {"special_features": []}),
    ("gdpr_no_consent", {"version": 1}),
]


def merged(left: Mapping[str, Any], right: Mapping[str, Any]) -> dict[str, Any]:
    result = dict(left)
    for key, value in right.items():
        result[key] = merged(result[key], value) if isinstance(value, dict) and key in result else value
    return result


def check_redaction(body: bytes, signal: str) -> None:
    """What `signal` forbids is neither in the auction nor in the request itself; the rest is in the latter. Addresses
    are in neither: nothing reads them."""
    forbidden = FORBIDS[signal]
    auction = decode(body, POLICY)
    assert isinstance(auction, Auction)
    assert auction.privacy_signals == (signal,)
    request = read_tolerantly(body)
    redact(request, POLICY)
    text = repr(auction)
    left = repr(request)
    known_as = bool(forbidden & (Forbidden.IDENTIFIERS | Forbidden.TRAITS))
    assert (auction.redacted, not auction.profile_keys) == (known_as, known_as)
    assert "raw-" not in text
    assert ("raw-" in left) is not bool(forbidden & Forbidden.IDENTIFIERS)
    assert "203.0.113" not in left
    for place in (text, left):
        assert ("trait-" in place) is not bool(forbidden & Forbidden.TRAITS)
        assert ("52.520008" in place) is not bool(forbidden & Forbidden.POSITION)
        assert ("10115" in place) is not bool(forbidden & Forbidden.POSITION)
    assert auction.may_measure is not bool(forbidden & Forbidden.MEASUREMENT)
    assert auction.may_learn is not bool(forbidden & Forbidden.LEARNING)


@pytest.mark.parametrize(("signal", "parts"), PLAIN)
def test_a_signal_removes_what_its_row_says(
    make_body: Body, everything_known: Parts, signal: str, parts: Parts
) -> None:
    """In 2.6's place and in 2.5's; unreadable signals like the strictest."""
    check_redaction(make_body(**merged(everything_known, parts)), signal)


@pytest.mark.parametrize("place", [gdpr_of_26, gdpr_of_25])
@pytest.mark.parametrize(("signal", "changes"), CONSENTS)
def test_a_purpose_denied_removes_what_its_row_says(
    make_body: Body,
    everything_known: Parts,
    make_tc_string: Make,
    signal: str,
    changes: Parts,
    place: Callable[[str], Parts],
) -> None:
    """The TC string in 2.6's place and in 2.5's."""
    check_redaction(make_body(**merged(everything_known, place(make_tc_string(**changes)))), signal)


@pytest.mark.parametrize(("signal", "changes"), CONSENTS)
def test_the_tcf_section_of_a_gpp_string_counts_like_a_tc_string(
    make_body: Body, everything_known: Parts, make_tc_string: Make, make_gpp_string: Make, signal: str, changes: Parts
) -> None:
    """Section 2, where gpp_sid says that it applies, whatever regs.gdpr says."""
    regs = {"gpp": make_gpp_string({2: make_tc_string(**changes)}), "gpp_sid": [2], "gdpr": 0}
    check_redaction(make_body(**merged(everything_known, {"regs": regs})), signal)


def test_every_row_of_the_table_is_tested_and_documented() -> None:
    """A signal without an example above, or without a line in docs/privacy.md, is none."""
    assert set(FORBIDS) == {signal for signal, _ in PLAIN + CONSENTS}
    document = DOCUMENT.read_text()
    assert [signal for signal in FORBIDS if f"| `{signal}` |" not in document] == []


ALLOWED = [
    {},
    {"regs": {"gdpr": 0, "coppa": 0, "us_privacy": "1YNN"}, "device": {"lmt": 0, "dnt": 0, "ext": {"atts": 3}}},
    {"regs": {"ext": {"gdpr": "0", "us_privacy": "1---", "gpc": 0}}, "user": {"consent": "nonsense"}},
    {"regs": {"gpp": "nonsense~", "gpp_sid": [-1]}},
    {"regs": {"gpp": "DBAA", "gpp_sid": [-1]}},
    {"regs": {"ext": {"gpp": GPP_OPTED_OUT, "gpp_sid": "-1"}}},
    {"regs": {"gpp": "DBABBg~" + US_OPTED_OUT, "gpp_sid": [6], "us_privacy": "1YNN"}},
    {"regs": {"gpp": "", "gpp_sid": [], "us_privacy": ""}, "user": {"consent": ""}},
    {"regs": {"ext": {}}},
]


@pytest.mark.parametrize("parts", ALLOWED)
def test_without_a_signal_everything_stays(make_body: Body, everything_known: Parts, parts: Parts) -> None:
    """Or with signals that allow: nothing is taken out, and nothing raw reaches the auction all the same."""
    body = make_body(**merged(everything_known, parts))
    auction = decode(body, POLICY)
    assert isinstance(auction, Auction)
    assert (auction.privacy_signals, auction.redacted, auction.may_learn) == ((), False, True)
    assert len([*auction.profile_keys]) == 3
    assert "raw-" not in repr(auction)
    request = read_tolerantly(body)
    before = deepcopy(request)
    redact(request, POLICY)
    assert request == before


@pytest.mark.parametrize("place", [gdpr_of_26, gdpr_of_25])
def test_consent_to_all_leaves_everything(
    make_body: Body, everything_known: Parts, make_tc_string: Make, place: Callable[[str], Parts]
) -> None:
    """Under GDPR, too."""
    auction = decode(make_body(**merged(everything_known, place(make_tc_string()))), POLICY)
    assert isinstance(auction, Auction)
    assert (auction.privacy_signals, len([*auction.profile_keys])) == ((), 3)


def test_without_a_vendor_id_there_is_no_consent(
    make_body: Body, everything_known: Parts, make_tc_string: Make
) -> None:
    """However much the string allows; also where the caller gives no policy."""
    body = make_body(**merged(everything_known, gdpr_of_26(make_tc_string())))
    for auction in (decode(body), decode(body, NO_VENDOR)):
        assert isinstance(auction, Auction)
        assert auction.privacy_signals == ("gdpr_no_consent",)


def test_two_tc_strings_must_both_allow(
    make_body: Body, everything_known: Parts, make_tc_string: Make, make_gpp_string: Make
) -> None:
    """user.consent denies purpose 3, the GPP string purpose 7: both are denied."""
    consent = make_tc_string(purposes=ALL_PURPOSES - {3})
    gpp = make_gpp_string({2: make_tc_string(purposes=ALL_PURPOSES - {7})})
    parts = {"regs": {"gdpr": 1, "gpp": gpp, "gpp_sid": [2]}, "user": {"consent": consent}}
    auction = decode(make_body(**merged(everything_known, parts)), POLICY)
    assert isinstance(auction, Auction)
    assert auction.privacy_signals == ("tcf_purpose_3", "tcf_purpose_7")


def test_several_signals_forbid_together(make_body: Body, everything_known: Parts, make_tc_string: Make) -> None:
    """No purpose 7 of a TC string and an applicable section of the United States: no measurement, no exact place."""
    parts = gdpr_of_26(make_tc_string(purposes=ALL_PURPOSES - {7}))
    parts = merged(parts, {"regs": {"gpp": GPP_GRANTED, "gpp_sid": [7]}})
    auction = decode(make_body(**merged(everything_known, parts)), POLICY)
    assert isinstance(auction, Auction)
    assert set(auction.privacy_signals) == {"tcf_purpose_7", "gpp_us"}
    assert (auction.may_measure, auction.latitude, auction.redacted) == (False, 52.52, False)


STAYS = {
    User: "geo consent",
    Device: "geo dnt lmt ua sua devicetype make model os osv h w language langb carrier connectiontype",
    Geo: "lat lon country region metro city utcoffset",
    Site: "id domain cat sectioncat pagecat page publisher content",
}
"""What is left where everything is forbidden, positions rounded and addresses without queries."""


def test_whoever_reads_a_further_field_has_to_say_whether_it_stays() -> None:
    """All that is read of a person, a device, a place or a page is gone, but for what is named here."""
    filled: Any = {kind: kind(**dict.fromkeys(kind.__struct_fields__, "raw")) for kind in STAYS}
    filled[Geo].lat = filled[Geo].lon = 13.404954
    filled[User].geo = filled[Device].geo = filled[Geo]
    filled[User].ext, filled[Device].ext = UserExt("raw", "raw"), DeviceExt("raw")
    request = BidRequest("1", [], regs=Regs(coppa=1), site=filled[Site], device=filled[Device], user=filled[User])
    redact(request, POLICY)
    for kind, names in STAYS.items():
        assert [name for name in kind.__struct_fields__ if getattr(filled[kind], name) is not None] == names.split()
    assert filled[Geo].lat == 13.4


@given(st.floats(-180, 180) | st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**6), 10**6))
def test_a_position_is_rounded_as_python_rounds(degrees: float) -> None:
    """To the last bit, and to the sign of zero; also halves of a hundredth, and what is no angle."""
    for each in (float(degrees), degrees / 1000):
        assert repr(rounded(each)) == repr(round(each, 2))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40) | st.sampled_from(["0", "1", "-1"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])  # makers, without state
@given(gdpr=JSON, us_privacy=JSON, gpp=JSON, gpp_sid=JSON, gpc=JSON, consent=JSON, atts=JSON)
def test_anything_under_ext_is_read_or_forbids(
    make_body: Body, everything_known: Parts, *, consent: Any, atts: Any, **signals: Any
) -> None:
    """NaN, huge integers, nested values: never an exception, and never a consent under GDPR."""
    parts = {"regs": {"ext": signals}, "user": {"ext": {"consent": consent}}, "device": {"ext": {"atts": atts}}}
    request = json.loads(make_body()) | merged(everything_known, parts)
    try:
        auction = decode(json.dumps(request).encode(), POLICY)
    except MalformedError:
        return
    assert isinstance(auction, Auction)
    assert set(auction.privacy_signals) <= set(FORBIDS)
    if signals["gdpr"] is not None and signals["gdpr"] not in (0, "0"):
        assert "gdpr_no_consent" in auction.privacy_signals
        assert (auction.profile_keys, auction.segments) == ((), frozenset())
