"""Drop links: what they take and what they do not: types by content, lengths, numbers, bodies at once."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from typing import Any
from urllib.parse import quote

import pytest
from beffroi.drive.store import drops, locks, room, shares
from beffroi.drive.store.model import Limits, Node
from beffroi.drive.web import dropped, granted
from beffroi.lib import clock
from beffroi.lib.errors import Unavailable
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_dropping import EXE, FORM, PDF, Sender, folder, make, sender
from tests.drive_pages import Drive, client, drive
from tests.drive_server import Served, everything
from tests.fixtures_portal import no_door, portal_client
from tests.waiting import PATIENCE_S, until

__all__ = ["client", "drive", "folder", "no_door", "sender", "server"]
pytestmark = pytest.mark.django_db


def docx() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<w/>" + " " * 300_000)
    return out.getvalue()


def packed(name: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(name, "x" * 300_000)
    return out.getvalue()


@pytest.mark.parametrize(
    "case",
    [
        ("acte.pdf", PDF, 201),
        ("acte.PDF", PDF, 201),
        ("long.pdf", PDF + b"x" * 3_000_000, 201),
        ("acte.docx", docx(), 201),
        ("notes.txt", b"Bonjour, voici.\n", 201),
        ("photo.jpg", b"\xff\xd8\xff\xe0\x00\x10JFIF\x00" + bytes(500), 201),
        ("acte.exe", EXE, 415),
        ("acte.pdf", EXE, 415),
        ("acte.pdf", b"Bonjour, ce n'est qu'un texte.\n", 415),
        ("acte.docx", packed("a.txt"), 415),
        ("acte.zip", packed("a.txt"), 415),
        ("acte", PDF, 415),
        ("a\u202efdp.exe.pdf", PDF, 415),
        ("long.pdf", PDF + b"x" * 5_000_000, 413),
        ("a/b.pdf", PDF, 400),
        ("vide.pdf", b"", 400),
        ("vide.txt", b"", 400),
    ],
)
def test_types_and_lengths_are_judged_by_what_comes(
    drive: Drive, folder: Node, sender: Sender, case: tuple[str, bytes, int]
) -> None:
    name, body, status = case
    assert sender.hand(name, body)[0] == status
    assert len(drive.names(folder)) == (status == 201)


@pytest.mark.parametrize(("body", "status"), [(packed("b.txt"), 201), (EXE, 415)])
def test_where_all_types_are_taken_programs_are_not(
    client: Client, server: Served, folder: Node, body: bytes, status: int
) -> None:
    sender = Sender(server, make(client, folder, types=""))
    sender.page()
    assert sender.hand("a.zip", body)[0] == status


def test_a_lie_about_the_length_is_refused_and_so_is_nobody(
    drive: Drive, folder: Node, sender: Sender
) -> None:
    assert sender.hand("a.pdf", PDF, size=len(PDF) + 1)[0] == 400
    assert sender.hand("a.pdf", PDF + b"x" * 5_000_000, size=10)[0] == 413
    assert sender.hand("a.pdf", sender=" \x00 ")[0] == 400
    assert sender.hand("a.pdf", Origin="https://ailleurs.test")[0] == 403
    assert drive.names(folder) == []


def test_a_link_takes_no_more_than_its_maker_said_also_at_once(
    drive: Drive, client: Client, folder: Node, sender: Sender
) -> None:
    with drive.database.reading() as reading:
        (share,) = shares.of_node(reading, folder.id, now_s=clock.epoch_s())
    drive.database.write(lambda w: drops.set_limits(w, share.id, drops.Limits(10_000, 3)))
    assert "il reçoit des fichiers" in client.get("/coffre/liens/").content.decode()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(lambda n: sender.hand(f"{n}.pdf")[0], range(4)))
    assert sorted(answers) == [201, 201, 201, 413] and len(drive.names(folder)) == 3
    for page in ("/coffre/liens/", f"/coffre/{folder.id}/depots/"):
        shown = client.get(page).content.decode()
        assert "il ne prend plus rien" in shown and "il reçoit des fichiers" not in shown
    drive.database.write(lambda w: drops.set_limits(w, share.id, drops.Limits(1000, 10)))
    assert sender.hand("grand.pdf", PDF + b"x" * 1000)[1] == {"code": "drive.drop_full"}
    drive.database.write(lambda w: shares.end(w, share.id, now_s=clock.epoch_s()))
    assert sender.hand("tard.pdf")[0] == 404
    assert "n’est plus ouvert" in sender.page()


@pytest.mark.parametrize("full", ["of files", "of bytes", "of its owner"])
def test_the_last_file_that_was_taken_is_there_also_for_who_lost_the_answer(
    drive: Drive, folder: Node, sender: Sender, server: Served, full: str
) -> None:
    with drive.database.reading() as reading:
        (share,) = shares.of_node(reading, folder.id, now_s=clock.epoch_s())
    most = drops.Limits(len(PDF) if full == "of bytes" else 10_000, 1 if full == "of files" else 9)
    drive.database.write(lambda w: drops.set_limits(w, share.id, most))
    status, first = sender.hand("acte.pdf")
    assert status == 201
    if full == "of its owner":
        drive.database.write(lambda w: w.run("INSERT INTO quota VALUES (?, 10)", (drive.own.id,)))
    told = (server.directory / "told-handed").read_text()
    assert sender.hand("acte.pdf", again=True) == (201, first)
    for name, body in (("acte.pdf", PDF[:-1] + b" "), ("acte.pdf", PDF + b"x"), ("autre.pdf", PDF)):
        assert sender.hand(name, body, again=True)[0] in (413, 507), "another file"
    assert drive.names(folder) == ["acte.pdf"]
    assert (server.directory / "told-handed").read_text() == told
    drive.database.write(lambda w: w.run("DELETE FROM quota WHERE root = ?", (drive.own.id,)))


def test_without_room_the_sender_reads_why_and_the_log_has_it(
    drive: Drive, folder: Node, sender: Sender, server: Served
) -> None:
    drive.database.write(lambda w: w.run("INSERT INTO quota VALUES (?, 10)", (drive.own.id,)))
    try:
        assert sender.hand("a.pdf") == (507, {"code": "drive.quota_full"})
        assert "PUT: drive.quota_full" in server.log and "a.pdf" not in server.log
    finally:
        drive.database.write(lambda w: w.run("DELETE FROM quota WHERE root = ?", (drive.own.id,)))
    page = Client().get("/partage/depot/?refus=drive.quota_full")
    assert page.status_code == 507 and "n’a plus de place" in page.content.decode()
    store_away = Client().get("/partage/depot/?refus=drive.store_unavailable")
    assert store_away.status_code == 503 and "réessayez dans quelques minutes" in store_away.content.decode()
    assert Client().get("/partage/depot/?refus=nonsense").status_code == 403
    assert Client().get("/partage/depot/?refus=drive.drop_too_long").status_code == 413
    empty = Client().get("/partage/depot/?refus=drive.drop_empty")
    assert empty.status_code == 400 and "Ce fichier est vide" in empty.content.decode()


def test_into_a_folder_that_somebody_locked_it_is_tried_later(
    drive: Drive, folder: Node, sender: Sender
) -> None:
    lock = drive.database.write(
        lambda w: locks.lock(w, drive.act, folder.id, deep=True, shared=False, owner="", timeout_s=60)
    )
    assert sender.hand("a.pdf") == (423, {"code": "drive.locked"})
    page = Client().get("/partage/depot/?refus=drive.locked").content.decode()
    assert "réessayez dans quelques minutes" in page
    drive.database.write(lambda w: locks.unlock(w, drive.act, folder.id, lock.token))
    assert sender.hand("a.pdf")[0] == 201


def test_what_is_refused_again_and_again_fills_no_audit_log(
    drive: Drive, folder: Node, sender: Sender, server: Served
) -> None:
    """Each file is told before it is taken; one that cannot be taken uses up none of those that may come."""
    drive.database.write(
        lambda w: locks.lock(w, drive.act, folder.id, deep=True, shared=False, owner="", timeout_s=60)
    )
    log = server.directory / "told-handed"
    before = len(log.read_text().splitlines()) if log.exists() else 0
    answers = [sender.hand("a.pdf")[0] for _ in range(dropped.MOST_TOLD_OF_A_SOURCE + 20)]
    assert set(answers[:-20]) == {423} and answers[-1] == 503
    assert len(log.read_text().splitlines()) - before < len(answers)
    elsewhere: dict[str, Any] = {"X-Forwarded-For": "192.0.2.8"}
    assert sender.hand("a.pdf", **elsewhere)[0] == 423, "another sender"


def test_where_no_more_entries_fit_the_sender_reads_that_there_is_no_room(
    drive: Drive, folder: Node, sender: Sender
) -> None:
    with drive.database.reading() as reading:
        before = room.usual(reading)
    drive.database.write(lambda w: room.keep_usual(w, Limits(entries=1)))
    try:
        status, answer = sender.hand("a.pdf")
    finally:
        drive.database.write(lambda w: room.keep_usual(w, before))
    assert status == 507
    page = Client().get(f"/partage/depot/?refus={answer['code']}")
    assert page.status_code == 507 and "n’a plus de place" in page.content.decode()
    assert answer["code"] in sender.page(), "its words, for the script"


def test_what_a_link_cannot_take_is_refused_before_it_comes(
    drive: Drive, folder: Node, sender: Sender, client: Client
) -> None:
    """Of a file of hundreds of megabytes not one byte is read."""
    with drive.database.reading() as reading:
        (share,) = shares.of_node(reading, folder.id, now_s=clock.epoch_s())
    drive.database.write(lambda w: w.run("UPDATE share SET most_bytes = ? WHERE id = ?", (10**9, share.id)))
    assert sender.hand("a.pdf", size=200_000_000)[1] == {"code": "drive.drop_full"}
    drive.database.write(lambda w: w.run("INSERT INTO quota VALUES (?, 1000000)", (drive.own.id,)))
    try:
        assert sender.hand("a.pdf", size=50_000_000)[1] == {"code": "drive.quota_full"}
    finally:
        drive.database.write(lambda w: w.run("DELETE FROM quota WHERE root = ?", (drive.own.id,)))
    wrong = client.post(f"/coffre/{folder.id}/depots/", FORM | {"size": "2000", "total": "100"})
    assert wrong.status_code == 400 and 'id="id_total_error"' in wrong.content.decode()


def test_a_link_whose_bodies_become_no_files_takes_no_more_for_an_hour(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What came and was refused lies in the store until it is collected."""
    desk = dropped.Dropped(None, None, b"", lambda handed: None, everything, True)  # type: ignore[arg-type]
    desk._require_unwasted("shr_one")
    desk._wasted["shr_one"] = dropped.MOST_WASTED_BYTES
    with pytest.raises(Unavailable):
        desk._require_unwasted("shr_one")
    desk._require_unwasted("shr_another")
    later_s = clock.steady_s() + dropped.WASTED_S
    monkeypatch.setattr(clock, "steady_s", lambda: later_s)
    desk._require_unwasted("shr_one")


