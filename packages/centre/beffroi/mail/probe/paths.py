"""Mail that the centre sends to itself by each way that people's mail takes, to its arrival in a mailbox.

Purpose: an engine may answer its health check and still lose mail on the way; this notices within twenty minutes.
Process: sources; SMTP, submission and IMAP on this machine, ``oauth.key`` for the one mailbox. No Django.
Hostile: whoever writes to the mailbox: what lies in it is never read but for its own mark, and is deleted.
Fails:   a path that does not arrive is a code; nothing is raised.
Source:  docs/decisions/0040-reports-and-probe.md.
"""

from __future__ import annotations

import smtplib
import socket
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from email.message import EmailMessage
from email.utils import format_datetime
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientError

from beffroi.lib import clock, ids
from beffroi.lib.config import Config
from beffroi.mail import submission, tokens
from beffroi.mail.engines import layout, pools, probes
from beffroi.mail.engines.pools import Exit

ARRIVES_S = 45.0
CONNECT_S = 15.0
_PAUSE_S = 0.25
_FOLDERS = ("INBOX", "Junk")
MARK = "X-Probe"
EXIT = "out-"
"""Path of a sending address: this and the exit's name; without the dash the first one's."""


@dataclass(frozen=True)
class Result:
    """``code``: "" when it arrived; unreachable, refused, sign_in, late (accepted, and not in the mailbox within
    ``ARRIVES_S``), unchecked (arrived without a verdict of our mail door), unread (IMAP does not answer); not_here (a
    sending address is not on this machine)."""

    path: str
    code: str
    duration_ms: int


def run(config: Config) -> list[Result]:
    """One mail by every path, at most about a minute each; and a look whether our addresses are on this machine."""
    return [
        _one("incoming", _hand_in, _local, config),
        _one("submission", _submit, _public, config),
        *([_bound(one) for one in pools.exits(config) if one.addresses] if config.outgoing_mail else []),
    ]


def _bound(one: Exit) -> Result:
    """Whether mail can leave from there: Postfix lets it wait where an address is not on this machine."""
    began, code = time.monotonic(), ""
    for address in one.addresses:
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        try:
            with socket.socket(family, socket.SOCK_STREAM) as tried:
                tried.bind((address, 0))
        except OSError:
            code = "not_here"
    path = f"{EXIT}{one.name}" if one.name else EXIT.rstrip("-")
    return Result(path, code, int((time.monotonic() - began) * 1000))


class _Failed(Exception):
    """A path ended early; the argument is the code."""


def _one(
    path: str,
    send: Callable[[Config, str], None],
    connect: Callable[[Config], imapclient.IMAPClient],
    config: Config,
) -> Result:
    mark, began = ids.new_id("prb"), time.monotonic()
    try:
        send(config, mark)
        code = _arrived(config, mark, connect)
    except _Failed as error:
        code = str(error)
    return Result(path, code, int((time.monotonic() - began) * 1000))


def _message(mark: str, sender: str, to: str) -> EmailMessage:
    message = EmailMessage()
    message["From"] = f"Sonde Beffroi <{sender}>"
    message["To"] = to
    message["Subject"] = "Courriel de contrôle"
    message["Date"] = format_datetime(clock.now())
    message["Message-ID"] = f"<{mark}@{to.rpartition('@')[2]}>"
    message[MARK] = mark
    message.set_content("Le centre vérifie que le courrier passe. Ce message s’efface tout seul.\n")
    return message


def _hand_in(config: Config, mark: str) -> None:
    """As a stranger's server does. The visible sender's domain exists nowhere: no policy of any domain is about it."""
    to = config.probe_address
    message = _message(mark, "sonde@probe.invalid", to)
    try:
        with smtplib.SMTP(
            probes.address(config), config.smtp_port, local_hostname="probe.invalid", timeout=CONNECT_S
        ) as smtp:
            smtp.sendmail("", [to], message.as_bytes())
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused):
        raise _Failed("refused") from None
    except (OSError, smtplib.SMTPException):
        raise _Failed("unreachable") from None


def _submit(config: Config, mark: str) -> None:
    """As a person's program does."""
    to = config.probe_address
    try:
        submission.submit(config, to, [to], _message(mark, to, to).as_bytes().replace(b"\n", b"\r\n"))
    except submission.Refused as error:
        known = error.reason if error.reason in ("unreachable", "sign_in") else "refused"
        raise _Failed(known) from None


def _local(config: Config) -> imapclient.IMAPClient:
    return imapclient.IMAPClient(layout.LOOPBACK, config.imap_local_port, ssl=False, timeout=CONNECT_S)


def _public(config: Config) -> imapclient.IMAPClient:
    """The listener of people's programs. Its certificate itself is known."""
    context = ssl.create_default_context(cafile=str(layout.Paths(config.state).tls / "mail.pem"))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return imapclient.IMAPClient(
        probes.address(config), config.imaps_port, ssl=True, ssl_context=context, timeout=CONNECT_S
    )


def _arrived(config: Config, mark: str, connect: Callable[[Config], imapclient.IMAPClient]) -> str:
    """Wait for it, delete all that lies there, and say how it came."""
    until = time.monotonic() + ARRIVES_S
    try:
        client = connect(config)
        client.oauthbearer_login(config.probe_address, tokens.mailbox_token(config, config.probe_address))
        try:
            while time.monotonic() < until:
                for folder in _FOLDERS:
                    if (headers := _found(client, folder, mark)) is not None:
                        return "unchecked" if b"X-Beffroi-Unchecked" in headers else ""
                time.sleep(_PAUSE_S)
            return "late"
        finally:
            client.logout()
    except (OSError, IMAPClientError):
        return "unread"


def _found(client: imapclient.IMAPClient, folder: str, mark: str) -> bytes | None:
    client.select_folder(folder)
    uids: Any = client.search(["HEADER", MARK, mark])
    if not uids:
        return None
    part = b"BODY[HEADER.FIELDS (X-BEFFROI-UNCHECKED)]"
    headers = bytes(client.fetch(uids, ["BODY.PEEK[HEADER.FIELDS (X-BEFFROI-UNCHECKED)]"])[uids[0]][part])
    client.delete_messages(client.search(["ALL"]), silent=True)
    client.expunge()
    return headers.replace(b"X-BEFFROI-UNCHECKED", b"X-Beffroi-Unchecked")
