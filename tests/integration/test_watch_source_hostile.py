"""Hostile servers: each gets its clear error on the source's page, in time and within memory; and the protocols that
need several pages (TAXII, MISP feeds), from a real server over TLS."""

from __future__ import annotations

import contextlib
import gzip
import io
import socket
import threading
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.decisions.models import IndicatorList
from beffroi.lib.errors import BeffroiError
from beffroi.watch.sources import actions, fetch, handover, updates
from beffroi.watch.sources.errors import KeyMissing
from beffroi.watch.sources.handover import Ask
from beffroi.watch.sources.models import FeedSource

from tests.publishing import (
    SYSTEM,
    Publisher,
    Request,
    again,
    as_json,
    fetch_round,
    fetched,
    new_source,
)
from tests.unit.test_watch_source_formats import EVENT, LAUGHS, indicator
from tests.waiting import PATIENCE_S, until

pytest_plugins = ["tests.fixtures_sources"]
pytestmark = pytest.mark.usefixtures("database")


def zipped(*files: tuple[str, bytes]) -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in files:
            archive.writestr(name, data)
    return made.getvalue()


def redirect(to: str) -> Callable[[Request], None]:
    return lambda request: request.reply(b"", status=302, Location=to)


def drip(request: Request) -> None:
    """A byte a second, for ever: never silent long enough for a timeout of one step."""
    request.send_response(200)
    request.end_headers()
    for _ in range(60):
        request.wfile.write(b"#")
        request.wfile.flush()
        time.sleep(0.3)


def cut(request: Request) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "5000")
    request.end_headers()
    request.wfile.write(b"45.1.1.1\n")
    request.wfile.flush()
    request.connection.close()


def cut_without_size(request: Request) -> None:
    """The last line was to be 45.1.1.20."""
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"45.1.1.1\n45.1.1.2")
    request.wfile.flush()
    request.connection.close()


def ended_without_size(request: Request) -> None:
    request.send_response(200)
    request.end_headers()
    request.wfile.write(b"45.1.1.1\n45.1.1.20\n")
    request.wfile.flush()
    with contextlib.suppress(OSError):
        request.connection.unwrap()


def not_http(request: Request) -> None:
    request.wfile.write(b"SSH-2.0-OpenSSH_10.0\r\n" * 5)
    request.wfile.flush()
    request.close_connection = True


