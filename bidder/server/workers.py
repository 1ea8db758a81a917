"""Several bidders behind one port: a process a core, each with its own event loop (SO_REUSEPORT).

The rule kept here: the supervisor does no bidder's work. It starts workers, starts anew those that end, passes signals
on and leaves when all have left. A worker ends when its standard input does, so none outlives its supervisor, however
that ends.
"""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Mapping
from contextlib import suppress

from bidder.server.process import LISTENING, address_of

logger = logging.getLogger(__name__)

RESTART_S, MAX_RESTART_S = 1.0, 30.0
STEADY_S = 60.0
"""A worker that ran for as long is started anew at once when it ends."""

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


async def supervise(count: int, reserved: socket.socket, *, grace_s: float) -> int:
    """Runs `count` workers with the environment's settings until a signal, or until one cannot use what it was given.
    `reserved` holds the port that they listen on and never listens itself; `grace_s`: how long they get to stop.
    Returns the exit status."""
    return await Supervisor(count, reserved, grace_s=grace_s).run()


class Supervisor:
    """See `supervise`."""

    def __init__(self, count: int, reserved: socket.socket, *, grace_s: float) -> None:
        self._count = count
        self._reserved = reserved
        self._grace_s = grace_s
        self._stopping = asyncio.Event()
        self._listening: set[int] = set()
        self._status = 0

    async def run(self) -> int:
        loop = asyncio.get_running_loop()
        for number in _SIGNALS:
            loop.add_signal_handler(number, self._stopping.set)
        with tempfile.TemporaryDirectory(prefix="bidder-") as peers:
            port = str(self._reserved.getsockname()[1])
            environment = {**os.environ, "BIDDER_PORT": port, "BIDDER_WORKER_PEERS": peers}
            async with asyncio.TaskGroup() as group:
                for place in range(self._count):
                    group.create_task(self._keep(place, environment))
        return self._status

    async def _keep(self, place: int, environment: Mapping[str, str]) -> None:
        """One worker, again and again."""
        pause_s = RESTART_S
        while not self._stopping.is_set():
            started_s = asyncio.get_running_loop().time()
            status = await self._work(place, environment)
            if self._stopping.is_set():
                return
            if status == 2 and place not in self._listening:  # what it was given will not be right the next time
                self._status = status
                self._stopping.set()
                return
            if asyncio.get_running_loop().time() - started_s > STEADY_S:
                pause_s = RESTART_S
            logger.error("worker %d ended with status %d; another starts in %g s", place, status, pause_s)
            with suppress(TimeoutError):
                await asyncio.wait_for(self._stopping.wait(), pause_s)
            pause_s = min(pause_s * 2, MAX_RESTART_S)

    async def _work(self, place: int, environment: Mapping[str, str]) -> int:
        """One worker, once; its exit status."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "bidder", "serve"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env={**environment, "BIDDER_WORKER": str(place)},
            start_new_session=True,  # a Ctrl-C is the supervisor's, which passes it on
        )
        reading = asyncio.create_task(self._read(place, process))
        stopping = asyncio.create_task(self._stopping.wait())
        await asyncio.wait((reading, stopping), return_when=asyncio.FIRST_COMPLETED)
        stopping.cancel()
        if process.returncode is None:
            with suppress(ProcessLookupError):
                process.terminate()
        try:
            async with asyncio.timeout(self._grace_s):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            status = await process.wait()
        await reading
        return status

    async def _read(self, place: int, process: asyncio.subprocess.Process) -> None:
        """Says once that all listen; passes on whatever else a worker prints. Ends with the worker's output."""
        assert process.stdout is not None
        async for line in process.stdout:
            if not line.startswith(LISTENING.encode()):
                sys.stdout.buffer.write(line)
                sys.stdout.flush()
            elif place not in self._listening:
                self._listening.add(place)
                if len(self._listening) == self._count:
                    print(f"{LISTENING} {address_of(self._reserved)}", flush=True)


def leave_with_supervisor(stop: Callable[[], None]) -> None:
    """Calls `stop` when the supervisor is gone: standard input, which it holds open and writes nothing to, ends."""
    loop = asyncio.get_running_loop()
    descriptor = sys.stdin.fileno()

    def ended() -> None:
        loop.remove_reader(descriptor)
        stop()

    loop.add_reader(descriptor, ended)
