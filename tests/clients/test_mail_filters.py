"""Absence, filters and forwards through the real engines."""

from __future__ import annotations

import smtplib
import sqlite3
import stat
import unicodedata
from datetime import timedelta
from email import message_from_bytes
from email.header import Header
from email.policy import default
from email.utils import make_msgid

import pytest
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.mail import actions as mail
from beffroi.mail import folders, reader
from beffroi.mail.filters import actions, preview, queries
from beffroi.mail.filters.models import Absence, Forward
from beffroi.mail.held.models import SenderRule
from beffroi.mail.models import Mailbox
from beffroi.mail.sending import actions as sending_actions
from beffroi.mail.sending.models import SendingAlarm
from beffroi.portal import consumers, forward_told
from django.db import transaction

from tests.certificates import unverified
from tests.conftest import Commune
from tests.mail_post import Post, lure, needs_engines, until
from tests.submitting import secret_of, submitting
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
TEXT = 'Absente jusqu’au 3. Voyez "l’accueil" \\ ${from}\n.\nBien à vous'


def letter(sender: str, to: str, subject: str) -> str:
    return (
        f"From: {sender}\nTo: {to}\nSubject: {subject}\nMessage-ID: {make_msgid(domain='x.example')}\n"
        "Date: Tue, 24 Nov 2026 10:00:00 +0000\nMIME-Version: 1.0\nContent-Type: text/plain; charset=utf-8\n\n"
        "Bonjour, la réunion du conseil est avancée à jeudi. Merci de votre réponse.\n"
    )


@pytest.fixture
def box(post: Post, beaune: Commune) -> Mailbox:
    return post.mailbox(beaune, beaune.agent, "mairie")


@pytest.fixture
def other(post: Post, nuits: Commune) -> Mailbox:
    return post.mailbox(nuits, nuits.agent, "mairie")


def away(box: Mailbox, actor: Actor, text: str = TEXT) -> Absence:
    today = clock.now().astimezone(PLACE).date()
    made = actions.set_absence(
        actor=actor, mailbox=box, first=today, last=today + timedelta(days=3), text=text, every_days=7
    )
    run_pending("main")
    return made


def write(post: Post, commune: Commune, sender: Mailbox, to: Mailbox, headers: str) -> None:
    """A mail from one mailbox of ours to another, as a mail program sends it. ``headers``: the last is the subject."""
    with submitting(post, sender.address, secret_of(commune)) as smtp:
        text = f"From: {sender.address}\nTo: {to.address}\nSubject: {headers}\n\nBonjour, merci de votre reponse.\n"
        smtp.sendmail(sender.address, [to.address], text)


def read(post: Post, box: Mailbox, folder: str = "INBOX") -> list[reader.MessageView]:
    with reader.open_mailbox(post.config, box.address) as opened:
        return [opened.read(one.uid, folder) for one in opened.list(folder)]


