"""Compiled catalogs: files that are checked before they are used, made by a process of their own, kept for the next."""

from __future__ import annotations

import asyncio
import gc
import io
import logging
import mmap
import os
import struct
import weakref
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import orjson
import pytest

from bidder.catalog import CatalogError, CatalogStore, load
from bidder.catalog.cache import KEPT_IMAGES, directory_for, image_path, sweep
from bidder.catalog.child import Order, Stop, deliver, in_a_child
from bidder.catalog.compile import compile_document
from bidder.catalog.image import Image, map_image, put_in_place
from bidder.catalog.loader import SMALL_BYTES
from bidder.catalog.reader import read_catalog
from bidder.domain import Auction, BannerOffer, Campaign, Exchange, Rates, Slot
from bidder.stages.index import CampaignIndex
from bidder.stages.tables import Sections
from bidder.stages.target import target

Json = dict[str, Any]
Document = Callable[..., bytes]
Numbered = Callable[[int], list[Json]]
DEMO = Path(__file__).parents[3] / "bidder" / "data" / "demo_catalog.json"
RATES = Rates("2026-01-02", "USD", {"EUR": 0.8})


def compiled(document: bytes, rates: Rates | None = None) -> bytes:
    out = io.BytesIO()
    compile_document(document, rates, out)
    return out.getvalue()


def ids(_: Sections, campaigns: Sequence[Campaign]) -> list[str]:
    return [campaign.id for campaign in campaigns]


@pytest.fixture
def large(tmp_path: Path, numbered: Numbered, document: Document) -> Path:
    """A document that is compiled by a child."""
    path = tmp_path / "catalog.json"
    path.write_bytes(document(*numbered(300)))
    assert path.stat().st_size > SMALL_BYTES
    return path


def change(path: Path, how: Callable[[bytes], bytes]) -> None:
    path.write_bytes(how(path.read_bytes()))


def stamp(path: Path) -> int:
    return path.stat().st_ino


def mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def unlink(path: Path) -> Path:
    path.unlink()
    return path


def images(directory: Path) -> list[Path]:
    return sorted(directory.glob("*.catalog"))


def forged(image: bytes, alter: Callable[[Json], None]) -> bytes:
    """The image with another directory and a checksum that is right."""
    magic, _, start, length, _ = struct.unpack_from("<8sQQII", image)
    directory = orjson.loads(image[start : start + length])
    alter(directory)
    rest = image[32:start] + orjson.dumps(directory)
    return struct.pack("<8sQQII", magic, 32 + len(rest), start, 32 + len(rest) - start, crc32(rest)) + rest


def test_an_image_holds_the_campaigns_of_its_document() -> None:
    """Every field of every campaign comes back: those with deals, then the others, each best last."""
    document = DEMO.read_bytes()
    for rates in (None, RATES):
        version, best_first = read_catalog(document, rates)
        with_deals = [campaign for campaign in best_first if campaign.targeting.deals]
        assert with_deals
        campaigns = [*with_deals[::-1], *(each for each in best_first[::-1] if each not in with_deals)]
        image = Image(compiled(document, rates), "demo")
        assert image.version == version
        assert list(image.campaigns) == campaigns
        assert list(image.campaigns[3:5]) == campaigns[3:5]
        assert image.campaigns[-1] == campaigns[-1]
        with pytest.raises(IndexError):
            image.campaigns[len(campaigns)]


def test_equal_specs_are_one_object(numbered: Numbered, document: Document) -> None:
    """Campaigns that are alike share what a slot is held against."""
    one, other = Image(compiled(document(*numbered(2))), "two").campaigns
    assert [creative.spec for creative in one.creatives] == [creative.spec for creative in other.creatives]
    assert one.creatives[0].spec is other.creatives[0].spec


def test_campaigns_are_found_by_id() -> None:
    """Where each stands, and None for what is not there."""
    image = Image(compiled(DEMO.read_bytes()), "demo")
    index = CampaignIndex(image.sections, image.campaigns)
    for place, campaign in enumerate(image.campaigns):
        assert index.place(campaign.id) == place
        assert index.campaign(campaign.id) == campaign
    assert index.campaign("nobody") is None


