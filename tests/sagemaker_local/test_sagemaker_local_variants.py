"""Who gets a call: variants by weight or by name, instances by load and readiness; and what happens when nobody can."""

from __future__ import annotations

import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest


def test_variants_share_calls_by_weight(client, service):
    """Weights 3 and 1 get about three quarters and one quarter; weight 0 gets nothing."""
    before = service.counts("ab")["by_variant"]
    for _ in range(200):
        client.invoke_endpoint(EndpointName="ab", Body=b"1\n")
    after = service.counts("ab")["by_variant"]
    champion = after["champion"] - before["champion"]
    assert 115 <= champion <= 185  # five standard deviations
    assert after["challenger"] - before["challenger"] == 200 - champion
    assert after["dark"] == before["dark"]


@pytest.mark.parametrize("variant", ["champion", "challenger", "dark"])
def test_target_variant_overrides_the_weights(client, variant):
    """A call that names a variant gets it, even one of weight 0, and the answer says which."""
    for _ in range(5):
        answer = client.invoke_endpoint(EndpointName="ab", TargetVariant=variant, Body=b"1\n")
        assert answer["InvokedProductionVariant"] == variant


def test_unknown_target_variant_is_a_validation_error(client):
    """A variant that is not there is refused, and the answer names those that are."""
    with pytest.raises(client.exceptions.ValidationError, match="it has champion, challenger, dark"):
        client.invoke_endpoint(EndpointName="ab", TargetVariant="nobody", Body=b"1\n")


def test_least_outstanding_instance_is_chosen(client, service, container, other_container):
    """While one instance holds a call, the next one goes to the other."""
    container.hold = other_container.hold = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        calls = [pool.submit(client.invoke_endpoint, EndpointName="pair", Body=b"1\n") for _ in range(2)]
        held = [c.holding.acquire(timeout=20) for c in (container, other_container)]
        container.hold.set()
        assert [call.result()["Body"].read() for call in calls] == [b"1\n", b"1\n"]
    assert held == [True, True]
    assert (container.calls, other_container.calls) == (1, 1)


def test_container_that_is_not_ready_is_spared(client, service, container, other_container):
    """An instance whose /ping is not 200 gets no calls while another is ready."""
    container.ping_status = 503
    service.wait_until(lambda: service.counts("pair")["variants"]["AllTraffic"]["instances"][0]["state"] == "not ready")
    for _ in range(5):
        client.invoke_endpoint(EndpointName="pair", Body=b"1\n")
    assert (container.calls, other_container.calls) == (0, 5)


def test_model_that_is_not_ready_is_model_not_ready(client, service, container):
    """With no instance ready, calls get ModelNotReadyException; once /ping is 200 they are answered."""
    container.ping_status = 503
    service.wait_until(lambda: service.admin("GET", "ready")[0] == 503)
    service.wait_until(lambda: service.counts("ctr")["variants"]["AllTraffic"]["instances"][0]["state"] == "not ready")
    with pytest.raises(client.exceptions.ModelNotReadyException, match="/ping"):
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    container.ping_status = 200
    service.wait_until(lambda: service.counts("ctr")["variants"]["AllTraffic"]["instances"][0]["state"] == "ready")
    assert client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")["Body"].read() == b"1\n"


def test_container_that_is_down_is_service_unavailable(client):
    """With no container to connect to, calls get ServiceUnavailable."""
    with pytest.raises(client.exceptions.ServiceUnavailable, match="No container of variant AllTraffic"):
        client.invoke_endpoint(EndpointName="down", Body=b"1\n")


def test_container_that_dies_is_service_unavailable_at_once(start_service, start_container, make_client):
    """A ready container that goes away is noticed by the next call, not only by the next /ping."""
    container = start_container()
    with start_service(["--endpoint", f"ctr={container.url}"]) as service:
        client = make_client(service.url)
        try:
            container.stop()
            with pytest.raises(client.exceptions.ServiceUnavailable):
                client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
        finally:
            client.close()


def test_container_that_hangs_up_is_a_model_error(client, container):
    """A container that closes the connection instead of answering is a ModelError with status 0."""
    container.hang_up = True
    with pytest.raises(client.exceptions.ModelError, match="closed the connection") as raised:
        client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    assert raised.value.response["OriginalStatusCode"] == 0


def test_connection_dropped_by_the_container_is_replaced(client, container):
    """A container that closes kept-alive connections without saying so costs no call."""
    container.drop_when_idle = True
    for _ in range(20):
        assert client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")["Body"].read() == b"1\n"


@pytest.fixture
def impatient_client(start_service, make_client, container, tmp_path):
    """A client of a service whose model timeout is 0.5 s, in front of `container`."""
    config = tmp_path / "config.json"
    config.write_text('{"model_timeout_s": 0.5}')
    with start_service(["--config", str(config), "--endpoint", f"ctr={container.url}"]) as service:
        client = make_client(service.url)
        yield client
        client.close()


def test_container_that_takes_too_long_is_a_model_error(impatient_client, container):
    """After the model timeout (60 s by default) the call is a ModelError that says so."""
    container.hold = held = threading.Event()
    with pytest.raises(impatient_client.exceptions.ModelError, match="Your invocation timed out") as raised:
        impatient_client.invoke_endpoint(EndpointName="ctr", Body=b"1\n")
    held.set()
    assert raised.value.response["OriginalStatusCode"] == 0


def test_late_answer_never_reaches_another_call(impatient_client, container):
    """After a timeout the connection is not used again: the next answer is the next call's own."""
    container.hold = held = threading.Event()
    with pytest.raises(impatient_client.exceptions.ModelError):
        impatient_client.invoke_endpoint(EndpointName="ctr", Body=b"first\n")
    container.hold = None
    held.set()
    deadline_s = time.monotonic() + 20
    while True:
        try:
            answer = impatient_client.invoke_endpoint(EndpointName="ctr", Body=b"second\n")
            break
        except impatient_client.exceptions.ModelError:  # a slow machine may time out again
            assert time.monotonic() < deadline_s
    assert answer["Body"].read() == b"second\n"
