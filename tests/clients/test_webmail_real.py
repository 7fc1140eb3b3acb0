"""The webmail before the real engines: write, keep, send, call back, answer."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from email import message_from_bytes, policy
from html import unescape
from typing import Any

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import actions, drafts, folders, outgoing, reader, sendings, submission
from beffroi.mail.held.models import Lesson
from beffroi.mail.models import Mailbox, MailMessage, Sending
from beffroi.portal import words
from django.core.files.uploadedfile import SimpleUploadedFile

from tests.conftest import Commune
from tests.fixtures_portal import no_door
from tests.mail_post import Post, needs_engines
from tests.markup import flat, text_of
from tests.waiting import until
from tests.webmail_writing import Writer, after_undo, written

__all__ = ["no_door", "written"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


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


def _typed_to(page: str) -> str:
    """What stands in the field of the recipients."""
    (field,) = re.findall(r'<input[^>]* name="to"[^>]*>', page)
    return unescape(re.findall(r' value="([^"]*)"', field)[0])


def test_a_draft_that_another_program_began_is_finished_and_a_long_list_stays_whole(
    post: Post, written: Any
) -> None:
    writer, box, other = written
    client = post.imap(box)
    letter = f"From: {box.address}\r\nTo: {other.address}\r\nMessage-ID: <1@kmail.localdomain>\r\nSubject: x\r\n\r\ny"
    client.append("Drafts", letter.encode(), flags=[b"\\Draft"])
    page = flat(writer.client.get(f"/courrier/{box.id}/brouillon/1/").content.decode())
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    names = ("uid", "uid_validity", "message_id")
    writer.form |= {name: unescape(form[name]) for name in names}
    # A hundred people, the last address not finished: what the page keeps is what it shows again.
    typed = ", ".join(
        f'"Émilie Prénom-Composé {n}" <e.prenom{n}@{box.address.partition("@")[2]}>' for n in range(99)
    )
    several = ", ".join(typed.replace("@", f"{n}@") for n in range(4))
    assert writer.post(to=several)[0] == 200
    page = writer.client.get(f"/courrier/{box.id}/brouillon/{writer.form['uid']}/").content.decode()
    assert _typed_to(page).split() == several.split()
    status, found = writer.post(to=f"{typed}, mairie@saul")
    assert status == 200, found
    page = writer.client.get(f"/courrier/{box.id}/brouillon/{found['uid']}/").content.decode()
    assert _typed_to(page) == f"{typed}, mairie@saul"
    assert writer.post(to=typed)[0] == 200
    listed = writer.client.get(f"/courrier/{box.id}/", {"dossier": "Drafts"}).content.decode()
    assert "Émilie Prénom-Composé 0 et 98 autres" in listed
    status, found = writer.post("send", to=other.address)
    assert status == 200, found
    after_undo()
    post.wait_count(other, 1)


def test_what_another_program_wrote_into_a_draft_leaves_with_it(post: Post, written: Any) -> None:
    """As Thunderbird keeps a draft: written in HTML, with an address for answers, a receipt, an attached mail."""
    writer, box, other = written
    client = post.imap(box)
    kept = (
        f'From: "Émile" <{box.address}>\r\nTo: {other.address}\r\nMessage-ID: <1@kmail.localdomain>\r\nSubject: x\r\n'
        "Reply-To: =?utf-8?q?L=27accueil=2C_en_mairie?=\r\n <accueil@beaune.example>\r\nX-Priority: 1 (Highest)\r\n"
        f"Disposition-Notification-To: {box.address}\r\nReferences: <a@b.example>\r\n <c@d.example>\r\n"
        "X-Mozilla-Draft-Info: internal/draft\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        "--b\r\nContent-Type: text/html\r\n\r\n<p>Voir <a href='https://a.example/x'>ici</a></p>\r\n"
        "--b\r\nContent-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\nSubject: joint\r\n\r\nz\r\n--b--\r\n"
    )
    client.append("Drafts", kept.encode(), flags=[b"\\Draft"])
    answer = writer.client.get(f"/courrier/{box.id}/brouillon/1/")
    page, said = flat(answer.content.decode()), text_of(answer)
    assert "Les réponses iront à « L'accueil, en mairie <accueil@beaune.example> »" in said
    assert "un accusé de lecture est demandé" in said and "devient du texte simple" in said
    form = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))
    writer.form |= {name: unescape(form[name]) for name in ("uid", "uid_validity", "references")}
    writer.form |= {"keep": re.findall(r'name="keep" value="([^"]+)"', page), "to": other.address}
    assert writer.post(subject="Objet")[0] == 200
    assert writer.post("send", text="Bonjour")[0] == 200
    after_undo()
    post.wait_count(other, 1)
    reading = post.imap(other)
    reading.select_folder("INBOX")
    raw = reading.fetch([1], ["BODY[]"])[1][b"BODY[]"]
    came = message_from_bytes(raw, policy=policy.default)
    assert came["Reply-To"].addresses[0].display_name == "L'accueil, en mairie"
    assert str(came["References"]).split() == ["<a@b.example>", "<c@d.example>"]
    assert (came["X-Priority"], came["Disposition-Notification-To"]) == ("1 (Highest)", box.address)
    assert raw.count(b"Reply-To:") == 1 and b"X-Mozilla" not in raw
    (joined,) = came.iter_attachments()
    assert joined.get_filename() == "piece-jointe.eml" and b"Subject: joint" in joined.get_content()


def test_a_read_receipt_leaves_when_its_reader_says_so_and_once(post: Post, written: Any) -> None:
    writer, box, other = written
    asks = (
        f"From: {other.address}\r\nTo: {box.address}\r\nSubject: =?utf-8?q?D=C3=A9lib=0D=0ABcc:_x@y.example?=\r\n"
        f"Message-ID: <1@a.example>\r\nDisposition-Notification-To: =?utf-8?q?L=C3=A9a?= <{other.address}>\r\n\r\ny"
    )
    post.imap(box).append("INBOX", asks.encode())
    page = f"/courrier/{box.id}/1/"
    assert f"demandé pour {other.address}" in text_of(writer.client.get(page))
    assert post.count(box, "Drafts") == 0, "nothing by itself"
    assert writer.client.post(f"{page}accuse/").status_code == 302
    assert "Un accusé de lecture est demandé" not in text_of(writer.client.get(page))
    assert writer.client.post(f"{page}accuse/").status_code == 404
    after_undo()
    post.wait_count(other, 1)
    reading = post.imap(other)
    reading.select_folder("INBOX")
    came = message_from_bytes(reading.fetch([1], ["BODY[]"])[1][b"BODY[]"], policy=policy.default)
    assert (came.get_content_type(), came.get_param("report-type")) == (
        "multipart/report",
        "disposition-notification",
    )
    assert came["In-Reply-To"] == "<1@a.example>" and came["Bcc"] is None
    assert (came["Return-Path"], came["From"].addresses[0].addr_spec) == ("<>", box.address)
    assert "signed-in=yes" in came["X-Beffroi-Auth"]
    said, told = came.iter_parts()
    assert "a été ouvert" in said.get_content()
    assert f"Final-Recipient: rfc822;{box.address}" in told.as_string()
    assert (
        "Original-Message-ID: <1@a.example>" in told.as_string() and "MDN-sent-manually" in told.as_string()
    )


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
    assert found["goto"] == f"/courrier/{box.id}/#sending-{Sending.objects.get().id}"
    assert "Annuler" in writer.client.get(found["goto"]).content.decode()
    state = f"/courrier/{box.id}/envoi/{Sending.objects.get().id}/?part=state"
    for seen, status in (("waiting-False", 204), ("sent-False", 200)):  # what stands there is not said again
        answer = writer.client.get(f"{state}&seen={seen}", headers={"HX-Request": "true"})
        assert answer.status_code == status
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
    writer.form = {"tab": writer.form["tab"]}
    assert writer.post("send", bcc=f"Autre <{other.address}>", subject="À tous", text="x")[0] == 200
    after_undo()
    listed = writer.client.get(f"/courrier/{box.id}/", {"dossier": "Sent"}).content.decode()
    with reader.open_mailbox(post.config, box.address) as opened:
        uid = opened.list("Sent")[0].uid
    page = writer.client.get(f"/courrier/{box.id}/{uid}/", {"dossier": "Sent"}).content.decode()
    assert "Autre" in listed and "Copie cachée (Cci)" in page and other.address in page


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
    until(settled, "the message is settled")
    outgoing.send_due()
    assert (post.count(other), post.count(box, "Sent"), post.count(box, "Drafts")) == (1, 1, 0)


def made_just_now(commune: Commune) -> Mailbox:
    """A mailbox that is not open yet."""
    return actions.provision_mailbox(
        actor=Actor.system("tests"), collectivite=commune.collectivite, address=f"neuve@{commune.domain}"
    )


def test_a_colleague_whose_mailbox_was_made_just_now_gets_it_once_that_is_open(
    post: Post, written: tuple[Writer, Mailbox, Mailbox], nuits: Commune
) -> None:
    writer, box, other = written
    new = made_just_now(nuits)
    writer.post("send", to=f"{other.address}, {new.address}", subject="x", text="y")
    after_undo()
    sending = Sending.objects.get()
    assert (sending.state, sending.attempts) == ("waiting", 1)
    run_pending("main")
    after_undo()
    assert (post.count(new), post.count(box, "Sent")) == (1, 1)
    post.wait_count(other, 1)


def test_of_a_colleague_without_a_mailbox_yet_and_an_unknown_one_the_unknown_one_is_named(
    post: Post, written: tuple[Writer, Mailbox, Mailbox], nuits: Commune
) -> None:
    writer, _, _ = written
    new = made_just_now(nuits)
    writer.post("send", to=f"{new.address}, personne@{nuits.domain}", subject="x", text="y")
    after_undo()
    sending = Sending.objects.get()
    assert (sending.state, sending.reason) == ("refused", "recipient")
    assert sending.refused == json.dumps([f"personne@{nuits.domain}"])


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


def test_a_mail_says_who_else_has_it_and_of_which_day_and_year_it_is(post: Post, written: Any) -> None:
    writer, box, _ = written
    letter = (
        f"From: a@example.org\r\nTo: {box.address}\r\nCc: Jean <jean@example.org>, b@example.org\r\n\r\nx\r\n"
    )
    post.imap(box).append("INBOX", letter.encode(), msg_time=clock.now())
    page = flat(writer.client.get(f"/courrier/{box.id}/1/").content.decode())
    assert "<dt>Copie (Cc)</dt><dd>jean@example.org, b@example.org</dd>" in page
    assert words.exact(clock.now()).rpartition(",")[0] in page  # as it is printed and put into a file
    # As Thunderbird keeps what goes to a group, and to others in blind copies.
    kept = (
        f"From: {box.address}\r\nTo: Maires: a@example.org, b@example.org;\r\nBcc: Anne <c@example.org>\r\n"
        "Subject: Groupe\r\nContent-Type: text/plain; format=flowed\r\n\r\nLa date \r\nchange.\r\n"
    )
    post.imap(box).append("Sent", kept.encode())
    post.imap(box).append(
        "Sent", kept.replace("Maires: a@example.org, b@example.org;", "undisclosed-recipients:;").encode()
    )
    with reader.open_mailbox(post.config, box.address) as opened:
        assert [(one.to, one.others) for one in opened.list("Sent")] == [("Anne", 0), ("a@example.org", 2)]
    body = writer.client.get(f"/courrier/{box.id}/ecrire/?transferer=1&dossier=Sent").content.decode()
    assert "À : a@example.org, b@example.org\n" in body.replace("\xa0", " ") and "La date change." in body


def test_ones_own_mail_bears_no_doubt_and_a_lure_that_lies_beside_it_does(post: Post, written: Any) -> None:
    writer, box, other = written
    writer.post("send", to=other.address, subject="x", text="y")
    after_undo()
    post.wait_count(box, 1, "Sent")
    lure = (
        f"From: {box.address}\r\nTo: {box.address}\r\nX-Beffroi-Id: msg_{'1' * 26}\r\nSubject: x\r\n\r\ny\r\n"
    )
    post.imap(box).append("Sent", lure.encode())
    sent, moved = (
        flat(writer.client.get(f"/courrier/{box.id}/{uid}/?dossier=Sent").content.decode()) for uid in (1, 2)
    )
    for words_of_doubt in ("Rien ne permet de vérifier", "<dt>Reçu</dt>"):
        assert words_of_doubt in moved and words_of_doubt not in sent
    assert "<dt>Envoyé</dt>" in sent and "Répondre à tous" in sent and "Ajouter aux contacts" not in sent


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


def test_nobody_sends_in_anothers_name(post: Post, written: Any) -> None:
    _, box, other = written
    mail = f"From: {other.address}\r\nTo: {other.address}\r\nSubject: x\r\n\r\ny\r\n".encode()
    with pytest.raises(submission.Refused) as refused:
        submission.submit(post.config, box.address, [other.address], mail)
    assert (refused.value.reason, refused.value.again) == ("content", False)
    with drafts.open_drafts(post.config, box.address) as folder, pytest.raises(drafts.DraftChanged):
        folder.message(drafts.Place(1, 1))
