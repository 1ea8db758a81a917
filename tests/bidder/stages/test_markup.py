"""Markup per format, read back with real parsers."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from html import escape
from html.parser import HTMLParser
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidder.domain import (
    BannerOffer,
    Companion,
    Creative,
    CreativeSpec,
    Format,
    MediaFile,
    MediaOffer,
    NativeAsset,
    NativeImage,
    NativeOffer,
    NativeText,
)
from bidder.stages.markup.escaping import attribute, cdata, clean, is_script, url, value
from bidder.stages.markup.html import Banner
from bidder.stages.markup.native import Native
from bidder.stages.markup.notices import Notices, trail
from bidder.stages.markup.vast import MAX_KEPT, Vast, Versions

NOTICES = Notices("https://bid.example", "camp-1", "cr-1", "demo", "${AUCTION_PRICE}")
TRAIL = trail("auction-1", "bid-1", "imp-1")
LANDING = "https://shop.example/landing?a=1&b=2"


# -- escaping --------------------------------------------------------------------------------------------------------

INERT = set("!#$%&()*+,-./:;=?@[]_~{}") | set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")


@given(st.text())
def test_urls_are_inert(text: str) -> None:
    """Nothing that closes an attribute, a string, a tag or a CDATA section survives in a URL."""
    assert set(url(text)) | set(value(text)) <= INERT


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_values_come_back(text: str) -> None:
    """An id goes through a query and comes back as it was."""
    assert parse_qs(f"id={value(text)}", keep_blank_values=True) == {"id": [text]}


@given(st.text())
def test_cdata_comes_back(text: str) -> None:
    """Any text, once cleaned, goes through CDATA and an attribute of an XML document."""
    text = clean(text).replace("\r", "")  # XML reads a carriage return as a line feed
    assert "".join(ET.fromstring(f"<x>{cdata(text)}</x>").itertext()) == text
    flat = text.replace("\n", " ").replace("\t", " ")  # and white space in attributes as spaces
    assert ET.fromstring(f'<x y="{attribute(flat)}"/>').get("y") == flat


@given(st.text(st.characters(max_codepoint=0x7F)))
def test_what_needs_no_escape_is_found_quickly(text: str) -> None:
    """Text that is left as it is, and text that is not, come out as the library's own quoting has it."""
    assert url(text) == quote(text.strip(), safe="".join(INERT), errors="replace")
    cleaned = "".join(each for each in text if each >= " " or each in "\t\n\r")
    assert clean(text) == cleaned
    assert attribute(text) == escape(cleaned)


def test_marks_of_templates_are_not_taken_from_the_catalog() -> None:
    """Where a template has a mark, ids go; control characters in a catalog are never such marks."""
    text = "".join(map(chr, range(0x20)))
    landing = f"https://shop.example/{text}"
    texts: dict[str, Any] = {"id": text, "title": text, "landing_url": landing, "impression_trackers": (text,)}
    marked = [
        Banner(banner(html=text, **texts), None).render("the-ids"),
        Banner(banner(preview_url=text, **texts), None).render("the-ids"),
        Vast(replace(video(), **texts), 7, True, None, [text]).render(MediaOffer(), "the-ids", "bid-1"),
        Vast(replace(audio(), **texts), 9, False, None, [text]).render(MediaOffer(), "the-ids", "bid-1"),
        Native(replace(NATIVE, **texts), None).render(NativeOffer((NativeAsset(1, True, "title"),)), "the-ids"),
    ]
    assert not [markup for markup in marked if "the-ids" in markup]


def test_macros_stay_readable() -> None:
    """Macros are never percent-encoded."""
    macros = "https://t.example/?p=${AUCTION_PRICE}&q=${AUCTION_PRICE:B64}&e=[ERRORCODE]"
    assert url(macros) == macros


def test_macros_in_ids_are_inert() -> None:
    """A macro inside an id is no macro any more."""
    assert "$" not in value("${AUCTION_PRICE}")