def begun(sender: Sender, *, size: int = 99, is_form: bool = False, **headers: str) -> HTTPConnection:
    """A body of which one byte came."""
    cookie = sender.client.cookies[granted.DROP_COOKIE]
    line = HTTPConnection("127.0.0.1", sender.server.port, timeout=PATIENCE_S)
    line.putrequest("POST" if is_form else "PUT", cookie["path"] + ("formulaire" if is_form else "fichier"))
    line.putheader("Cookie", f"{granted.DROP_COOKIE}={cookie.value}")
    line.putheader("Content-Length", "99")
    if is_form:
        line.putheader("Content-Type", "multipart/form-data; boundary=cut")
    else:
        told = {"name": "x.pdf", "size_bytes": size, "sender": "Me Durand"}
        line.putheader(granted.FILE_HEADER.decode(), quote(json.dumps(told)))
    for name, value in headers.items():
        line.putheader(name, value)
    line.endheaders(b"-")
    return line


@contextmanager
def half_sent(sender: Sender, times: int, *, is_form: bool = False) -> Iterator[None]:
    lines = [begun(sender, is_form=is_form) for _ in range(times)]
    yield
    for line in lines:
        line.close()


@pytest.mark.parametrize("is_form", [False, True])
def test_a_link_takes_few_bodies_at_once_also_before_their_files_begin(sender: Sender, is_form: bool) -> None:
    with half_sent(sender, dropped.MOST_OF_A_LINK, is_form=is_form):
        until(lambda: sender.hand("y.pdf")[0] == 503, "all places of the link are taken")
    until(lambda: sender.hand("y.pdf")[0] == 201, "those who left gave their places back")


