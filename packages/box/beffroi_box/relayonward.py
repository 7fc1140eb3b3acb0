"""Hands a mail of the relay to the centre's submission, in the name of the relay's mailbox.

Process: ``beffroi-box relay``, one thread.
Trust:   STARTTLS, with the authority that the box pins; dates of certificates are not checked (``client``). Before the
         server's name was proved neither token nor mail is sent.
Input:   the server's answers: lines are bounded by smtplib, texts cut and made ASCII before they are kept.
Fails:   Later for what another attempt may mend. What the centre took for some recipients is not sent to them again.
Source:  RFC 6409, RFC 7628.
"""

from __future__ import annotations

import contextlib
import smtplib
import socket
import ssl
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import BinaryIO

from beffroi_protocol.relaying import Relay

from beffroi_box.authority import verifying_context

TIMEOUT_S = 60.0
ANSWER_S = 150.0
"""For the answer to a whole mail: longer than the centre's Postfix waits for its filter. Who hangs up before gets no
answer, and the mail passes all the same; then it was sent again."""
PIECE_BYTES = 65536


class Later(Exception):
    """Not now: the text says why."""


@dataclass
class Outcome:
    """Recipients by what became of them; ``why``: the server's word for those refused."""

    sent: list[str] = field(default_factory=list)
    later: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    why: str = ""


def connect(
    relay: Relay, addresses: Sequence[str], ca: str, token: Callable[[], tuple[str, str]]
) -> smtplib.SMTP:
    """Return a connection that is signed in; ``token`` is asked for when one is needed. Errors: Later."""
    context = verifying_context(ca)
    trouble = "no address of the centre is known"
    for address in addresses:
        try:
            smtp = _Smtp(relay.host, address, relay.port)
            smtp.starttls(context=context)
            smtp.ehlo()
            _sign_in(smtp, *token())
        except (OSError, smtplib.SMTPException, ValueError) as error:
            trouble = _said(error)
            continue
        return smtp
    raise Later(trouble)


class _Smtp(smtplib.SMTP):
    """Connects to an address, and proves the certificate's name."""

    def __init__(self, name: str, address: str, port: int) -> None:
        self._address = address
        super().__init__(name, port, local_hostname="boitier", timeout=TIMEOUT_S)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        return socket.create_connection((self._address, port), timeout)


def _sign_in(smtp: smtplib.SMTP, login: str, token: str) -> None:
    word = f"n,a={login},\x01auth=Bearer {token}\x01\x01"
    # After a refusal the server sends its reason and waits for a line.
    smtp.auth("OAUTHBEARER", lambda challenge=None: word if challenge is None else "\x01")


def hand_over(smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], mail: BinaryIO) -> Outcome:
    """Errors: Later (nobody has it)."""
    outcome = Outcome()
    try:
        code, said = smtp.mail(sender, ["BODY=8BITMIME"])
        if code != 250:
            return _all(outcome, recipients, code, said, smtp)
        for one in recipients:
            code, said = smtp.rcpt(one)
            if code in (250, 251):
                outcome.sent.append(one)
            elif code >= 500:
                outcome.refused.append(one)
                outcome.why = _ascii(said)
            else:
                outcome.later.append(one)
                outcome.why = outcome.why or _ascii(said)
        if not outcome.sent:
            _reset(smtp)
            return outcome
        code, said = smtp.docmd("DATA")
        if code == 354:
            assert smtp.sock is not None
            while piece := mail.read(PIECE_BYTES):
                smtp.sock.sendall(piece)
            smtp.sock.sendall(b".\r\n")
            smtp.sock.settimeout(ANSWER_S)
            code, said = smtp.getreply()
        if code != 250:
            taken, outcome.sent = outcome.sent, []
            return _all(outcome, taken, code, said, smtp)
    except (OSError, smtplib.SMTPException) as error:
        raise Later(_said(error)) from None
    return outcome


def _all(outcome: Outcome, recipients: Sequence[str], code: int, said: bytes, smtp: smtplib.SMTP) -> Outcome:
    (outcome.refused if code >= 500 else outcome.later).extend(recipients)
    outcome.why = _ascii(said)
    _reset(smtp)
    return outcome


def _reset(smtp: smtplib.SMTP) -> None:
    """Who refuses may hang up, and has refused all the same."""
    with contextlib.suppress(OSError, smtplib.SMTPException):
        smtp.rset()


def _ascii(said: bytes) -> str:
    text = said.decode("ascii", "replace").encode("ascii", "replace").decode()
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())[:200]


def _said(error: BaseException) -> str:
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return f"{error.smtp_code} {_ascii(said if isinstance(said, bytes) else said.encode())}"
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate does not fit the pinned authority ({error.verify_message})"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return type(error).__name__
