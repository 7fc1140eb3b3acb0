"""Hand a mail of the centre to its own Postfix.

Purpose: the centre's word to a mailbox of a collectivité, on the way that all mail takes: rspamd stamps it, Dovecot
         delivers it. The envelope has no sender, so that nothing ever comes back.
Process: worker.
Fails:   MailNotTaken (retryable): the caller tries again. A mailbox that is full, or is not there, and a mail
         that the door refuses are their own matter: nobody else's mail waits for them.
"""

from __future__ import annotations

import logging
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
log = logging.getLogger("beffroi.mail.held")


class MailNotTaken(Unavailable):
    """{} does not take the mail at the moment; it is tried again."""

    code = "mail.not_taken"


def send(config: Config, *, to: str, subject: str, text: str, html: str) -> bool:
    """False where this mailbox takes no mail, or not this one. Errors: MailNotTaken."""
    return post(config, compose(config, to=to, subject=subject, text=text, html=html), to)


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


def post(config: Config, mail: EmailMessage, to: str) -> bool:
    """As ``send``. Errors: MailNotTaken."""
    host = layout.own_address(config)
    try:
        with smtplib.SMTP(host, config.smtp_port, timeout=TIMEOUT_S, local_hostname=config.mail_name) as smtp:
            smtp.send_message(mail, from_addr="", to_addrs=[to])
    except smtplib.SMTPRecipientsRefused as error:
        code, told = error.recipients[to]
        if code < 500 and not told.startswith(b"4.2.2"):  # RFC 3463: full
            raise MailNotTaken("Postfix") from None
        return _not_taken(code)
    except smtplib.SMTPDataError as error:
        # The mail door refuses what it names (a file, a link): no reason to keep others waiting.
        if error.smtp_code < 500:
            raise MailNotTaken("Postfix") from None
        return _not_taken(error.smtp_code)
    except (OSError, smtplib.SMTPException):
        raise MailNotTaken("Postfix") from None
    return True


def _not_taken(code: int) -> bool:
    log.warning("a mail of the centre is not taken for its mailbox: %d", code)
    return False