def test_the_same_document_makes_the_same_image() -> None:
    """Byte for byte, so that an image made off line can be compared."""
    assert compiled(DEMO.read_bytes(), RATES) == compiled(DEMO.read_bytes(), RATES)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda image: image[:20], "not a compiled catalog"),
        (lambda image: b"", "not a compiled catalog"),
        (lambda image: b"x" + image[1:], "not a compiled catalog"),
        (lambda image: image[:-1], "cut off"),
        (lambda image: image + b"x", "cut off"),
        (lambda image: image[:2000] + bytes([image[2000] ^ 1]) + image[2001:], "damaged"),
        (lambda image: forged(image, lambda directory: directory.update(code="0123")), "another version"),
    ],
    ids=["short", "empty", "magic", "cut off", "too long", "a bit flipped", "another version"],
)
def test_an_image_that_is_not_right_is_not_used(spoil: Callable[[bytes], bytes], message: str) -> None:
    """Whatever is wrong with it is an error that says so."""
    with pytest.raises(CatalogError, match=message):
        Image(spoil(compiled(DEMO.read_bytes())), "demo")


def test_an_image_is_mapped_only_from_a_file_of_ours(tmp_path: Path) -> None:
    """Not by way of a link, not where others may write, and not where there is none."""
    path = tmp_path / "demo.catalog"
    with put_in_place(path) as out:
        compile_document(DEMO.read_bytes(), None, out)
    assert path.stat().st_mode & 0o777 == 0o600
    assert len(map_image(str(path)).campaigns) > 0
    (tmp_path / "link").symlink_to(path)
    path.chmod(0o622)
    for name in ("link", "demo.catalog", "none", "."):
        with pytest.raises(CatalogError, match=str(tmp_path)):
            map_image(str(tmp_path / name))


def test_a_replaced_catalog_goes_without_the_collector(tmp_path: Path) -> None:
    """The bidder freezes what it has loaded, so nothing of it may wait for the collector: no cycles."""
    path = tmp_path / "demo.catalog"
    path.write_bytes(compiled(DEMO.read_bytes()))
    gc.collect()
    gc.disable()
    try:
        with path.open("rb") as file:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        gone = weakref.ref(mapped)
        image = Image(mapped, "demo")
        index = CampaignIndex(image.sections, image.campaigns)
        banner = BannerOffer(sizes=((300, 250), (320, 50)))
        auction = Auction("1", [Slot("1", banner=banner)], blocked_categories=frozenset({"IAB7"}), country="USA")
        assert target(auction, Exchange("generic"), None, index, RATES, 1_767_614_400.0, 8)
        del mapped, image, index
        assert gone() is None
    finally:
        gc.enable()


def test_what_was_not_finished_leaves_nothing(tmp_path: Path) -> None:
    """Neither a name nor a remainder."""
    with pytest.raises(LookupError), put_in_place(tmp_path / "x"):
        raise LookupError
    assert list(tmp_path.iterdir()) == []


# -- in a process of its own -------------------------------------------------------------------------------------------


async def test_a_large_catalog_is_compiled_once(tmp_path: Path, large: Path) -> None:
    """The first start leaves an image; the second uses it as it is."""
    directory = tmp_path / "cache"
    first = await load(large, ids, directory=str(directory), rates=RATES)
    assert len(first.index) == len(first.campaigns) == 300
    assert mode(directory) == 0o700
    [image] = images(directory)
    made = stamp(image)
    second = await load(large, ids, directory=str(directory), rates=RATES)
    assert (second.index, second.fingerprint) == (first.index, first.fingerprint)
    assert stamp(image) == made


async def test_other_rates_make_another_image(tmp_path: Path, large: Path) -> None:
    """The order of campaigns depends on them."""
    for rates in (RATES, replace(RATES, per_base={"EUR": 0.7}), None):
        await deliver(Order(str(large), directory=str(tmp_path / "cache"), rates=rates))
    assert len(images(tmp_path / "cache")) == 3


