"""What processes use: CPU time and memory, as the kernel counts them.

The rule: read from /proc by process id, children included, so that the process that is measured does nothing for it.
Where there is no /proc, or no such process, there is no figure, and no error.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from dataclasses import dataclass
from pathlib import Path

_PROC = Path("/proc")


@dataclass(frozen=True, slots=True)
class Sample:
    at_s: float  # on time.monotonic()'s scale
    cpu_s: float  # user and system, since the process began
    memory_bytes: int  # resident


@dataclass(frozen=True, slots=True)
class Usage:
    """Of one process while it was counted, from the first of `samples` to the last."""

    samples: tuple[Sample, ...]

    @property
    def cpu_s(self) -> float:
        return self.samples[-1].cpu_s - self.samples[0].cpu_s if self.samples else 0.0

    @property
    def cores(self) -> float:
        """CPU seconds a second."""
        lasted_s = self.samples[-1].at_s - self.samples[0].at_s if self.samples else 0.0
        return self.cpu_s / lasted_s if lasted_s else 0.0

    @property
    def peak_bytes(self) -> int:
        return max((sample.memory_bytes for sample in self.samples), default=0)


def sample(pid: int) -> Sample | None:
    """Of a process and its children. None: there is none, or no /proc."""
    try:
        # The name, in brackets, may hold spaces.
        fields = (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
        cpu_s = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
        memory_bytes = int(fields[21]) * os.sysconf("SC_PAGE_SIZE")
        for child in _children(pid):
            if (of_child := sample(child)) is not None:
                cpu_s += of_child.cpu_s
                memory_bytes += of_child.memory_bytes
    except (OSError, ValueError, IndexError):
        return None
    return Sample(time.monotonic(), cpu_s, memory_bytes)


def machine() -> str:
    """The processor, its cores, the system and the Python that this runs on."""
    name = platform.processor() or platform.machine()
    try:
        lines = (_PROC / "cpuinfo").read_text().splitlines()
        name = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), name)
    except OSError:
        pass
    return f"{name}, {os.cpu_count()} cores, {platform.system()}, Python {sys.version.split()[0]}"


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for task in (_PROC / str(pid) / "task").iterdir():
        children = task / "children"
        if children.exists():  # a kernel may be built without it
            found += map(int, children.read_text().split())
    return found
