"""A correct campaign to start from, and an S3 of 40 lines on a real socket."""

from __future__ import annotations

import asyncio
import copy
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

Json = dict[str, Any]

_BANNER: Json = {
    "format": "banner",
    "id": "k-1-b",
    "w": 300,
    "h": 250,
    "html": '<a href="${CLICK_URL}">Coffee</a>',
    "landing_url": "https://coffee.example/",
}
_VIDEO: Json = {
    "format": "video",
    "id": "k-1-v",
    "duration_s": 30,
    "landing_url": "https://coffee.example/",
    "protocols": ["vast3", 7],
    "media": [
        {"url": "https://cdn.coffee.example/a.mp4", "mime": "video/mp4", "w": 640, "h": 360, "bitrate_kbps": 800},
        {"url": "https://cdn.coffee.example/b.mp4", "mime": "video/mp4", "w": 1280, "h": 720, "bitrate_kbps": 2000},
    ],
}
_AUDIO: Json = {
    "format": "audio",
    "id": "k-1-a",
    "duration_s": 15,
    "landing_url": "https://coffee.example/",
    "protocols": ["daast1"],
    "media": [{"url": "https://cdn.coffee.example/a.mp3", "mime": "audio/mpeg", "bitrate_kbps": 128}],
}
_NATIVE: Json = {
    "format": "native",
    "id": "k-1-n",
    "title": "Fresh coffee",
    "texts": {"desc": "Roasted on Monday", "1": "Coffee Co"},
    "cta": "Order",
    "images": [{"type": "main", "url": "https://cdn.coffee.example/m.jpg", "w": 1200, "h": 627}],
    "landing_url": "https://coffee.example/",
}
_CAMPAIGN: Json = {
    "id": "k-1",
    "advertiser": {"id": "coffee", "domains": ["coffee.example"]},
    "seat": "seat-1",
    "goal": {"kind": "cpm", "amount": 2.5},
    "max_cpm": 8.0,
    "prior": 0.5,
    "creatives": [_BANNER, _VIDEO, _AUDIO, _NATIVE],
}


@pytest.fixture
def campaign() -> Json:
    """A campaign with one creative of each format (0 banner, 1 video, 2 audio, 3 native), free to be changed."""
    return copy.deepcopy(_CAMPAIGN)


@pytest.fixture
def document() -> Callable[..., bytes]:
    """The bytes of a catalog that holds the campaigns given."""

    def write(*campaigns: Json, version: str = "v1") -> bytes:
        return json.dumps({"version": version, "campaigns": campaigns}).encode()

    return write


@pytest.fixture
def numbered(campaign: Json) -> Callable[[int], list[Json]]:
    """That many correct campaigns, each with its own ids."""

    def make(count: int) -> list[Json]:
        made = []
        for number in range(count):
            copied = copy.deepcopy(campaign) | {"id": f"k-{number}"}
            for creative in copied["creatives"]:
                creative["id"] += f"-{number}"
            made.append(copied)
        return made

    return make


class BucketServer:
    """GET and HEAD of S3 objects by path style; `objects` are by /bucket/key."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.requests: list[str] = []
        self.cut_short = False
        self.url = ""

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                method, target, _ = head.split("\r\n", 1)[0].split(" ")
                self.requests.append(f"{method} {target}")
                body = self.objects.get(target.split("?")[0])
                status, etag = ("200 OK", hashlib.md5(body).hexdigest()) if body is not None else ("404 Not Found", "")
                body = body or b""
                length = len(body) + (10 if self.cut_short else 0)
                lines = f'HTTP/1.1 {status}\r\nContent-Length: {length}\r\nETag: "{etag}"\r\n\r\n'
                writer.write(lines.encode() + (body if method == "GET" else b""))
                await writer.drain()
                if self.cut_short and method == "GET":
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()


@pytest.fixture
async def bucket(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[BucketServer]:
    for name, value in (
        ("ACCESS_KEY_ID", "AKIDTEST"),
        ("SECRET_ACCESS_KEY", "test"),
        ("EC2_METADATA_DISABLED", "true"),
    ):
        monkeypatch.setenv(f"AWS_{name}", value)
    served = BucketServer()
    server = await asyncio.start_server(served.serve, "127.0.0.1", 0)
    served.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    yield served
    server.close()
