"""The command line as a person meets it: real processes, their output, their exit codes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from bidder.bootstrap import explain_token_of, price_keys_of
from bidder.config import Settings
from bidder.exchanges import built_in_exchanges
from bidder.stages.features import FEATURES, FEATURES_VERSION
from bidder.stages.privacy import profile_key
from bidder.state.profile_file import read_profiles

ROOT = Path(__file__).parents[2]
Make = Callable[..., Any]


def run(*arguments: str, **settings: str) -> subprocess.CompletedProcess[str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIDDER_", "AWS_"))}
    settings = {f"BIDDER_{name.upper()}": value for name, value in settings.items()}
    return subprocess.run(
        [sys.executable, "-m", "bidder", *arguments],
        cwd=ROOT,
        env=kept | settings | {"AWS_EC2_METADATA_DISABLED": "true", "COLUMNS": "100"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_help_names_every_command() -> None:
    """And what each is for."""
    done = run("--help")
    assert done.returncode == 0
    for command in (
        "serve",
        "check",
        "features",
        "explain",
        "rows",
        "generate-catalog",
        "hash-profiles",
        "load-profiles",
    ):
        assert command in done.stdout


def test_features_are_printed_as_json() -> None:
    """Names in order, and their version."""
    printed = json.loads(run("features").stdout)
    assert (printed["features"], printed["features_version"]) == (list(FEATURES), FEATURES_VERSION)


def test_check_says_what_is_well() -> None:
    """The built-in data pass, without an endpoint."""
    done = run("check")
    assert done.returncode == 0, done.stdout
    assert [line.split()[:2] for line in done.stdout.splitlines()] == [
        [part, "ok"] for part in ("features", "catalog", "exchanges", "rates", "supply", "profiles", "endpoint")
    ]


def test_check_says_all_that_is_wrong(tmp_path: Path) -> None:
    """Each part has its line, whatever failed before."""
    catalog, exchanges, profiles = tmp_path / "catalog.json", tmp_path / "exchanges.json", tmp_path / "profiles"
    catalog.write_text('{"version": "1", "campaigns": [{"id": "c"}]}')
    exchanges.write_text('{"x": {"default_tmax_ms": -1}}')
    profiles.write_text("{}\n")
    done = run(
        "check",
        catalog_uri=str(catalog),
        exchanges_uri=str(exchanges),
        rates_uri=str(tmp_path / "missing"),
        profiles_path=str(profiles),
        endpoint_name="e",
        endpoint_url="http://127.0.0.1:9",
    )
    assert done.returncode == 1
    wrong = [line.split()[0] for line in done.stdout.splitlines() if line.split()[1:2] == ["wrong"]]
    assert wrong == ["catalog", "exchanges", "rates", "profiles", "endpoint"]
    assert "campaigns[0].goal" in done.stdout


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"port": "high"}, "BIDDER_PORT: "),
        ({"network_margin_ms": "100"}, "BIDDER_NETWORK_MARGIN_MS (100) must be below BIDDER_DEFAULT_TMAX_MS"),
        ({"endpoint_variants": "blue"}, "'blue' is not NAME=WEIGHT"),
        ({"endpoint_variants": "a=1,a=2"}, "named twice"),
        ({"keep_alive_s": "5"}, "BIDDER_KEEP_ALIVE_S: "),
    ],
)
def test_a_bad_setting_is_named(settings: dict[str, str], message: str) -> None:
    """With what it was; exit code 2."""
    done = run("serve", **settings)
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_serve_without_a_usable_catalog_says_why(tmp_path: Path) -> None:
    """The report, no trace, exit code 2."""
    done = run("serve", port="0", catalog_uri=str(tmp_path / "none.json"))
    assert done.returncode == 2
    assert "none.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_says_what_becomes_of_a_request(tmp_path: Path, make_body: Make) -> None:
    """As text for people; with all features as JSON."""
    request = tmp_path / "request.json"
    request.write_bytes(make_body(device={"devicetype": 2, "geo": {"country": "USA", "utcoffset": 0}}))
    done = run("explain", str(request))
    assert done.returncode == 0, done.stderr
    assert "answer    200 (bid)" in done.stdout
    assert "request: country" in done.stdout
    done = run("explain", str(request), "--exchange", "generic25", "--json")
    report = json.loads(done.stdout)
    assert (report["exchange"], report["answer"]["status"]) == ("generic25", 200)
    assert list(report["candidates"][0]["features"]) == list(FEATURES)


@pytest.mark.parametrize(
    ("arguments", "message"), [(("none.json",), "none.json"), (("{file}", "--exchange", "nobody"), "'nobody'")]
)
def test_explain_says_what_it_needs(tmp_path: Path, arguments: tuple[str, ...], message: str) -> None:
    """A file that is there, an exchange that is configured; exit code 2."""
    request = tmp_path / "request.json"
    request.write_text("{}")
    done = run("explain", *(argument.format(file=request) for argument in arguments))
    assert done.returncode == 2
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_a_token_that_cannot_be_is_refused_and_not_repeated() -> None:
    """It is a secret, also when it is a bad one."""
    done = run("serve", port="0", explain_token="with spaces in the token")
    assert done.returncode == 2
    assert "BIDDER_EXPLAIN_TOKEN is not usable" in done.stderr
    assert "with spaces" not in done.stdout + done.stderr


@pytest.mark.parametrize("token", ["short", "ümlaute-in-the-token", "a-line\n-break-in-the-token"])
def test_tokens_are_long_and_fit_into_a_header(token: str) -> None:
    """What a client could not send, or could guess, is no token."""
    with pytest.raises(ValueError, match="at least 16 printable ASCII"):
        explain_token_of(Settings(explain_token=SecretStr(token)))
    assert explain_token_of(Settings(explain_token=SecretStr("a-token-of-a-test"))) == "a-token-of-a-test"
    assert explain_token_of(Settings()) == ""


def test_keys_that_cannot_be_are_refused_and_not_repeated() -> None:
    """Neither those that are no keys, nor those of an exchange that encrypts nothing."""
    done = run("serve", port="0", price_keys="google=hush-hush:hush-hush")
    assert done.returncode == 2
    assert "BIDDER_PRICE_KEYS: entry 1 is not usable" in done.stderr
    assert "hush" not in done.stdout + done.stderr
    key = "A" * 43 + "="
    settings = Settings(price_keys=SecretStr(f"generic={key}:{key}"))
    with pytest.raises(ValueError, match="entry 1 is for no exchange whose notice_price is 'google'"):
        price_keys_of(settings, built_in_exchanges())
    assert price_keys_of(Settings(), built_in_exchanges()) == {}
    assert key not in repr(settings)


def test_check_says_whose_prices_cannot_be_read() -> None:
    """Without keys nothing that Google's notices say of money counts."""
    key = "A" * 43 + "="
    assert "without BIDDER_PRICE_KEYS no price of google can be read" in run("check").stdout
    assert "BIDDER_PRICE_KEYS" not in run("check", price_keys=f"google={key}:{key}").stdout


