"""Fill a Redis or Valkey store from a profile file.

The rule kept here: the file is checked whole before the first profile is written.
"""

from __future__ import annotations

from itertools import islice
from pathlib import Path

from redis import Redis
from redis.exceptions import RedisError

from bidder.state.profile_file import read_profiles
from bidder.state.profiles import encode_profile
from bidder.state.valkey import KEY_PREFIX, store_address

PROFILES_PER_ROUND_TRIP = 500
ANSWER_TIMEOUT_S = 10.0


def load_profiles(path: Path, url: str, *, expiry_s: int | None = None) -> int:
    """Write every profile of the file at `path` to the store at `url`; how many were written.

    A key that the store has already is overwritten; where the file has a key twice, the later line stays. `expiry_s`:
    the store forgets the profiles after so many seconds; None: never. ProfileFileError: the file is not right, nothing
    was written. ValueError: the URL cannot be read. ConnectionError: the store failed; the message says after how many.
    """
    address = store_address(url)
    for _ in read_profiles(path):
        pass
    profiles = read_profiles(path)
    written = 0
    with Redis.from_url(url, socket_timeout=ANSWER_TIMEOUT_S, socket_connect_timeout=ANSWER_TIMEOUT_S) as store:
        try:
            while some := list(islice(profiles, PROFILES_PER_ROUND_TRIP)):
                with store.pipeline(transaction=False) as writes:
                    for key, profile in some:
                        writes.set(KEY_PREFIX + key, encode_profile(profile), ex=expiry_s)
                    writes.execute()
                written += len(some)
        except (RedisError, OSError) as error:
            raise ConnectionError(f"profile store {address} failed after {written} profiles: {error}") from error
    return written
