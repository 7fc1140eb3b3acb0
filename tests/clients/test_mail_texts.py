"""The words of a mail through the real engines: near or not, whatever is hidden or added; decided, taken back, let in
again."""

from __future__ import annotations

import sqlite3
from email.headerregistry import Address
from email.message import EmailMessage

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.mail import queries
from beffroi.mail.models import Mailbox, MailMessage, MailObservation, MailText

from tests.conftest import Commune
from tests.mail_post import Post, needs_engines
from tests.submitting import secret_of, submitting

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
WORDS = """Madame, Monsieur, votre colis numéro {n} n'a pas pu être livré à votre adresse, car les frais de douane
n'ont pas été réglés. Afin d'éviter son retour à l'expéditeur, nous vous invitons à régler la somme de 1,95 euro avant
demain soir en suivant le lien ci-dessous. Passé ce délai, votre colis sera détruit sans possibilité de recours.
{link} Cordialement, le service des livraisons de votre région."""
OTHER = """Bonjour à toutes et à tous, la prochaine réunion du conseil municipal se tiendra jeudi à vingt heures dans la
salle des fêtes. L'ordre du jour porte sur la réfection de la toiture de l'école, le budget de l'eau et la reprise
de la convention avec le syndicat des ordures ménagères. Merci de me dire si vous serez présents. Bien à vous."""


def mail(box: Mailbox, n: int, text: str, *, html: str = "") -> bytes:
    message = EmailMessage()
    message["From"], message["To"] = f"Livraisons <colis{n}@sender.example.net>", box.address
    message["Subject"], message["Message-ID"] = f"Colis {n}", f"<colis{n}@sender.example.net>"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    return message.as_bytes()


def lure(box: Mailbox, n: int) -> bytes:
    """Another sender, number and page each time."""
    return mail(box, n, WORDS.format(n=7000 + 37 * n, link=f"https://docs.example.org/f/{n}{n}{n}/voir"))


def receive(post: Post, box: Mailbox, data: bytes) -> list[str]:
    """Deliver one; return the families of its text."""
    before = MailMessage.objects.count()
    assert post.send(data, box.address, sender=f"a{before}@sender.example.net")[0] == 250
    post.settle(before + 1)
    latest = MailMessage.objects.latest("id").id
    return list(
        MailObservation.objects.filter(message_id=latest, kind="sketch").values_list("value", flat=True)
    )


@pytest.fixture
def box(post: Post, beaune: Commune) -> Mailbox:
    return post.mailbox(beaune, beaune.agent, "mairie")


def test_words_are_near_whatever_number_link_or_hidden_text_goes_with_them(post: Post, box: Mailbox) -> None:
    (family,) = receive(post, box, lure(box, 1))
    assert receive(post, box, lure(box, 2)) == [family]
    assert receive(post, box, mail(box, 3, OTHER)) not in ([family], [])
    noise = " ".join(f"mot{n}" for n in range(400))
    shown = WORDS.format(n=1, link="").replace("colis numéro 1", "colis <b>numéro</b> 1")
    hidden = f'<div style="display:none">{noise}</div>'
    for number, html in enumerate((f"<p>{shown}</p>", f"<p>{shown}</p>{hidden}"), 4):
        # Of two forms of a mail programs show the one with a layout.
        assert receive(post, box, mail(box, number, noise, html=html)) == [family]
    assert receive(post, box, mail(box, 6, "Bonjour, voici la facture. Cordialement, la trésorerie.")) == []
    assert receive(post, box, mail(box, 7, "")) == []


def test_decided_words_are_set_aside_at_the_door_taken_back_from_before_and_all_given_back(
    post: Post, box: Mailbox
) -> None:
    (family,) = receive(post, box, lure(box, 1))
    receive(post, box, lure(box, 2))
    receive(post, box, mail(box, 3, OTHER))
    decision = post.block("sketch", family, action="quarantine")
    run_pending("remediation")
    post.wait_count(box, 1)
    post.wait_gate(1)
    assert receive(post, box, lure(box, 4)) == [family]
    assert MailMessage.objects.latest("id").verdict.count(decision.id) == 1
    assert post.count(box) == 1
    receive(post, box, mail(box, 5, OTHER))
    assert post.count(box) == 2
    decisions.revoke(actor=Actor.system("tests"), decision=decision, reason="x")
    run_pending("remediation")
    post.wait_count(box, 5)


def test_what_a_colleague_quotes_to_warn_the_others_is_no_lure(
    post: Post, beaune: Commune, box: Mailbox
) -> None:
    (family,) = receive(post, box, lure(box, 1))
    post.block("sketch", family, action="quarantine")
    run_pending("remediation")
    post.wait_gate(1)
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = box.address, box.address, "Attention"
    message["Message-ID"] = f"<alerte@{box.address.partition('@')[2]}>"
    message.set_content(WORDS.format(n=1, link="(lien retiré)"))
    with submitting(post, box.address, secret_of(beaune)) as smtp:
        smtp.send_message(message)
    post.settle(2)
    assert post.count(box) == 1, "the lure is set aside, the warning is not"
    assert MailObservation.objects.filter(kind="sketch").count() == 1


def test_nor_is_it_when_it_is_looked_at_later(post: Post, beaune: Commune, box: Mailbox) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = box.address, box.address, "Attention"
    message["Message-ID"] = f"<alerte@{box.address.partition('@')[2]}>"
    message.set_content(WORDS.format(n=1, link="(lien retiré)"))
    post.engines.kill("mailgate")
    with submitting(post, box.address, secret_of(beaune)) as smtp:
        smtp.send_message(message)
    post.wait_count(box, 1)
    post.engines.start("mailgate")
    post.settle(1)
    assert MailMessage.objects.count() == 1
    assert not MailObservation.objects.filter(kind="sketch").exists()


@pytest.mark.parametrize(
    ("subject", "name", "styled"),
    [
        ("\U0001d5e2\U0001d5fd\U0001d5f2\U0001d5fb now", "Service", True),
        ("Votre colis", "\U0001d40f\U0001d428\U0001d42c\U0001d42d\U0001d41e", True),
        ("Réunion du conseil : l'ordre du jour est prêt \U0001f4c5", "Mairie d'Écueillé", False),
        ("Cours de \U0001d453(\U0001d465)", "Collège", False),
    ],
    ids=["subject", "sender", "accents and pictures", "a formula"],
)
def test_letters_of_mathematics_in_place_of_words_are_told(
    post: Post, box: Mailbox, subject: str, name: str, styled: bool
) -> None:
    message = EmailMessage()
    message["From"], message["To"] = Address(name, "a", "sender.example.net"), box.address
    message["Subject"], message["Message-ID"] = subject, "<s@sender.example.net>"
    message.set_content("Bonjour")
    receive(post, box, message.as_bytes())
    told = queries.verdict_of(MailMessage.objects.latest("id"))["symbols"]
    assert ("BEFFROI_STYLED" in told) is styled


def test_no_word_of_a_text_is_kept_or_logged(post: Post, box: Mailbox) -> None:
    receive(post, box, lure(box, 1))
    kept = [str(row) for row in MailText.objects.values()]
    kept += [str(row) for row in MailMessage.objects.values()]
    state = post.config.state
    with sqlite3.connect(state / "mailgate" / "spool.sqlite") as connection:
        kept += [str(row) for row in connection.execute("SELECT record FROM spool")]
    connection.close()
    kept += [path.read_text("utf-8", "replace") for path in post.config.log.glob("*") if path.is_file()]
    for text in kept:
        assert "douane" not in text and "livraisons de votre" not in text
