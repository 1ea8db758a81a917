"""A capture is read from packets built by hand, and once from what tcpdump makes of a real connection."""

from __future__ import annotations

import os
import socket
import struct
from pathlib import Path

import pytest

from loadtest.bench.capture import CaptureError, Segment, captured, segments

SOME_S = 1_700_000_000


def packet(
    data: bytes, source: int = 40_000, target: int = 8080, *, ip_options: int = 0, tcp_options: int = 12
) -> bytes:
    """Ethernet, IPv4 and TCP, with options of so many bytes."""
    ip_bytes, tcp_bytes = 20 + ip_options, 20 + tcp_options
    whole = ip_bytes + tcp_bytes + len(data)
    ip = struct.pack("!BBHHHBBH4s4s", 0x40 | ip_bytes // 4, 0, whole, 0, 0, 64, 6, 0, *[b"\x7f\0\0\x01"] * 2)
    tcp = struct.pack("!HHIIBBHHH", source, target, 1, 1, tcp_bytes // 4 << 4, 0x18, 512, 0, 0)
    return bytes(12) + b"\x08\x00" + ip + bytes(ip_options) + tcp + bytes(tcp_options) + data


def capture(
    *packets: tuple[float, bytes], order: str = "<", unit: float = 1e-9, kept: int = 128, link: int = 1
) -> bytes:
    """A file of packets, each with its time after SOME_S."""
    magic = 0xA1B23C4D if unit == 1e-9 else 0xA1B2C3D4
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, kept, link)]
    for at_s, frame in packets:
        record = struct.pack(order + "IIII", SOME_S + int(at_s), round(at_s % 1 / unit), len(frame[:kept]), len(frame))
        parts += [record, frame[:kept]]
    return b"".join(parts)


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("unit", [1e-9, 1e-6])
def test_times_and_ports_are_read_in_any_order_of_bytes(order: str, unit: float):
    """Nanoseconds or microseconds, as the file's first bytes say."""
    file = capture((1.25, packet(b"POST / HTTP/1.1\r\n")), (2.5, packet(b"x", 8080, 40_000)), order=order, unit=unit)
    assert list(segments(file)) == [
        Segment(SOME_S * 10**9 + 1_250_000_000, 40_000, 8080, b"POST / HTTP/1.1\r\n"),
        Segment(SOME_S * 10**9 + 2_500_000_000, 8080, 40_000, b"x"),
    ]


def test_headers_are_as_long_as_they_say():
    """With options of IP and TCP, or without."""
    file = capture((0, packet(b"one", ip_options=8, tcp_options=0)), (1, packet(b"two", tcp_options=20)))
    assert [each.begins for each in segments(file)] == [b"one", b"two"]


def test_what_carries_no_data_is_left_out():
    """Acknowledgements; of data that were cut off by the capture, what is there is kept."""
    file = capture((0, packet(b"")), (1, packet(b"a" * 5_000)), kept=80)
    (segment,) = segments(file)
    assert segment.begins == b"a" * (80 - 14 - 20 - 32)


def test_a_packet_that_is_not_all_there_is_the_end():
    """A capture that is ended may end in the middle of its last packet."""
    file = capture((0, packet(b"one")), (1, packet(b"two")))
    assert [each.begins for each in segments(file[:-1])] == [b"one"]
    assert [each.begins for each in segments(file[:-70])] == [b"one"]
    assert list(segments(file[:24])) == []


@pytest.mark.parametrize("file", [b"", b"\x4d\x3c\xb2\xa1", bytes(100)])
def test_what_is_no_capture_is_refused(file: bytes):
    """Too short, or without pcap's first bytes."""
    with pytest.raises(CaptureError, match="no capture"):
        list(segments(file))


def test_other_links_are_refused():
    """Their headers are of another length."""
    with pytest.raises(CaptureError, match="link type 113"):
        list(segments(capture((0, packet(b"one")), link=113)))


def test_without_tcpdump_the_reason_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """It is looked for on the path."""
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(CaptureError, match=r"tcpdump cannot be started: No such file"), captured((1,)):
        pass


def test_what_tcpdump_says_against_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    """As where it may not capture, or did not keep up."""
    program = tmp_path / "tcpdump"
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    program.write_text("#!/bin/sh\necho 'tcpdump: lo: You do not have permission' >&2; exit 1\n")
    program.chmod(0o755)
    with (
        pytest.raises(CaptureError, match="cannot capture here: tcpdump: lo: You do not have permission"),
        captured((1,)),
    ):
        pass
    listening = "#!/bin/sh\necho 'listening on lo' >&2\ntrap \"echo '7 packets dropped by kernel' >&2; exit\" INT\n"
    program.write_text(listening + "while :; do sleep 0.05; done\n")
    with pytest.raises(CaptureError, match="did not get everything: 7 packets dropped"), captured((1,)):
        pass


def test_what_passes_is_captured():
    """A question and an answer over a real connection, in order, at the kernel's times; other ports are not."""
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.create_server(("127.0.0.1", 0)) as other:
        port = listener.getsockname()[1]
        try:
            with captured((port,)) as passed:
                _talk(other, b"unheard", b"of")
                client_port = _talk(listener, b"question" * 500, b"answer")
        except CaptureError as error:
            pytest.skip(f"nothing can be captured here: {error}")
    assert [each[1:3] for each in passed] == [(client_port, port), (port, client_port)]
    assert passed[0].begins.startswith(b"questionquestion")
    assert passed[1].begins == b"answer"
    assert passed[0].at_ns < passed[1].at_ns < passed[0].at_ns + 10 * 10**9


def _talk(listener: socket.socket, question: bytes, answer: bytes) -> int:
    """Returns the client's port."""
    with socket.create_connection(listener.getsockname()) as client, listener.accept()[0] as server:
        client.sendall(question)
        assert server.recv(len(question), socket.MSG_WAITALL) == question
        server.sendall(answer)
        assert client.recv(len(answer), socket.MSG_WAITALL) == answer
        port: int = client.getsockname()[1]
        return port
