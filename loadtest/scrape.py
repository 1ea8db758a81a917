"""A process's own account of itself: its /metrics page, and what changed between two of them.

The rule: a series that a page does not have counts as 0, as a counter does before its first event.
"""

from __future__ import annotations

import http.client
import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

Series = tuple[str, tuple[tuple[str, str], ...]]  # name, sorted labels

_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'([a-zA-Z_]\w*)="((?:[^"\\]|\\.)*)"')
_ESCAPED = re.compile(r"\\(.)")


@dataclass(frozen=True, slots=True)
class Metrics:
    samples: Mapping[Series, float]

    @classmethod
    def parse(cls, page: str) -> Metrics:
        """From the Prometheus text format, version 0.0.4."""
        samples: dict[Series, float] = {}
        for line in page.splitlines():
            if match := _LINE.match(line):
                name, labels, value = match.groups()
                pairs = ((key, _unescape(text)) for key, text in _LABEL.findall(labels or ""))
                samples[name, tuple(sorted(pairs))] = float(value)
        return cls(samples)

    def since(self, before: Metrics) -> Metrics:
        return Metrics({series: value - before.samples.get(series, 0.0) for series, value in self.samples.items()})

    def total(self, name: str, **labels: str) -> float:
        """The sum over all series of that name that carry those labels."""
        wanted = set(labels.items())
        return sum(value for (series, pairs), value in self.samples.items() if series == name and wanted <= set(pairs))

    def by(self, name: str, label: str) -> Counter[str]:
        """The whole numbers above 0 of a counter, by the values of one label."""
        found: Counter[str] = Counter()
        for (series, pairs), value in self.samples.items():
            if series == name and round(value) > 0:
                found[dict(pairs).get(label, "")] += round(value)
        return found


def get(url: str, timeout_s: float = 5.0) -> tuple[int, str]:
    """Status and text of a page. Raises OSError or http.client.HTTPException where there is no answer."""
    parts = urlsplit(url)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=timeout_s)
    try:
        connection.request("GET", parts.path or "/")
        answer = connection.getresponse()
        return answer.status, answer.read().decode("utf-8", "replace")
    finally:
        connection.close()


def scrape(base_url: str) -> Metrics:
    """The /metrics page of a process. Raises OSError."""
    try:
        status, page = get(f"{base_url}/metrics")
    except http.client.HTTPException as error:
        raise ConnectionError(f"{base_url}/metrics: {error}") from error
    if status != 200:
        raise ConnectionError(f"{base_url}/metrics answered {status}, expected 200")
    return Metrics.parse(page)


def _unescape(text: str) -> str:
    return _ESCAPED.sub(lambda match: {"n": "\n"}.get(match[1], match[1]), text)
