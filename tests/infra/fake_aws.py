"""A small AWS on loopback that answers what it was told, in each service's own protocol, to the real botocore."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

QUERY = {"ec2", "elasticloadbalancing", "elasticache", "cloudformation", "sts"}
IDENTITY = "<Arn>arn:aws:sts::123456789012:user/x</Arn><Account>123456789012</Account><UserId>x</UserId>"


@dataclass
class FakeAws:
    """Answers by "service:Operation" or "service:Operation:argument": pages, or a refusal. `asked`: what was asked.

    A page is a dict where the service speaks JSON, and the inside of the answer's element where it speaks XML. The
    token of page N is `page-N`; pages but the last carry it themselves.
    """

    answers: Mapping[str, list[Any]]
    refused: frozenset[str] = frozenset()
    asked: list[tuple[str, str]] = field(default_factory=list)  # region, service:Operation

    def answer(self, method: str, url: str, headers: Mapping[str, str], body: str) -> tuple[int, str, str]:
        """Status, Content-Type and body of an answer."""
        scope = re.search(r"Credential=[^/]+/\d+/([a-z0-9-]+)/([a-z0-9-]+)/", headers["Authorization"])
        assert scope
        region, service = scope.groups()
        operation = self._operation(service, method, url, headers, body)
        self.asked.append((region, f"{service}:{operation}"))
        as_xml = service in QUERY or service == "s3"
        if f"{service}:{operation}" in self.refused:
            if as_xml:
                error = "<Error><Code>AccessDenied</Code><Message>not yours to see</Message></Error>"
                wrapped = f"<Response><Errors>{error}</Errors></Response>" if service == "ec2" else f"<R>{error}</R>"
                return 403, "text/xml", wrapped
            return (
                400,
                "application/x-amz-json-1.1",
                '{"__type": "AccessDeniedException", "message": "not yours to see"}',
            )
        page = self._page(f"{service}:{operation}", url + body)
        if not as_xml:
            return 200, "application/x-amz-json-1.1", json.dumps(page or {})
        inside = IDENTITY if service == "sts" else page or ""
        if service not in ("ec2", "s3"):
            inside = f"<{operation}Result>{inside}</{operation}Result>"
        return 200, "text/xml", f"<{operation}Response>{inside}</{operation}Response>"

    def _operation(self, service: str, method: str, url: str, headers: Mapping[str, str], body: str) -> str:
        if "X-Amz-Target" in headers:
            return headers["X-Amz-Target"].rpartition(".")[2]
        if service == "s3":
            return "ListObjectVersions" if "versions" in urlsplit(url).query else "ListBuckets"
        if service == "eks":
            return "ListClusters"
        return parse_qs(body)["Action"][0]

    def _page(self, name: str, text: str) -> Any:
        keys = [
            key for key in self.answers if key == name or (key.startswith(f"{name}:") and key.split(":", 2)[2] in text)
        ]
        if not keys:
            return None
        token = re.search(r"page-(\d)", text)
        return self.answers[keys[0]][int(token[1]) if token else 0]


@contextmanager
def serving(aws: FakeAws) -> Iterator[dict[str, str]]:
    """The fake on a free port; yields the environment variables that send botocore there."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0)).decode()
            status, content_type, text = aws.answer(self.command, self.path, dict(self.headers), body)
            self.send_response(status)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(text.encode())))
            self.end_headers()
            self.wfile.write(text.encode())

        do_GET = do_POST = _serve  # noqa: N815 - the standard library's names

        def log_message(self, *_: Any) -> None:
            """Nothing: `asked` is the log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}",
            "AWS_ACCESS_KEY_ID": "AKIDFAKE",
            "AWS_SECRET_ACCESS_KEY": "fake",
            "AWS_EC2_METADATA_DISABLED": "true",
            "AWS_MAX_ATTEMPTS": "1",
        }
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
