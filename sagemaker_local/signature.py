"""AWS Signature Version 4, the receiving side. Rule: what is verified is what arrived, never what was claimed.

The payload hash is taken of the body itself, so UNSIGNED-PAYLOAD and chunk signatures do not verify. Errors, in the
order in which they are looked for, all HTTP 403:

MissingAuthenticationTokenException  no Authorization header
IncompleteSignatureException         header cannot be read; no date; host or an x-amz-* header not signed
UnrecognizedClientException          access key or session token not known
InvalidSignatureException            scope not this region/sagemaker/date; clock off by over 5 min; signature differs

Source: "Signature Version 4 signing process", AWS General Reference.
"""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final
from urllib.parse import quote

from .config import CredentialConfig
from .errors import ServiceError
from .server import Request

MAX_CLOCK_SKEW_S: Final = 300
SERVICE: Final = "sagemaker"

_AUTHORIZATION: Final = re.compile(
    rb"AWS4-HMAC-SHA256 +Credential=(\w+)/(\d{8})/([^/,\s]+)/([^/,\s]+)/aws4_request *,"
    rb" *SignedHeaders=([a-z0-9;_.-]+) *, *Signature=([0-9a-f]{64})",
)
_MISMATCH: Final = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)


class SignatureVerifier:
    def __init__(self, credentials: Sequence[CredentialConfig], region: str) -> None:
        self._region = region
        self._credentials = {c.access_key_id: c for c in credentials}
        self._key_cache_size = 2 * len(credentials)  # within the skew there are at most two days
        self._day_keys: dict[tuple[str, str], bytes] = {}

    def verify(self, request: Request, now_s: float) -> None:
        """Raise ServiceError unless a known key signed this request within 5 minutes of `now_s` (Unix time)."""
        headers = request.headers
        authorization = headers.get(b"authorization")
        if authorization is None:
            raise ServiceError("MissingAuthenticationTokenException", "Missing Authentication Token")
        match = _AUTHORIZATION.fullmatch(authorization)
        if match is None:
            raise ServiceError(
                "IncompleteSignatureException",
                "Authorization header must be: AWS4-HMAC-SHA256 Credential=KEY/YYYYMMDD/REGION/sagemaker/aws4_request, "
                "SignedHeaders=a;b, Signature=64 hex digits",
            )
        access_key_id, date, region, service, signed, signature = (part.decode() for part in match.groups())
        names = signed.encode().split(b";")
        _check_signed_headers(names, headers)
        credential = self._credential(access_key_id, headers.get(b"x-amz-security-token"))
        amz_date = headers[b"x-amz-date"].decode("latin-1")
        self._check_scope(date, region, service, amz_date, now_s)

        canonical = _canonical_request(request, names, signed)
        scope = f"{date}/{region}/{service}/aws4_request"
        to_sign = f"AWS4-HMAC-SHA256\n{amz_date}\n{scope}\n{hashlib.sha256(canonical).hexdigest()}"
        expected = hmac.digest(self._day_key(credential, date), to_sign.encode(), "sha256").hex()
        if not hmac.compare_digest(expected, signature):
            # As the real service does: with both strings at hand, a signer is mended in a minute.
            raise ServiceError(
                "InvalidSignatureException",
                f"{_MISMATCH}\n\nThe Canonical String for this request should have been\n"
                f"'{canonical.decode('latin-1')}'\n\nThe String-to-Sign should have been\n'{to_sign}'\n",
            )

    def _credential(self, access_key_id: str, token: bytes | None) -> CredentialConfig:
        credential = self._credentials.get(access_key_id)
        expected = b"" if credential is None else (credential.session_token or "").encode()
        if credential is None or not hmac.compare_digest(expected, token or b""):
            raise ServiceError("UnrecognizedClientException", "The security token included in the request is invalid.")
        return credential

    def _check_scope(self, date: str, region: str, service: str, amz_date: str, now_s: float) -> None:
        if region != self._region:
            raise _invalid(f"Credential should be scoped to a valid region, not {region!r}; this is {self._region!r}.")
        if service != SERVICE:
            raise _invalid(f"Credential should be scoped to correct service: {SERVICE!r}, not {service!r}.")
        signed_s = _unix_time(amz_date)
        if date != amz_date[:8]:
            raise _invalid(f"Date in Credential scope ({date}) does not match the day of x-amz-date ({amz_date}).")
        earliest_s, latest_s = now_s - MAX_CLOCK_SKEW_S, now_s + MAX_CLOCK_SKEW_S
        if signed_s < earliest_s:
            limit = f"{_iso(earliest_s)} ({_iso(now_s)} - 5 min.)"
            raise _invalid(f"Signature expired: {amz_date} is now earlier than {limit}")
        if signed_s > latest_s:
            limit = f"{_iso(latest_s)} ({_iso(now_s)} + 5 min.)"
            raise _invalid(f"Signature not yet current: {amz_date} is still later than {limit}")

    def _day_key(self, credential: CredentialConfig, date: str) -> bytes:
        key = self._day_keys.get((credential.access_key_id, date))
        if key is None:
            if len(self._day_keys) >= self._key_cache_size:
                self._day_keys.clear()
            key = f"AWS4{credential.secret_access_key}".encode()
            for part in (date, self._region, SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._day_keys[credential.access_key_id, date] = key
        return key


def _check_signed_headers(names: list[bytes], headers: dict[bytes, bytes]) -> None:
    if names != sorted(set(names)):
        raise ServiceError("IncompleteSignatureException", "SignedHeaders must be sorted and named once each.")
    required = {b"host", b"x-amz-date"} | {name for name in headers if name.startswith(b"x-amz-")}
    for name in sorted(required):
        if name not in headers or name not in names:
            raise ServiceError(
                "IncompleteSignatureException", f"{name.decode('latin-1')!r} must be sent and be a 'SignedHeader'."
            )
    for name in names:
        if name not in headers:
            raise ServiceError(
                "IncompleteSignatureException", f"{name.decode()!r} is a 'SignedHeader' but was not sent."
            )


def _canonical_request(request: Request, names: list[bytes], signed: str) -> bytes:
    headers = request.headers
    lines = b"".join([b"%b:%b\n" % (name, b" ".join(headers[name].split())) for name in names])
    path = quote(request.path, safe="/-_.~").encode()
    query = b"&".join(sorted(request.query.split(b"&"))) if request.query else b""
    payload_hash = hashlib.sha256(request.body).hexdigest().encode()
    return b"\n".join((request.method, path, query, lines, signed.encode(), payload_hash))


@lru_cache(maxsize=64)  # callers cache by the second too
def _unix_time(amz_date: str) -> float:
    try:
        if len(amz_date) != 16:
            raise ValueError
        return datetime.strptime(amz_date, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).timestamp()
    except ValueError:
        raise ServiceError(
            "IncompleteSignatureException", f"x-amz-date must be YYYYMMDDTHHMMSSZ, not {amz_date!r}."
        ) from None


def _iso(unix_s: float) -> str:
    return datetime.fromtimestamp(unix_s, UTC).strftime("%Y%m%dT%H%M%SZ")


def _invalid(message: str) -> ServiceError:
    return ServiceError("InvalidSignatureException", message)