def test_rows_are_those_the_bid_path_would_ask_about(tmp_path: Path, make_body: Make) -> None:
    """A header that names the features, one line a candidate, refused requests counted."""
    requests, out = tmp_path / "requests.jsonl", tmp_path / "rows.csv"
    device = {"devicetype": 2, "geo": {"country": "USA", "utcoffset": 0}}
    requests.write_bytes(make_body(device=device) + b"\n" + b"{}\n" + make_body(bcat={}) + b"\n")
    done = run("rows", str(requests), str(out), "--start", "1767614400")
    assert done.returncode == 0, done.stderr
    assert "of 3 requests, 2 refused" in done.stdout
    head, columns, *lines = out.read_text().splitlines()
    assert json.loads(head[1:])["features_version"] == FEATURES_VERSION
    assert columns.split(",") == ["auction_id", "impression_id", "campaign_id", *FEATURES]
    assert lines
    for line in lines:
        auction, impression, _, *values = line.split(",")
        assert (auction, impression, len(values)) == ("auction-1", "1", len(FEATURES))
        assert all(float(value) == float(value) for value in values)


def test_profiles_lose_their_raw_ids(tmp_path: Path) -> None:
    """What comes out is found under the keys that decoding makes."""
    raw, out = tmp_path / "raw.jsonl", tmp_path / "profiles.jsonl"
    raw.write_text('{"kind": "buyeruid", "id": "u-1", "s": ["travel"]}\n\n{"kind": "ifa", "id": "ABC", "n": 2}\n')
    assert run("hash-profiles", str(raw), str(out)).returncode == 0
    profiles = dict(read_profiles(out))
    assert profiles[profile_key("buyeruid", "u-1")].segments == {"travel"}
    assert profiles[profile_key("ifa", "abc")].impressions_today == 2
    assert "u-1" not in out.read_text()
    raw.write_text('{"id": "u-1"}\n')
    done = run("hash-profiles", str(raw), str(out))
    assert done.returncode == 2
    assert "raw.jsonl:1: " in done.stderr