def test_an_absence_is_answered_once_and_ends_with_a_press(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    away(box, beaune.agent)
    write(post, nuits, other, box, "Reunion ?")
    post.wait_count(other, 1)
    (answer,) = read(post, other)
    assert "Reunion ?" in answer.summary.subject and answer.summary.from_address == box.address
    assert answer.text.replace("\r\n", "\n").strip() == TEXT
    assert answer.authentication.is_proven
    write(post, nuits, other, box, "Encore moi")
    post.wait_count(box, 2)
    actions.end_absence(actor=beaune.agent, mailbox=box)
    run_pending("main")
    assert not (post.config.state / "projections" / "sieve" / f"{box.id}.sieve").exists()
    write(post, nuits, other, box, "Et maintenant")
    post.wait_count(box, 3)
    assert post.count(other) == 1


@pytest.mark.parametrize(
    "asked",
    [
        ("mairie", "liste\nList-Id: <infos.example>"),
        ("mairie", "machine\nAuto-Submitted: auto-generated"),
        ("mairie", "masse\nPrecedence: bulk"),
        ("ne-pas-repondre", "noreply"),
    ],
)
def test_lists_automatic_mail_and_noreply_are_not_answered(
    post: Post, beaune: Commune, nuits: Commune, asked: tuple[str, str]
) -> None:
    box = post.mailbox(beaune, beaune.agent, "absente")
    away(box, beaune.agent)
    asker, other = post.mailbox(nuits, nuits.agent, asked[0]), post.mailbox(nuits, nuits.agent, "question")
    write(post, nuits, asker, box, asked[1])
    post.wait_count(box, 1)
    write(post, nuits, other, box, "une vraie question")
    post.wait_count(other, 1)  # the only answer, and it came after
    assert post.count(asker) == 0


def test_what_is_held_is_neither_answered_nor_forwarded_nor_filed(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    away(box, beaune.agent)
    actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address)
    actions.add_rule(
        actor=beaune.agent, mailbox=box, field="subject", words="Facture", act="move", folder="Rangement"
    )
    run_pending("main")
    post.block("domain", "pay.evil.example.com", action="quarantine")
    post.wait_gate(1)
    assert post.send(lure(box.address, "1"), box.address)[0] == 250
    assert post.send(letter("a@sender.example.net", box.address, "Facture saine"), box.address)[0] == 250
    post.wait_count(box, 1, "Rangement")
    post.wait_count(other, 1)
    assert read(post, other)[0].summary.subject == "Facture saine"
    assert post.count(box) == 0


def test_filters_file_mark_and_copy_in_their_order(post: Post, beaune: Commune, box: Mailbox) -> None:
    for field, words, act, folder in (
        ("subject", "urgent", "star", ""),
        ("from", "mairie-infos", "read", ""),
        ("subject", "conseil", "copy", "Copies élus"),
        ("from", "Syndicat", "move", "Eaux & forêts"),
        ("subject", "conseil", "move", "Jamais"),
        ("subject", "école élémentaire", "move", "École"),
    ):
        actions.add_rule(actor=beaune.agent, mailbox=box, field=field, words=words, act=act, folder=folder)
    run_pending("main")
    for sender, subject in (
        ('"Syndicat des eaux" <a@sender.example.net>', "URGENT : conseil"),
        ("mairie-infos@sender.example.net", "Lettre"),
    ):
        assert post.send(letter(sender, box.address, subject), box.address)[0] == 250
    decomposed = unicodedata.normalize("NFD", "Travaux de l'école élémentaire")
    for subject in ("École élémentaire", "ÉCOLE ÉLÉMENTAIRE : cantine", decomposed, "Ecole elementaire"):
        encoded = Header(subject, "utf-8").encode()
        assert post.send(letter("a@sender.example.net", box.address, encoded), box.address)[0] == 250
    post.wait_count(box, 1, "Eaux & forêts")
    post.wait_count(box, 1, "Copies élus")
    post.wait_count(box, 3, "École")
    post.wait_count(box, 2)
    (filed,), (plain,) = (
        read(post, box, "Eaux & forêts"),
        [one for one in read(post, box) if one.summary.subject == "Lettre"],
    )
    assert filed.summary.flagged and not filed.summary.seen
    assert plain.summary.seen and not plain.summary.flagged
    with reader.open_mailbox(post.config, box.address) as opened:
        assert "Jamais" not in {one.name for one in folders.listing(opened)}
        rule = queries.as_rule(queries.rules(box)[1])
        assert preview.look(opened, rule) == (1, 2)


def test_filters_work_again_in_a_mailbox_that_is_opened_again(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    actions.add_rule(
        actor=beaune.agent, mailbox=box, field="subject", words="conseil", act="move", folder="Conseil"
    )
    run_pending("main")
    mail.close_mailbox(actor=beaune.referent, mailbox=box)
    run_pending("main")
    mail.reopen_mailbox(actor=beaune.referent, mailbox=box)
    run_pending("main")
    assert post.send(letter("a@sender.example.net", box.address, "conseil"), box.address)[0] == 250
    until(lambda: post.count(box) + post.count(box, "Conseil"), "it is delivered")
    assert (post.count(box), post.count(box, "Conseil")) == (0, 1)


def test_a_forward_keeps_a_copy_holds_spf_and_ends(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address)
    run_pending("main")
    assert (
        post.send(
            letter("a@sender.example.net", box.address, "Un"), box.address, sender="a@sender.example.net"
        )[0]
        == 250
    )
    post.wait_count(other, 1)
    post.wait_count(box, 1)
    client = post.imap(other)
    client.select_folder("INBOX")
    (data,) = client.fetch(client.search("ALL"), ["BODY.PEEK[HEADER]"]).values()
    client.logout()
    head = data[b"BODY[HEADER]"].decode()
    assert f"Return-Path: <{box.address}>" in head
    assert "From: a@sender.example.net" in head
    assert head.count("X-Beffroi-Id:") == 1
    counted = sqlite3.connect(post.config.state / "mailgate" / "sending.sqlite")
    assert counted.execute("SELECT account, SUM(messages) FROM sent").fetchone() == (box.address, 1)
    counted.close()
    actions.end_forward(actor=beaune.agent, row=row)
    run_pending("main")
    assert post.send(letter("a@sender.example.net", box.address, "Deux"), box.address)[0] == 250
    post.wait_count(box, 2)
    assert post.count(other) == 1


def test_a_forward_without_a_copy_leaves_nothing_and_its_term_ends_it(
    post: Post, beaune: Commune, box: Mailbox, other: Mailbox
) -> None:
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address, keeps_copy=False)
    run_pending("main")
    assert post.send(letter("a@sender.example.net", box.address, "Un"), box.address)[0] == 250
    post.wait_count(other, 1)
    assert post.count(box) == 0
    Forward.objects.filter(pk=row.pk).update(expires_at=clock.now() + timedelta(seconds=1))
    with transaction.atomic():
        publish("mail:filters_changed", {"mailbox_id": box.id}, collectivite_id=box.collectivite_id)
    run_pending("main")
    until(lambda: clock.now() > Forward.objects.get().expires_at + timedelta(seconds=1), "the term")
    assert post.send(letter("a@sender.example.net", box.address, "Deux"), box.address)[0] == 250
    post.wait_count(box, 1)  # the script itself knows its end, with every Python process stopped
    assert post.count(other) == 1
    actions.end_over()
    assert Forward.objects.get().ended_by == ""


def test_the_word_that_a_forward_ends_lies_in_its_mailbox(
    post: Post, beaune: Commune, box: Mailbox, other: Mailbox
) -> None:
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address, keeps_copy=False)
    Forward.objects.filter(pk=row.pk).update(expires_at=clock.now() + timedelta(days=5))
    run_pending("main")
    forward_told.ask_due()
    consumers.send_notices()
    post.wait_count(box, 1)
    client = post.imap(box)
    client.select_folder("INBOX")
    (data,) = client.fetch(client.search("ALL"), ["BODY.PEEK[]"]).values()
    client.logout()
    mail = message_from_bytes(data[b"BODY[]"], policy=default)
    assert mail["Subject"].startswith("Le renvoi de votre courrier s’arrête le ")
    said = mail.get_body(("plain",)).get_content()
    assert f"{box.address} est renvoyé vers {other.address}" in said and f"/courrier/{box.id}/renvoi/" in said