@pytest.mark.parametrize(
    ("tracker", "script"),
    [("https://t.example/a.js", True), ("https://t.example/a.js?x=1", True), ("https://t.example/p?f=a.js", False)],
)
def test_scripts_are_told_by_their_path(tracker: str, script: bool) -> None:
    """A tracker is JavaScript when its path ends in .js."""
    assert is_script(tracker) is script


def read(markup: str) -> str:
    """As an exchange has it once it has read the bid."""
    text: str = json.loads(f'"{markup}"')
    return text


# -- banner ----------------------------------------------------------------------------------------------------------


class Tags(HTMLParser):
    """Collects start tags with their attributes, and what stands in script elements."""

    def __init__(self, markup: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(markup)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def values(self, tag: str, name: str) -> list[str]:
        return [attributes[name] or "" for found, attributes in self.tags if found == tag and name in attributes]


def banner(**changes: Any) -> Creative:
    spec = CreativeSpec(Format.BANNER, 300, 250)
    return Creative(**{"id": "cr-1", "spec": spec, "landing_url": LANDING} | changes)


def test_click_macro_in_a_tag() -> None:
    """The click macro becomes the tracker that redirects to the landing page."""
    markup = read(Banner(banner(html='<a href="${CLICK_URL}">Buy</a>'), NOTICES).render(TRAIL))
    assert markup.count("&") == markup.count("&amp;")
    [href] = Tags(markup).values("a", "href")
    assert urlsplit(href).path == "/notice/click"
    assert parse_qs(urlsplit(href).query) == {
        "auction": ["auction-1"],
        "bid": ["bid-1"],
        "imp": ["imp-1"],
        "campaign": ["camp-1"],
        "creative": ["cr-1"],
        "exchange": ["demo"],
        "go": ["1"],
    }


def test_click_macro_in_a_script() -> None:
    """In a script element the URL is not HTML-escaped, in a tag after it it is."""
    html = '<script>var clickTag = "${CLICK_URL}";</script><a href="${CLICK_URL}">Buy</a>'
    markup = read(Banner(banner(html=html), NOTICES).render(TRAIL))
    tags = Tags(markup)
    assert tags.texts[0] == f'var clickTag = "{tags.values("a", "href")[0]}";'
    assert markup.count("&amp;go=1") == 1


@pytest.mark.parametrize("notices", [NOTICES, None], ids=["notices", "none"])
def test_image_banner(notices: Notices | None) -> None:
    """A creative without HTML is its preview image, linked."""
    creative = banner(preview_url='https://cdn.example/a".png', title='<"Tom & Jerry">')
    tags = Tags(read(Banner(creative, notices).render(TRAIL)))
    image = tags.tags[1]
    assert image[0] == "img"
    assert image[1] | {"style": ""} == {
        "src": "https://cdn.example/a%22.png",
        "width": "300",
        "height": "250",
        "alt": '<"Tom & Jerry">',
        "style": "",
    }
    assert (tags.values("a", "href") == [LANDING]) is (notices is None)


def test_banner_of_text() -> None:
    """A creative without HTML and without an image is its title, linked; without a title, its address."""
    for title, shown in (("Tom & Jerry", "Tom & Jerry"), ("", LANDING)):
        tags = Tags(read(Banner(banner(title=title), None).render(TRAIL)))
        assert (tags.values("a", "href"), tags.texts) == ([LANDING], [shown])


def test_banner_trackers() -> None:
    """Every impression tracker of the creative and our own is called, scripts as scripts."""
    creative = banner(
        html="<html><body><p>Buy</p></body></html>",
        impression_trackers=("https://t.example/p?x=1&y=2", "https://t.example/t.js"),
    )
    markup = read(Banner(creative, NOTICES).render(TRAIL))
    tags = Tags(markup)
    [theirs, ours] = tags.values("img", "src")
    assert theirs == "https://t.example/p?x=1&y=2"
    assert ours.startswith("https://bid.example/notice/impression?auction=auction-1&bid=bid-1&imp=imp-1&")
    assert tags.values("script", "src") == ["https://t.example/t.js"]
    assert markup.endswith("</body></html>")


# -- VAST ------------------------------------------------------------------------------------------------------------

FILES = (
    MediaFile("https://cdn.example/low.mp4?a=1&b=]]>", "video/mp4", 640, 360, 500),
    MediaFile("https://cdn.example/high.mp4", "video/mp4", 1280, 720, 3000),
    MediaFile("https://cdn.example/ad.webm", "video/webm", 640, 360, 800, delivery=1),
)
FOUR = "{http://www.iab.com/VAST}"
VERSIONS = {2: "2.0", 3: "3.0", 7: "4.0", 11: "4.1", 13: "4.2", 15: "4.3"}


def video(**changes: Any) -> Creative:
    spec = CreativeSpec(Format.VIDEO, 640, 360, duration_s=3725, skippable=True)
    fields = {"id": 'cr"<1>', "spec": spec, "landing_url": LANDING, "title": "A ]]> film & more", "media": FILES}
    return Creative(**fields | {"skip_after_s": 5, "impression_trackers": ("https://t.example/p",)} | changes)


def audio() -> Creative:
    spec = CreativeSpec(Format.AUDIO, duration_s=15)
    return video(spec=spec, media=(MediaFile("https://cdn.example/ad.mp3", "audio/mpeg", 0, 0, 128),))


def document(
    creative: Creative,
    protocol: int,
    offer: MediaOffer | None = None,
    skippable: bool = True,
    notices: Notices | None = NOTICES,
    categories: tuple[str, ...] = (),
) -> ET.Element:
    """The document with its namespace taken off the names."""
    vast = Vast(creative, protocol, skippable, notices, categories)
    root = ET.fromstring(read(vast.render(offer or MediaOffer(), TRAIL, "bid-1")))
    assert root.tag.startswith(FOUR) is (protocol in (7, 11, 13, 15))
    for element in root.iter():
        element.tag = element.tag.removeprefix(FOUR)
    return root


def find(root: ET.Element, path: str) -> ET.Element:
    element = root.find(path)
    assert element is not None, f"no {path} in {ET.tostring(root).decode()}"
    return element


def names(element: ET.Element) -> list[str]:
    return [child.tag for child in element]


@pytest.mark.parametrize(
    ("protocol", "inline", "creative", "linear", "clicks"),
    [
        (
            protocol,
            ["AdSystem", "AdTitle", "Error", "Impression", "Impression", "Creatives"],
            ["Linear"],
            ["Duration", "TrackingEvents", "VideoClicks", "MediaFiles"],
            ["ClickThrough", "ClickTracking"],
        )
        for protocol in (2, 3)
    ]
    + [
        (
            protocol,
            ["AdSystem", "Error", "Impression", "Impression", *serving, "AdTitle", "Creatives"],
            ["Linear", "UniversalAdId"],
            ["TrackingEvents", "Duration", "MediaFiles", "VideoClicks"],
            ["ClickTracking", "ClickThrough"],
        )
        for protocol, serving in [(7, []), (11, ["AdServingId"]), (13, ["AdServingId"]), (15, ["AdServingId"])]
    ],
)
def test_vast_structure(
    protocol: int, inline: list[str], creative: list[str], linear: list[str], clicks: list[str]
) -> None:
    """Each version has the elements that its schema demands, in its order."""
    root = document(video(), protocol)
    assert (root.tag, root.get("version")) == ("VAST", VERSIONS[protocol])
    assert names(find(root, "Ad/InLine")) == inline
    assert names(find(root, "Ad/InLine/Creatives/Creative")) == creative
    found = find(root, "Ad/InLine/Creatives/Creative/Linear")
    assert names(found) == linear
    assert names(find(found, "VideoClicks")) == clicks


def test_vast_content() -> None:
    """Title, ids, duration, trackers and clicks say what the creative says."""
    root = document(video(), 13)
    assert find(root, "Ad").get("id") == 'cr"<1>'
    assert find(root, ".//AdTitle").text == "A ]]> film & more"
    assert find(root, ".//AdServingId").text == "bid-1"
    assert find(root, ".//UniversalAdId").attrib == {"idRegistry": "unknown"}
    assert find(root, ".//UniversalAdId").text == 'cr"<1>'
    assert find(root, ".//Duration").text == "01:02:05"
    assert find(root, ".//ClickThrough").text == LANDING
    assert (find(root, ".//Error").text or "").endswith("&code=[ERRORCODE]")
    assert [urlsplit(each.text or "").path for each in root.iter("Impression")] == ["/p", "/notice/impression"]
    assert (find(root, ".//ClickTracking").text or "").startswith("https://bid.example/notice/click?auction=auction-1&")
    events = [(each.get("event"), parse_qs(urlsplit(each.text or "").query)["event"]) for each in root.iter("Tracking")]
    assert [name for name, _ in events] == ["start", "firstQuartile", "midpoint", "thirdQuartile", "complete", "skip"]
    assert all([name] == said for name, said in events)


@pytest.mark.parametrize("protocol", [7, 11])
def test_universal_ad_id_of_4_0_and_4_1(protocol: int) -> None:
    """VAST 4.0 and 4.1 want the id as an attribute too."""
    assert find(document(video(), protocol), ".//UniversalAdId").get("idValue") == 'cr"<1>'


@pytest.mark.parametrize(
    ("protocol", "skippable", "offset"),
    [(3, True, "00:00:05"), (13, True, "00:00:05"), (3, False, None), (2, True, None)],
)
def test_skip_offset(protocol: int, skippable: bool, offset: str | None) -> None:
    """A skippable ad says when, but VAST 2.0 has no word for it."""
    assert find(document(video(), protocol, skippable=skippable), ".//Linear").get("skipoffset") == offset


def test_players_that_wait_long_before_skipping_are_many_and_little_is_kept_of_them() -> None:
    """Each gets its own time, first or again; a document is kept ready for some of them."""
    vast = Vast(video(), 3, True, NOTICES)
    for seconds in [*range(6, 6 + 3 * MAX_KEPT), 7, 5, 1]:
        root = ET.fromstring(read(vast.render(MediaOffer(skip_after_s=seconds), TRAIL, "bid-1")))
        assert find(root, ".//Linear").get("skipoffset") == f"00:00:{max(seconds, 5):02d}"
        assert len(vast._with_files) <= MAX_KEPT


@pytest.mark.parametrize("protocol", [3, 11])
def test_what_markup_stands_between_is_there_once(protocol: int) -> None:
    """Whatever its format, and with companions or none."""
    around = ',"before":"', '","after":1'
    made = [
        (Vast(creative, protocol, True, NOTICES, (), None, *edge).render(MediaOffer(companions=places), TRAIL, "b"))
        for creative in (video(), replace(video(), companions=(COMPANIONS[0],)))
        for places in ((), (BannerOffer(),))
        for edge in (("", ""), around)
    ]
    made += [Banner(banner(html="<b>"), NOTICES, *edge).render(TRAIL) for edge in (("", ""), around)]
    made += [Native(NATIVE, NOTICES, *edge).render(NativeOffer(()), TRAIL) for edge in (("", ""), around)]
    for plain, within in zip(made[::2], made[1::2], strict=True):
        assert within == around[0] + plain + around[1]


@pytest.mark.parametrize("protocol", [2, 3, 7, 11, 13, 15])
def test_vast_without_notices(protocol: int) -> None:
    """Without our trackers or the creative's, the mandatory impression is a placeholder and the rest is absent."""
    root = document(video(impression_trackers=()), protocol, notices=None)
    assert [each.text for each in root.iter("Impression")] == ["about:blank"]
    assert not list(root.iter("Tracking")) + list(root.iter("Error")) + list(root.iter("ClickTracking"))


def test_media_file_attributes() -> None:
    """A file says its type, size, bitrate and delivery, and its URL cannot end the CDATA section."""
    first, _, last = document(video(), 3).iter("MediaFile")
    assert first.attrib == {
        "delivery": "progressive",
        "type": "video/mp4",
        "width": "640",
        "height": "360",
        "bitrate": "500",
        "scalable": "true",
        "maintainAspectRatio": "true",
    }
    assert first.text == "https://cdn.example/low.mp4?a=1&b=]]%3E"
    assert last.get("delivery") == "streaming"


def test_interactive_file() -> None:
    """JavaScript as a media file is VPAID, and says so."""
    file = MediaFile("https://cdn.example/ad.js", "application/javascript", 640, 360, 0)
    [found] = document(video(media=(file,)), 3).iter("MediaFile")
    assert (found.get("apiFramework"), found.get("bitrate")) == ("VPAID", None)


COMPANIONS = (
    Companion("https://cdn.example/300x250.png", "image/png", 300, 250, LANDING),
    Companion("https://cdn.example/728x90.jpg", "image/jpeg", 728, 90, "https://shop.example/other?a=1&b=]]>"),
)


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (MediaOffer(), []),
        (MediaOffer(companions=(BannerOffer(((300, 250),)),)), ["300x250"]),
        (MediaOffer(companions=(BannerOffer(((300, 250),)), BannerOffer(((728, 90), (1, 1))))), ["300x250", "728x90"]),
        (MediaOffer(companions=(BannerOffer(((160, 600),)),)), []),
        (MediaOffer(companions=(BannerOffer(mimes=frozenset({"image/jpeg"})),)), ["728x90"]),
        (MediaOffer(companions=(BannerOffer(),), companion_types=frozenset({1, 3})), ["300x250", "728x90"]),
        (MediaOffer(companions=(BannerOffer(),), companion_types=frozenset({2})), []),
    ],
)
@pytest.mark.parametrize("protocol", [2, 3, 7, 13])
def test_companions_stand_where_the_slot_has_a_place_for_them(
    protocol: int, offer: MediaOffer, expected: list[str]
) -> None:
    """By size, type of image and kind of companion; in a creative of their own after the film's."""
    root = document(video(companions=COMPANIONS), protocol, offer)
    film, *beside = root.findall("Ad/InLine/Creatives/Creative")
    assert film.find("Linear") is not None
    found = [companion for each in beside for companion in each.findall("CompanionAds/Companion")]
    assert [f"{companion.get('width')}x{companion.get('height')}" for companion in found] == expected
    assert len(beside) == bool(expected)
    for companion in found:
        landing = {each.url: each.landing_url for each in COMPANIONS}
        image, page = find(companion, "StaticResource"), find(companion, "CompanionClickThrough")
        assert page.text == landing[image.text or ""].replace("]]>", "]]%3E")
        assert (companion.find("CompanionClickTracking") is not None) is (protocol != 2)
    for each in beside:
        assert (each.find("UniversalAdId") is not None) is (protocol in (7, 13))


