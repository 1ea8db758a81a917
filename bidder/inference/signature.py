"""AWS Signature Version 4 for a POST to one path, for a few microseconds a call.

The rule kept here: the same bytes as `botocore.auth.SigV4Auth` for the same request, headers and time. What is the same
for every call of a second (canonical headers, scope, session token, the day's key) is hashed once a second; a call
costs the hash of its body and three short ones. Pure: no clock, no I/O.

Source: AWS IAM User Guide, "Create a signed AWS API request".
"""

from __future__ import annotations

import hmac
import time
from collections.abc import Sequence
from hashlib import sha256
from urllib.parse import quote

from bidder.inference.credentials import Credentials

_SLOT = "\0"  # stands for a value that is known only with the call; no header can contain it
_BLOCK = 64  # the block of SHA-256, in bytes
_INNER = bytes(byte ^ 0x36 for byte in range(256))
_OUTER = bytes(byte ^ 0x5C for byte in range(256))


class Signer:
    """Signs requests that differ only in body, time, credentials and the values of the `varying` headers.

    `headers` are the (name, value) pairs that every request carries, `Host` among them; all are signed, as botocore
    does. `path` is the path as sent. `varying` names the headers whose values are given with each call.
    """

    __slots__ = (
        "_canonical_head",
        "_canonical_tail",
        "_credentials",
        "_day",
        "_headers",
        "_inner",
        "_key",
        "_lines",
        "_outer",
        "_path",
        "_region",
        "_second",
        "_service",
    )

    def __init__(
        self,
        *,
        region: str,
        path: str,
        headers: Sequence[tuple[str, str]],
        varying: Sequence[str] = (),
        service: str = "sagemaker",
    ) -> None:
        self._region = region
        self._service = service
        self._path = quote(path, safe="/~")
        self._headers = {name.lower(): " ".join(value.split()) for name, value in headers}
        self._headers |= {name.lower(): _SLOT for name in varying}
        if "host" not in self._headers:
            raise ValueError("the headers to sign have no Host; SigV4 requires it")
        self._credentials: Credentials | None = None
        self._day = ""
        self._second = -1
        self._key = b""
        self._lines = b""
        self._canonical_head = sha256()
        self._canonical_tail = b""
        self._inner = sha256()
        self._outer = sha256()

    def sign(self, body: bytes, credentials: Credentials, now_s: float, *values: bytes) -> bytes:
        """The header lines that authenticate `body` at `now_s` (Unix time), each ending in CRLF.

        `values` belong to the `varying` headers, in order of their lower-case names.
        """
        if int(now_s) != self._second or credentials is not self._credentials:
            self._turn(int(now_s), credentials)
        canonical = self._canonical_head.copy()
        body_hash = sha256(body).hexdigest().encode()
        canonical.update(self._canonical_tail % (*map(_trim, values), body_hash) if values else body_hash)
        # HMAC by hand: its two states, keyed and fed with the constant part, are copied. 0.9 us; hmac.digest is 2.3.
        inner = self._inner.copy()
        inner.update(canonical.hexdigest().encode())
        outer = self._outer.copy()
        outer.update(inner.digest())
        return self._lines + outer.hexdigest().encode() + b"\r\n"

    def _turn(self, second: int, credentials: Credentials) -> None:
        """Prepare what holds for one second and one set of credentials."""
        stamp = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = stamp[:8]
        scope = f"{day}/{self._region}/{self._service}/aws4_request"
        if credentials is not self._credentials or day != self._day:
            key = f"AWS4{credentials.secret_key}".encode()
            for part in (day, self._region, self._service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._key = key.ljust(_BLOCK, b"\0")

        headers = self._headers | {"x-amz-date": stamp}
        lines = f"X-Amz-Date: {stamp}\r\n"
        if credentials.token:
            headers["x-amz-security-token"] = credentials.token
            lines += f"X-Amz-Security-Token: {credentials.token}\r\n"
        signed = ";".join(sorted(headers))
        lines += (
            f"Authorization: AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, "
            f"SignedHeaders={signed}, Signature="
        )
        canonical = f"POST\n{self._path}\n\n"
        canonical += "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        canonical += f"\n{signed}\n{_SLOT}"

        # Split at the first value that is known only with the call: what stands before it is hashed here, once.
        head, slot, tail = canonical.partition(_SLOT)
        self._canonical_head = sha256(head.encode())
        self._canonical_tail = (slot + tail).replace("%", "%%").replace(_SLOT, "%b").encode()
        to_sign = f"AWS4-HMAC-SHA256\n{stamp}\n{scope}\n".encode()
        self._inner = sha256(self._key.translate(_INNER) + to_sign)
        self._outer = sha256(self._key.translate(_OUTER))
        self._lines = lines.encode()
        self._day, self._second, self._credentials = day, second, credentials


def _trim(value: bytes) -> bytes:
    return b" ".join(value.split())
