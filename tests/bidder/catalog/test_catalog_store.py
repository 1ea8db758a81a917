"""The last good catalog stays until a whole new one is there, whatever happens to the document."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from bidder.catalog import Catalog, CatalogError, CatalogStore
from bidder.domain import Campaign
from bidder.stages.tables import Sections

Json = dict[str, Any]
Document = Callable[..., bytes]
Store = CatalogStore[tuple[str, ...]]

INTERVAL_S = 0.01


def ids(_: Sections, campaigns: Sequence[Campaign]) -> tuple[str, ...]:
    return tuple(campaign.id for campaign in campaigns)


@asynccontextmanager
async def started(uri: str | Path, **options: Any) -> AsyncIterator[Store]:
    store = CatalogStore(uri, ids, **({"interval_s": INTERVAL_S} | options))
    try:
        await store.start()
        yield store
    finally:
        await store.aclose()


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 (the store has no event for what it did not do)
            await asyncio.sleep(0.005)


def replace(path: Path, data: bytes) -> None:
    """As documents ought to be replaced: written aside, then renamed."""
    aside = path.with_suffix(".new")
    aside.write_bytes(data)
    aside.replace(path)


def rewrite(path: Path, data: bytes, modified_s: float) -> None:
    """As documents ought not to be replaced: in place, the time stamp kept."""
    with path.open("r+b") as file:
        file.write(data)
    os.utime(path, (modified_s, modified_s))


def content(path: Path) -> bytes:
    return path.read_bytes()


@pytest.fixture
def path(tmp_path: Path, campaign: Json, document: Document) -> Path:
    path = tmp_path / "catalog.json"
    path.write_bytes(document(campaign))
    return path


async def test_the_store_starts_with_the_document(path: Path) -> None:
    """After the start there is a catalog, and nothing has been reloaded."""
    async with started(path) as store:
        assert store.current.index == ("k-1",)
        assert (store.reloads, store.reload_failures, store.last_error) == (0, 0, "")
        assert store.age_s >= 0


@pytest.mark.parametrize("data", [None, b"{", b'{"version": "1", "campaigns": [{}]}'])
async def test_the_store_does_not_start_with_a_bad_document(tmp_path: Path, data: bytes | None) -> None:
    """There is nothing to fall back to at the start, so the report goes to the caller."""
    path = tmp_path / "catalog.json"
    if data is not None:
        path.write_bytes(data)
    store = CatalogStore(path, ids)
    with pytest.raises(CatalogError, match=str(path)):
        await store.start()
    await store.aclose()


def test_a_uri_that_cannot_be_read_is_refused_when_the_store_is_made() -> None:
    """A scheme that is not supported is a catalog error like any other."""
    with pytest.raises(CatalogError, match="ftp://host/x: only a path or s3://bucket/key can be read"):
        CatalogStore("ftp://host/x", ids)


async def test_a_new_document_takes_over(path: Path, campaign: Json, document: Document) -> None:
    """A renamed file is noticed, loaded and swapped in, and the callback is handed the replaced one, once."""
    told: list[Catalog[tuple[str, ...]]] = []
    async with started(path, on_swap=told.append) as store:
        first = store.current
        replace(path, document(campaign | {"id": "k-2"}, version="v2"))
        await until(lambda: store.reloads == 1)
        assert (store.current.version, store.current.index) == ("v2", ("k-2",))
        assert first.index == ("k-1",)
        assert told == [first]


async def test_a_change_that_leaves_size_and_time_alone_is_noticed(
    path: Path, campaign: Json, document: Document
) -> None:
    """A file that is rewritten just after it was read may keep its time stamp; it is still found to have changed."""
    changed = document(campaign | {"id": "k-9"})
    assert len(changed) == len(document(campaign))
    young = time.time() + 3600  # as young as can be, however slow this machine is
    os.utime(path, (young, young))
    async with started(path) as store:
        rewrite(path, changed, young)
        await until(lambda: store.current.index == ("k-9",))


async def test_a_document_touched_but_equal_is_not_swapped(path: Path) -> None:
    """The same bytes with a new time stamp are the same catalog."""
    async with started(path) as store:
        first = store.current
        replace(path, content(path))
        assert await store.reload_now() is False
        assert store.current is first
        assert store.reloads == 0


@pytest.mark.parametrize(
    "spoil",
    [
        lambda data: data[: len(data) // 2],
        lambda data: b"",
        lambda data: data.replace(b'"prior": 0.5', b'"prior": 5'),
        lambda data: data.replace(b'"version"', b'"verzion"'),
        lambda data: b"\x1f\x8b" + data,
        lambda data: None,
    ],
    ids=["cut off", "empty", "invalid", "misspelt", "no gzip", "missing"],
)
async def test_a_bad_document_leaves_the_last_good_catalog(
    path: Path, spoil: Callable[[bytes], bytes | None], caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever becomes of the document, bidding goes on as before; it is counted, kept, and logged in one line."""
    good = content(path)
    async with started(path) as store:
        first = store.current
        with caplog.at_level(logging.ERROR, "bidder.catalog.store"):
            bad = spoil(good)
            if bad is None:
                os.unlink(path)
            else:
                replace(path, bad)
            await until(lambda: store.reload_failures >= 1)
            assert await store.reload_now() is False  # the same once more is counted, and not logged
        assert store.reload_failures >= 2
        assert store.current is first
        assert str(path) in store.last_error
        assert len(caplog.records) == 1
        assert "catalog version v1" in caplog.text
        assert "stays in use" in caplog.text
        assert "\n" not in caplog.records[0].getMessage()