@pytest.mark.parametrize(
    "spoil", [lambda image: image[: len(image) // 2], lambda image: b"", lambda image: image[::-1]]
)
async def test_a_spoilt_image_is_made_anew(
    tmp_path: Path, large: Path, spoil: Callable[[bytes], bytes], capfd: pytest.CaptureFixture[str]
) -> None:
    """As if it were not there, but for a line in the log."""
    directory = tmp_path / "cache"
    await deliver(Order(str(large), directory=str(directory)))
    [image] = images(directory)
    change(image, spoil)
    catalog = await load(large, ids, directory=str(directory))
    assert len(catalog.index) == 300
    assert "made anew" in capfd.readouterr().err


async def test_an_invalid_document_never_becomes_an_image(tmp_path: Path, large: Path) -> None:
    """The report is the one of a small catalog."""
    change(large, lambda data: data.replace(b'"prior": 0.5', b'"prior": 5', 1))
    with pytest.raises(CatalogError) as caught:
        await load(large, ids, directory=str(tmp_path / "cache"))
    assert str(caught.value) == f"{large}: the catalog is not usable:\ncampaigns[0].prior: 5 is above 1"
    assert images(tmp_path / "cache") == []


async def test_two_processes_may_compile_at_once(tmp_path: Path, large: Path) -> None:
    """Each gets a whole image, and one stays."""
    order = Order(str(large), directory=str(tmp_path / "cache"))
    one, other = await asyncio.gather(*(asyncio.to_thread(in_a_child, order, Stop()) for _ in range(2)))
    assert one.path == other.path
    assert len(map_image(one.path).campaigns) == 300
    assert [str(path) for path in images(tmp_path / "cache")] == [one.path]


async def test_a_child_can_be_stopped(large: Path) -> None:
    """A bidder that stops does not wait for a catalog."""
    stop = Stop()
    stop.ask()
    with pytest.raises(CatalogError, match="reading was stopped"):
        await asyncio.to_thread(in_a_child, Order(str(large), directory="/proc/no"), stop)


async def test_a_child_can_be_stopped_while_it_works(tmp_path: Path) -> None:
    """It waits for a document that never comes."""
    os.mkfifo(endless := tmp_path / "endless")
    stop = Stop()
    working = asyncio.create_task(asyncio.to_thread(in_a_child, Order(str(endless), directory=str(tmp_path)), stop))
    await asyncio.sleep(0.2)
    assert not working.done()
    stop.ask()
    with pytest.raises(CatalogError, match="reading was stopped"):
        await working


async def test_a_large_document_takes_over_while_the_old_image_is_in_use(
    tmp_path: Path, large: Path, numbered: Numbered, document: Document
) -> None:
    """The store swaps from image to image; a bad document is refused, and what is in use goes on being read."""
    store = CatalogStore(large, CampaignIndex, interval_s=3600, directory=str(tmp_path / "cache"))
    await store.start()
    try:
        old = store.current
        change(large, lambda _: document(*numbered(301), version="v2"))
        assert await store.reload_now() is True
        assert (store.current.version, len(store.current.campaigns)) == ("v2", 301)
        change(large, lambda _: b"{" + bytes(SMALL_BYTES))
        assert await store.reload_now() is False
        assert str(large) in store.last_error
        assert [unlink(path) for path in images(tmp_path / "cache")]
        assert {old.index.entries[place][0].id for place in range(300)} == {f"k-{number}" for number in range(300)}
    finally:
        await store.aclose()


async def test_an_image_from_s3_is_used_as_it_is(
    tmp_path: Path, bucket: Any, numbered: Numbered, document: Document
) -> None:
    """A catalog compiled off line needs no compiling, from a file or an object, small or large."""
    for count in (1, 300):
        bucket.objects["/ads/image"] = image = compiled(document(*numbered(count)))
        options: Json = {"endpoint_url": bucket.url, "region": "eu-central-1", "directory": str(tmp_path / "cache")}
        assert len((await load("s3://ads/image", ids, **options)).index) == count
        bucket.objects["/ads/image"] = image[:-1]
        with pytest.raises(CatalogError, match="s3://ads/image: the compiled catalog is cut off"):
            await load("s3://ads/image", ids, **options)


# -- where images are kept ---------------------------------------------------------------------------------------------


def test_a_directory_that_cannot_be_used_gives_way_to_a_temporary_one(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a line in the log that says why."""
    (tmp_path / "file").write_text("in the way")
    with caplog.at_level(logging.WARNING, "bidder.catalog.cache"):
        directory = directory_for(str(tmp_path / "file" / "cache"))
    assert directory.is_dir()
    assert directory.stat().st_mode & 0o077 == 0
    assert f"{tmp_path}/file/cache" in caplog.text


def test_a_directory_open_to_others_is_closed(tmp_path: Path) -> None:
    """What is in it is ours alone."""
    tmp_path.chmod(0o777)
    assert directory_for(str(tmp_path)) == tmp_path
    assert tmp_path.stat().st_mode & 0o777 == 0o700


def test_only_the_images_used_last_are_kept(tmp_path: Path) -> None:
    """The directory does not grow with every document there ever was."""
    paths = [image_path(tmp_path, bytes([number]), None) for number in range(KEPT_IMAGES + 3)]
    for path in paths:
        path.write_bytes(b"")
        sweep(tmp_path, path)
    assert images(tmp_path) == sorted(paths[-KEPT_IMAGES:])