def test_nowhere_to_click() -> None:
    """An ad without a landing page and without trackers has no clicks."""
    assert not list(document(video(landing_url=""), 3, notices=None).iter("VideoClicks"))


@pytest.mark.parametrize(
    ("offer", "expected"),
    [
        (MediaOffer(), ["low", "high", "ad"]),
        (MediaOffer(mimes=frozenset({"video/webm"})), ["ad"]),
        (MediaOffer(delivery=frozenset({2})), ["low", "high"]),
        (MediaOffer(min_bitrate_kbps=600, max_bitrate_kbps=1000), ["ad"]),
        (MediaOffer(max_bitrate_kbps=1000, mimes=frozenset({"video/mp4"})), ["low"]),
        (MediaOffer(mimes=frozenset({"video/ogg"})), ["low", "high", "ad"]),
    ],
    ids=["any", "mime", "delivery", "bitrate", "both", "none of them"],
)
def test_media_files_are_those_that_the_player_takes(offer: MediaOffer, expected: list[str]) -> None:
    """Files that the slot cannot play are left out, unless none would be left."""
    files = document(video(), 3, offer).iter("MediaFile")
    assert [urlsplit(each.text or "").path.strip("/").partition(".")[0] for each in files] == expected


@pytest.mark.parametrize(
    ("format", "offered", "able", "protocol"),
    [
        (Format.VIDEO, set(), set(), 3),
        (Format.VIDEO, set(), {2, 3, 7}, 3),
        (Format.VIDEO, set(), {7, 11}, 11),
        (Format.VIDEO, {2, 3, 5, 6}, {2, 3, 7}, 3),
        (Format.VIDEO, {2, 3, 7, 11, 13}, {2, 3, 7, 11}, 11),
        (Format.VIDEO, {2, 5}, {2, 3}, 2),
        (Format.VIDEO, {9, 2}, {9, 2}, 2),
        (Format.VIDEO, {3, 7}, set(), 7),
        (Format.VIDEO, {9}, set(), 3),
        (Format.VIDEO, {5, 6}, {2, 3}, 3),
        (Format.AUDIO, set(), set(), 11),
        (Format.AUDIO, {9, 3}, set(), 3),
        (Format.AUDIO, {9, 10}, {3, 9, 11}, 9),
    ],
)
def test_protocol(format: Format, offered: set[int], able: set[int], protocol: int) -> None:
    """The newest version that both sides know; DAAST only for audio, and only where nothing else is offered."""
    assert Versions(format, frozenset(able)).newest(frozenset(offered)) == protocol


