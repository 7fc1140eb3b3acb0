"""The webmail before the real engines: folders, marks, searches, conversations."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from datetime import UTC, datetime, timedelta
from email.header import Header
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail import folders, reader

from tests.fixtures_portal import no_door
from tests.mail_post import Post, needs_engines, until
from tests.markup import flat
from tests.webmail_writing import written

__all__ = ["no_door", "written"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


LETTER = (
    "From: Prefet{n} <billing@sender.example.net>\nTo: {to}\nSubject: Sujet {n}\n"
    "Message-ID: <{n}@sender.example.net>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    "--b\nContent-Type: text/plain; charset=utf-8\n\nTexte : {words}.\n"
    '--b\nContent-Type: application/pdf; name="piece{n}zz.pdf"\n'
    'Content-Disposition: attachment; filename="piece{n}zz.pdf"\n\nx\n--b--\n'
)


def test_folders_marks_and_search(post: Post, written: Any) -> None:
    writer, box, _ = written
    texts = (
        "délibération du conseil, l’arrêté n°2026-114 d'école",
        "cantine scolaire, main d’œuvre",
        "voirie communale",
    )
    for n, words in enumerate(texts):
        assert post.send(LETTER.format(n=n, to=box.address, words=words), box.address)[0] == 250
    post.wait_count(box, 3)
    client = writer.client
    for asked, subjects in (
        ("conseil", {0}), ("délibération", {0}),
        ("DELIBERATION", {0}), ("deliber", {0}), ("Sujet", {0, 1, 2}), ("prefet1", {1}), ("piece2zz", {2}),
        ("introuvable", set()), ("texte cantine", {1}),
        ("arrêté", {0}), ("l'arrete", {0}), ("École", {0}), ("2026-114", {0}), ("n°2026-114", {0}),
        ("oeuvre", {1}), ("d'Œuvre", {1}), ("l’école", {0}), ("texte c", {0, 1, 2}),
    ):  # fmt: skip
        page = client.get(f"/courrier/{box.id}/", {"q": asked}).content.decode()
        assert {n for n in range(3) if f"Sujet {n}" in page} == subjects, asked
    with reader.open_mailbox(post.config, box.address) as opened:
        newest, middle, oldest = (one.uid for one in opened.list())

    def act(what: str, *uids: int, folder: str = "INBOX", **more: str) -> int:
        data = {"dossier": folder, "what": what, "uid": [str(one) for one in uids], **more}
        return int(client.post(f"/courrier/{box.id}/agir/", data).status_code)

    assert act("star", newest) == 302 and act("read", middle) == 302
    with reader.open_mailbox(post.config, box.address) as opened:
        listed = {one.uid: one for one in opened.list()}
    assert listed[newest].flagged and listed[middle].seen and not listed[oldest].seen
    assert act("junk", newest) == 302 and act("trash", middle) == 302
    assert (post.count(box), post.count(box, "Junk"), post.count(box, "Trash")) == (1, 1, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        junk = opened.list("Junk")[0].uid
    act("inbox", junk, folder="Junk")
    assert post.count(box) == 2
    for counts in ((1, 1, 1), (1, 1, 1)):  # the last move alone, and once
        act("undo")
        assert (post.count(box), post.count(box, "Junk"), post.count(box, "Trash")) == counts
    assert "Rien à annuler" in client.get(f"/courrier/{box.id}/").content.decode()
    with reader.open_mailbox(post.config, box.address) as opened:
        both = [f"{opened.list(name)[0].uid}/{name}" for name in ("Junk", "Trash")]
    client.post(f"/courrier/{box.id}/agir/", {"what": "inbox", "uid": both})
    assert post.count(box) == 3
    act("undo")
    assert (post.count(box), post.count(box, "Junk"), post.count(box, "Trash")) == (1, 1, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        act("inbox", opened.list("Junk")[0].uid, folder="Junk")
    answer = client.post(f"/courrier/{box.id}/dossiers/", {"name": "État civil & <b>"})
    page = client.get(answer["Location"])
    assert page.status_code == 200 and "État civil &amp; &lt;b&gt;" in page.content.decode()
    act("move", oldest, target="État civil & <b>")
    assert post.count(box, "État civil & <b>") == 1
    for hostile in ("a/b", "x\r\nLOGOUT", "%", "beffroi-x", "é" * 300):
        client.post(f"/courrier/{box.id}/dossiers/", {"name": hostile})
        assert client.get(f"/courrier/{box.id}/", {"dossier": hostile}).status_code in (400, 404)
    assert act("erase", newest) == 400
    assert act("move", junk, target="x\r\ny") in (302, 400)
    with reader.open_mailbox(post.config, box.address) as opened:
        assert act("erase", opened.list("Trash")[0].uid, folder="Trash") == 302
    assert post.count(box, "Trash") == 0


def test_a_mailbox_of_many_folders_shows_and_searches_all_of_them(post: Post, written: Any) -> None:
    writer, box, _ = written
    client = post.imap(box)
    for n in range(120):
        client.create_folder(f"Archives {n:03d}")
    mail = b"From: a@example.org\r\nSubject: voirie %s\r\n\r\nx\r\n"
    client.append("INBOX", mail % b"ici")
    client.append("Archives 119", mail % b"ailleurs")
    page = writer.client.get(f"/courrier/{box.id}/", {"q": "voirie"}).content.decode()
    assert "voirie ici" in page and "voirie ailleurs" in page and "Corbeille" in page
    with reader.open_mailbox(post.config, box.address) as opened:
        places = folders.listing(opened)
    assert [one.role for one in places[:6]] == ["inbox", "drafts", "sent", "junk", "trash", ""]
    assert len(places) == 125


def test_a_first_contact_is_marked_until_somebody_wrote_before(post: Post, written: Any) -> None:
    writer, box, other = written
    known, filed = "billing@sender.example.net", "connue@sender.example.net"
    written_to, junk = "devis@sender.example.net", "reclame@sender.example.net"
    client = post.imap(box)
    client.create_folder("Classeur")
    for folder, header in (
        ("Classeur", f"From: {filed}"),
        ("Sent", f"From: {box.address}\r\nTo: {written_to}"),
        ("Junk", f"From: {junk}"),
    ):
        earlier = clock.now() - timedelta(days=9)
        client.append(folder, f"{header}\r\nSubject: x\r\n\r\ny\r\n".encode(), msg_time=earlier)
    client.logout()
    senders = (known, known, f"a{known}", filed, written_to, junk, other.address)
    for n, sender in enumerate(senders):
        mail = f"From: {sender}\nTo: {box.address}\nSubject: Sujet {n}\n\nTexte {n}\n"
        assert post.send(mail, box.address)[0] == 250
        post.wait_count(box, n + 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        uids = [one.uid for one in reversed(opened.list())]
    pages = [writer.client.get(f"/courrier/{box.id}/{uid}/").content.decode() for uid in uids]
    assert [n for n, page in enumerate(pages) if "Premier contact" in page] == [0, 2, 5]
    assert all(("comparez-la lettre à lettre" in page) == ("Premier contact" in page) for page in pages)


def found(page: str) -> list[tuple[str, str]]:
    """(folder, subject) of the rows of a search, as they stand."""
    row = re.compile(r'<span class="sr">Dossier : </span>([^<]+)</span> ?([^<]+)</span>'.replace(" :", ".:"))
    return row.findall(flat(page))


def test_a_search_finds_a_mail_wherever_it_lies(
    post: Post, written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, box, _ = written
    places = ("Projets/École", "INBOX", "Junk", "Sent", "Trash", "Vide")
    with reader.open_mailbox(post.config, box.address) as opened:
        for name in ("Projets/École", "Vide"):
            opened.client.create_folder(name)
        for day in range(1, 9):
            place = places[day % 5]
            words = "cantine" if day < 8 else "voirie"
            mail = f"From: a@example.org\r\nSubject: {words} {day}\r\n\r\ntexte\r\n"
            opened.client.append(place, mail.encode(), msg_time=datetime(2026, 3, day, tzinfo=UTC))
    base = f"/courrier/{box.id}/"
    page = writer.client.get(base, {"q": "cantine"}).content.decode()
    newest_first = [
        ("Indésirables", 7), ("Boîte de réception", 6), ("Projets/École", 5), ("Corbeille", 4),
        ("Envoyés", 3), ("Indésirables", 2), ("Boîte de réception", 1),
    ]  # fmt: skip
    aside = ("Indésirables", "Corbeille")
    expected = [
        (name, f"cantine {day}") for name, day in sorted(newest_first, key=lambda one: one[0] in aside)
    ]
    assert found(page) == expected and "7 courriels trouvés" in page
    # Here only; and page by page, without a gap or a double.
    here = writer.client.get(base, {"q": "cantine", "dossier": "INBOX"}).content.decode()
    assert [f"cantine {day}" in here for day in range(1, 8)] == [day in (1, 6) for day in range(1, 8)]
    monkeypatch.setattr(folders, "HITS", 3)
    pages = [writer.client.get(base, {"q": "cantine", "suite": n}).content.decode() for n in (1, 2, 3)]
    assert [one for page in pages for one in found(page)] == expected
    assert ["Plus de résultats" in page for page in pages] == [True, True, False]
    # A tick says which folder is meant: the same number lies in several.
    ticks = re.findall(r'name="uid" value="([^"]+)"', pages[0])
    assert ticks[0] == "2/INBOX" and ticks[1].endswith("/Projets/École")
    answer = writer.client.post(f"{base}agir/", {"what": "trash", "uid": ticks[:2], "q": "cantine"})
    assert answer["Location"] == f"{base}?q=cantine"
    assert (post.count(box), post.count(box, "Projets/École"), post.count(box, "Trash")) == (1, 0, 3)


def test_a_search_is_narrowed_by_sender_and_day_and_says_when_the_words_are_not_noted_yet(
    post: Post, written: Any
) -> None:
    writer, box, _ = written
    with reader.open_mailbox(post.config, box.address) as opened:
        for month, sender in (
            (1, "Hélène Dupré <mairie@a.fr>"),
            (6, "Préfecture <p@b.fr>"),
            (9, "Dupré <d@c.fr>"),
        ):
            head = f"From: {Header(sender.partition(' <')[0], 'utf-8').encode()} <{sender.partition(' <')[2]}"
            mail = f"{head}\r\nTo: x@y.fr\r\nSubject: budget {month}\r\n\r\nDupré\r\n"
            opened.client.append("INBOX", mail.encode(), msg_time=datetime(2026, month, 2, tzinfo=UTC))
    base = f"/courrier/{box.id}/"

    def months(asked: str) -> list[int]:
        page = writer.client.get(base, {"q": asked}).content.decode()
        return sorted(int(subject.split()[1]) for _, subject in found(page))

    for asked, expected in (
        ("dupré", [1, 6, 9]),
        ("de:dupré", [1, 9]),
        ("de:Dupré depuis:06/2026", [9]),
        ("de:mairié", [1]),
        ("avant:02/06/2026 objet:budget", [1]),
        ("à:x@y.fr depuis:2026", [1, 6, 9]),
        ("de:p@b.fr", [6]),
    ):
        assert months(asked) == expected, asked
    master = str(post.engines.running["dovecot"].pid)
    indexing = subprocess.run(["pgrep", "-P", master, "indexer"], capture_output=True, text=True, check=True)
    pids = [int(one) for one in indexing.stdout.split()]
    try:
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        with reader.open_mailbox(post.config, box.address) as opened:
            opened.client.append("INBOX", b"Subject: budget 12\r\n\r\nEncore\r\n")
        answer = writer.client.get(base, {"q": "encore"})
    finally:
        for pid in pids:
            os.kill(pid, signal.SIGCONT)
    assert answer.status_code == 503 and "La recherche n’est pas encore prête" in answer.content.decode()
    until(lambda: months("encore") == [12], "the words are noted")


def test_a_conversation_is_one_row_and_is_filed_together(post: Post, written: Any) -> None:
    writer, box, _ = written
    for n, above in ((0, ""), (1, "References: <0@sender.example.net>\n"), (2, "")):
        mail = f"From: a@sender.example.net\nTo: {box.address}\nSubject: Sujet {n}\n"
        mail += f"Message-ID: <{n}@sender.example.net>\n"
        assert post.send(f"{mail}{above}\nx\n", box.address)[0] == 250
    post.wait_count(box, 3)
    page = writer.client.get(f"/courrier/{box.id}/").content.decode()
    assert "Sujet 0" not in page and "Sujet 1" in page and "Sujet 2" in page
    both = page.split('name="uid" value="')[2].split('"')[0]
    writer.client.post(f"/courrier/{box.id}/agir/", {"what": "trash", "uid": both})
    assert (post.count(box), post.count(box, "Trash")) == (1, 2)
    page = writer.client.get(f"/courrier/{box.id}/", {"dossier": "Trash"}).content.decode()
    assert "Sujet 0" in page and "Sujet 1" in page