def test_a_length_that_is_none_is_refused_before_it_comes(sender: Sender) -> None:
    answer = begun(sender, size=-1, Expect="100-continue").getresponse()
    assert (answer.status, json.loads(answer.read())) == (400, {"code": "input.invalid"})


def test_what_is_longer_than_it_was_said_to_be_is_not_read_to_its_end(sender: Sender) -> None:
    line = begun(sender, size=10, Expect="100-continue")
    line.send(b"x" * 20)
    assert line.getresponse().status == 413


def test_slow_senders_of_one_town_hall_leave_room_to_those_of_another(
    client: Client, server: Served, drive: Drive, nuits: Commune
) -> None:
    mine = [Sender(server, make(client, drive.folder(f"Dossier {number}"))) for number in range(3)]
    there = Drive(nuits.agent_membership)
    theirs = Sender(server, make(portal_client(nuits.agent_membership), there.folder("Dossier")))
    for one in (*mine, theirs):
        one.page()
    with ExitStack() as held:
        for one in mine[:2]:
            held.enter_context(half_sent(one, dropped.MOST_OF_A_LINK))
        until(lambda: mine[2].hand("y.pdf")[0] == 503, "all places of the commune are taken")
        assert theirs.hand("y.pdf")[0] == 201
    until(lambda: mine[2].hand("y.pdf")[0] == 201, "those who left gave their places back")
