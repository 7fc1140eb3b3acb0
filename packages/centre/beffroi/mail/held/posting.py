"""Hand a mail of the centre to its own Postfix.

Purpose: the centre's word to a mailbox of a collectivité, on the way that all mail takes: rspamd stamps it, Dovecot
         delivers it. The envelope has no sender, so that nothing ever comes back.
Process: worker.
Fails:   MailNotTaken (retryable): the caller tries again.
"""

from __future__ import annotations

import smtplib
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime

from django.utils import timezone

from beffroi.lib import clock, ids
from beffroi.lib.config import Config
from beffroi.lib.errors import Unavailable
from beffroi.mail.engines import layout
from beffroi.mail.held.sealing import LOCAL_PART, seal

TIMEOUT_S = 60.0


class MailNotTaken(Unavailable):
    """{} does not take the mail at the moment; it is tried again."""

    code = "mail.not_taken"


def send(config: Config, *, to: str, subject: str, text: str, html: str) -> None:
    """Errors: MailNotTaken."""
    post(config, compose(config, to=to, subject=subject, text=text, html=html), to)


def compose(config: Config, *, to: str, subject: str, text: str, html: str) -> EmailMessage:
    """A mail in plain text with the same in HTML, marked as written by a machine, and as personal: for the owner alone,
    also where the mailbox is lent (mail/privacy.py): a digest names what is held, and its link opens without a
    sign-in. The Message-ID carries the seal by which the portal knows its own mail."""
    mail = EmailMessage()
    mail["From"] = Address("Beffroi", LOCAL_PART, config.mail_name)
    mail["To"] = to
    mail["Subject"] = subject
    mail["Date"] = format_datetime(timezone.localtime(clock.now()))
    sealed = seal(to=to, subject=subject, text=text, html=html)
    mail["Message-ID"] = f"<{ids.new_id('dig')}.{sealed}@{config.mail_name}>"
    mail["Auto-Submitted"] = "auto-generated"
    mail["Sensitivity"] = "Personal"
    mail.set_content(text)
    mail.add_alternative(html, subtype="html")
    return mail


def post(config: Config, mail: EmailMessage, to: str) -> None:
    """Errors: MailNotTaken."""
    host = layout.own_address(config)
    try:
        with smtplib.SMTP(host, config.smtp_port, timeout=TIMEOUT_S, local_hostname=config.mail_name) as smtp:
            smtp.send_message(mail, from_addr="", to_addrs=[to])
    except (OSError, smtplib.SMTPException):
        raise MailNotTaken("Postfix") from None