def test_audio_is_said_from_4_1() -> None:
    """VAST 4.1 says that the ad is audio; its file has no size."""
    root = document(audio(), 11)
    assert find(root, "Ad").get("adType") == "audio"
    attributes = find(root, ".//MediaFile").attrib
    assert attributes == {
        "delivery": "progressive",
        "type": "audio/mpeg",
        "width": "0",
        "height": "0",
        "bitrate": "128",
    }


@pytest.mark.parametrize(("categories", "expected"), [(("IAB3",), "IAB3"), ((), "IAB24")])
def test_daast(categories: tuple[str, ...], expected: str) -> None:
    """DAAST has a category, interactions instead of video clicks, and files with an id and no size."""
    root = document(audio(), 9, categories=categories, skippable=False)
    assert (root.tag, root.get("version")) == ("DAAST", "1.0")
    assert find(root, ".//Category").text == expected
    assert names(find(root, ".//Linear")) == ["Duration", "TrackingEvents", "AdInteractions", "MediaFiles"]
    attributes = find(root, ".//MediaFile").attrib
    assert set(attributes) == {"delivery", "type", "id", "bitrate"}


# -- native ----------------------------------------------------------------------------------------------------------

NATIVE = Creative(
    "cr-1",
    CreativeSpec(Format.NATIVE),
    LANDING,
    title="Twenty characters ok",
    texts=(NativeText(1, "The brand"), NativeText(2, "A long description"), NativeText(2, "A short one")),
    images=(
        NativeImage(3, "https://cdn.example/large.jpg", 1200, 627),
        NativeImage(3, "https://cdn.example/small.png", 300, 250, "image/png"),
        NativeImage(1, "https://cdn.example/icon.jpg", 80, 80),
    ),
    call_to_action="Buy now",
    impression_trackers=("https://t.example/p?x=1&y=2", "https://t.example/t.js"),
)


