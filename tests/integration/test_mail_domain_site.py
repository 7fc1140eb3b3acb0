"""A commune's website as RPNT visits it: real HTTP and HTTPS servers on loopback, a real authority for their names."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, cast

import pytest
from beffroi.mail.domains import site
from beffroi.mail.domains.asking import Asker

from tests.certificates import self_signed

DOMAIN = "mairie.example"


@dataclass
class Names:
    """The resolver's answers; the questions themselves are tested against real DNS elsewhere."""

    known: dict[str, set[str]] = field(default_factory=dict)

    def addresses(self, name: str) -> set[str]:
        return self.known.get(name, set())


class Site(BaseHTTPRequestHandler):
    """(scheme, host) -> status and Location."""

    answers: dict[tuple[str, str], tuple[int, str]]
    scheme = "http"

    def do_GET(self) -> None:
        status, target = self.answers.get((self.scheme, self.headers["Host"]), (404, ""))
        self.send_response(status)
        if target:
            self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Silent."""


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    self_signed(folder / "site.pem", folder / "key.pem", DOMAIN, f"www.{DOMAIN}")
    return folder / "site.pem"


@pytest.fixture
def served(pem: Path) -> Iterator[tuple[type[Site], site.Way]]:
    answers: dict[str, Any] = {}
    plain = type("Plain", (Site,), {"answers": answers, "scheme": "http"})
    secure = type("Secure", (Site,), {"answers": answers, "scheme": "https"})
    servers = [ThreadingHTTPServer(("127.0.0.1", 0), one) for one in (plain, secure)]
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, pem.parent / "key.pem")
    servers[1].socket = context.wrap_socket(servers[1].socket, server_side=True)
    for one in servers:
        threading.Thread(target=one.serve_forever, daemon=True).start()
    ports = [one.server_address[1] for one in servers]
    yield plain, site.Way(cast("int", ports[0]), cast("int", ports[1]), private=True, authorities=str(pem))
    for one in servers:
        one.shutdown()
        one.server_close()


HERE = cast("Asker", Names({name: {"127.0.0.1"} for name in (DOMAIN, f"www.{DOMAIN}", "ailleurs.example")}))
WELL = {
    ("http", DOMAIN): (301, f"https://{DOMAIN}/"),
    ("https", DOMAIN): (200, ""),
    ("https", f"www.{DOMAIN}"): (301, f"https://{DOMAIN}/"),
}


def codes(kind: type[Site], way: site.Way, answers: dict[tuple[str, str], tuple[int, str]]) -> dict[str, str]:
    kind.answers.clear()
    kind.answers.update(answers)
    return {name: code for name, (_state, code) in site.look(DOMAIN, HERE, way).items()}


def test_a_site_as_it_should_be(served: tuple[type[Site], site.Way]) -> None:
    assert set(codes(*served, WELL).values()) == {"ok"}


@pytest.mark.parametrize(
    ("change", "item", "code"),
    [
        ({("http", DOMAIN): (200, "")}, "site_http", "not_https"),
        (
            {("https", DOMAIN): (500, ""), ("https", f"www.{DOMAIN}"): (500, "")},
            "site_https",
            "not_answering",
        ),
        ({("https", f"www.{DOMAIN}"): (404, "")}, "site_www", "one_only"),
        ({("https", DOMAIN): (302, "http://ailleurs.example/")}, "site_same", "foreign"),
        ({("https", DOMAIN): (302, f"https://{DOMAIN}/")}, "site_https", "not_answering"),
        ({("https", DOMAIN): (302, "file:///etc/passwd")}, "site_https", "not_answering"),
        ({("https", DOMAIN): (302, "https://[mairie/")}, "site_https", "not_answering"),
    ],
)
def test_each_fault_is_named(
    served: tuple[type[Site], site.Way],
    change: dict[tuple[str, str], tuple[int, str]],
    item: str,
    code: str,
) -> None:
    answers = {**WELL, ("http", "ailleurs.example"): (200, ""), **change}
    if item == "site_same":
        answers["https", f"www.{DOMAIN}"] = (404, "")
    assert codes(*served, answers)[item] == code


def test_a_certificate_of_nobody_is_found(served: tuple[type[Site], site.Way]) -> None:
    kind, way = served
    strange = site.Way(way.http_port, way.https_port, private=True)
    assert codes(kind, strange, WELL)["site_certificate"] == "certificate"


def test_a_zone_that_names_an_address_inside_is_not_visited(served: tuple[type[Site], site.Way]) -> None:
    kind, way = served
    public = site.Way(way.http_port, way.https_port, authorities=way.authorities)
    assert set(codes(kind, public, WELL).values()) == {"unanswered"}


def test_where_no_site_is_there_nothing_is_said() -> None:
    assert site.look(DOMAIN, cast("Asker", Names()), site.Way()) == {}
