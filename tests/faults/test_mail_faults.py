"""Mail when parts of the centre are killed, and mail that was made to break its readers."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import threading
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.outbox import RESTORED, publish
from beffroi.core.events.running import run_pending
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail import journal, reader, structure, sweep
from beffroi.mail.gate.attachments import UNPARSEABLE
from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, PendingDelivery
from django.db import transaction

from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def test_mail_flows_while_every_python_process_is_stopped_and_the_sweep_catches_up(
    post: Post, beaune: Commune
) -> None:
    box = post.mailbox(beaune, beaune.agent, "panne")
    post.block("domain", "evil.example.com")
    post.wait_gate(1)
    post.engines.kill("mailgate", "stream")
    assert post.send(lure(box.address, "panne"), box.address)[0] == 250
    post.wait_count(box, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        (summary,) = opened.list()
    assert summary.unchecked
    assert not MailMessage.objects.exists()

    # mailgate is back and stream is not: it enforces what it saved.
    post.engines.start("mailgate")
    post.settle(1)
    assert MailMessage.objects.get().id == summary.beffroi_id
    assert MailMessage.objects.get().client_ip == "198.51.100.7"
    assert post.count(box) == 0
    assert post.send(lure(box.address, "panne2"), box.address)[0] == 554


def test_unchecked_copy_without_a_line_in_the_journal_is_found_by_its_mark(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    box, quiet = post.mailbox(beaune, beaune.agent, "perdu"), post.mailbox(nuits, nuits.agent, "calme")
    post.block("domain", "evil.example.com")
    post.wait_gate(1)
    post.engines.kill("mailgate")
    assert post.send(lure(box.address, "perdu"), box.address)[0] == 250
    harmless = lure(quiet.address, "calme").replace("evil", "kind").replace("SGVsbG8gUERG", "QXV0cmU=")
    assert post.send(harmless, quiet.address)[0] == 250
    post.wait_count(box, 1)
    post.wait_count(quiet, 1)
    os.truncate(post.config.state / "journal" / "deliveries.log", 0)
    journal.follow()
    assert not PendingDelivery.objects.exists()

    sweep.search()  # mailgate is still away: nothing is lost, nothing is settled
    assert not MailDelivery.objects.exists()
    post.engines.start("mailgate")
    until(lambda: sweep.search() >= 0 and MailDelivery.objects.count() == 2, "both copies on record")
    run_pending("remediation")
    assert (post.count(box), post.count(quiet)) == (0, 1)
    with reader.open_mailbox(post.config, quiet.address) as opened:
        (summary,) = opened.list()
    assert not summary.unchecked
    assert sweep.search() == 0


def test_mail_that_a_restored_database_does_not_know_is_found_and_withdrawn(
    post: Post, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    box = post.mailbox(beaune, beaune.agent, "depuis")
    assert sweep.search() == 0
    for n in range(3):
        assert post.send(lure(box.address, f"depuis{n}"), box.address)[0] == 250
    post.settle(3)
    MailDelivery.objects.all().delete()
    MailMessage.objects.all().delete()
    since = clock.now() - timedelta(minutes=10)
    OutboxEvent.objects.update(created_at=since)
    assert sweep.search() == 0, "without a restore, what is not marked was purged with its time"
    with transaction.atomic():
        publish(RESTORED, {"as_of_s": int(since.timestamp()), "snapshot": "0a1b2c3d", "is_undone": False})
    monkeypatch.setattr(sweep, "SEARCH_COPIES", 2)
    post.engines.kill("mailgate")
    assert sweep.search() == 0  # no evidence arrives: it is looked for again
    post.engines.start("mailgate")
    until(lambda: sweep.search() >= 0 and MailDelivery.objects.count() == 3, "three on record", 30)
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(box) == 0
    assert sweep.search() == 0
    assert Mailbox.objects.get(pk=box.id).searched_at > OutboxEvent.objects.get(kind=RESTORED).created_at
    with clock.shifted(-3600):
        purged = {"hdr.x-beffroi-id": new_id("msg")}
    assert sweep._unknown(box, [purged], int(since.timestamp())) == []


def test_checked_copy_without_a_line_in_the_journal_is_found_by_its_evidence(
    post: Post, beaune: Commune
) -> None:
    told, gone = post.mailbox(beaune, beaune.agent, "ligne"), post.mailbox(beaune, beaune.agent, "parti")
    assert sweep.look_for_unrecorded() == 0  # from now on
    assert post.send(lure(told.address, "sans"), told.address, gone.address)[0] == 250
    post.wait_count(told, 1)
    post.wait_count(gone, 1)
    until(MailMessage.objects.exists, "the evidence")
    os.truncate(post.config.state / "journal" / "deliveries.log", 0)
    client = post.imap(gone)
    client.select_folder("INBOX")
    client.delete_messages([1])
    client.expunge()
    client.logout()
    assert sweep.look_for_unrecorded() == 0  # its line may still come
    assert not MailDelivery.objects.exists()
    with clock.shifted(300):
        assert sweep.look_for_unrecorded() == 1
        assert sweep.look_for_unrecorded() == 0
    assert MailDelivery.objects.get().mailbox_id == told.id
    post.block("domain", "evil.example.com")
    run_pending("remediation")
    assert post.count(told) == 0


class Together(BaseHTTPRequestHandler):
    """In rspamd's place: nobody gets an answer before three are asked for at once."""

    here = threading.Barrier(3)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.here.wait(PATIENCE_S)
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


