"""Faults on demand, seen from a bare socket, and the admin interface that sets them."""

from __future__ import annotations

import io
import random
import time

import numpy as np
import pytest

from sagemaker_local.config import Faults
from sagemaker_local.faults import FaultInjector, truncate_rows


def test_latency_is_added_to_every_call(service):
    """latency_ms delays the answer by at least so much."""
    service.faults(latency_ms=80)
    for _ in range(3):
        start_s = time.monotonic()
        assert service.call(service.signed())[0] == 200
        assert time.monotonic() - start_s >= 0.08


def test_slow_share_delays_some_calls():
    """slow_share of the calls take slow_ms on top of the latency."""
    injector = FaultInjector(Faults(latency_ms=1, slow_share=0.3, slow_ms=200), random.Random(1))
    delays_s = [injector.draw_delay_s() for _ in range(2000)]
    assert set(delays_s) == {0.001, 0.201}
    assert 500 <= delays_s.count(0.201) <= 700


def test_faults_come_in_their_shares():
    """Each fault gets its share, and the rest of the calls go well."""
    faults = Faults(hang_share=0.1, close_share=0.2, errors={"ModelError": 0.3, "ServiceUnavailable": 0.1})
    injector = FaultInjector(faults, random.Random(1))
    drawn = [injector.draw_fault() for _ in range(5000)]
    shares = {kind: drawn.count(kind) / 5000 for kind in set(drawn)}
    expected = {"hang": 0.1, "close": 0.2, "ModelError": 0.3, "ServiceUnavailable": 0.1, None: 0.3}
    assert shares == pytest.approx(expected, abs=0.04)


def test_error_keeps_the_connection(service, container):
    """An injected error answers without asking the container, and the connection serves the next call."""
    service.faults(errors={"ServiceUnavailable": 1})
    with service.socket() as connection:
        connection.sendall(service.wire(service.signed()))
        assert service.read(connection)[0] == 503
        service.faults()
        connection.sendall(service.wire(service.signed()))
        assert service.read(connection)[0] == 200
    assert container.calls == 1


def test_hang_never_answers(service, container):
    """A hanging call gets no byte; the container is not asked, and the next connection is served."""
    service.faults(hang_share=1)
    before = service.counts()["by_fault"].get("hang", 0)
    with service.socket() as connection:
        connection.sendall(service.wire(service.signed()))
        service.wait_until(lambda: service.counts()["by_fault"].get("hang", 0) > before)
        connection.settimeout(0.2)
        with pytest.raises(TimeoutError):
            connection.recv(1)
        service.faults()
        assert service.call(service.signed())[0] == 200
    assert container.calls == 1


def test_call_that_hangs_ends_with_its_connection(service):
    """When the caller leaves, a hanging call is counted as cancelled."""
    service.faults(hang_share=1)
    before = service.counts()
    with service.socket() as connection:
        connection.sendall(service.wire(service.signed()))
        service.wait_until(lambda: service.counts()["calls"] > before["calls"])
    service.wait_until(
        lambda: service.counts()["by_status"].get("cancelled", 0) > before["by_status"].get("cancelled", 0)
    )


def test_close_ends_the_connection_without_an_answer(service):
    """close_share closes the connection where the answer should begin."""
    service.faults(close_share=1)
    with service.socket() as connection:
        connection.sendall(service.wire(service.signed()))
        assert connection.recv(1) == b""


def test_garbage_is_a_200_with_another_body(service):
    """garbage_share answers 200 with the container's type and random bytes."""
    service.faults(garbage_share=1)
    status, headers, body = service.call(service.signed(b"0.1\n" * 20))
    assert (status, headers["content-type"], len(body)) == (200, "text/csv", 80)
    assert body != b"0.1\n" * 20


def test_truncate_answers_with_fewer_rows(service):
    """truncate_share answers with the first half of the rows, well framed."""
    service.faults(truncate_share=1)
    assert service.call(service.signed(b"1\n2\n3\n4\n5\n"))[2] == b"1\n2\n"


