"""Mail that the centre sends to itself by each way that people's mail takes, to its arrival in a mailbox.

Purpose: an engine may answer its health check and still lose mail on the way; this notices within twenty minutes.
Process: sources; what the portal sends, webmail sends. SMTP, submission and IMAP on this machine, ``oauth.key`` for the
         one mailbox. No Django.
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
from functools import partial
from typing import Any

import imapclient
from imapclient.exceptions import IMAPClientError

from beffroi.lib import clock, ids
from beffroi.lib.config import Config
from beffroi.mail import drafts, projections, reader, submission, tokens
from beffroi.mail.drafts import Place
from beffroi.mail.engines import layout, pools
from beffroi.mail.engines.pools import Exit
from beffroi.mail.probe import echo

ARRIVES_S = 45.0
CONNECT_S = 15.0
_PAUSE_S = 0.25
_FOLDERS = ("INBOX", "Junk")
_OUT = ("Drafts", "Sent")
"""What the portal's way leaves: emptied with the rest."""
MARK = "X-Probe"
FIRST = "incoming"
"""Of each run."""
ECHO = "echo"
EXIT = "out-"
"""Path of a sending address: this and the exit's name; without the dash the first one's."""


@dataclass(frozen=True)
class Result:
    """``code``: "" when it arrived; unreachable, refused, sign_in, late (accepted, and not in the mailbox within
    ``ARRIVES_S``), unchecked (arrived without a verdict of our mail door), unread (IMAP does not answer); not_here (a
    sending address is not on this machine); no_echo (left, and has not come back by the next run)."""

    path: str
    code: str
    duration_ms: int


def run(config: Config, ask_webmail: Callable[[Place], None]) -> list[Result]:
    """One mail by every path that is in use here, at most about a minute each; and a look whether our addresses are on
    this machine. ``ask_webmail``: let the process webmail send this draft of the probe's mailbox.
    """
    returned = _returned(config)  # first: each arrival empties the mailbox
    return [
        _one(FIRST, _hand_in, _local, config),
        _one("submission", _submit, _public, config),
        _one("webmail", partial(_write, ask_webmail), _local, config),
        *([_one("relay", _hand_over, _local, config)] if _has_relays(config) else []),
        *([_bound(one) for one in pools.exits(config) if one.addresses] if config.outgoing_mail else []),
        *_leave(config, returned),
    ]


def _has_relays(config: Config) -> bool:
    return projections.relay_version(config, login=config.probe_address + tokens.SENDING_ONLY) > 0


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
    message["Subject"] = f"Courriel de contrôle {mark}"
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
            layout.own_address(config), config.smtp_port, local_hostname="probe.invalid", timeout=CONNECT_S
        ) as smtp:
            smtp.sendmail("", [to], message.as_bytes())
    except (smtplib.SMTPResponseException, smtplib.SMTPRecipientsRefused, smtplib.SMTPSenderRefused):
        raise _Failed("refused") from None
    except (OSError, smtplib.SMTPException):
        raise _Failed("unreachable") from None


def _submit(config: Config, mark: str, *, to: str = "", relay: bool = False) -> None:
    """As a person's program does."""
    own = config.probe_address
    message = _message(mark, own, to or own).as_bytes().replace(b"\n", b"\r\n")
    try:
        submission.submit(config, own, [to or own], message, relay=relay)
    except submission.Refused as error:
        known = error.reason if error.reason in ("unreachable", "sign_in") else "refused"
        raise _Failed(known) from None


def _hand_over(config: Config, mark: str) -> None:
    """As a boîtier does with what a copier gave it: a right to send alone, checked against its policy."""
    _submit(config, mark, relay=True)


def _write(ask: Callable[[Place], None], config: Config, mark: str) -> None:
    """As the portal's page does: a draft, which the process webmail sends."""
    own = config.probe_address
    try:
        with drafts.open_drafts(config, own) as folder:
            place = folder.put(_message(mark, own, own).as_bytes().replace(b"\n", b"\r\n"))
    except reader.MailboxUnavailable:
        raise _Failed("unread") from None
    ask(place)


def _leave(config: Config, returned: Result | None) -> list[Result]:
    """Send the mail that is looked for in the next run; what came of the last one."""
    if not echo.configured(config):
        return []
    mark, began = ids.new_id("prb"), time.monotonic()
    try:
        _submit(config, mark, to=config.probe_echo)
    except _Failed as error:
        echo.remember(config, None)
        return [Result(ECHO, str(error), int((time.monotonic() - began) * 1000))]
    echo.remember(config, echo.Sent(mark, clock.epoch_s()))
    return [returned] if returned else []


def _returned(config: Config) -> Result | None:
    """Whether the last mail to the outside came back, and how long it took; None where none was sent."""
    sent = echo.last(config)
    if sent is None or not echo.configured(config):
        return None
    code, took_ms = "no_echo", 0
    try:
        with reader.connect(config, config.probe_address) as client:
            for folder in _FOLDERS:
                client.select_folder(folder, readonly=True)
                # Whole mail: who answers quotes the subject or the number, who sends it back changes neither.
                if uids := client.search(["TEXT", sent.mark]):
                    came = client.fetch(uids[:1], ["INTERNALDATE"])[uids[0]][b"INTERNALDATE"]
                    code, took_ms = "", max(0, int((came.timestamp() - sent.at) * 1000))
                    break
    except reader.MailboxUnavailable:
        code = "unread"
    return Result(ECHO, code, took_ms)


def _local(config: Config) -> imapclient.IMAPClient:
    return imapclient.IMAPClient(layout.LOOPBACK, config.imap_local_port, ssl=False, timeout=CONNECT_S)


def _public(config: Config) -> imapclient.IMAPClient:
    """The listener of people's programs. Its certificate itself is known."""
    context = ssl.create_default_context(cafile=str(layout.Paths(config.state).tls / "mail.pem"))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return imapclient.IMAPClient(
        layout.own_address(config), config.imaps_port, ssl=True, ssl_context=context, timeout=CONNECT_S
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
            for folder in _OUT:
                _empty(client, folder)
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
    _empty(client, folder)
    return headers.replace(b"X-BEFFROI-UNCHECKED", b"X-Beffroi-Unchecked")


def _empty(client: imapclient.IMAPClient, folder: str) -> None:
    client.select_folder(folder)
    if uids := client.search(["ALL"]):
        client.delete_messages(uids, silent=True)
        client.expunge()
