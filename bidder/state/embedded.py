"""Profiles held in the process: for one machine, for tests, and for running without any.

The rule kept here: the file is read once, whole, at the start; from then on every answer is immediate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from pathlib import Path

from bidder.domain import Profile
from bidder.state.profile_file import ProfileFileError, read_profiles
from bidder.state.profiles import MAX_KEYS_PER_LOOKUP, LookupCounts

MAX_PROFILES = 1_000_000


class EmbeddedProfiles:
    """A ProfileStore over a profile file; without a file it is empty. Its answers are never futures."""

    def __init__(self, path: Path | None = None, *, max_profiles: int = MAX_PROFILES) -> None:
        self.counts = LookupCounts()
        self._path = path
        self._max_profiles = max_profiles
        self._profiles: dict[str, Profile] = {}
        self._ready = False

    def __repr__(self) -> str:
        return f"EmbeddedProfiles({len(self._profiles)} profiles)"

    @property
    def ready(self) -> bool:
        return self._ready

    async def start(self) -> None:
        """Read the file. ProfileFileError: it cannot be read, holds a key twice, or more profiles than are kept."""
        if self._path is not None:
            self._profiles = await asyncio.to_thread(self._load, self._path)
        self._ready = True

    async def aclose(self) -> None:
        self._ready = False
        self._profiles = {}

    def lookup(self, keys: Iterable[str], deadline_s: float) -> Profile | None:
        """See ProfileStore. The deadline does not matter: nothing is waited for."""
        if not keys:
            return None
        counts, profiles = self.counts, self._profiles
        counts.lookups += 1
        if profiles:  # otherwise no key has to be made
            tried = 0
            for key in keys:
                tried += 1
                if key in profiles:
                    counts.keys += tried
                    counts.hits += 1
                    return profiles[key]
                if tried == MAX_KEYS_PER_LOOKUP:
                    break
            counts.keys += tried
        counts.misses += 1
        return None

    def _load(self, path: Path) -> dict[str, Profile]:
        profiles: dict[str, Profile] = {}
        for count, (key, profile) in enumerate(read_profiles(path), start=1):
            if count > self._max_profiles:
                raise ProfileFileError(f"{path}: more than {self._max_profiles} profiles; keep so many in Redis/Valkey")
            if key in profiles:
                raise ProfileFileError(f"{path}: profile {count} has the key of an earlier one; keep one of them")
            profiles[key] = profile
        return profiles
