"""The webmail before the real engines: write, keep, send, call back, answer, move, search."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime, timedelta
from html import unescape
from typing import Any

import pytest
from beffroi.lib import clock
from beffroi.mail import drafts, folders, outgoing, reader, sendings, submission
from beffroi.mail.held.models import Lesson
from beffroi.mail.models import Mailbox, MailMessage, Sending
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import no_door, portal_client
from tests.mail_post import Post, needs_engines
from tests.waiting import until

__all__ = ["no_door"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


class Writer:
    """A person at the page of writing, as its script posts the form."""

    def __init__(self, client: Client, box: Mailbox, tab: str = "tab-of-a-test") -> None:
        self.client, self.box = client, box
        self.form: dict[str, Any] = {"tab": tab, "to": "", "subject": "", "text": ""}

    def post(self, what: str = "save", **changes: Any) -> tuple[int, dict[str, Any]]:
        self.form |= changes
        answer = self.client.post(
            f"/courrier/{self.box.id}/brouillon/",
            {**self.form, "what": what},
            headers={"Accept": "application/json"},
        )
        self.form.pop("files", None)
        found = json.loads(answer.content)
        if "uid" in found:
            self.form |= {name: found[name] for name in ("uid", "uid_validity", "message_id")}
            self.form["keep"] = [one["part"] for one in found["files"]]
        return answer.status_code, found


@pytest.fixture
def written(post: Post, beaune: Commune, nuits: Commune) -> tuple[Writer, Mailbox, Mailbox]:
    box = post.mailbox(beaune, beaune.agent, "ecrit")
    other = post.mailbox(nuits, nuits.agent, "lit")
    return Writer(portal_client(beaune.agent_membership), box), box, other


def after_undo() -> None:
    """The clock stays as it is: the token of a time to come is refused by Dovecot."""
    Sending.objects.filter(state="waiting").update(due_at=clock.now())
    outgoing.send_due()


def test_a_draft_is_one_draft_however_often_it_is_saved(post: Post, written: Any) -> None:
    writer, box, _ = written
    for n in range(3):
        assert writer.post(to="lit", subject=f"Essai {n}", text="x" * n)[0] == 200
        assert post.count(box, "Drafts") == 1
    file = SimpleUploadedFile("plan\u202e.pdf", b"\x00\r\n\xff" * 1000)
    status, found = writer.post(files=file)
    assert (status, [one["name"] for one in found["files"]]) == (200, ["plan.pdf"])
    # The answer got lost: the page still names the state before, and no second draft comes of it.
    before = dict(writer.form)
    writer.post(subject="Après")
    writer.form["uid"] = before["uid"]
    status, found = writer.post(subject="Encore")
    assert (status, found["apart"], post.count(box, "Drafts")) == (200, False, 1)
    page = writer.client.get(f"/courrier/{box.id}/brouillon/{found['uid']}/").content.decode()
    for word in ("Encore", "plan.pdf", 'value="lit"'):
        assert word in page
    writer.post("discard")
    assert (post.count(box, "Drafts"), post.count(box, "Trash")) == (0, 1)


def test_a_draft_that_another_program_began_is_finished_and_a_long_list_stays_whole(
    post: Post, written: Any
) -> None:
    writer, box, other = written
    client = post.imap(box)
    letter = f"From: {box.address}\r\nTo: {other.address}\r\nMessage-ID: <1@kmail.localdomain>\r\nSubject: x\r\n\r\ny"
    client.append("Drafts", letter.encode(), flags=[b"\\Draft"])
    page = writer.client.get(f"/courrier/{box.id}/brouillon/1/").content.decode()
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    names = ("uid", "uid_validity", "message_id")
    writer.form |= {name: unescape(form[name]) for name in names}
    # A hundred people, the last address not finished: what the page keeps is what it shows again.
    typed = ", ".join(
        f'"Émilie Prénom-Composé {n}" <e.prenom{n}@{box.address.partition("@")[2]}>' for n in range(99)
    )
    status, found = writer.post(to=f"{typed}, mairie@saul")
    assert status == 200, found
    page = writer.client.get(f"/courrier/{box.id}/brouillon/{found['uid']}/").content.decode()
    assert unescape(page.split('name="to" value="')[1].split('"')[0]) == f"{typed}, mairie@saul"
    status, found = writer.post("send", to=other.address)
    assert status == 200, found
    after_undo()
    post.wait_count(other, 1)


def test_attached_files_are_the_ones_that_were_meant_where_an_answer_got_lost(
    post: Post, written: Any
) -> None:
    writer, box, _ = written
    for name in ("a.pdf", "b.pdf", "c.pdf"):
        writer.post(files=SimpleUploadedFile(name, name.encode() * 50))
    before = dict(writer.form)
    for again in range(3):  # twice the answer got lost: the page still names the state of before
        writer.form = dict(before)
        new = SimpleUploadedFile("d.pdf", b"d" * 50)
        status, found = writer.post(keep=before["keep"][1:], files=new, text=str(again))
        assert (status, [one["name"] for one in found["files"]]) == (200, ["b.pdf", "c.pdf", "d.pdf"])
    assert post.count(box, "Drafts") == 1
    writer.form = dict(before)  # the first one was taken out by what got lost
    assert writer.post(keep=before["keep"])[0] == 404


def test_two_windows_never_overwrite_each_other(post: Post, written: Any) -> None:
    writer, box, _ = written
    writer.post(text="Première")
    second = Writer(writer.client, box, "another-tab")
    second.form |= {**writer.form, "tab": "another-tab"}
    writer.post(text="De la première fenêtre")
    status, found = second.post(text="De la seconde")
    assert (status, found["apart"], post.count(box, "Drafts")) == (200, True, 2)


def test_a_message_leaves_after_its_undo_time_signed_in_as_its_owner(post: Post, written: Any) -> None:
    writer, box, other = written
    writer.post(files=SimpleUploadedFile("note.txt", b"a\nb\r\n\xe9"))
    status, found = writer.post(
        "send",
        to=f'"Lit, Jean" <{other.address}>',
        bcc=other.address,
        subject="Réunion à 14 h",
        text="Été\n.\nFin",
    )
    assert status == 200, found
    assert found["goto"].startswith(f"/courrier/{box.id}/?envoi=snd_")
    assert "Annuler" in writer.client.get(found["goto"]).content.decode()
    assert outgoing.send_due() == 0 and post.count(other) == 0
    after_undo()
    assert Sending.objects.get().state == "sent"
    post.wait_count(other, 1)
    assert (post.count(box, "Drafts"), post.count(box, "Sent")) == (0, 1)
    with reader.open_mailbox(post.config, other.address) as opened:
        uid = opened.list()[0].uid
        view = opened.read(uid)
        raw = opened.client.fetch([uid], ["BODY.PEEK[]"])[uid][b"BODY[]"]
        assert opened.attachment(uid, view.attachments[0].part)[1] == b"a\nb\r\n\xe9"
    assert (view.summary.subject, view.summary.from_address) == ("Réunion à 14 h", box.address)
    assert view.text.replace("\r\n", "\n") == "Été\n.\nFin\n"
    assert b"Bcc" not in raw and b"X-Beffroi-Tab" not in raw and b"X-Beffroi-Source" not in raw
    assert f"Message-ID: {writer.form['message_id']}".encode() in raw
    with reader.open_mailbox(post.config, box.address) as opened:
        kept = opened.list("Sent")[0]
    assert kept.seen and kept.to == "Lit, Jean"


def test_sending_is_called_back_and_the_draft_is_still_there(post: Post, written: Any) -> None:
    writer, box, other = written
    writer.post("send", to=other.address, subject="Non", text="x")
    sending = Sending.objects.get()
    answer = writer.client.post(f"/courrier/{box.id}/envoi/{sending.id}/annuler/")
    assert answer["Location"] == f"/courrier/{box.id}/brouillon/{sending.uid}/"
    assert other.address in writer.client.get(answer["Location"]).content.decode()
    after_undo()
    assert (post.count(other), post.count(box, "Drafts"), post.count(box, "Sent")) == (0, 1, 0)
    # Whoever goes on writing a message that waits has called it back, too.
    writer.form |= {"uid": sending.uid, "uid_validity": sending.uid_validity}
    writer.post("send")
    waiting = Sending.objects.get(state="waiting")
    writer.form |= {"uid": waiting.uid, "uid_validity": waiting.uid_validity}
    assert writer.post(text="y")[0] == 200
    after_undo()
    assert post.count(other) == 0
    assert not Sending.objects.filter(state__in=("waiting", "sent")).exists()


def test_a_send_that_is_repeated_because_its_answer_got_lost_sends_once(post: Post, written: Any) -> None:
    writer, box, other = written
    writer.post(to=other.address, subject="x", text="y")
    before = dict(writer.form)
    assert writer.post("send")[0] == 200
    writer.form = dict(before)
    assert writer.post("send")[0] == 200
    assert sorted(Sending.objects.values_list("state", flat=True)) == ["cancelled", "waiting"]
    # The third one comes while the second is handed over.
    Sending.objects.filter(state="waiting").update(state="sending")
    writer.form = dict(before)
    status, found = writer.post("send")
    assert status == 409 and "déjà en train de partir" in found["error"]
    Sending.objects.filter(state="sending").update(state="waiting")
    after_undo()
    post.wait_count(other, 1)
    assert sorted(Sending.objects.values_list("state", flat=True)) == ["cancelled", "sent"]
    assert (post.count(box, "Drafts"), post.count(box, "Sent")) == (0, 1)


def test_what_is_refused_stays_a_draft_and_says_what_to_do(post: Post, written: Any) -> None:
    writer, box, other = written
    bad = f"personne@{other.address.partition('@')[2]}"
    writer.post("send", to=f"{other.address}, {bad}", subject="x", text="y")
    after_undo()
    sending = Sending.objects.get()
    assert (sending.state, sending.reason, json.loads(sending.refused)) == ("refused", "recipient", [bad])
    assert (post.count(other), post.count(box, "Drafts")) == (0, 1)
    page = writer.client.get(f"/courrier/{box.id}/").content.decode()
    assert "Un message n’est pas parti" in page and bad in page
    writer.client.post(f"/courrier/{box.id}/envoi/{sending.id}/annuler/", {"then": "list"})
    assert "Un message n’est pas parti" not in writer.client.get(f"/courrier/{box.id}/").content.decode()
    for field, value in (("to", "pas une adresse"), ("to", ""), ("subject", "x\r\nBcc: a@b.example")):
        status, found = writer.post("send", **{"to": other.address, "subject": "s", field: value})
        assert (status, found["field"]) == (400, field)
    assert not Sending.objects.filter(state="waiting").exists()


class Died(Exception):
    """Stands for a process that ends."""


def test_without_postfix_it_waits_and_after_a_crash_it_is_sent_once(
    post: Post, written: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer, box, other = written
    writer.post("send", to=other.address, subject="x", text="y")
    post.engines.kill("postfix")
    after_undo()
    sending = Sending.objects.get()
    assert (sending.state, sending.attempts) == ("waiting", 1)
    post.engines.start("postfix")

    def die(_: object) -> None:
        raise Died

    # Postfix has said 250, and the process ends before it has written that down.
    Sending.objects.update(due_at=clock.now())
    with monkeypatch.context() as patched, pytest.raises(Died):
        patched.setattr(sendings, "accepted", die)
        outgoing.send_due()
    post.wait_count(other, 1)
    assert Sending.objects.get().state == "sending"

    def settled() -> bool:
        outgoing.send_due()
        return Sending.objects.get().state == "sent"

    until(MailMessage.objects.exists, "the evidence is on record")
    Sending.objects.update(changed_at=clock.now() - timedelta(seconds=outgoing.LEASE_S + 5))
    until(settled, "the message is settled", 20)
    outgoing.send_due()
    assert (post.count(other), post.count(box, "Sent"), post.count(box, "Drafts")) == (1, 1, 0)


HOSTILE = (
    'From: "=?utf-8?q?X=0D=0ABcc:_evil=40evil.example?=" <billing@sender.example.net>\n'
    "To: {to}, <lit@nuits.test>\nReply-To: <script>@evil.example\n"
    "Subject: =?utf-8?q?Re:_A=0D=0ABcc:_evil=40evil.example?=\nMessage-ID: <h@sender.example.net>\n"
    "References: <a@b> <script>alert(1)</script> <c@d>\nMIME-Version: 1.0\n"
    "Content-Type: multipart/mixed; boundary=b\n\n"
    "--b\nContent-Type: text/html\n\n<p>Un</p><script>alert(2)</script></textarea><b>deux</b>\n"
    '--b\nContent-Type: text/plain; name="../x.txt"\nContent-Disposition: attachment\n\nabc\n--b--\n'
)


def test_a_hostile_mail_is_answered_and_passed_on_as_text(post: Post, written: Any) -> None:
    writer, box, other = written
    assert post.send(HOSTILE.format(to=box.address), box.address)[0] == 250
    post.wait_count(box, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        uid = opened.list()[0].uid
        validity = int(opened.client.select_folder("INBOX")[b"UIDVALIDITY"])
    body = ""
    for word in ("repondre", "tous", "transferer"):
        answer = writer.client.get(f"/courrier/{box.id}/ecrire/?{word}={uid}")
        assert answer.status_code == 200
        body = answer.content.decode()
        assert "<script>alert" not in body and "Un" in body and body.count("</textarea>") == 1
    assert 'name="forward" value="2"' in body
    status, found = writer.post(
        to=other.address, subject="Tr", forward=["2"], forwarded_uid=uid, forwarded_folder="INBOX"
    )
    assert (status, [one["name"] for one in found["files"]]) == (200, ["x.txt"])
    for key in ("forward", "forwarded_uid", "forwarded_folder"):
        writer.form.pop(key)
    source = f"{validity}:{uid}:reply:INBOX"
    assert writer.post("send", source=source, in_reply_to="<h@sender.example.net>")[0] == 200
    after_undo()
    post.wait_count(other, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        assert opened.list()[0].answered
        answered = opened.list()[0].beffroi_id
        related = folders.conversation(opened, "INBOX", uid)
    lesson = Lesson.objects.get()
    assert (lesson.message_id, lesson.mailbox_id, lesson.wanted) == (answered, box.id, True)
    assert [place for place, _ in related] == ["INBOX", "Sent"]
    page = writer.client.get(f"/courrier/{box.id}/{uid}/").content.decode()
    assert "Dans la même conversation" in page and "<script>alert" not in page


def test_an_attached_file_has_a_name_to_save_it_under(post: Post, written: Any) -> None:
    writer, box, _ = written
    letter = (
        "From: a@example.org\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: message/rfc822\r\nContent-Disposition: attachment\r\n\r\nSubject: x\r\n\r\ny\r\n"
        "--b\r\nContent-Type: text/calendar; method=PUBLISH\r\n\r\nBEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n"
        '--b\r\nContent-Type: application/pdf; name="dossier 12/facture.pdf"\r\n\r\nx\r\n--b--\r\n'
    )
    post.imap(box).append("INBOX", letter.encode())
    page = writer.client.get(f"/courrier/{box.id}/1/").content.decode()
    names = ["piece-jointe.eml", "piece-jointe.ics", "facture.pdf"]
    assert re.findall(r'data-name="([^"]+)"', page) == [names[0], names[2]]  # the invitation has its card
    for part, name in zip("123", names, strict=True):
        saved = writer.client.get(f"/courrier/{box.id}/1/piece/{part}/")
        assert saved["Content-Disposition"] == f'attachment; filename="{name}"'
    status, found = writer.post(forward=list("123"), forwarded_uid=1, forwarded_folder="INBOX")
    assert (status, [one["name"] for one in found["files"]]) == (200, names)


def test_what_is_answered_is_marked_in_whatever_folder_it_lies(post: Post, written: Any) -> None:
    writer, box, other = written
    name = "État civil, délibérations du conseil municipal et arrêtés de 2026"
    client = post.imap(box)
    client.create_folder(name)
    client.append(name, f"From: {other.address}\r\nSubject: x\r\n\r\ny\r\n".encode())
    page = writer.client.get(
        f"/courrier/{box.id}/ecrire/", {"repondre": "1", "dossier": name}
    ).content.decode()
    source = unescape(page.split('name="source" value="')[1].split('"')[0])
    assert writer.post("send", to=other.address, subject="x", source=source)[0] == 200
    after_undo()
    client.select_folder(name)
    assert b"\\Answered" in client.get_flags([1])[1]


def test_people_of_the_collectivite_and_those_written_to_are_offered_and_no_others(
    post: Post, written: Any, beaune: Commune
) -> None:
    writer, box, other = written
    post.mailbox(beaune, beaune.referent, "referent")
    path = f"/courrier/{box.id}/personnes/"
    addresses = [one[1] for one in json.loads(writer.client.get(path).content)["people"]]
    assert addresses == [f"referent@{beaune.domain}"]
    writer.post("send", to=f"Jean <{other.address}>", subject="x", text="y")
    after_undo()
    people = json.loads(writer.client.get(path).content)["people"]
    assert people[0] == ["Jean", other.address] and len(people) == 2


LETTER = (
    "From: Prefet{n} <billing@sender.example.net>\nTo: {to}\nSubject: Sujet {n}\n"
    "Message-ID: <{n}@sender.example.net>\nMIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n"
    "--b\nContent-Type: text/plain; charset=utf-8\n\nTexte sur la {words}.\n"
    '--b\nContent-Type: application/pdf; name="piece{n}zz.pdf"\n'
    'Content-Disposition: attachment; filename="piece{n}zz.pdf"\n\nx\n--b--\n'
)


def test_folders_marks_and_search(post: Post, written: Any) -> None:
    writer, box, _ = written
    for n, words in enumerate(("délibération du conseil", "cantine scolaire", "voirie communale")):
        assert post.send(LETTER.format(n=n, to=box.address, words=words), box.address)[0] == 250
    post.wait_count(box, 3)
    client = writer.client
    for asked, subjects in (
        ("conseil", {0}), ("délibération", {0}),
        ("DELIBERATION", {0}), ("deliber", {0}), ("Sujet", {0, 1, 2}), ("prefet1", {1}), ("piece2zz", {2}),
        ("introuvable", set()), ("texte cantine", {1}),
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
    row = re.compile(r'<span class="sr">Dossier : </span>([^<]+)</span> ([^<]+)</span>'.replace(" :", ".:"))
    return row.findall(page)


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


def test_nobody_sends_in_anothers_name(post: Post, written: Any) -> None:
    _, box, other = written
    mail = f"From: {other.address}\r\nTo: {other.address}\r\nSubject: x\r\n\r\ny\r\n".encode()
    with pytest.raises(submission.Refused) as refused:
        submission.submit(post.config, box.address, [other.address], mail)
    assert (refused.value.reason, refused.value.again) == ("content", False)
    with drafts.open_drafts(post.config, box.address) as folder, pytest.raises(drafts.DraftChanged):
        folder.message(drafts.Place(1, 1))


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
