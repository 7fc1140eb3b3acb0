"""An S3 server in whose bucket somebody put keys that its own server would not take."""

from __future__ import annotations

import http.client
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from beffroi.drive.store.objects import S3Place

ODD = {"for-empty": "", "for-dot": ".", "for-up": "..", "for-line": "\n", "for-delete": "\x7f"}
"""Segments as they are stored, and as the door tells them."""


def _in_xml(text: str) -> str:
    return "".join(one if one.isprintable() else f"&#{ord(one)};" for one in text)


@contextmanager
def with_odd_keys(place: S3Place) -> Iterator[tuple[S3Place, list[str]]]:
    """The same server behind a door that names segments of keys as ODD says, and the lists that were asked of it."""
    inner, asked = urlsplit(place.endpoint), list[str]()

    class Door(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            line = http.client.HTTPConnection(inner.hostname or "", inner.port, timeout=30)
            line.request(self.command, self.path, body, dict(self.headers))
            answer = line.getresponse()
            data = answer.read()
            length = answer.getheader("Content-Length") or "0"
            if "list-type=2" in self.path:
                asked.append(self.path)
                for stored, told in ODD.items():
                    data = data.replace(f"/{stored}".encode(), f"/{_in_xml(told)}".encode())
                length = str(len(data))
            self.send_response_only(206 if answer.getheader("Content-Range") else answer.status)
            for name, value in answer.getheaders():
                if name.lower() not in ("transfer-encoding", "connection", "content-length"):
                    self.send_header(name, value)
            self.send_header("Content-Length", length if self.command == "HEAD" else str(len(data)))
            self.end_headers()
            self.wfile.write(data)
            line.close()

        do_GET = do_PUT = do_HEAD = do_DELETE = do_POST = _pass  # noqa: N815 - names of http.server

        def log_message(self, format: str, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Door) as door:
        thread = threading.Thread(target=door.serve_forever, daemon=True)
        thread.start()
        try:
            yield replace(place, endpoint=f"http://127.0.0.1:{door.server_port}"), asked
        finally:
            door.shutdown()
            thread.join(10)
