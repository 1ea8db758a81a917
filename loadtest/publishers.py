"""The sites, apps, televisions and public screens whose space is sold: a few large ones and a long tail.

The rule: data alone. Names and ids fit the demo catalog and the generated ones where they target them, so that their
campaigns meet their places.
"""

from __future__ import annotations

from dataclasses import dataclass

from loadtest.zipf import Zipf


@dataclass(frozen=True, slots=True)
class Property:
    """A site, an app or a screen network. `store` is the numeric bundle that iOS apps go by."""

    id: str
    name: str
    address: str  # domain, bundle or the operator's domain
    publisher_id: str
    categories: tuple[str, ...]  # IAB content taxonomy 1.0
    topic: str
    store: str = ""
    for_children: bool = False


_SITES = (
    ("news", "IAB12", "IAB12-2"), ("sports", "IAB17", "IAB17-12"), ("weather", "IAB15", "IAB15-10"),
    ("recipes", "IAB8", "IAB8-5"), ("cars", "IAB2", "IAB2-3"), ("finance", "IAB13", "IAB13-4"),
    ("travel", "IAB20", "IAB20-3"), ("games", "IAB9", "IAB9-30"), ("tech", "IAB19", "IAB19-6"),
    ("fashion", "IAB18", "IAB18-5"), ("health", "IAB7", "IAB7-1"), ("homes", "IAB21", "IAB21-1"),
    ("parenting", "IAB6", "IAB6-4"), ("music", "IAB1", "IAB1-6"), ("movies", "IAB1", "IAB1-5"),
)  # fmt: skip
_APPS = (
    ("puzzle", "IAB9", "IAB9-5"), ("runner", "IAB9", "IAB9-30"), ("chat", "IAB14", "IAB14-3"),
    ("weather", "IAB15", "IAB15-10"), ("sports", "IAB17", "IAB17-44"), ("news", "IAB12", "IAB12-2"),
    ("fitness", "IAB7", "IAB7-18"), ("words", "IAB9", "IAB9-5"), ("radio", "IAB1", "IAB1-6"),
    ("kids", "IAB6", "IAB6-4"), ("shopping", "IAB22", "IAB22-2"), ("travel", "IAB20", "IAB20-18"),
)  # fmt: skip
_TV_APPS = (("films", "IAB1", "IAB1-5"), ("arena", "IAB17", "IAB17-12"), ("series", "IAB1", "IAB1-7"))

SITE_COUNT, APP_COUNT = 2_000, 1_000
_PUBLISHERS = {"news": "pub-news", "sports": "pub-1", "weather": "pub-2"}


def _sites() -> list[Property]:
    named = [
        Property(
            f"site-{i:03d}",
            f"{topic.title()} Daily",
            f"{topic}.example",
            _PUBLISHERS.get(topic, f"{2000 + i}"),
            (a, b),
            topic,
        )
        for i, (topic, a, b) in enumerate(_SITES)
    ]
    tail = [(i, _SITES[i % len(_SITES)]) for i in range(len(named), SITE_COUNT)]
    return named + [
        Property(f"site-{i:03d}", f"Blog {i}", f"site-{i}.example", f"pub-{i % 300}", (a, b), topic)
        for i, (topic, a, b) in tail
    ]


def _apps() -> list[Property]:
    named = [
        Property(f"app-{topic}", topic.title(), f"com.example.{topic}", f"{3000 + i}", (a, b), topic,
                 f"{1200000000 + 7919 * i}", topic == "kids")
        for i, (topic, a, b) in enumerate(_APPS)
    ]  # fmt: skip
    tail = [(i, _APPS[i % 9]) for i in range(len(named), APP_COUNT)]
    return named + [
        Property(f"app-{i:03d}", f"{topic.title()} {i}", f"com.example.app{i}", f"pub-{i % 200}", (a, b), topic,
                 f"{1200000000 + 7919 * i}")
        for i, (topic, a, b) in tail
    ]  # fmt: skip


SITES = Zipf(_sites(), 2)
APPS = Zipf(_apps(), 2)
TV_APPS = Zipf(
    [
        Property(
            f"ctv-{i:03d}",
            f"{topic.title()} TV",
            f"com.example.tv.{topic}",
            f"{4000 + i}",
            (a, b),
            topic,
            f"{151908 + i}",
        )
        for i, (topic, a, b) in enumerate(_TV_APPS)
    ]
)
SCREENS = Zipf(
    [
        Property(f"dooh-{i:03d}", f"{venue} screens", "screens.example", "5000", (), venue)
        for i, venue in enumerate(("airport", "mall", "station"))
    ]
)
