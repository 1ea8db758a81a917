"""The win notice that answers with the ad's markup: the real process, a real socket, an exchange that fetches."""

from __future__ import annotations

import http.client
import json
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode, urlsplit

import pytest

Json = dict[str, Any]

EXCHANGES = {
    "fetching": {"markup": "nurl", "price_in_adm": True},
    "usual": {},
    "google": {"notice_price": "google"},
}
KEYS = "skU7Ax_NL5pPAFyKdkfZjZz2-VhIN8bjj1rVFOaJ_5o=:arO23ykdNqUQ5LEoQ0FVmPkBd7xB5CO89PDZlSjpFxo="
BASES: Json = json.loads((Path(__file__).parents[2] / "exemplars" / "bases.json").read_bytes())
HOSTILE = "\"'><script>alert(1)</script>]]><Evil/>&x=${CLICK_URL}\x00\x01\x02\x03"


class Fetched(NamedTuple):
    status: int
    headers: dict[str, str]
    body: str


class Talk:
    """One connection to the bidder, kept."""

    def __init__(self, bidder: Any) -> None:
        self.connection = http.client.HTTPConnection(bidder.host, bidder.port, timeout=30)

    def ask(self, path: str, body: bytes | None = None, method: str = "") -> Fetched:
        headers = {"content-type": "application/json"} if body else {}
        self.connection.request(method or ("POST" if body else "GET"), path, body, headers)
        answer = self.connection.getresponse()
        return Fetched(
            answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read().decode(errors="replace")
        )

    def bid(self, name: str, exchange: str = "fetching", **changes: Any) -> Json:
        """The one bid on the request of that name."""
        answer = self.ask(f"/openrtb2/bid/{exchange}", json.dumps(BASES["requests"][name] | changes).encode())
        assert answer.status == 200, answer
        [seat] = json.loads(answer.body)["seatbid"]
        [bid] = seat["bid"]
        assert isinstance(bid, dict)
        return bid

    def fetch(self, nurl: str, price: str = "1.5", **changes: str) -> Fetched:
        """What the exchange does when that bid has won: the price is filled in, all other macros are."""
        query = dict(parse_qsl(urlsplit(nurl).query)) | {"price": price, "cur": "USD", "seat": "", "mbr": "", "min": ""}
        return self.ask(f"/notice/win?{urlencode(query | changes)}")

    def counted(self, series: str) -> float:
        found = re.search(rf"^{re.escape(series)} (\S+)$", self.ask("/metrics").body, re.MULTILINE)
        return float(found[1]) if found else 0.0


def document(*names: str) -> Json:
    campaigns = [json.loads(json.dumps(BASES["campaigns"][name])) for name in names]
    for campaign in campaigns:
        campaign["creatives"][0]["id"] = f"{campaign['id']}-cr"
    return {"version": "-".join(names), "campaigns": campaigns}


@contextmanager
def started(start_bidder: Callable[..., Any], folder: Path, **settings: str) -> Iterator[Any]:
    (folder / "exchanges.json").write_text(json.dumps(EXCHANGES))
    if not (folder / "catalog.json").exists():
        (folder / "catalog.json").write_text(json.dumps(document("banner", "video", "audio", "native")))
    with start_bidder(
        exchanges_uri=str(folder / "exchanges.json"),
        catalog_uri=str(folder / "catalog.json"),
        notice_url="https://notices.example",
        price_keys=f"google={KEYS}",
        drain_s="0",
        **settings,
    ) as process:
        yield process