def native(*assets: NativeAsset, creative: Creative = NATIVE, notices: Notices | None = None, **offer: Any) -> Any:
    return json.loads(read(Native(creative, notices).render(NativeOffer(assets, **offer), TRAIL)))


LARGE = {"url": "https://cdn.example/large.jpg", "type": 3, "w": 1200, "h": 627}
SMALL = {"url": "https://cdn.example/small.png", "type": 3, "w": 300, "h": 250}
ICON = {"url": "https://cdn.example/icon.jpg", "type": 1, "w": 80, "h": 80}


@pytest.mark.parametrize(
    ("asset", "expected"),
    [
        (NativeAsset(7, False, "title"), {"title": {"text": "Twenty characters ok"}}),
        (NativeAsset(7, True, "title", max_length=20), {"required": 1, "title": {"text": "Twenty characters ok"}}),
        (NativeAsset(7, False, "data", 1, 25), {"data": {"type": 1, "value": "The brand"}}),
        (NativeAsset(7, False, "data", 2, 11), {"data": {"type": 2, "value": "A short one"}}),
        (NativeAsset(7, False, "data", 12), {"data": {"type": 12, "value": "Buy now"}}),
        (NativeAsset(7, False, "image", 3), {"img": LARGE}),
        (NativeAsset(7, False, "image", 3, width=300, height=250), {"img": SMALL}),
        (NativeAsset(7, False, "image", 3, mimes=frozenset({"image/png"})), {"img": SMALL}),
        (NativeAsset(7, False, "image", 3, min_width=400, min_height=300), {"img": LARGE}),
        (NativeAsset(7, False, "image", 1, min_width=50, min_height=50), {"img": ICON}),
        (NativeAsset(7, False, "image", width=80, height=80), {"img": ICON}),
    ],
)
def test_assets_that_fit(asset: NativeAsset, expected: dict[str, Any]) -> None:
    """An asset is answered under its id with the first content that fits by kind, type, size and length."""
    assert native(asset)["assets"] == [{"id": 7} | expected]