@pytest.mark.parametrize(
    ("body", "content_type", "expected"),
    [
        (b"1\n2\n3\n4", b"text/csv; charset=utf-8", b"1\n2\n"),
        (b"0.1,0.2,0.3", b"text/csv", b"0.1"),
        (b'{"p":1}\n{"p":2}\n', b"application/jsonlines", b'{"p":1}\n'),
        (b"[1, 2, 3, 4]", b"application/json", b"[1, 2]"),
        (b'{"v": 1, "predictions": [1, 2]}', b"application/json", b'{"v": 1, "predictions": [1]}'),
        (b"[1, 2", b"application/json", b"[1"),
        (b"12345678", b"application/octet-stream", b"1234"),
        (b"\x93NUMPY\x01\x00\x02\x00 \n", b"application/x-npy", b"\x93NUMPY"),
    ],
)
def test_rows_are_cut_by_format(body, content_type, expected):
    """Half of the rows stay, in the format they came in; what has no rows loses bytes."""
    assert truncate_rows(body, content_type) == expected


@pytest.mark.parametrize("shape", [(10,), (101, 3), (1, 2), (4, 2, 2)])
def test_npy_loses_rows_and_stays_npy(shape):
    """A .npy answer stays readable and holds the first half of the rows."""
    rows = np.arange(np.prod(shape), dtype="<f4").reshape(shape)
    buffer = io.BytesIO()
    np.save(buffer, rows)
    cut = np.load(io.BytesIO(truncate_rows(buffer.getvalue(), b"application/x-npy")))
    assert np.array_equal(cut, rows[: shape[0] // 2])


def test_trickle_sends_the_body_bit_by_bit(service):
    """trickle_share sends the head at once and the body in small pieces, whole in the end."""
    service.faults(trickle_share=1, trickle_bytes_per_s=100)
    start_s = time.monotonic()
    with service.socket() as connection:
        connection.sendall(service.wire(service.signed(b"0123456789" * 5)))
        pieces = []
        while b"".join(pieces).partition(b"\r\n\r\n")[2] != b"0123456789" * 5:
            pieces.append(connection.recv(65536))
            assert pieces[-1]
    assert time.monotonic() - start_s >= 0.4


def test_idle_connection_is_closed(service):
    """idle_close_s closes a connection that was idle so long, one that is idle already included."""
    with service.socket() as connection:
        connection.sendall(service.wire(service.signed()))
        assert service.read(connection)[0] == 200
        service.faults(idle_close_s=0.1)
        assert connection.recv(1) == b""


def test_idle_close_spares_a_call_under_way(service):
    """A call that takes longer than idle_close_s is answered."""
    service.faults(idle_close_s=0.1, latency_ms=400)
    assert service.call(service.signed())[0] == 200


def test_throttle_refuses_what_is_above_the_rate(service):
    """Above max_calls_per_s, calls get ThrottlingException."""
    service.faults(max_calls_per_s=0.001)
    with service.socket() as connection:
        request = service.wire(service.signed())
        codes = []
        for _ in range(5):
            connection.sendall(request)
            _, headers, _ = service.read(connection)
            codes.append(headers.get("x-amzn-errortype"))
    assert codes == [None] + ["ThrottlingException"] * 4


def test_throttle_is_a_token_bucket():
    """One second's calls may come at once; then they come at the rate."""
    now_s = [100.0]
    injector = FaultInjector(Faults(max_calls_per_s=10), random.Random(1), lambda: now_s[0])
    assert [injector.admit() for _ in range(12)] == [True] * 10 + [False] * 2
    now_s[0] += 0.5
    assert [injector.admit() for _ in range(7)] == [True] * 5 + [False] * 2


def test_variant_has_faults_of_its_own(service):
    """A variant's faults stand instead of the endpoint's, until they are deleted."""
    champion = {"headers": {"X-Amzn-SageMaker-Target-Variant": "champion"}, "endpoint": "ab"}
    challenger = {"headers": {"X-Amzn-SageMaker-Target-Variant": "challenger"}, "endpoint": "ab"}
    service.faults("ab", errors={"InternalFailure": 1})
    path = "endpoints/ab/variants/champion/faults"
    assert service.admin("PUT", path, {"errors": {"ServiceUnavailable": 1}})[0] == 200
    assert service.call(service.signed(**champion))[0] == 503
    assert service.call(service.signed(**challenger))[0] == 500
    assert service.admin("DELETE", path) == (200, None)
    assert service.call(service.signed(**champion))[0] == 500


def test_admin_shows_what_it_was_told(service):
    """Faults that were set are shown with the endpoint, and DELETE clears them."""
    service.faults(latency_ms=3, errors={"ModelError": 0.5})
    shown = service.counts()["faults"]
    assert (shown["latency_ms"], shown["errors"]) == (3, {"ModelError": 0.5})
    service.admin("DELETE", "endpoints/ctr/faults")
    assert service.counts()["faults"] == Faults().model_dump()


def test_admin_counts_calls(service):
    """Calls are counted by variant, status, error and fault."""
    before = service.counts()
    service.call(service.signed())
    service.faults(errors={"ModelError": 1})
    service.call(service.signed())
    after = service.counts()

    def grown(counter: str, key: str) -> int:
        return after[counter].get(key, 0) - before[counter].get(key, 0)

    assert after["calls"] - before["calls"] == 2
    assert grown("by_variant", "AllTraffic") == 2
    assert (grown("by_status", "200"), grown("by_status", "424")) == (1, 1)
    assert (grown("by_error", "ModelError"), grown("by_fault", "ModelError")) == (1, 1)


@pytest.mark.parametrize(
    ("faults", "message"),
    [
        ({"hang_share": 2}, "hang_share: Input should be less than or equal to 1"),
        ({"errors": {"NoSuchError": 1}}, "errors.NoSuchError.[key]: Value error, 'NoSuchError' is no error"),
        ({"hang_share": 0.6, "errors": {"ModelError": 0.6}}, "sum to 1.2; at most 1"),
        ({"lag": 1}, "lag: Extra inputs are not permitted"),
        ({"idle_close_s": 0}, "idle_close_s: Input should be greater than 0"),
    ],
)
def test_admin_says_what_is_wrong_and_where(service, faults, message):
    """Faults that cannot be are refused with the path to the mistake, and nothing changes."""
    status, answer = service.admin("PUT", "endpoints/ctr/faults", faults)
    assert status == 400
    assert message in answer["message"]
    assert service.counts()["faults"] == Faults().model_dump()


@pytest.mark.parametrize(
    ("method", "path", "message"),
    [
        ("GET", "endpoints/nobody", "no endpoint 'nobody'; there are ctr, ab, pair, down"),
        ("DELETE", "endpoints/ab/variants/x/faults", "no variant 'x'; it has champion, challenger, dark"),
        ("POST", "endpoints", "POST /_local/endpoints is not served here"),
    ],
)
def test_admin_path_that_is_not_there_is_404(service, method, path, message):
    """What is not there is a 404 that says what is."""
    status, answer = service.admin(method, path)
    assert status == 404
    assert message in answer["message"]


def test_variant_cannot_close_idle_connections(service):
    """idle_close_s is refused for a variant: a connection belongs to none."""
    status, answer = service.admin("PUT", "endpoints/ab/variants/champion/faults", {"idle_close_s": 1})
    assert status == 400
    assert "idle_close_s is for endpoints" in answer["message"]


def test_ready_names_what_is_missing(service):
    """/_local/ready is 503 while a variant has no ready container, and names it."""
    status, answer = service.admin("GET", "ready")
    assert status == 503
    assert answer == {"ready": False, "without a ready container": ["down/AllTraffic"]}
    assert service.counts("down")["variants"]["AllTraffic"]["instances"][0]["state"] == "down"