@pytest.fixture(scope="module")
def fetching(start_bidder: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    with started(start_bidder, tmp_path_factory.mktemp("fetching")) as process:
        yield process


@pytest.fixture
def talk(fetching: Any) -> Iterator[Talk]:
    talk = Talk(fetching)
    yield talk
    talk.connection.close()


def test_a_banner_is_fetched_as_html(talk: Talk) -> None:
    """The win is counted with its price, and answered with what `adm` would have held."""
    served, won = (
        talk.counted('bidder_markups_total{result="served"}'),
        talk.counted('bidder_notices_total{kind="win"}'),
    )
    bid = talk.bid("banner")
    assert "adm" not in bid
    fetched = talk.fetch(bid["nurl"])
    assert fetched.status == 200
    assert fetched.headers["content-type"] == "text/html; charset=utf-8"
    assert fetched.headers["cache-control"] == "no-store"
    assert fetched.headers["x-content-type-options"] == "nosniff"
    usual = talk.bid("banner", "usual")["adm"].replace("exchange=usual", "exchange=fetching")
    assert fetched.body.replace("&amp;price=${AUCTION_PRICE}&amp;cur=${AUCTION_CURRENCY}", "") == usual
    assert talk.counted('bidder_markups_total{result="served"}') == served + 1
    assert talk.counted('bidder_notices_total{kind="win"}') == won + 1


@pytest.mark.parametrize("name", ["video", "audio"])
def test_vast_is_fetched_as_xml(talk: Talk, name: str) -> None:
    """In the version that the bid named, with the bid's ids in its trackers."""
    bid = talk.bid(name)
    fetched = talk.fetch(bid["nurl"])
    assert (fetched.status, fetched.headers["content-type"]) == (200, "application/xml")
    root = ET.fromstring(fetched.body)
    assert root.tag.rpartition("}")[2] in ("VAST", "DAAST")
    assert f"bid={bid['id']}" in fetched.body
    assert f"protocol={bid['protocol']}" in bid["nurl"]


@pytest.mark.parametrize("name", ["banner", "video"])
@pytest.mark.parametrize("parameter", ["auction", "bid", "imp", "exchange", "protocol", "skip", "skipafter", "price"])
def test_hostile_parameters_stay_values(talk: Talk, name: str, parameter: str) -> None:
    """Nothing of them is markup; what names no exchange or no version gets none."""
    fetched = talk.fetch(talk.bid(name)["nurl"], **{parameter: HOSTILE})
    assert fetched.status in (200, 204, 404)
    assert not re.search(r"<script>alert|<Evil|[\x00-\x08]", fetched.body)
    if name == "video" and fetched.status == 200:
        assert not [each for each in ET.fromstring(fetched.body).iter() if "Evil" in each.tag]


def test_long_ids_do_not_come_back_many_times(talk: Talk) -> None:
    """12 KB in a query are cut before they stand in ten trackers."""
    nurl = talk.bid("video")["nurl"]
    usual, long = talk.fetch(nurl), talk.fetch(nurl, auction="x" * 4_000, bid="y" * 4_000, imp="z" * 4_000)
    assert long.status == 200
    assert len(long.body) < len(usual.body) + 10_000


@pytest.mark.parametrize(
    "changes",
    [
        {"campaign": "gone"},
        {"creative": "gone"},
        {"campaign": ""},
        {"protocol": "99"},
        {"protocol": ""},
        {"protocol": "٣"},
    ],
)
def test_markup_that_is_not_there_is_404(talk: Talk, changes: dict[str, str]) -> None:
    """A campaign, creative or version that nobody has; counted, and the win is counted all the same."""
    missing = talk.counted('bidder_markups_total{result="missing"}')
    won = talk.counted('bidder_notices_total{kind="win"}')
    assert talk.fetch(talk.bid("video")["nurl"], **changes).status == 404
    assert talk.counted('bidder_markups_total{result="missing"}') == missing + 1
    assert talk.counted('bidder_notices_total{kind="win"}') == won + 1


def test_native_is_never_fetched(talk: Talk) -> None:
    """It needs the assets that the slot asked for: no bid is made of it, and no notice is answered with it."""
    answer = talk.ask("/openrtb2/bid/fetching", json.dumps(BASES["requests"]["native"]).encode())
    assert answer.status == 204
    bid = talk.bid("native", "usual")
    assert talk.fetch(bid["nurl"], exchange="fetching", markup="1").status == 404


def test_only_where_the_exchange_fetches(talk: Talk) -> None:
    """An exchange that has its markup in the bid gets 204, as does a notice that does not ask."""
    nurl = talk.bid("banner", "usual")["nurl"]
    assert talk.fetch(nurl, markup="1").status == 204
    assert talk.fetch(talk.bid("banner")["nurl"], markup="0").status == 204


@pytest.mark.parametrize("method", ["HEAD", "POST"])
def test_by_every_method(talk: Talk, method: str) -> None:
    """As with all notices; HEAD has no body."""
    nurl = urlsplit(talk.bid("banner")["nurl"])
    fetched = talk.ask(f"/notice/win?{nurl.query}", method=method)
    assert fetched.status == 200
    assert bool(fetched.body) == (method == "POST")


def test_of_a_test_auction_the_trackers_are_marked(talk: Talk) -> None:
    """What was fetched for a test or a quality check counts no more than the notice does."""
    test = talk.bid("banner", test=1)
    assert "&amp;test=1&amp;" in talk.fetch(test["nurl"]).body
    usual = talk.bid("banner")
    assert "&amp;test=1&amp;" in talk.fetch(usual["nurl"], price="AUDIT").body
    assert "test=1" not in talk.fetch(usual["nurl"]).body


def test_what_may_not_be_measured_is_marked_in_the_markup(talk: Talk) -> None:
    """The impression comes back with it and is counted apart; what was paid for it is summed."""
    bid = talk.bid("banner", device=BASES["requests"]["banner"].get("device", {}) | {"lmt": 1})
    body = talk.fetch(bid["nurl"]).body
    assert "&amp;m=0&amp;" in body
    apart = 'bidder_notices_apart_total{kind="impression",why="unmeasured"}'
    money = 'bidder_notice_price_micros_total{currency="USD",exchange="fetching",kind="impression"}'
    before, paid = talk.counted(apart), talk.counted(money)
    [tracker] = re.findall(r'src="https://notices\.example(/notice/impression\?[^"]+)"', body)
    path = tracker.replace("&amp;", "&").replace("${AUCTION_PRICE}", "1.25").replace("${AUCTION_CURRENCY}", "USD")
    assert talk.ask(path).status == 200
    assert talk.counted(apart) == before + 1
    assert talk.counted(money) == paid + 1_250_000


def test_an_encrypted_price_is_read_and_a_forged_one_is_not(talk: Talk) -> None:
    """Google's published sample of 1,900 micro-units an impression is a CPM of 1.90; no currency is told."""
    money = 'bidder_notice_price_micros_total{currency="",exchange="google",kind="win"}'
    apart = 'bidder_notices_apart_total{kind="win",why="price"}'
    assert talk.ask("/notice/win?exchange=google&price=YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgA").status == 204
    assert talk.counted(money) == 1_900_000
    before = talk.counted(apart)
    for forged in ("YWJjMTIzZGVmNDU2Z2hpN7fhCuPemCAWJRxOgB"[:20] + "A" * 18, "99.9", "NaN"):
        assert talk.ask(f"/notice/win?exchange=google&price={forged}&cur=USD").status == 204
    assert talk.counted(apart) == before + 3
    assert talk.counted(money) == 1_900_000


def test_prices_are_summed_by_kind_exchange_and_currency(talk: Talk) -> None:
    """Currencies without a rate are not told apart; a play on a screen counts for its impressions."""
    series = 'bidder_notice_price_micros_total{{currency="{}",exchange="usual",kind="billing"}}'
    for query in ("price=1.5&cur=EUR", "price=0.000001&cur=EUR", "price=2&cur=EUR&multiplier=2.5", "price=0&cur=EUR"):
        talk.ask(f"/notice/billing?exchange=usual&{query}")
    assert talk.counted(series.format("EUR")) == 1_500_000 + 1 + 5_000_000
    talk.ask(f"/notice/billing?exchange=usual&price=3&cur={quote(HOSTILE)}")
    assert talk.counted(series.format("")) == 3_000_000
    talk.ask("/notice/billing?exchange=nobody&price=3&cur=EUR")
    assert "nobody" not in talk.ask("/metrics").body


def test_markup_comes_from_the_catalog_of_the_moment(start_bidder: Callable[..., Any], tmp_path: Path) -> None:
    """A creative that has left the catalog since the bid is gone for the win, too."""
    with started(start_bidder, tmp_path, catalog_interval_s="0.1") as process:
        talk = Talk(process)
        nurl = talk.bid("banner")["nurl"]
        assert talk.fetch(nurl).status == 200
        (tmp_path / "new.json").write_text(json.dumps(document("video")))
        (tmp_path / "new.json").rename(tmp_path / "catalog.json")
        deadline_s = time.monotonic() + 60
        while talk.counted("bidder_catalog_campaigns") != 1:
            assert time.monotonic() < deadline_s, "the new catalog was not taken into use"
            time.sleep(0.02)
        assert talk.fetch(nurl).status == 404
        talk.connection.close()
