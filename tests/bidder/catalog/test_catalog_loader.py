"""Catalogs from files and from S3, plain and gzipped, within limits."""

from __future__ import annotations

import asyncio
import gzip
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from bidder.catalog import CatalogError, load
from bidder.domain import Campaign
from bidder.source import SourceError, decompress, open_source, read_document
from bidder.stages.tables import Sections

Json = dict[str, Any]
Document = Callable[..., bytes]


def ids(_: Sections, campaigns: Sequence[Campaign]) -> list[str]:
    return [campaign.id for campaign in campaigns]


async def test_a_file_becomes_a_catalog_with_its_index(tmp_path: Path, campaign: Json, document: Document) -> None:
    """The catalog says where it is from and which bytes it was made of, and holds what the compile function made."""
    path, data = tmp_path / "catalog.json", document(campaign)
    path.write_bytes(data)
    catalog = await load(path, ids)
    assert (catalog.version, catalog.source, catalog.index) == ("v1", str(path), ["k-1"])
    assert catalog.fingerprint == hashlib.sha256(data).hexdigest()[:12]
    assert [campaign.id for campaign in catalog.campaigns] == ["k-1"]


@pytest.mark.parametrize("name", ["catalog.json.gz", "catalog"])
async def test_a_gzipped_file_is_told_by_its_bytes(
    tmp_path: Path, campaign: Json, document: Document, name: str
) -> None:
    """Gzip is recognised whatever the file is called."""
    path = tmp_path / name
    path.write_bytes(gzip.compress(document(campaign)))
    assert (await load(path, ids)).index == ["k-1"]


async def test_a_missing_file_is_named(tmp_path: Path) -> None:
    """The error names the path and what is wrong with it."""
    with pytest.raises(CatalogError, match=r"nowhere\.json: No such file or directory"):
        await load(tmp_path / "nowhere.json", ids)


async def test_a_wrong_file_is_named_before_its_problems(tmp_path: Path, campaign: Json, document: Document) -> None:
    """The report opens with the source."""
    path = tmp_path / "catalog.json"
    path.write_bytes(document(campaign | {"prior": 2}))
    with pytest.raises(CatalogError) as caught:
        await load(path, ids)
    assert str(caught.value) == f"{path}: the catalog is not usable:\ncampaigns[0].prior: 2 is above 1"


async def test_an_object_in_s3_becomes_a_catalog(bucket: Any, campaign: Json, document: Document) -> None:
    """s3://bucket/key is read through aioboto3, keys with slashes and spaces included."""
    bucket.objects["/ads/live/the%20catalog.json"] = gzip.compress(document(campaign))
    catalog = await load("s3://ads/live/the catalog.json", ids, endpoint_url=bucket.url, region="eu-central-1")
    assert (catalog.index, catalog.source) == (["k-1"], "s3://ads/live/the catalog.json")


async def test_a_missing_object_is_named(bucket: Any) -> None:
    """S3's answer is translated to one error that names the object."""
    with pytest.raises(CatalogError, match=r"s3://ads/none\.json: .*404"):
        await load("s3://ads/none.json", ids, endpoint_url=bucket.url, region="eu-central-1")


async def test_an_object_cut_short_is_an_error(bucket: Any, campaign: Json, document: Document) -> None:
    """A body that ends before its Content-Length is never taken for the object."""
    bucket.objects["/ads/catalog.json"] = document(campaign)
    bucket.cut_short = True
    with pytest.raises(CatalogError, match=r"s3://ads/catalog\.json: "):
        await load("s3://ads/catalog.json", ids, endpoint_url=bucket.url, region="eu-central-1")


async def test_an_object_over_the_limit_is_not_read(bucket: Any) -> None:
    """The limit holds for S3."""
    bucket.objects["/ads/large"] = bytes(2000)
    with pytest.raises(SourceError, match="s3://ads/large: larger than the limit of 1000 bytes"):
        await read_document("s3://ads/large", endpoint_url=bucket.url, region="eu-central-1", max_bytes=1000)


async def test_the_stamp_of_an_object_changes_with_it(bucket: Any) -> None:
    """HEAD is enough to see that an object was replaced."""
    source = open_source("s3://ads/x", endpoint_url=bucket.url, region="eu-central-1")
    try:
        bucket.objects["/ads/x"] = b"one"
        first = await source.stamp()
        assert (await source.read()).stamp == first == await source.stamp()
        bucket.objects["/ads/x"] = b"two"
        assert await source.stamp() != first
    finally:
        await source.aclose()
    assert sum(request.startswith("GET") for request in bucket.requests) == 1


async def test_a_file_over_the_limit_is_not_read(tmp_path: Path) -> None:
    """The limit holds for files."""
    (tmp_path / "large").write_bytes(bytes(2000))
    with pytest.raises(SourceError, match="larger than the limit of 1000 bytes"):
        await read_document(tmp_path / "large", max_bytes=1000)


@pytest.mark.parametrize("uri", ["s3://bucket", "s3:///key", "s3://bucket/", "ftp://host/x", "https://host/x"])
def test_a_uri_that_cannot_be_read_is_refused_at_once(uri: str) -> None:
    """What is neither a path nor a whole S3 URI is an error before anything is opened."""
    with pytest.raises(SourceError, match=uri):
        open_source(uri)


def test_a_gzip_bomb_is_stopped_at_the_limit() -> None:
    """100 MB behind 100 KB are not unpacked."""
    with pytest.raises(SourceError, match="larger than the limit of 1000000 bytes"):
        decompress(gzip.compress(bytes(100_000_000), 1), "bomb", 1_000_000)


def test_gzip_data_that_breaks_off_is_an_error() -> None:
    """No prefix of gzip data is taken for the whole."""
    data = gzip.compress(b'{"version": "1", "campaigns": []}')
    for length in range(2, len(data)):
        with pytest.raises(SourceError, match="breaks off"):
            decompress(data[:length], "cut.gz")


def test_gzip_data_that_is_damaged_is_an_error() -> None:
    """A flipped bit is found by gzip's own check."""
    data = bytearray(gzip.compress(b"x" * 1000))
    data[-6] ^= 1
    with pytest.raises(SourceError, match="broken gzip data"):
        decompress(bytes(data), "damaged.gz")


def test_gzip_data_of_several_members_is_read_whole() -> None:
    """Parallel compressors write several members; all of them count."""
    assert decompress(gzip.compress(b"one ") + gzip.compress(b"two"), "parts.gz") == b"one two"


async def test_the_loop_turns_while_a_catalog_loads(
    tmp_path: Path, numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """Loading is done beside the event loop: other tasks make progress meanwhile."""
    path = tmp_path / "catalog.json"
    path.write_bytes(document(*numbered(500)))
    loading = asyncio.create_task(load(path, ids, directory=str(tmp_path / "cache")))
    turns = 0
    while not loading.done():
        await asyncio.sleep(0)
        turns += 1
    assert len((await loading).campaigns) == 500
    assert turns > 20
