"""A real PowerDNS with its API: a zone in SQLite, on loopback, from a directory of its own."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import tempfile
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dns.message
import dns.query

from tests.waiting import PATIENCE_S, until

ADDRESS, PORT, API_PORT = "127.0.0.1", 22792, 22793
KEY = "a-key-of-the-api"
PROGRAM = "/usr/sbin/pdns_server"
_SCHEMA = Path("/usr/share/pdns-backend-sqlite3/schema/schema.sqlite3.sql")
_CONFIG = """
launch=gsqlite3
gsqlite3-database={home}/zones.sqlite
local-address={address}
local-port={port}
api=yes
api-key={key}
webserver=yes
webserver-address={address}
webserver-port={api_port}
webserver-allow-from={address}
socket-dir={home}
daemon=no
guardian=no
setuid=
setgid=
cache-ttl=0
negquery-cache-ttl=0
query-cache-ttl=0
zone-cache-refresh-interval=0
"""


@dataclass(frozen=True)
class PowerDns:
    home: Path

    @property
    def api(self) -> str:
        return f"http://{ADDRESS}:{API_PORT}"

    def ask(self, name: str, kind: str) -> list[str]:
        answer = dns.query.tcp(dns.message.make_query(name, kind), ADDRESS, timeout=5, port=PORT)
        return [row.to_text() for one in answer.answer for row in one]

    def call(self, method: str, path: str, body: Any = None) -> None:
        """As the server's administrator."""
        request = urllib.request.Request(
            f"{self.api}/api/v1/servers/localhost{path}",
            json.dumps(body).encode() if body is not None else None,
            {"X-API-Key": KEY, "Content-Type": "application/json"},
            method=method,
        )
        urllib.request.urlopen(request, timeout=PATIENCE_S).read()

    def put(self, zone: str, name: str, kind: str, *values: str, off: bool = False) -> None:
        """These values and no others stand there. ``off``: switched off, no question is answered with them."""
        row = {"name": f"{name}.", "type": kind, "ttl": 60, "changetype": "REPLACE"}
        row["records"] = [{"content": one, "disabled": off} for one in values]
        self.call("PATCH", f"/zones/{zone}.", {"rrsets": [row]})

    def add_zone(self, zone: str) -> None:
        self.call("POST", "/zones", {"name": f"{zone}.", "kind": "Native", "nameservers": [f"ns1.{zone}."]})


class Gate(BaseHTTPRequestHandler):
    """Before its API: after ``left`` more changes the provider is in no hurry any more (429)."""

    left: int | None = None

    def _pass(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.command == "PATCH" and Gate.left is not None:
            if not Gate.left:
                self.send_error(429)
                return
            Gate.left -= 1
        named = {name: self.headers[name] for name in ("X-API-Key", "Content-Type") if name in self.headers}
        url = f"http://{ADDRESS}:{API_PORT}{self.path}"
        try:
            answer = urllib.request.urlopen(
                urllib.request.Request(url, body, named, method=self.command), timeout=PATIENCE_S
            )
        except urllib.error.HTTPError as error:
            answer = error
        said = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)

    do_GET = do_PATCH = do_PUT = _pass  # noqa: N815 - as http.server calls them

    def log_message(self, *_: object) -> None: ...


@contextmanager
def gate() -> Iterator[str]:
    """Its address."""
    server = ThreadingHTTPServer((ADDRESS, 0), Gate)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://{ADDRESS}:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


@contextmanager
def running(*zones: str) -> Iterator[PowerDns]:
    home = Path(tempfile.mkdtemp(prefix="bfpdns-"))
    with sqlite3.connect(home / "zones.sqlite") as database:
        database.executescript(_SCHEMA.read_text())
    text = _CONFIG.format(home=home, address=ADDRESS, port=PORT, api_port=API_PORT, key=KEY)
    (home / "pdns.conf").write_text(text)
    with (home / "out.log").open("ab") as log:
        process = subprocess.Popen((PROGRAM, f"--config-dir={home}"), stdout=log, stderr=log)
    try:
        found = PowerDns(home)

        def answers() -> bool:
            assert process.poll() is None, (home / "out.log").read_text()
            try:
                found.call("GET", "/zones")
            except OSError:
                return False
            return True

        until(answers, "PowerDNS answers")
        for zone in zones:
            found.add_zone(zone)
        yield found
    finally:
        process.terminate()
        process.wait(PATIENCE_S)
        if not os.environ.get("BEFFROI_KEEP"):
            shutil.rmtree(home, ignore_errors=True)
