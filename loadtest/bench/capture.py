"""The kernel's record of TCP on loopback: captured by tcpdump, read back.

The rule: the times are the kernel's, noted while it passed the bytes on, so that how slow the reader is does not
matter; a capture that is not whole is none.
"""

from __future__ import annotations

import re
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from tempfile import TemporaryFile
from typing import NamedTuple

KEPT_BYTES = 128  # of a packet: its headers, and how the text in it begins
BUFFER_KB = 65_536  # in the kernel, for what tcpdump has not read yet: some seconds of 50,000 packets a second
FLUSH_S = 1.1  # tcpdump is given packets by the block: when it is full, or after a second
PATIENCE_S = 10.0

_FORMATS = {
    bytes.fromhex("d4c3b2a1"): ("<", 1_000),
    bytes.fromhex("a1b2c3d4"): (">", 1_000),
    bytes.fromhex("4d3cb2a1"): ("<", 1),
    bytes.fromhex("a1b23c4d"): (">", 1),
}
"""By a file's first bytes: the order of bytes in it, and how many nanoseconds its unit below the second is."""
_FILE_HEAD_BYTES = 24
_ETHERNET = 1
_ETHERNET_BYTES = 14
_DROPPED = re.compile(r"^(\d+) packets? dropped by kernel", re.MULTILINE)


class CaptureError(Exception):
    """Nothing could be captured, or not all; the text says why."""


class Segment(NamedTuple):
    """TCP data as it passed: from port to port, how the data begin."""

    at_ns: int  # Unix time
    source: int
    target: int
    begins: bytes


@contextmanager
def captured(ports: Sequence[int]) -> Iterator[list[Segment]]:
    """What passes meanwhile from and to these ports of loopback: in the list once it is over. Raises CaptureError."""
    command = ["tcpdump", "-i", "lo", "-n", "-s", str(KEPT_BYTES), "-B", str(BUFFER_KB)]
    command += ["--time-stamp-precision=nano", "-w", "-", " or ".join(f"tcp port {port}" for port in ports)]
    passed: list[Segment] = []
    with TemporaryFile() as file:
        try:
            tcpdump = subprocess.Popen(command, stdout=file, stderr=subprocess.PIPE, text=True)
        except OSError as error:
            raise CaptureError(f"tcpdump cannot be started: {error.strerror}") from error
        assert tcpdump.stderr is not None
        with tcpdump:
            try:
                said = tcpdump.stderr.readline()
                if "listening on" not in said:
                    said += tcpdump.stderr.read()
                    raise CaptureError(f"tcpdump cannot capture here: {' '.join(said.split())}")
                yield passed
                time.sleep(FLUSH_S)
                tcpdump.send_signal(signal.SIGINT)
                said = tcpdump.communicate(timeout=PATIENCE_S)[1]
            finally:
                tcpdump.kill()
        dropped = _DROPPED.search(said)
        if dropped is None or int(dropped[1]):
            raise CaptureError(f"tcpdump did not get everything: {' '.join(said.split())}")
        file.seek(0)
        passed.extend(segments(file.read()))


def segments(capture: bytes) -> Iterator[Segment]:
    """Those that carry data, of IPv4 over Ethernet, as loopback's are. Raises CaptureError."""
    if len(capture) < _FILE_HEAD_BYTES or capture[:4] not in _FORMATS:
        raise CaptureError("this is no capture in pcap's format")
    order, unit_ns = _FORMATS[capture[:4]]
    (link,) = struct.unpack_from(order + "I", capture, 20)
    if link != _ETHERNET:
        raise CaptureError(f"packets of link type {link} cannot be read, only Ethernet's ({_ETHERNET})")
    record = struct.Struct(order + "IIII")  # seconds, their fraction, bytes that were kept, bytes that there were
    at = _FILE_HEAD_BYTES
    while at + record.size <= len(capture):
        seconds, fraction, kept, _ = record.unpack_from(capture, at)
        start, at = at + record.size, at + record.size + kept
        if at > len(capture):
            break
        ip = capture[start + _ETHERNET_BYTES : at]
        ip_head_bytes = (ip[0] & 0x0F) * 4
        tcp = ip[ip_head_bytes:]
        source, target = struct.unpack_from("!HH", tcp)
        tcp_head_bytes = (tcp[12] >> 4) * 4
        (whole,) = struct.unpack_from("!H", ip, 2)
        if whole > ip_head_bytes + tcp_head_bytes:
            yield Segment(seconds * 1_000_000_000 + fraction * unit_ns, source, target, tcp[tcp_head_bytes:])
