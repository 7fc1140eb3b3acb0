"""An office editor for tests: its discovery on loopback, and the requests that Collabora Online sends, signed."""

from __future__ import annotations

import base64
import http.client
import json
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from typing import Any
from urllib.parse import parse_qs

from beffroi.drive.office import proof
from beffroi.lib import clock
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

from tests import loopback
from tests.waiting import PATIENCE_S

PAGE = """<!doctype html><title>Essai</title><h1>Éditeur d’essai</h1><button>Fermer</button><script>
document.querySelector("button").onclick = () => parent.postMessage(JSON.stringify({MessageId: "UI_Close"}), "*");
</script>""".encode()
BASE_URL = "https://portail.test"


def new_key() -> RSAPrivateKey:
    return generate_private_key(65537, 2048)


def _b64(number: int) -> str:
    return base64.b64encode(number.to_bytes((number.bit_length() + 7) // 8)).decode()


def discovery(origin: str, key: RSAPrivateKey | None, former: RSAPrivateKey | None = None) -> bytes:
    signs = ""
    for before, one in (("", key), ("old", former)):
        if one is not None:
            numbers = one.public_key().public_numbers()
            signs += f' {before}modulus="{_b64(numbers.n)}" {before}exponent="{_b64(numbers.e)}"'
    actions = "".join(
        f'<action default="true" ext="{suffix}" name="edit" urlsrc="{origin}/browser/1/cool.html?"/>'
        for suffix in ("odt", "ods", "odp", "docx")
    )
    return (
        f'<?xml version="1.0"?><wopi-discovery><net-zone name="external-http"><app name="writer">{actions}'
        f'<action ext="doc" name="view" urlsrc="{origin}/word/view?&lt;ui=UI_LLCC&amp;&gt;&lt;rs=DC_LLCC&amp;&gt;"/>'
        '<action ext="exe" name="edit" urlsrc="https://elsewhere.test/?"/></app></net-zone>'
        f"<proof-key{signs}/></wopi-discovery>"
    ).encode()


@dataclass
class Answered:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def lock(self) -> str | None:
        return self.headers.get("x-wopi-lock")


@dataclass
class Office:
    """``origin``: where its discovery is. ``signs_with``: its key; ``former``: the one before."""

    origin: str
    signs_with: RSAPrivateKey
    former: RSAPrivateKey
    said: dict[str, bytes] = field(default_factory=dict)
    base_url: str = BASE_URL
    tls: ssl.SSLContext | None = None
    opened: list[dict[str, str]] = field(default_factory=list)
    """Forms that browsers posted."""

    def ask(
        self,
        port: int,
        method: str,
        path: str,
        token: str,
        body: bytes = b"",
        *,
        age_s: float = 0,
        signed: bool = True,
        **headers: str,
    ) -> Answered:
        target = f"{path}?access_token={token}"
        named = self.headers(target, token, age_s=age_s, signed=signed, **headers)
        line = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
        if self.tls is not None:
            line = http.client.HTTPSConnection("localhost", port, timeout=PATIENCE_S, context=self.tls)
        try:
            line.request(method, target, body, named)
            answer = line.getresponse()
            found = {name.lower(): value for name, value in answer.getheaders()}
            return Answered(answer.status, found, answer.read())
        finally:
            line.close()

    def headers(
        self, target: str, token: str, *, age_s: float = 0, signed: bool = True, **headers: str
    ) -> dict[str, str]:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if signed:
            ticks = proof.ticks(clock.epoch() - age_s)
            text = proof.message(token, self.base_url + target, ticks)
            named["X-WOPI-TimeStamp"] = str(ticks)
            for name, key in (("X-WOPI-Proof", self.signs_with), ("X-WOPI-ProofOld", self.former)):
                named[name] = base64.b64encode(key.sign(text, PKCS1v15(), SHA256())).decode()
        return named


@contextmanager
def serving() -> Iterator[Office]:
    """The editor's discovery on loopback."""
    office: Office

    class Discovery(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            data = office.said.get(self.path)
            self.send_response(200 if data is not None else 404)
            self.end_headers()
            self.wfile.write(data or b"")

        def do_POST(self) -> None:
            """The page of a document, which says what it was given, and closes when it is told to."""
            sent = parse_qs(self.rfile.read(int(self.headers["content-length"])).decode())
            office.opened.append({name: values[0] for name, values in sent.items()})
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(PAGE)

    with loopback.serving(Discovery) as port:
        origin = f"http://127.0.0.1:{port}"
        office = Office(origin, new_key(), new_key())
        office.said["/hosting/discovery"] = discovery(origin, office.signs_with, office.former)
        yield office
