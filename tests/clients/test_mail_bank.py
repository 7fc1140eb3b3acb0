"""Bank details through the real engines: seen at entry, shown as a hash, warned of, lifted, held when forged."""

from __future__ import annotations

import sqlite3
from email.message import EmailMessage

from beffroi.mail.held.models import HeldMail
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage
from beffroi.mail.safety import actions, queries
from beffroi.mail.safety.models import BankDetail, BankMention
from beffroi.mail.safety.rules import Concern

from tests.conftest import Commune
from tests.mail_post import OTHER_IP, SENDER_IP, Post, needs_engines

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines
IBAN, SPACED, OTHER = (
    "FR7630006000011234567890189",
    "FR76 3000 6000 0112 3456 7890 189",
    "DE89 3704 0044 0532 0130 00",
)


def receive(post: Post, box: Mailbox, text: str, *, html: str = "", client: str = SENDER_IP) -> str:
    """Deliver one; return its identifier."""
    before = MailDelivery.objects.count()
    message = EmailMessage()
    message["From"], message["To"] = "Compta <billing@sender.example.net>", box.address
    message["Subject"], message["Message-ID"] = "Facture", f"<f{before}@sender.example.net>"
    message.set_content(text)
    if html:
        message.add_alternative(html, subtype="html")
    assert post.send(message.as_bytes(), box.address, client=client)[0] == 250
    post.settle(before + 1)
    return str(MailMessage.objects.latest("id").id)


def test_an_iban_in_text_or_html_is_remembered_as_a_hash_and_warned_of_until_checked(
    post: Post, beaune: Commune, nuits: Commune, box: Mailbox
) -> None:
    def level(one: str) -> Concern | None:
        found = queries.bank_warnings(beaune.agent, [one]).get(one)
        return found.concern if found else None

    plain = receive(post, box, "Bonjour, le conseil est reporté à jeudi.")
    assert level(plain) is None and not BankDetail.objects.exists()
    first = receive(post, box, f"Notre compte : {SPACED}.")
    again = receive(post, box, "Voir ci-dessous", html=f"<p>IBAN<br><b>{IBAN[:10]}</b>{IBAN[10:]}</p>")
    assert (level(first), level(again)) == (Concern.FIRST, Concern.FIRST)
    assert BankDetail.objects.count() == 1  # one pair, however it is written
    other = receive(post, box, f"Merci de payer sur {OTHER}")
    assert level(other) is Concern.CHANGED and level(first) is Concern.FIRST
    actions.confirm_bank(actor=beaune.agent, mailbox=box, beffroi_id=other)
    assert level(other) is Concern.NONE and level(first) is Concern.FIRST
    announced = receive(post, box, "Nous avons changé de banque, voici nos coordonnées au prochain envoi.")
    assert level(announced) is Concern.ANNOUNCED
    assert set(BankMention.objects.values_list("collectivite_id", flat=True)) == {beaune.id}
    assert queries.bank_warnings(nuits.agent, [first, other]) == {}
    assert not HeldMail.objects.exists()


def test_no_iban_is_kept_or_logged_anywhere(post: Post, box: Mailbox) -> None:
    receive(post, box, f"Notre nouveau RIB : {SPACED}")
    kept = [str(row) for model in (BankDetail, BankMention, MailMessage) for row in model.objects.values()]
    state = post.config.state
    connection = sqlite3.connect(state / "mailgate" / "spool.sqlite")
    kept += [str(row) for row in connection.execute("SELECT record FROM spool")]
    connection.close()
    places = [
        *post.config.log.glob("*"),
        *(state / "mailgate").glob("*"),
    ]
    kept += [path.read_bytes().decode("latin-1") for path in places if path.is_file()]
    assert BankDetail.objects.exists()
    for text in kept:
        assert IBAN not in text and SPACED not in text


def test_words_of_a_forger_are_held_and_those_of_the_sender_are_not(post: Post, box: Mailbox) -> None:
    receive(post, box, f"Notre RIB a changé : {SPACED}", client=OTHER_IP)
    row = HeldMail.objects.get()
    assert (row.reason, row.findings, row.strict) == ("content", "forged_bank", False)
    receive(post, box, f"Notre RIB a changé : {SPACED}")
    assert HeldMail.objects.count() == 1 and post.count(box) == 1
