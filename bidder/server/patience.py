"""Which connections have kept us waiting too long: for a request to begin, for its head, for its body.

The rule kept here: no timer a request and none a connection. A connection notes what it waits for, and since when; a
round of the whole takes a few seconds, a slice of them every tick. What is overdue is told to end.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol

SLICES = 16


class Awaited(IntEnum):
    """What a connection waits for."""

    REQUEST = 0
    HEAD = 1
    BODY = 2
    ANSWER = 3  # ours: bounded elsewhere


@dataclass(frozen=True, slots=True)
class Patience:
    """Bounds of a connection. `head_s` and `body_s` count from the first byte of a request; `reader_s` from when the
    other side stopped to read."""

    idle_s: float = 180.0
    head_s: float = 5.0
    body_s: float = 10.0
    reader_s: float = 10.0

    def of(self, awaited: Awaited) -> float | None:
        """How long that may take; None: as long as it wants."""
        return (self.idle_s, self.head_s, self.body_s, None)[awaited]

    @property
    def round_s(self) -> float:
        """How often each connection is looked at."""
        return min(self.idle_s, self.head_s, self.body_s, self.reader_s) / 2


class Waiting(Protocol):
    """A connection, as the watch sees it."""

    def is_overdue(self, patience: Patience, now_s: float) -> bool:
        """Whether what it waits for should have come by `now_s`, of the loop's clock."""
        ...

    def give_up(self) -> None:
        """What was awaited did not come in time."""
        ...


class Watch:
    """Looks at each of its connections every `patience.round_s`. Construct inside the running loop."""

    def __init__(self, patience: Patience) -> None:
        self.patience = patience
        self._loop = asyncio.get_running_loop()
        self._slices: list[set[Waiting]] = [set() for _ in range(SLICES)]
        self._next = 0
        self._timer: asyncio.TimerHandle | None = None
        self._count = 0

    def __len__(self) -> int:
        return sum(map(len, self._slices))

    def add(self, connection: Waiting) -> int:
        """Begins to look at it. Returns the place to leave it from."""
        if self._timer is None:
            self._arm()
        self._count += 1
        place = self._count % SLICES
        self._slices[place].add(connection)
        return place

    def remove(self, connection: Waiting, place: int) -> None:
        self._slices[place].discard(connection)

    def close(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _arm(self) -> None:
        self._timer = self._loop.call_later(self.patience.round_s / SLICES, self._tick)

    def _tick(self) -> None:
        self._arm()
        now = self._loop.time()
        self._next = (self._next + 1) % SLICES
        for connection in tuple(self._slices[self._next]):
            if connection.is_overdue(self.patience, now):
                connection.give_up()
