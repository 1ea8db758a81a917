"""One program as a child process: started, watched until it serves, ended.

The rule: a child is ended by its own process handle, first asked, then killed; what it said last is in every error.
It runs in a session of its own, so that Ctrl-C reaches this process alone, which then ends its children in order.
"""

from __future__ import annotations

import http.client
import os
import re
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from loadtest.scrape import get

KEPT_LINES = 30
SHOWN_LINES = 15
POLL_S = 0.05
_LEASH = Path(__file__).with_name("leash.py")
_SERVING = re.compile(r"\b(?:listening|serving) on (http://\S+)")


class ProgramError(Exception):
    """A program could not be started or did not become ready; the text says which and shows its last lines."""


class Program:
    """A started program that prints `… listening on http://HOST:PORT` (or `serving on`) once it has its socket."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        environment: Mapping[str, str],
        show: Callable[[str, str], None] | None = None,
    ) -> None:
        """Starts `command`. Raises ProgramError.

        `show` is given the name and each line that the program prints, from a thread.
        """
        self.name, self.command = name, list(command)
        self.url = ""
        self._show = show
        self._lines: deque[str] = deque(maxlen=KEPT_LINES)
        self._serving = threading.Event()
        leashed = [sys.executable, "-I", "-S", str(_LEASH), str(os.getpid()), *self.command]
        try:
            self.process = subprocess.Popen(
                leashed,
                env=dict(environment),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                text=True,
                encoding="utf-8",
                errors="replace",
            )
        except OSError as error:
            raise ProgramError(f"{name} could not be started: {error}") from error
        self._listener = threading.Thread(target=self._listen, name=f"output of {name}", daemon=True)
        self._listener.start()

    def __repr__(self) -> str:
        state = "running" if self.process.poll() is None else f"exited with {self.process.returncode}"
        return f"<Program {self.name} {state} pid={self.process.pid} {self.url}>"

    def wait_until_ready(self, path: str, deadline_s: float) -> str:
        """Waits for the address and for 200 from `path`; returns the address.

        `deadline_s` is on `time.monotonic()`'s scale. Raises ProgramError when the program ends or the deadline passes.
        """
        problem = "it did not say where it listens"
        while time.monotonic() < deadline_s:
            if self.process.poll() is not None:
                self._listener.join(timeout=1)
                raise ProgramError(
                    self._story(f"{self.name} ended with exit code {self.process.returncode} before it was ready")
                )
            if self._serving.wait(POLL_S):
                problem = self._ask(path)
                if not problem:
                    return self.url
                time.sleep(POLL_S)
        raise ProgramError(self._story(f"{self.name} was not ready in time: {problem}"))

    def ask_to_stop(self) -> None:
        if self.process.poll() is None:
            self.process.terminate()

    def stop(self, grace_s: float) -> None:
        """Ends the program: asked, and killed after `grace_s`. Doing it twice is harmless."""
        self.ask_to_stop()
        try:
            self.process.wait(timeout=grace_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        except BaseException:  # a second Ctrl-C: no patience, but nothing left behind
            self.process.kill()
            self.process.wait()
            raise
        self._listener.join(timeout=1)
        if not self._listener.is_alive() and self.process.stdout is not None:
            self.process.stdout.close()

    def _ask(self, path: str) -> str:
        """What is wrong with the answer from `path`; empty if nothing is."""
        try:
            status, text = get(self.url + path, timeout_s=1.0)
        except (OSError, http.client.HTTPException) as error:
            return f"GET {path}: {error}"
        return "" if status == 200 else f"GET {path} answered {status} {' '.join(text.split())[:200]}"

    def _listen(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.append(line.rstrip())
            if not self.url and (match := _SERVING.search(line)):
                self.url = match[1].rstrip("/.,")
                self._serving.set()
            if self._show is not None:
                self._show(self.name, line.rstrip())

    def _story(self, what: str) -> str:
        said = "\n".join(f"  | {line}" for line in list(self._lines)[-SHOWN_LINES:]) or "  | (nothing)"
        return f"{what}\n  command: {' '.join(self.command)}\n  its last output:\n{said}"
