"""Reading a /metrics page."""

from __future__ import annotations

import http.server
import threading

import pytest

from loadtest.scrape import Metrics, scrape

PAGE = """# HELP bids_total Bids.
# TYPE bids_total counter
bids_total{exchange="a",outcome="bid"} 3.0
bids_total{exchange="b",outcome="bid"} 4
bids_total{exchange="b",outcome="no \\"bid\\", or\\nnone"} 1e1
up 1 1700000000000
rows_sum 12.5
"""


def test_series_are_summed_over_labels():
    """A total is over all series of the name that carry the labels asked for."""
    metrics = Metrics.parse(PAGE)
    assert metrics.total("bids_total") == 17
    assert metrics.total("bids_total", exchange="b") == 14
    assert metrics.total("bids_total", exchange="b", outcome="bid") == 4
    assert metrics.total("rows_sum") == 12.5
    assert metrics.total("up") == 1


def test_an_absent_series_is_zero():
    """A counter that a page does not have has counted nothing."""
    assert Metrics.parse(PAGE).total("nothing_total") == 0


def test_labels_are_unescaped():
    """Quotes, commas and line feeds in a label's value come back as they were."""
    assert Metrics.parse(PAGE).by("bids_total", "outcome") == {"bid": 7, 'no "bid", or\nnone': 10}


def test_growth_is_by_series():
    """What changed between two pages, series by series, a new one from 0."""
    before = Metrics.parse('bids_total{outcome="bid"} 2')
    after = Metrics.parse('bids_total{outcome="bid"} 5\nbids_total{outcome="none"} 1')
    assert after.since(before).by("bids_total", "outcome") == {"bid": 3, "none": 1}


def test_a_page_that_cannot_be_had_is_an_error():
    """A status other than 200 names address and status."""

    class Refusing(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(503)

        def log_message(self, format: str, *arguments: object) -> None:
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        with pytest.raises(ConnectionError, match="/metrics answered 503"):
            scrape(f"http://127.0.0.1:{server.server_address[1]}")
        thread.join()