@pytest.mark.parametrize("keeps_copy", [False, True])
def test_a_forward_to_a_colleague_who_left_keeps_the_mail_once(
    post: Post, beaune: Commune, box: Mailbox, other: Mailbox, keeps_copy: bool
) -> None:
    actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address, keeps_copy=keeps_copy)
    mail.close_mailbox(actor=Actor.system("tests"), mailbox=other)
    run_pending("main")
    for subject in ("Un", "Deux"):
        assert post.send(letter("a@sender.example.net", box.address, subject), box.address)[0] == 250
    post.wait_count(box, 2)
    post.settle(2)
    assert post.count(box) == 2


def test_two_mailboxes_that_forward_to_each_other_stop(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address)
    actions.set_forward(actor=nuits.agent, mailbox=other, target=box.address)
    run_pending("main")
    assert post.send(letter("a@sender.example.net", box.address, "Boucle"), box.address)[0] == 250
    post.wait_count(other, 1)
    assert post.send(letter("a@sender.example.net", box.address, "Après"), box.address)[0] == 250
    post.wait_count(other, 2)
    assert post.count(box) <= 4
    assert post.count(other) == 2


def test_a_forged_mail_in_our_own_name_is_not_passed_on(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox, other: Mailbox
) -> None:
    """The envelope of a forward is the mailbox's own: SPF would vouch for the forger."""
    colleague = post.mailbox(beaune, beaune.agent, "collegue")
    actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address)
    run_pending("main")
    forged = letter(f"Le maire <{colleague.address}>", box.address, "Virement")
    assert post.send(forged, box.address, sender="x@sender.example.net")[0] == 250
    post.wait_count(box, 1)
    assert post.send(letter("a@sender.example.net", box.address, "Sain"), box.address)[0] == 250
    post.wait_count(other, 1)
    assert read(post, other)[0].summary.subject == "Sain"
    assert read(post, other)[0].authentication.dmarc == "pass"
    write(post, beaune, colleague, box, "Du vrai collegue")
    post.wait_count(other, 2)
    assert read(post, other)[0].authentication.signed_in
    assert post.send(letter("a@inconnu.example.com", box.address, "Sans preuve"), box.address)[0] == 250
    post.wait_count(other, 3)
    assert not read(post, other)[0].authentication.is_proven