def test_copies_that_passed_unchecked_are_scanned_together(
    post: Post, beaune: Commune, settings: Any
) -> None:
    box = post.mailbox(beaune, beaune.agent, "ensemble")
    post.engines.kill("mailgate")
    for n in range(3):
        assert post.send(lure(box.address, f"ensemble{n}"), box.address)[0] == 250
    post.wait_count(box, 3)
    until(lambda: journal.follow() >= 0 and PendingDelivery.objects.count() == 3, "three that wait")
    Together.here.reset()
    server = ThreadingHTTPServer(("127.0.0.1", 0), Together)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    settings.BEFFROI = replace(post.config, rspamd_normal_port=server.server_address[1])
    try:
        PendingDelivery.objects.update(first_tried_at=clock.now() - timedelta(hours=1))
        assert sweep.sweep() == 0
    finally:
        server.shutdown()
        server.server_close()
    assert not Together.here.broken
    assert set(PendingDelivery.objects.values_list("attempts", flat=True)) == {1}
    settings.BEFFROI = post.config
    post.engines.start("mailgate")
    PendingDelivery.objects.update(attempts=0)
    post.settle(3)
    assert not PendingDelivery.objects.exists()


def test_search_goes_through_the_mailboxes_in_turn(
    post: Post, beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sweep, "SEARCH_MAILBOXES", 2)
    boxes = [post.mailbox(beaune, beaune.agent, f"tour{i}") for i in range(3)]
    sweep.search()
    sweep.search()
    assert not Mailbox.objects.filter(searched_at=None).exists()
    PendingDelivery.objects.create(
        address=boxes[1].address, message_id="x", delivered_at=clock.now(), attempts=1
    )
    with clock.shifted(3600):
        assert sweep._next_mailboxes()[0].id == boxes[1].id


def test_harmless_mail_that_passed_unchecked_loses_its_mark(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "marque")
    post.engines.kill("mailgate")
    assert post.send(lure(box.address, "marque"), box.address)[0] == 250
    post.wait_count(box, 1)
    post.engines.start("mailgate")
    post.settle(1)
    with reader.open_mailbox(post.config, box.address) as opened:
        (summary,) = opened.list()
    assert not summary.unchecked


def test_evidence_waits_for_the_database_and_arrives_once(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "attente")
    for i in range(5):
        assert post.send(lure(box.address, f"attente{i}"), box.address)[0] == 250
        post.engines.kill("mailgate")
        post.engines.start("mailgate")
    post.settle(5)
    assert MailMessage.objects.count() == 5
    assert MailDelivery.objects.count() == 5


def test_rspamd_away_makes_the_sender_try_again(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "rspamd")
    post.engines.kill("rspamd")
    try:
        code, _ = post.send(lure(box.address, "rspamd"), box.address)
        assert code in (421, 450, 451)
    finally:
        post.engines.start("rspamd")
    assert post.send(lure(box.address, "rspamd"), box.address)[0] == 250
    post.wait_count(box, 1)