async def test_a_repaired_document_is_taken_up_and_the_error_forgotten(
    path: Path, campaign: Json, document: Document
) -> None:
    """After a bad document, the next good one is used, and `last_error` is empty again."""
    async with started(path) as store:
        replace(path, b"{")
        await until(lambda: store.reload_failures == 1)
        replace(path, document(campaign, version="v3"))
        await until(lambda: store.current.version == "v3")
        assert store.last_error == ""


async def test_going_back_to_the_document_in_use_ends_the_alarm(path: Path) -> None:
    """Restoring the old file needs no reload, and clears the error; the same bad file again is an error again."""
    good = content(path)
    async with started(path) as store:
        for failures in (1, 2):
            replace(path, b"{")
            await until(lambda failures=failures: store.reload_failures == failures)  # type: ignore[misc]
            replace(path, good)
            await until(lambda: store.last_error == "")
        assert store.reloads == 0


async def test_a_bad_document_is_read_once_and_not_at_every_look(
    bucket: Any, campaign: Json, document: Document
) -> None:
    """A document already found bad is not read and counted again until it changes, or a reload is asked for."""
    bucket.objects["/ads/catalog"] = document(campaign)
    async with started("s3://ads/catalog", endpoint_url=bucket.url, region="us-east-1") as store:
        bucket.objects["/ads/catalog"] = b"{"
        await until(lambda: store.reload_failures == 1)
        looks = len(bucket.requests)
        await until(lambda: len(bucket.requests) > looks + 5)
        assert store.reload_failures == 1
        assert sum(request.startswith("GET") for request in bucket.requests) == 2
        assert await store.reload_now() is False
        assert store.reload_failures == 2


