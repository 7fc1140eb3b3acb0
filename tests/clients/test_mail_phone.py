"""What a phone was given opens real Dovecot and submission; its last use is known; the account password is refused."""

from __future__ import annotations

import hashlib
import plistlib
import smtplib
import ssl

import pytest
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import device_links
from beffroi.core.identity.models import AppPassword
from beffroi.mail import doveadm, phones
from beffroi.mail.domains.queries import servers
from beffroi.mail.doveadm import Doveadm
from beffroi.mail.engines import layout
from imapclient import IMAPClient
from imapclient.exceptions import IMAPClientError, LoginError

from tests.clients.test_mail_look_back import From, attacker
from tests.conftest import PASSWORD, Commune
from tests.mail_post import OTHER_IP, Post, needs_engines
from tests.submitting import secret_of
from tests.waiting import PATIENCE_S, until

__all__ = ["attacker"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def _imap(post: Post) -> IMAPClient:
    context = ssl._create_unverified_context()
    return IMAPClient("127.0.0.1", post.config.imaps_port, ssl=True, ssl_context=context, timeout=PATIENCE_S)


def test_a_profile_opens_mail_and_its_last_use_is_known(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    made = device_links.make(
        actor=beaune.agent, membership=beaune.agent_membership, kind="iphone", label="Téléphone"
    )
    opened = device_links.open_once(made.secret, address=OTHER_IP)
    account = phones.Account(box.address, "Claire", opened.issued.secret)
    profile = plistlib.loads(
        phones.apple_profile(servers(post.config), [account], device="x", organisation="B", title="C")
    )
    (mail,) = profile["PayloadContent"]
    run_pending("main")
    with _imap(post) as client:
        client.login(mail["IncomingMailServerUsername"], mail["IncomingPassword"])
    # A phone speaks TLS from the first byte where a profile asks for SSL (RFC 8314).
    port, context = mail["OutgoingMailServerPortNumber"], ssl._create_unverified_context()
    with smtplib.SMTP_SSL("127.0.0.1", port, timeout=PATIENCE_S, context=context) as smtp:
        smtp.login(mail["OutgoingMailServerUsername"], mail["IncomingPassword"])


def test_the_last_use_of_each_app_password_is_its_own(post: Post, beaune: Commune, attacker: str) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    first, second = secret_of(beaune), secret_of(beaune)
    client = From(post, attacker)
    client.login(box.address, second)
    client.logout()
    digests = [hashlib.sha256(one.encode()).hexdigest() for one in (first, second)]
    used = AppPassword.objects.filter(last_used_at__isnull=False)
    until(used.exists, "last use")
    assert [one.sha256 for one in used] == digests[1:]


def test_a_phone_that_waits_is_put_out_when_its_password_is_revoked(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    lost, kept = secret_of(beaune), secret_of(beaune)
    thief = _imap(post)
    thief.login(box.address, lost)
    thief.select_folder("INBOX")
    thief.idle()
    row = AppPassword.objects.get(sha256=hashlib.sha256(lost.encode()).hexdigest())
    identity.revoke_app_password(actor=beaune.agent, app_password=row)
    run_pending("main")
    until(lambda: Doveadm(post.config).run([doveadm.who(box.address)]) == [[]], "the connection's end")
    with pytest.raises((IMAPClientError, OSError)):
        thief.idle_done()
        thief.search()
    with pytest.raises(LoginError), _imap(post) as again:
        again.login(box.address, lost)
    with _imap(post) as other:
        other.login(box.address, kept)


def test_the_account_password_is_refused_and_what_is_needed_is_said(post: Post, beaune: Commune) -> None:
    box = post.mailbox(beaune, beaune.agent, "agent")
    help_text = layout.sign_in_help(post.config)
    assert help_text.isascii() and "/acces/" in help_text
    with _imap(post) as client:
        assert help_text.encode() in client.welcome
        with pytest.raises(LoginError):
            client.login(box.address, PASSWORD)
    with smtplib.SMTP("127.0.0.1", post.config.submission_port, timeout=PATIENCE_S) as smtp:
        smtp.starttls(context=ssl._create_unverified_context())
        with pytest.raises(smtplib.SMTPAuthenticationError) as refused:
            smtp.login(box.address, PASSWORD)
    assert refused.value.smtp_code == 535 and help_text.encode() in refused.value.smtp_error
