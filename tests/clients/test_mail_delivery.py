"""Incoming mail through the real engines, from SMTP to IMAP."""

from __future__ import annotations

import imaplib

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.lib import clock
from beffroi.mail import actions, queries, reader
from beffroi.mail.models import MailDelivery, MailMessage, MailObservation

from tests.certificates import unverified
from tests.conftest import PASSWORD, Commune
from tests.mail_post import OTHER_IP, Post, lure, needs_engines
from tests.waiting import PATIENCE_S

pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def test_mail_arrives_with_our_identifier_and_evidence_without_content(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    forged = "X-Beffroi-Id: msg_forged\nx-beffroi-verdict: quarantine\nX-Beffroi-Other: 1\n"
    code, _ = post.send(forged + lure(box.address, "arrives"), box.address)
    assert code == 250
    post.wait_count(box, 1)
    post.settle(1)

    with reader.open_mailbox(post.config, box.address) as opened:
        (summary,) = opened.list()
        view = opened.read(summary.uid)
    assert summary.from_address == "billing@sender.example.net"
    assert summary.subject == "Facture arrives"
    assert not summary.unchecked
    assert "evil.example.com" in view.html
    assert [a.name for a in view.attachments] == ["facture.pdf"]
    assert (view.authentication.spf, view.authentication.dmarc) == ("pass", "pass")

    message = MailMessage.objects.get(pk=summary.beffroi_id)
    seen = set(MailObservation.objects.filter(message_id=message.id).values_list("kind", "value", "role"))
    assert ("url", "https://pay.evil.example.com/f?x=1", "link") in seen
    assert ("domain", "pay.evil.example.com", "link") in seen
    assert ("domain", "evil.example.com", "link_parent") in seen
    assert queries.verdict_of(message)["link_mismatch"] is True
    assert "Facture" not in message.verdict
    client = post.imap(box)
    client.select_folder("INBOX", readonly=True)
    header = client.fetch([summary.uid], ["BODY.PEEK[HEADER]"])[summary.uid][b"BODY[HEADER]"]
    client.logout()
    assert header.lower().count(b"x-beffroi-id:") == 1
    assert b"forged" not in header and b"x-beffroi-verdict" not in header.lower()
    assert b"x-beffroi-other" not in header.lower()


def test_delivery_says_nothing_about_the_script_that_files_mails(post: Post, beaune: Commune) -> None:
    log = post.config.log / "dovecot.log"
    before = len(log.read_text("utf-8", "replace").splitlines())
    box = post.mailbox(beaune, beaune.agent, "filed")
    assert post.send(lure(box.address, "filed"), box.address)[0] == 250
    post.wait_count(box, 1)
    said = log.read_text("utf-8", "replace").splitlines()[before:]
    assert any("sieve: msgid=<filed@" in line for line in said)
    assert not [line for line in said if "lmtp" in line and ("Error" in line or "Warning" in line)]


def test_a_link_is_blamed_for_where_it_leads_and_not_for_what_it_shows(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "montre")
    shown = lure(box.address, "shown").replace(
        'href="https://pay.evil.example.com/f?x=1">https://www.impots.gouv.fr/</a>',
        'href="https://pay.evil.example.com/f">https://www.victime-montree.fr/compte</a> '
        # the attacker shows his own page elsewhere, so that it passes for a victim
        '<a href="https://autre.example.com/x">https://pay.evil.example.com/f</a> '
        '<a href="https://franc.example.com/y">https://franc.example.com/y</a>',
    )
    code, _ = post.send(shown, box.address)
    assert code == 250
    post.wait_count(box, 1)
    post.settle(1)
    with reader.open_mailbox(post.config, box.address) as opened:
        (summary,) = opened.list()
    seen = MailObservation.objects.filter(message_id=summary.beffroi_id, role="link", kind="domain")
    assert set(seen.values_list("value", flat=True)) == {
        "pay.evil.example.com",
        "autre.example.com",
        "franc.example.com",
    }


def test_what_is_signed_or_sealed_arrives_byte_for_byte(post: Post, beaune: Commune) -> None:
    """Parts of multipart/signed (S/MIME, PGP), with what servers on the way like to mend."""
    box = post.mailbox(beaune, beaune.agent, "scelle")
    link = f"<a href='https://www.example.org/?{'x' * 3000}'>lien</a>"
    signed = "\r\n".join(
        (
            "Content-Type: text/html; charset=utf-8", "Content-Transfer-Encoding: 8bit", "",
            "Arrêté n° 12, signé à Beaune   ", "From la mairie", ".", "..", link, "", "-- ", "\tfin ", "", "",
        )
    )  # fmt: skip
    kind = 'multipart/signed; boundary="b"; micalg=sha-256; protocol="application/pkcs7-signature"'
    mail = (
        f"From: a@sender.example.net\r\nTo: {box.address}\r\nSubject: Acte\r\nX-Long: {'y' * 2000}\r\n"
        f"MIME-Version: 1.0\r\nContent-Type: {kind}\r\n\r\n--b\r\n{signed}\r\n--b\r\n"
        "Content-Type: application/pkcs7-signature; name=smime.p7s\r\n"
        "Content-Transfer-Encoding: base64\r\n\r\nMIIB\r\n--b--\r\n"
    )
    assert post.send(mail, box.address)[0] == 250
    post.wait_count(box, 1)
    client = post.imap(box)
    client.select_folder("INBOX", readonly=True)
    (row,) = client.fetch(client.search("ALL"), ["BODY.PEEK[]"]).values()
    client.logout()
    head, _, body = row[b"BODY[]"].partition(b"\r\n\r\n")
    assert body == mail.partition("\r\n\r\n")[2].encode()
    assert b"X-Long: " + b"y" * 2000 in head


def test_unknown_user_and_foreign_domain_are_refused_at_rcpt(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "refus")
    code, text = post.send("x", f"personne@{beaune.domain}")
    assert (code, "5.1.1" in text) == (550, True)
    code, text = post.send("x", "someone@elsewhere.example.com")
    assert code == 554
    assert post.count(box) == 0


def test_forged_sender_is_refused_where_its_domain_asks_for_it(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "dmarc")
    forged = lure(box.address, "dmarc").replace("billing@sender.example.net", "tresor@strict.example.org")
    code, _ = post.send(forged, box.address, sender="tresor@strict.example.org", client=OTHER_IP)
    assert code == 554
    # The same address without a policy is delivered, and the page says that SPF failed.
    code, _ = post.send(lure(box.address, "spf"), box.address, client=OTHER_IP)
    assert code == 250
    post.wait_count(box, 1)
    with reader.open_mailbox(post.config, box.address) as opened:
        assert opened.read(opened.list()[0].uid).authentication.spf == "fail"


def test_only_app_passwords_open_imap_each_for_its_protocol(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "motdepasse")
    member = beaune.agent_membership
    imap = identity.issue_app_password(
        actor=beaune.agent, membership=member, protocol_set="imap", label="Thunderbird"
    )
    smtp = identity.issue_app_password(
        actor=beaune.agent, membership=member, protocol_set="smtp", label="Copieur"
    )
    run_pending("main")
    assert _signs_in(post, box.address, imap.secret)
    assert not _signs_in(post, box.address, PASSWORD)
    assert not _signs_in(post, box.address, smtp.secret)
    identity.revoke_app_password(actor=beaune.agent, app_password=imap.record)
    run_pending("main")
    assert not _signs_in(post, box.address, imap.secret)


def test_app_password_opens_no_mailbox_of_another_person_or_commune(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    own = post.mailbox(beaune, beaune.agent, "a-moi")
    colleague = post.mailbox(beaune, beaune.colleague, "collegue")
    foreign = post.mailbox(nuits, nuits.agent, "ailleurs")
    issued = identity.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap", label="x"
    )
    run_pending("main")
    assert _signs_in(post, own.address, issued.secret)
    assert not _signs_in(post, colleague.address, issued.secret)
    assert not _signs_in(post, foreign.address, issued.secret)


def test_token_opens_only_its_own_mailbox_and_only_for_a_moment(post: Post, beaune: Commune) -> None:
    from beffroi.mail import tokens

    box = post.mailbox(beaune, beaune.agent, "jeton")
    other = post.mailbox(beaune, beaune.colleague, "jeton2")
    assert _bearer(post, box.address, tokens.mailbox_token(post.config, box.address))
    assert not _bearer(post, other.address, tokens.mailbox_token(post.config, box.address))
    assert not _bearer(post, box.address, tokens.mailbox_token(post.config, box.address, life_s=-30))
    for ahead_s, opens in ((3, True), (30, False)):  # Dovecot's second may be the one before ours
        with clock.shifted(ahead_s):
            token = tokens.mailbox_token(post.config, box.address)
        assert _bearer(post, box.address, token) is opens


def test_report_of_a_message_of_another_mailbox_is_not_found(
    post: Post, beaune: Commune, nuits: Commune
) -> None:
    from beffroi.lib.errors import NotFound

    box = post.mailbox(beaune, beaune.agent, "signale")
    post.send(lure(box.address, "signale"), box.address)
    post.settle(1)
    message = MailDelivery.objects.get().message_id
    assert actions.report_phishing(actor=beaune.agent, mailbox=box, beffroi_id=message).startswith("sig_")
    for stranger in (beaune.colleague, beaune.referent, nuits.agent, nuits.referent):
        with pytest.raises(NotFound):
            actions.report_phishing(actor=stranger, mailbox=box, beffroi_id=message)
        with pytest.raises(NotFound):
            queries.access_mailbox(stranger, box.id)


def _signs_in(post: Post, address: str, password: str) -> bool:
    context = unverified()
    client = imaplib.IMAP4("127.0.0.1", post.config.imap_port, timeout=PATIENCE_S)
    try:
        client.starttls(context)
        client.login(address, password)
        return True
    except imaplib.IMAP4.error:
        return False
    finally:
        client.shutdown()


def _bearer(post: Post, address: str, token: str) -> bool:
    import imapclient
    from imapclient.exceptions import LoginError

    client = imapclient.IMAPClient("127.0.0.1", post.config.imap_local_port, ssl=False, timeout=PATIENCE_S)
    try:
        client.oauthbearer_login(address, token)
        return True
    except LoginError:
        return False
    finally:
        client.shutdown()
