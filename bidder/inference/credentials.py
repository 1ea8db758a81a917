"""AWS credentials that are always at hand: `current()` never waits.

The rule kept here: the usual credential chain is asked in the background, well before what we hold expires. A refresh
that stalls or fails changes nothing until the expiry; after it, calls fail at once with `CredentialsUnavailable`.
Secrets appear in no repr and no log line.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Protocol

from bidder.inference.errors import CredentialsUnavailable

logger = logging.getLogger(__name__)

# botocore renews refreshable credentials when they are asked for in their last 15 minutes.
_POLL_S = 60.0
_RETRY_S = 5.0
_STALL_S = 30.0


@dataclass(frozen=True, slots=True)
class Credentials:
    """An access key, its secret, and the session token of temporary credentials ("" if none)."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(default="", repr=False)


class CredentialSource(Protocol):
    """Where the signer takes credentials from."""

    @property
    def ready(self) -> bool: ...

    def current(self) -> Credentials:
        """The credentials to sign with now. Raises CredentialsUnavailable."""
        ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


class StaticCredentials:
    """Credentials that never change: tests, and endpoints on this machine."""

    __slots__ = ("_credentials",)

    def __init__(self, access_key: str, secret_key: str, token: str = "") -> None:
        self._credentials = Credentials(access_key, secret_key, token)

    @property
    def ready(self) -> bool:
        return True

    def current(self) -> Credentials:
        return self._credentials

    async def start(self) -> None:
        """Nothing to fetch."""

    async def aclose(self) -> None:
        """Nothing to stop."""


Fetch = Callable[[], Awaitable[tuple[Credentials, float]]]


class RefreshedCredentials:
    """Credentials fetched by `fetch`, which returns them with their expiry (Unix time, `math.inf` if none).

    `start` waits for the first fetch, `first_s` at most, and leaves further tries to the background.
    """

    def __init__(
        self,
        fetch: Fetch,
        *,
        clock: Callable[[], float] = time.time,
        poll_s: float = _POLL_S,
        retry_s: float = _RETRY_S,
        stall_s: float = _STALL_S,
        first_s: float = 5.0,
    ) -> None:
        self._fetch = fetch
        self._clock = clock
        self._poll_s = poll_s
        self._retry_s = retry_s
        self._stall_s = stall_s
        self._first_s = first_s
        self._credentials: Credentials | None = None
        self._expires_at = 0.0
        self._task: asyncio.Task[None] | None = None
        self._fetched = asyncio.Event()
        self.refreshes = 0
        self.failures = 0
        self.last_error = "no credentials fetched yet"

    def __repr__(self) -> str:
        return f"<RefreshedCredentials ready={self.ready} refreshes={self.refreshes} failures={self.failures}>"

    @property
    def ready(self) -> bool:
        return self._credentials is not None and self._clock() < self._expires_at

    def current(self) -> Credentials:
        if self._credentials is None or self._clock() >= self._expires_at:
            state = "expired and not renewed" if self._credentials else "not found"
            raise CredentialsUnavailable(f"AWS credentials {state}: {self.last_error}")
        return self._credentials

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._keep_fresh(), name="aws-credentials")
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._fetched.wait(), self._first_s)

    async def aclose(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task

    async def _keep_fresh(self) -> None:
        while True:
            try:
                async with asyncio.timeout(self._stall_s):
                    credentials, self._expires_at = await self._fetch()
            except Exception as error:  # the chain raises errors of many libraries; none may end the refreshing
                self.failures += 1
                if self.failures == 1 or not self.ready:
                    logger.warning("AWS credentials not refreshed: %s: %s", type(error).__name__, error)
                self.last_error = f"{type(error).__name__}: {error}"
                wait_s = self._retry_s
            else:
                # The same object while nothing changed: the signer caches by identity.
                if credentials != self._credentials:
                    self._credentials = credentials
                self.refreshes += 1
                self.failures = 0
                wait_s = self._poll_s
            self._fetched.set()
            await asyncio.sleep(wait_s)


def chain_credentials(**session_arguments: Any) -> RefreshedCredentials:
    """The usual chain (environment, profile, web identity, container, instance), through aioboto3.

    `session_arguments` are those of `aioboto3.Session`, such as `profile_name`.
    """
    import aioboto3  # 0.2 s to import, and not needed with static credentials

    session = aioboto3.Session(**session_arguments)
    found: Any = None

    async def fetch() -> tuple[Credentials, float]:
        nonlocal found
        if found is None:
            found = await session.get_credentials()
        if found is None:
            raise CredentialsUnavailable("the credential chain found none; set a role, a profile or AWS_ACCESS_KEY_ID")
        frozen = await found.get_frozen_credentials()
        expiry = getattr(found, "_expiry_time", None)
        expires_at = expiry.timestamp() if expiry is not None else float("inf")
        return Credentials(frozen.access_key, frozen.secret_key, frozen.token or ""), expires_at

    return RefreshedCredentials(fetch)