async def test_a_document_written_slowly_in_place_is_never_half_applied(
    path: Path, numbered: Callable[[int], list[Json]], document: Document
) -> None:
    """Between the old catalog and the whole new one, nothing else is ever in use."""
    data = document(*numbered(40), version="v2")
    seen = set()
    async with started(path) as store:
        with path.open("wb", buffering=0) as file:
            for at in range(0, len(data), len(data) // 50):
                file.write(data[at : at + len(data) // 50])
                await asyncio.sleep(INTERVAL_S / 4)
                seen.add((store.current.version, len(store.current.campaigns)))
        await until(lambda: store.current.version == "v2")
        seen.add((store.current.version, len(store.current.campaigns)))
    assert seen == {("v1", 1), ("v2", 40)}


async def test_an_index_that_cannot_be_compiled_leaves_the_last_good_catalog(
    path: Path, campaign: Json, document: Document
) -> None:
    """A failure of the compile function is a failed reload like any other."""

    def make_index(sections: Sections, campaigns: Sequence[Campaign]) -> tuple[str, ...]:
        if campaigns[0].id == "k-bad":
            raise LookupError("no such mask")
        return ids(sections, campaigns)

    store = CatalogStore(path, make_index, interval_s=3600)
    try:
        await store.start()
        replace(path, document(campaign | {"id": "k-bad"}))
        assert await store.reload_now() is False
        assert (store.current.index, store.last_error) == (("k-1",), "no such mask")
    finally:
        await store.aclose()


async def test_a_callback_that_fails_does_not_undo_the_swap(
    path: Path, campaign: Json, document: Document, caplog: pytest.LogCaptureFixture
) -> None:
    """The new catalog is in use even if telling of it failed, and the watching goes on."""

    def complain(catalog: Catalog[tuple[str, ...]]) -> None:
        raise ValueError(catalog.version)

    async with started(path, on_swap=complain) as store:
        for version in ("v2", "v3"):
            replace(path, document(campaign, version=version))
            await until(lambda version=version: store.current.version == version)  # type: ignore[misc]
        assert store.reload_failures == 0
    assert "telling of the swap failed" in caplog.text


async def test_a_catalog_is_prepared_before_it_takes_over(path: Path, campaign: Json, document: Document) -> None:
    """Who prepares it is given the new index while the old one is still in use; the first has nothing to replace."""
    seen: list[tuple[tuple[str, ...], tuple[str, ...]]] = []
    async with started(path, interval_s=3600) as store:

        async def prepare(index: tuple[str, ...]) -> None:
            seen.append((index, store.current.index))

        store.before_swap = prepare
        replace(path, document(campaign | {"id": "k-2"}, version="v2"))
        assert await store.reload_now() is True
        assert seen == [(("k-2",), ("k-1",))]
        assert store.current.index == ("k-2",)


async def test_a_catalog_that_could_not_be_prepared_takes_over_all_the_same(
    path: Path, campaign: Json, document: Document, caplog: pytest.LogCaptureFixture
) -> None:
    """Its first bids are slower; that is better than the old campaigns."""

    async def fail(index: tuple[str, ...]) -> None:
        raise ValueError(index)

    async with started(path, interval_s=3600) as store:
        store.before_swap = fail
        replace(path, document(campaign, version="v2"))
        assert await store.reload_now() is True
        assert (store.current.version, store.reload_failures) == ("v2", 0)
    assert "comes into use unprepared" in caplog.text


async def test_reload_now_does_not_wait_for_the_next_look(path: Path, campaign: Json, document: Document) -> None:
    """An operator's reload takes effect before it returns."""
    async with started(path, interval_s=3600) as store:
        replace(path, document(campaign, version="v2"))
        assert await store.reload_now() is True
        assert store.current.version == "v2"


async def test_two_reloads_at_once_swap_once(path: Path, campaign: Json, document: Document) -> None:
    """Reloads wait for each other, and the second finds nothing new."""
    async with started(path, interval_s=3600) as store:
        replace(path, document(campaign, version="v2"))
        assert sorted(await asyncio.gather(store.reload_now(), store.reload_now())) == [False, True]


async def test_a_closed_store_watches_no_more(path: Path, campaign: Json, document: Document) -> None:
    """After `aclose()` no task of the store is left."""
    async with started(path):
        pass
    assert [task.get_name() for task in asyncio.all_tasks() if task.get_name() == "catalog-watcher"] == []


async def test_an_object_in_s3_is_watched_by_its_etag(bucket: Any, campaign: Json, document: Document) -> None:
    """A replaced object takes over; looking costs HEADs, and a GET only for a change."""
    bucket.objects["/ads/catalog"] = document(campaign)
    async with started("s3://ads/catalog", endpoint_url=bucket.url, region="us-east-1") as store:
        await until(lambda: len(bucket.requests) > 5)
        assert sum(request.startswith("GET") for request in bucket.requests) == 1
        bucket.objects["/ads/catalog"] = document(campaign, version="v2")
        await until(lambda: store.current.version == "v2")
        del bucket.objects["/ads/catalog"]
        await until(lambda: store.reload_failures > 0)
        assert store.current.version == "v2"
        assert "s3://ads/catalog" in store.last_error