def test_the_door_of_filters_takes_nothing_from_anybody_else(
    post: Post, box: Mailbox, other: Mailbox
) -> None:
    context = unverified()
    for encrypted in (False, True):
        with smtplib.SMTP("127.0.0.1", post.config.filters_port, timeout=PATIENCE_S) as smtp:
            if encrypted:
                smtp.starttls(context=context)
            with pytest.raises(smtplib.SMTPRecipientsRefused if encrypted else smtplib.SMTPException):
                smtp.sendmail(box.address, [other.address], "Subject: x\n\nx\n")


def test_scripts_are_read_by_delivery_alone(post: Post, beaune: Commune, box: Mailbox) -> None:
    away(box, beaune.agent)
    folder = post.config.state / "projections" / "sieve"
    path = folder / f"{box.id}.sieve"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o2750 and folder.stat().st_gid == 5000
    assert stat.S_IMODE(path.stat().st_mode) == 0o640 and path.stat().st_gid == 5000


def test_what_a_held_account_forwards_rests_until_it_is_given_back(
    post: Post, beaune: Commune, box: Mailbox, other: Mailbox
) -> None:
    actions.set_forward(actor=beaune.agent, mailbox=box, target=other.address)
    run_pending("main")
    sending_actions.note_takeover(mailbox=box, what="forward")
    script = queries.script(box)
    assert "redirect" not in script
    sending_actions.give_back(actor=Actor.system("tests"), alarm=SendingAlarm.objects.get())
    assert "redirect" in queries.script(box)


def test_a_blocked_senders_mail_is_found_where_a_filter_put_it(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    blocked = "promo@sender.example.net"
    SenderRule.objects.create(
        mailbox_id=box.id,
        collectivite_id=box.collectivite_id,
        address=blocked,
        verdict="block",
        held_id="hld_x",
        created_by=beaune.agent.id,
    )
    actions.add_rule(
        actor=beaune.agent, mailbox=box, field="from", words="promo", act="move", folder="Promotions"
    )
    run_pending("main")
    assert post.send(letter(blocked, box.address, "Soldes"), box.address, sender=blocked)[0] == 250
    post.settle(1)
    assert (post.count(box, "Promotions"), post.count(box, "Junk")) == (0, 1)