def test_a_generated_catalog_can_be_served(tmp_path: Path) -> None:
    """The generator's output passes the loader's checks."""
    path = tmp_path / "catalog.json.gz"
    assert run("generate-catalog", str(path), "--campaigns", "200", "--seed", "3").returncode == 0
    done = run("check", catalog_uri=str(path))
    assert "200 campaigns" in done.stdout


def test_loading_profiles_needs_a_store(tmp_path: Path) -> None:
    """The message says which setting is missing."""
    done = run("load-profiles", str(tmp_path / "none"))
    assert done.returncode == 2
    assert "BIDDER_STATE_URL is not set" in done.stderr


def test_every_setting_of_the_contract_has_its_default() -> None:
    """What operators were promised."""
    settings = Settings()
    assert (settings.host, settings.port, settings.aws_region) == ("127.0.0.1", 8080, "us-east-1")
    assert (settings.default_tmax_ms, settings.network_margin_ms) == (100, 10)
    assert (settings.max_body_bytes, settings.max_in_flight, settings.state_url) == (262144, 2000, "embedded")


@pytest.mark.parametrize(
    ("settings", "answer"),
    [
        ({}, "answer    200 (bid)"),
        ({"supply_uri": "{folder}/supply.json"}, "no bid    incomplete_supply_chain (nbr 16)"),
        ({"rates_max_age_days": "0.001"}, "answer    204 (no_bid)"),
    ],
)
def test_rules_of_buying_come_from_the_settings(
    tmp_path: Path, make_body: Make, settings: dict[str, str], answer: str
) -> None:
    """A chain can be required; rates can be too old to meet a floor in another currency."""
    (tmp_path / "supply.json").write_text('{"chain_required": true}')
    request = tmp_path / "request.json"
    imp = [{"id": "1", "banner": {"w": 300, "h": 250}, "bidfloor": 0.01, "bidfloorcur": "EUR"}]
    request.write_bytes(make_body(imp=imp, device={"devicetype": 2, "geo": {"country": "USA", "utcoffset": 0}}))
    done = run("explain", str(request), **{name: value.format(folder=tmp_path) for name, value in settings.items()})
    assert done.returncode == 0, done.stderr
    assert answer in done.stdout


def test_a_bidder_logs_as_a_log_service_wants_it(make_body: Make) -> None:
    """Every line of standard error is an object; after the address, standard output has histograms for CloudWatch."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BIDDER_", "AWS_"))}
    settings = {
        "BIDDER_PORT": "0",
        "BIDDER_LOG_FORMAT": "json",
        "BIDDER_EMF_NAMESPACE": "Bidder/test",
        "BIDDER_DRAIN_S": "0",
        "BIDDER_ENDPOINT_NAME": "ranker",
        "BIDDER_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "AKIDLOCAL",
        "AWS_SECRET_ACCESS_KEY": "local",
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "bidder", "serve"],
        cwd=ROOT,
        env=kept | settings,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        address = process.stdout.readline().split()[-1]
        body, headers = make_body(user={"buyeruid": "u-4711"}), {"Content-Type": "application/json"}
        with urllib.request.urlopen(urllib.request.Request(f"{address}/openrtb2/bid", body, headers)) as answer:
            assert answer.status in (200, 204)
    finally:
        process.terminate()
        printed, logged = process.communicate(timeout=60)
    lines = [json.loads(line) for line in logged.splitlines()]
    assert any(line["message"].startswith("endpoint not ready: ") for line in lines)
    assert all(line.keys() >= {"time", "level", "logger", "message"} for line in lines)
    told = [json.loads(line) for line in printed.splitlines()]
    (bids,) = [line["bidder_bid_latency_seconds"] for line in told if "bidder_bid_latency_seconds" in line]
    assert bids["Count"] == 1
    assert {line["stage"] for line in told if "stage" in line} >= {"decode", "target"}
    assert "u-4711" not in printed + logged