@pytest.mark.parametrize(
    "asset",
    [
        NativeAsset(7, False, "title", max_length=19),
        NativeAsset(7, False, "data", 6),
        NativeAsset(7, False, "data", 1, 3),
        NativeAsset(7, False, "data"),
        NativeAsset(7, False, "image", 3, width=728, height=90),
        NativeAsset(7, False, "image", 1, min_width=100),
        NativeAsset(7, False, "image", 3, mimes=frozenset({"image/gif"})),
        NativeAsset(7, False, "video"),
    ],
)
def test_optional_assets_that_do_not_fit(asset: NativeAsset) -> None:
    """What the creative cannot fill is left out, and no text is cut."""
    assert native(asset)["assets"] == []


def test_native_link() -> None:
    """The link goes to the landing page, and our click tracker is called besides."""
    link = native(notices=NOTICES)["link"]
    assert link["url"] == LANDING
    [tracker] = link["clicktrackers"]
    assert tracker == f"https://bid.example/notice/click?{TRAIL}&campaign=camp-1&creative=cr-1&exchange=demo"
    assert native()["link"] == {"url": LANDING}


PIXEL = {"event": 1, "method": 1, "url": "https://t.example/p?x=1&y=2"}
SCRIPT = {"event": 1, "method": 2, "url": "https://t.example/t.js"}
TAG = '<script src="https://t.example/t.js"></script>'