def test_mailgate_stops_when_told_to_under_load_and_loses_nothing(post: Post, beaune: Commune) -> None:
    key = {"X-Beffroi-Key": post.config.secret("mailgate.key").decode()}
    stop = threading.Event()
    acknowledged: list[str] = []

    def ask() -> None:
        while not stop.is_set():
            made = new_id("msg")
            body = json.dumps({"v": 1, "id": made, "message_id": made, "client_ip": "91.240.118.66"})
            connection = http.client.HTTPConnection(
                "127.0.0.1", post.config.mailgate_port, timeout=PATIENCE_S
            )
            with contextlib.suppress(OSError, http.client.HTTPException):
                connection.request("POST", "/check", body, key)
                if connection.getresponse().status == 200:
                    acknowledged.append(made)
            connection.close()

    threads = [threading.Thread(target=ask) for _ in range(48)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(3):
            until(lambda: len(acknowledged) > 50, "load on mailgate")
            running = post.engines.running["mailgate"]
            running.send_signal(signal.SIGTERM)
            assert running.wait(post.engines.table["mailgate"].stop_timeout_s) == 0
            post.engines.start("mailgate")
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    until(
        lambda: MailMessage.objects.filter(pk__in=acknowledged[:5000]).count() == len(acknowledged[:5000]),
        "kept",
    )


def _deep(depth: int) -> str:
    parts = [f"Content-Type: multipart/mixed; boundary=d{i}\n\n--d{i}\n" for i in range(depth)]
    return "From: a@sender.example.net\nMessage-ID: <deep@x>\n" + "".join(parts) + "\nfin"


HOSTILE = {
    "no headers": b"just a line",
    "deep": _deep(200).encode(),
    "many parameters": b"From: a@sender.example.net\nContent-Type: text/plain"
    + b"".join(b"; p%d=v" % i for i in range(4000))
    + b"\n\nx",
    "broken boundary": b'From: a@sender.example.net\nContent-Type: multipart/mixed; boundary="\n\n--\nx',
    "unknown charset": b"From: =?x-no-such?Q?=FF?= <a@sender.example.net>\nSubject: =?utf-8?B?/////w==?=\n"
    b"Content-Type: text/html; charset=x-no-such\n\n<b>\xff\xfe</b>",
    "bidi and control": "From: \u202eevil\u202c <a@sender.example.net>\nSubject: a\u202eb\x01c\n\nx".encode(),
    "bad base64": b"From: a@sender.example.net\nContent-Type: text/plain\nContent-Transfer-Encoding: base64\n\n!!!a===",
    "nul bytes": b"From: a@sender.example.net\nSubject: \x00nul\n\n\x00\x00",
    "thousand addresses": b"From: a@sender.example.net\nTo: "
    + b",\n ".join(b"x%d@b.example" % i for i in range(1500))
    + b"\n\nx",
    "many parts": b"From: a@sender.example.net\nContent-Type: multipart/mixed; boundary=m\n\n"
    + b"--m\nContent-Type: application/x-a; name=a.exe\n\nx\n" * 1500
    + b"--m--\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_message_is_refused_held_or_shown_and_never_lost_unscanned(
    post: Post, beaune: Commune, name: str
) -> None:
    box = post.mailbox(beaune, beaune.agent, "h" + os.urandom(4).hex())
    code, _ = post.send(HOSTILE[name], box.address)
    if code >= 500:
        return
    assert code == 250
    post.settle(1)
    with reader.open_mailbox(post.config, box.address) as opened:
        found = [*opened.list(), *opened.list("Junk")]
        if not found:  # its shape is a verdict
            held = HeldMail.objects.get(findings__contains=UNPARSEABLE)
            assert held.message_id == MailMessage.objects.get().id
            return
        (summary,) = found
        view = opened.read(summary.uid, "INBOX" if opened.list() else "Junk")
    assert summary.beffroi_id == MailMessage.objects.get().id
    assert len(view.attachments) <= structure.MAX_PARTS
    assert "\u202e" not in summary.subject + summary.from_name


def test_oversized_message_is_refused_and_long_text_is_cut(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "gros")
    head = b"From: a@sender.example.net\nContent-Type: text/plain\n\n"
    code, _ = post.send(head + b"0123456789abcdef\n" * (53 * 65536), box.address)
    assert code == 552
    assert post.send(head + b"0123456789abcdef\n" * 65536, box.address)[0] == 250
    post.wait_count(box, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        view = opened.read(opened.list()[0].uid)
    assert view.truncated
    assert len(view.text) <= reader.MAX_TEXT_BYTES