MIB = 1024 * 1024
BOMB = gzip.compress(b"45.1.1.1\n" * (70 * MIB // 9), 9)
CASES: list[tuple[str, str, Any, str]] = [
    ("plain", "bytes", BOMB, "source.too_big"),
    ("plain", "bytes", zipped(("a.txt", b"0" * (70 * MIB))), "source.too_big"),
    ("plain", "bytes", zipped(("a.txt", b"45.1.1.1\n"), ("b.txt", b"45.1.1.2\n")), "source.archive"),
    ("plain", "bytes", BOMB[: len(BOMB) // 2], "source.archive"),
    ("plain", "gzip", BOMB, "source.too_big"),
    ("plain", "bytes", "é".encode("latin-1") + b".example\n", "source.not_text"),
    ("plain", "bytes", "45.1.1.1\n".encode("utf-16"), "source.not_text"),
    ("plain", "bytes", b"<!doctype html><title>Sign in</title>", "source.web_page"),
    ("plain", "bytes", b"# nothing\n", "source.nothing_in_it"),
    ("misp", "bytes", b'{"Event":' + b"[" * 500_000, "source.too_deep"),
    ("stix", "bytes", b'{"type":"bundle","objects":[{"x":' + b'{"a":' * 500_000, "source.too_deep"),
    ("stix", "bytes", b"45.1.1.1\n", "source.unreadable"),
    ("rss", "bytes", LAUGHS.encode(), "source.unreadable"),
    ("plain", "handler", redirect("https://elsewhere.example/list"), "source.moved"),
    ("plain", "handler", redirect("http://localhost/list"), "source.moved"),
    ("plain", "handler", redirect("https://127.0.0.1:1/"), "source.moved"),
    ("plain", "handler", redirect("/list"), "source.refused"),
    ("plain", "handler", redirect("https://["), "source.moved"),
    ("plain", "handler", lambda request: request.reply(b"no", status=403), "source.refused"),
    ("plain", "handler", lambda request: request.reply(b"no", status=500), "source.refused"),
    ("plain", "handler", cut, "source.unreachable"),
    ("plain", "handler", cut_without_size, "source.unreachable"),
    ("plain", "handler", not_http, "source.unreachable"),
]


@pytest.mark.parametrize("case", CASES, ids=[f"{n}-{case[3]}" for n, case in enumerate(CASES)])
def test_a_hostile_server_becomes_one_clear_error(
    sources_state: Path, publisher: Publisher, case: tuple[str, str, Any, str]
) -> None:
    format_, how, what, code = case
    if how == "handler":
        address = publisher.behave("/list", what)
    else:
        address = publisher.serve("/list", what, **({"Content_Encoding": "gzip"} if how == "gzip" else {}))
    source = new_source(address, format=format_)
    fetch_round(sources_state)
    source.refresh_from_db()
    assert (source.last_error, source.failures, source.asked) == (code, 1, "")
    assert not IndicatorList.objects.exists()
    assert list((sources_state / "sources" / "brought").glob("src_*")) == []


def test_a_list_without_a_size_that_ends_as_tls_says_is_taken(
    sources_state: Path, publisher: Publisher
) -> None:
    source = new_source(publisher.behave("/list", ended_without_size), format="plain")
    fetch_round(sources_state)
    source.refresh_from_db()
    assert (source.last_error, source.in_force) == ("", 2)


def answer_to(state: Path, ask: Ask) -> handover.Brought:
    handover.put_ask(state, ask)
    fetched(state)
    found = handover.read_brought(state, ask.source_id)
    assert found is not None and found.number == ask.number
    return found


def asked(publisher: Publisher, path: str = "/list", **changes: Any) -> Ask:
    plain = Ask(
        "1",
        "src_x",
        "plain",
        address=publisher.base + path,
        networks=("127.0.0.0/8", "::1/128"),
        authority=publisher.authority.read_text(),
    )
    return replace_ask(plain, **changes)


def replace_ask(ask: Ask, **changes: Any) -> Ask:
    import msgspec

    return msgspec.structs.replace(ask, **changes)


def test_a_slow_server_is_left_after_the_deadline(sources_state: Path, publisher: Publisher) -> None:
    publisher.behave("/list", drip)
    assert answer_to(sources_state, asked(publisher, deadline_s=2)).code == "source.too_slow"


def test_a_child_that_is_killed_while_it_reads_is_an_error_not_a_silence(
    sources_state: Path, publisher: Publisher
) -> None:
    publisher.behave("/list", drip)
    handover.put_ask(sources_state, asked(publisher))
    fetcher = fetch.Fetcher(sources_state)
    assert fetcher.step() == 1
    time.sleep(0.5)
    next(iter(fetcher._running.values())).child.kill()
    until(lambda: not fetcher.step(), "fetch does not end", 10)
    found = handover.read_brought(sources_state, "src_x")
    assert found is not None and found.code == "source.crashed"


def test_certificates_are_verified_and_private_addresses_are_refused(
    sources_state: Path, publisher: Publisher
) -> None:
    publisher.serve("/list", "45.1.1.1\n")
    assert answer_to(sources_state, asked(publisher)).code == ""
    assert answer_to(sources_state, asked(publisher, number="2", authority="")).code == "source.not_trusted"
    seen = len(publisher.asked)
    refused = answer_to(sources_state, asked(publisher, number="3", networks=()))
    assert (refused.code, refused.detail) == ("source.address_inside", "localhost")
    assert len(publisher.asked) == seen
    unknown = asked(publisher, number="4", address="https://no-such-name.invalid/")
    assert answer_to(sources_state, unknown).code == "source.unreachable"
    closed = asked(publisher, number="5", address="https://localhost:9/")
    assert answer_to(sources_state, closed).code == "source.unreachable"


@pytest.mark.parametrize(
    "address",
    [
        "http://a.example/",
        "ftp://a.example/",
        "https:///x",
        "https://u:p@a.example/",
        "https://a.example/é",
        "file:///etc/passwd",
        "https://a.example:99999/",
    ],
)
def test_only_https_addresses_without_a_password_are_sources(database: str, address: str) -> None:
    with pytest.raises(BeffroiError) as caught:
        actions.add_source(actor=SYSTEM, name="x", address=address, format="plain", licence="CC0")
    assert caught.value.code == "source.address_invalid"
    assert not FeedSource.objects.exists()


def test_what_the_fetching_process_writes_is_not_believed(sources_state: Path, publisher: Publisher) -> None:
    source = new_source(publisher.serve("/l", "45.1.1.1\n"))
    updates.ask_due()
    source.refresh_from_db()
    brought, values = (
        handover.brought_file(sources_state, source.id),
        handover.values_file(sources_state, source.id),
    )
    good = {"number": source.asked, "source_id": source.id, "values": 3}
    for header, lines in [
        (b"[" * 100_000, b""),
        (as_json({**good, "number": "another"}), b"ip\t45.1.1.1\t0\n"),
        (as_json(good), b"ip\t45.1.1.1\n"),
        (as_json(good), b"x" * 10_000),
        (as_json(good), b"\xff\xff\t\t0\n"),
    ]:
        FeedSource.objects.filter(pk=source.pk).update(asked=source.asked)
        brought.write_bytes(header)
        values.write_bytes(lines)
        updates.take_all()
        assert not IndicatorList.objects.exists()
    brought.write_bytes(as_json(good))
    values.unlink(missing_ok=True)
    values.symlink_to("/etc/passwd")
    FeedSource.objects.filter(pk=source.pk).update(asked=source.asked)
    updates.take_all()
    source.refresh_from_db()
    assert source.last_error == "source.crashed"
    # Texts for the page and for the next request are cleaned; a link of news leads to https.
    FeedSource.objects.filter(pk=source.pk).update(asked=good["number"])
    brought.write_bytes(as_json({**good, "code": "x\0y" * 40, "detail": "a\nb\0" + "c" * 900}))
    updates.take_all()
    source.refresh_from_db()
    assert (len(source.last_error), source.last_error_detail[:3]) == (27, "abc")
    # Values that are not canonical, protected, or of a kind that is no source's, are left out one by one.
    again(source)
    updates.ask_due()
    source.refresh_from_db()
    brought.write_bytes(as_json({**good, "number": source.asked}))
    values.write_bytes(
        b"ip\t45.1.1.1\t0\nip\t0x2d.1\t0\nsketch\tabcdefabcdefabcdef\t0\ndomain\tgithub.com\t0\nip\t10.0.0.1\t0\n"
    )
    updates.take_all()
    update = source.updates.get()
    assert (update.state, update.kept, update.invalid, update.protected) == ("applied", 1, 2, 2)


def test_a_misp_feed_is_read_event_by_event_and_only_the_recent_ones(
    sources_state: Path, publisher: Publisher
) -> None:
    new, old = "5f4b8e2a-0000-4000-8000-000000000001", "5f4b8e2a-0000-4000-8000-000000000002"
    publisher.serve(f"/misp/{new}.json", as_json(EVENT))
    address = publisher.serve(
        "/misp/manifest.json",
        as_json({new: {"timestamp": str(int(time.time()))}, old: {"timestamp": "1400000000"}}),
    )
    new_source(address, format="misp_feed", options={"days": 30})
    fetch_round(sources_state)
    assert [path for path, _ in publisher.asked] == ["/misp/manifest.json", f"/misp/{new}.json"]
    assert dict(IndicatorList.objects.values_list("kind", "count"))["sha256"] == 1


def test_taxii_collections_pages_and_credentials(sources_state: Path, publisher: Publisher) -> None:
    def page(request: Request) -> None:
        if request.headers["Authorization"] != "Basic YWRhOnNlY3JldA==":
            request.reply(b"{}", status=401)
            return
        second = "next=2" in request.path
        objects = [indicator(f"[ipv4-addr:value = '45.1.1.{n}']", n) for n in ((3, 4) if second else (1, 2))]
        envelope = (
            {"more": not second, "next": "2", "objects": objects} if not second else {"objects": objects}
        )
        request.reply(as_json(envelope), Content_Type="application/taxii+json;version=2.1")

    collections = [
        {"id": "a/b", "title": "Alertes", "can_read": True},
        {"id": "c", "can_read": True},
        {"id": "d"},
    ]
    address = publisher.serve("/api/", b"")
    publisher.serve("/api/collections/", as_json({"collections": collections}))
    publisher.behave("/api/collections/a%2Fb/objects/", page)
    source = new_source(address, format="taxii", account="ada", options={"collections": ["Alertes"]})
    fetch_round(sources_state)
    source.refresh_from_db()
    assert (source.last_error, source.last_error_detail) == ("source.refused", "401")
    actions.change_source(actor=SYSTEM, source=source, secret="secret")
    source.refresh_from_db()
    assert "secret" not in source.secret
    again(source)
    fetch_round(sources_state)
    assert dict(IndicatorList.objects.values_list("kind", "count")) == {"ip": 4}
    paths = [path for path, _ in publisher.asked]
    assert paths[-1].endswith("&next=2")
    assert all(headers["Accept"].startswith("application/taxii+json") for _, headers in publisher.asked)
    assert list((sources_state / "sources" / "ask").iterdir()) == []  # the secret in the clear is gone


def test_a_key_that_belongs_into_the_address_is_kept_apart_from_it(
    sources_state: Path, publisher: Publisher
) -> None:
    def page(request: Request) -> None:
        known = request.path.endswith("?auth-key=s%26%20k") and "Authorization" not in request.headers
        request.reply(b"45.1.1.1\n" if known else b"", status=200 if known else 401)

    address = publisher.behave("/recent.txt", page) + "?auth-key={key}"
    with pytest.raises(KeyMissing):
        actions.add_source(actor=SYSTEM, name="Sans clé", address=address, format="plain", licence="CC0")
    source = new_source(address, secret="s& k")
    fetch_round(sources_state)
    source.refresh_from_db()
    assert dict(IndicatorList.objects.values_list("kind", "count")) == {"ip": 1}
    assert source.address.endswith("{key}")
    assert "s& k" not in source.secret


def test_taxii_pages_that_lead_in_a_circle_are_refused(sources_state: Path, publisher: Publisher) -> None:
    address = publisher.serve("/api/collections/x/", b"")
    publisher.serve("/api/collections/x/objects/", as_json({"more": True, "next": "1", "objects": []}))
    source = new_source(address, format="taxii")
    fetch_round(sources_state)
    source.refresh_from_db()
    assert source.last_error == "source.unreadable"


class Proxy(threading.Thread):
    """A proxy that knows CONNECT, and notes for whom."""

    def __init__(self, behind: int) -> None:
        super().__init__(daemon=True)
        self.asked: list[bytes] = []
        self._behind = behind
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.address = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def run(self) -> None:
        client, _ = self._socket.accept()
        head = b""
        while b"\r\n\r\n" not in head:
            head += client.recv(4096)
        self.asked.append(head.split(b"\r\n")[0])
        server = socket.create_connection(("127.0.0.1", self._behind))
        client.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        back = threading.Thread(target=_copy, args=(server, client), daemon=True)
        back.start()
        _copy(client, server)
        back.join(PATIENCE_S)

    def close(self) -> None:
        self._socket.close()


def _copy(one: socket.socket, other: socket.socket) -> None:
    try:
        while data := one.recv(65536):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        return


def test_through_a_proxy_only_the_proxy_is_asked(
    sources_state: Path, publisher: Publisher, settings: Any
) -> None:
    proxy = Proxy(publisher.port)
    settings.BEFFROI = replace(settings.BEFFROI, sources_proxy=proxy.address, sources_networks="")
    proxy.start()
    source = new_source(publisher.serve("/list", "45.1.1.1\n"))
    fetch_round(sources_state)
    proxy.close()
    source.refresh_from_db()
    assert (source.last_error, source.in_force) == ("", 1)
    assert proxy.asked == [f"CONNECT localhost:{publisher.port} HTTP/1.1".encode()]