@pytest.mark.parametrize(
    ("event_trackers", "expected"),
    [
        (((1, frozenset({1, 2})),), {"eventtrackers": [PIXEL, SCRIPT]}),
        (((1, frozenset({1})), (2, frozenset({2}))), {"eventtrackers": [PIXEL], "jstracker": TAG}),
        (((2, frozenset({1, 2})),), {"imptrackers": [PIXEL["url"]], "jstracker": TAG}),
        ((), {"imptrackers": [PIXEL["url"]], "jstracker": TAG}),
    ],
)
def test_native_trackers(event_trackers: Any, expected: dict[str, Any]) -> None:
    """Impression trackers go where the slot supports them, else into the older fields."""
    markup = native(event_trackers=event_trackers)
    assert {name: markup[name] for name in ("eventtrackers", "imptrackers", "jstracker") if name in markup} == expected


def test_own_native_impression_tracker() -> None:
    """Our impression tracker stands with the creative's."""
    creative = replace(NATIVE, impression_trackers=())
    [tracker] = native(creative=creative, notices=NOTICES)["imptrackers"]
    assert tracker.startswith(f"https://bid.example/notice/impression?{TRAIL}&")


def test_wrapped_native() -> None:
    """A request in the form of Native 1.0 gets its answer in that form."""
    assert set(native(wrapped=True)) == {"native"}
    assert set(native()) >= {"ver", "assets", "link"}


@pytest.mark.parametrize(("asked", "answered"), [("1.1", "1.1"), ("1.2", "1.2"), ("", "1.2"), ("9<", "1.2")])
def test_native_version(asked: str, answered: str) -> None:
    """The answer is of the version that was asked for, if there is such a one."""
    assert native(version=asked)["ver"] == answered
