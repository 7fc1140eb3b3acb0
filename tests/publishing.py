"""A publisher of lists on loopback, with TLS and an authority of its own, that behaves as badly as it is told to."""

from __future__ import annotations

import http.server
import ipaddress
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.watch.sources import actions, updates
from beffroi.watch.sources.fetch import Fetcher
from beffroi.watch.sources.models import FeedSource
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.waiting import until

PORTS = range(23300, 23350)
SYSTEM = Actor.system("tests")
Handler = Callable[["Request"], None]


class Request(http.server.BaseHTTPRequestHandler):
    """One request; ``self.server.publisher`` says what to answer."""

    protocol_version = "HTTP/1.1"
    timeout = 60

    def do_GET(self) -> None:
        publisher: Publisher = self.server.publisher  # type: ignore[attr-defined]
        publisher.asked.append((self.path, dict(self.headers)))
        handler = publisher.pages.get(self.path) or publisher.pages.get(self.path.partition("?")[0])
        if handler is None:
            self.reply(b"no such page", status=404)
        else:
            handler(self)

    def reply(self, body: bytes, *, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        return


@dataclass
class Publisher:
    """``pages``: path to what it answers; ``asked``: every path, with its headers."""

    port: int
    authority: Path
    pages: dict[str, Handler] = field(default_factory=dict)
    asked: list[tuple[str, dict[str, str]]] = field(default_factory=list)

    @property
    def base(self) -> str:
        return f"https://localhost:{self.port}"

    def serve(self, path: str, body: bytes | str, **headers: Any) -> str:
        """Answer this body; return its address. An ETag is honoured."""
        data = body.encode() if isinstance(body, str) else body

        def answer(request: Request) -> None:
            if "ETag" in headers and request.headers.get("If-None-Match") == headers["ETag"]:
                request.send_response(304)
                request.send_header("Content-Length", "0")
                request.end_headers()
            else:
                request.reply(data, **headers)

        self.pages[path] = answer
        return self.base + path

    def behave(self, path: str, handler: Handler) -> str:
        self.pages[path] = handler
        return self.base + path


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, *_: Any) -> None:
        return  # a client that hangs up is what some tests are about


def serving() -> Server:
    """A server on the first free port of ours: several runs may go on at once. Errors: OSError."""
    failure = OSError("no port")
    for port in PORTS:
        try:
            return Server(("127.0.0.1", port), Request)
        except OSError as error:
            failure = error
    raise failure


def certificate(directory: Path, host: str = "127.0.0.1") -> tuple[Path, Path]:
    """Write (the authority, certificate and key) of a server on localhost and on this address."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = clock.now()
    names = x509.SubjectAlternativeName(
        [x509.DNSName("localhost"), x509.IPAddress(ipaddress.ip_address(host))]
    )
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=30))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    authority, both = directory / "authority.pem", directory / "server.pem"
    pem = signed.public_bytes(Encoding.PEM)
    authority.write_bytes(pem)
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    both.write_bytes(pem + private)
    return authority, both


def new_source(address: str = "", *, start: bool = True, **fields: Any) -> FeedSource:
    """A source, started."""
    values: dict[str, Any] = {
        "name": "Essai",
        "format": "plain",
        "licence": "CC0",
        "weight": "list",
        **fields,
        "address": address,
    }
    source = actions.add_source(actor=SYSTEM, **values)
    if start:
        actions.start_source(actor=SYSTEM, source=source)
        source.refresh_from_db()
    return source


def fetch_round(state: Path, *, timeout_s: float = 60) -> None:
    """Ask for what is due, let the real fetching process answer, take it in."""
    updates.ask_due()
    fetched(state, timeout_s=timeout_s)
    updates.take_all()


def fetched(state: Path, *, timeout_s: float = 60) -> None:
    fetcher = Fetcher(state)
    until(lambda: not fetcher.step(), "fetch does not end", timeout_s)


def again(source: FeedSource) -> FeedSource:
    """Make the source due, and read its row."""
    FeedSource.objects.filter(pk=source.pk).update(next_at=clock.now())
    source.refresh_from_db()
    return source


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()
