"""A way to a drive on loopback that signs a person in: for programs that ask for passwords by windows alone."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

from tests.drive_server import Served, basic


@contextmanager
def signed_in(served: Served, login: str, heard: list[str] | None = None) -> Iterator[str]:
    """Its address. ``heard``: what is asked comes there: method, path and status, with "If" where it is asked so."""

    class Way(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def __getattr__(self, name: str) -> Callable[[], None]:
            if name.startswith("do_"):
                return self._pass
            raise AttributeError(name)

        def _pass(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            asked = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
            status, headers, answer = served.exchange(
                self.command, self.path, body, {**asked, **basic(login)}
            )
            if heard is not None:
                heard.append(f"{self.command} {self.path} {status}{' If' * ('If' in self.headers)}")
            self.send_response_only(status)
            for name, value in headers.items():
                self.send_header(name, value)
            if "content-length" not in headers and status != 204:
                self.send_header("content-length", str(len(answer)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Way)
    thread = Thread(target=server.serve_forever, args=(0.05,), daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
