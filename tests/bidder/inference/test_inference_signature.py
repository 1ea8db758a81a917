"""Our signature against botocore's, byte for byte."""

from __future__ import annotations

import random
import string
import time
from calendar import timegm
from datetime import UTC, datetime

import pytest
from botocore.auth import SIGV4_TIMESTAMP, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as BotoCredentials

from bidder.inference.credentials import Credentials
from bidder.inference.sagemaker import Origin, Target
from bidder.inference.signature import Signer

_PRINTABLE = "".join(chr(code) for code in range(0x20, 0x7F))
_OPTIONAL = (
    "X-Amzn-SageMaker-Custom-Attributes",
    "X-Amzn-SageMaker-Enable-Explanations",
    "X-Amzn-SageMaker-Inference-Component",
    "X-Amzn-SageMaker-Session-Id",
    "X-Amzn-SageMaker-Target-Container-Hostname",
    "X-Amzn-SageMaker-Target-Model",
    "X-Amzn-SageMaker-Target-Variant",
)


class SigV4At(SigV4Auth):
    """botocore's signer with its clock set; what it does after reading the time is botocore's own code."""

    def __init__(self, credentials: BotoCredentials, region: str, at: datetime) -> None:
        super().__init__(credentials, "sagemaker", region)
        self._at = at

    def add_auth(self, request: AWSRequest) -> None:
        request.context["timestamp"] = self._at.strftime(SIGV4_TIMESTAMP)
        self._modify_request_before_signing(request)
        canonical = self.canonical_request(request)
        self._inject_signature_to_request(request, self.signature(self.string_to_sign(request, canonical), request))


def _name(rng: random.Random) -> str:
    inner = "".join(rng.choices(string.ascii_letters + string.digits + "---", k=rng.randint(0, 61)))
    return rng.choice(string.ascii_letters) + inner + rng.choice(string.digits)


def _value(rng: random.Random) -> str:
    return ("v" + "".join(rng.choices(_PRINTABLE, k=rng.randint(0, 60)))).strip()


def _origin(rng: random.Random) -> str:
    host = rng.choice(
        ("runtime.sagemaker.eu-west-1.amazonaws.com", "vpce-0a1-b.runtime.sagemaker.x", "127.0.0.1", "[::1]")
    )
    return f"{rng.choice(('http', 'https'))}://{host}{rng.choice(('', ':80', ':443', ':8443', ':49152'))}"


def _credentials(rng: random.Random) -> Credentials:
    secret = "".join(rng.choices(string.ascii_letters + "/+", k=40))
    token = "".join(rng.choices(string.ascii_letters + string.digits + "+/=%", k=rng.randint(1, 1200)))
    return Credentials("AKID" + _name(rng)[:12], secret, rng.choice(("", token)))


def _lines(block: bytes) -> dict[str, str]:
    assert block.endswith(b"\r\n")
    return dict(line.split(": ", 1) for line in block.decode().splitlines())


@pytest.mark.parametrize("seed", range(30))
def test_signature_equals_botocores(seed: int) -> None:
    """1,200 random requests get the same Authorization, X-Amz-Date and X-Amz-Security-Token as from botocore."""
    rng = random.Random(seed)
    for _ in range(8):
        origin, target = Origin.parse(url := _origin(rng)), Target(_name(rng))
        region = rng.choice(("us-east-1", "eu-central-1", "cn-north-1", "us-gov-west-1"))
        headers = [("Content-Type", rng.choice(("text/csv", "application/x-npy"))), ("Accept", "text/csv")]
        headers += [(name, _value(rng)) for name in _OPTIONAL if rng.random() < 0.4]
        varying = ("X-Amzn-SageMaker-Inference-Id",) if rng.random() < 0.3 else ()
        signer = Signer(
            region=region, path=target.path, headers=[("Host", origin.host_header), *headers], varying=varying
        )
        credentials = _credentials(rng)
        now_s = rng.randint(0, 4_000_000_000)
        for _ in range(5):  # the same signer over seconds, days and new credentials
            now_s += rng.choice((0, 0, 1, 86_400))
            credentials = rng.choice((credentials, credentials, _credentials(rng)))
            body = rng.randbytes(rng.choice((0, 1, 300, 20_000)))
            values = [_value(rng) for _ in varying]
            request = AWSRequest(
                "POST",
                f"{url}{target.path}",
                headers=dict([*headers, *zip(varying, values, strict=True)]),
                data=body,
            )
            theirs = BotoCredentials(credentials.access_key, credentials.secret_key, credentials.token or None)
            SigV4At(theirs, region, datetime.fromtimestamp(now_s, UTC)).add_auth(request)
            ours = _lines(signer.sign(body, credentials, now_s + rng.random() * 0.99, *(v.encode() for v in values)))
            signed = ("Authorization", "X-Amz-Date", "X-Amz-Security-Token")
            assert ours == {name: request.headers[name] for name in signed if name in request.headers}


def test_signature_equals_that_of_botocores_public_method() -> None:
    """botocore's `add_auth`, its own clock included, signs the same."""
    credentials = Credentials("AKIDLOCAL", "local", "token")
    url = "https://runtime.sagemaker.us-east-1.amazonaws.com"
    request = AWSRequest(
        "POST", f"{url}/endpoints/ctr/invocations", headers={"Content-Type": "text/csv"}, data=b"1,2\n"
    )
    SigV4Auth(BotoCredentials("AKIDLOCAL", "local", "token"), "sagemaker", "us-east-1").add_auth(request)
    headers = [("Host", "runtime.sagemaker.us-east-1.amazonaws.com"), ("Content-Type", "text/csv")]
    signer = Signer(region="us-east-1", path="/endpoints/ctr/invocations", headers=headers)
    now_s = timegm(time.strptime(request.headers["X-Amz-Date"], SIGV4_TIMESTAMP))
    assert _lines(signer.sign(b"1,2\n", credentials, now_s))["Authorization"] == request.headers["Authorization"]


def test_signer_without_host_is_refused() -> None:
    """SigV4 signs the host; a signer that was given none says so."""
    with pytest.raises(ValueError, match="Host"):
        Signer(region="us-east-1", path="/", headers=[("Accept", "text/csv")])
