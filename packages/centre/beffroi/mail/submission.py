"""Hand a message of the webmail to submission, as any program of the person's would.

Purpose: the same limits, signatures and refusals as for every other client: nothing of the webmail goes around them.
Process: webmail.
Hostile: nothing; the message is the owner's own draft. Its private fields are taken out line by line, unparsed.
Fails:   Refused, which says whether another attempt makes sense. Either all recipients are accepted or none is.
Source:  RFC 5321, RFC 6409, RFC 7628.
"""

from __future__ import annotations

import re
import smtplib
import ssl
from collections.abc import Sequence

from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.mail import tokens
from beffroi.mail.engines import layout

TIMEOUT_S = 30.0
ANSWER_S = 150.0
"""For the answer to a whole message: longer than Postfix waits for the filter (milter_content_timeout). Who hangs up
before gets no answer, and the message leaves all the same; then it was sent again."""
_PRIVATE = re.compile(rb"(?:bcc|resent-bcc|x-beffroi-[a-z-]+)[ \t]*:", re.IGNORECASE)


class Refused(BeffroiError):
    """Submission did not take the message: {}"""

    code = "mail.submission_refused"

    def __init__(self, reason: str, *, again: bool = False, addresses: Sequence[str] = ()) -> None:
        super().__init__(reason)
        self.reason = reason
        """recipient, sender, size, content, limit, full, sign_in or unreachable."""
        self.again = again
        self.addresses = tuple(addresses)


def without_private_fields(message: bytes) -> bytes:
    """The message as others may see it: no hidden recipients, no fields of our own."""
    head, blank, body = message.partition(b"\r\n\r\n")
    fields = re.split(rb"\r\n(?![ \t])", head)
    return b"\r\n".join(one for one in fields if not _PRIVATE.match(one)) + blank + body


def source_of(message: bytes) -> str:
    """The field that names the mail which this one answers, else ""."""
    head = re.sub(rb"\r\n[ \t]+", b" ", message.partition(b"\r\n\r\n")[0])
    found = re.search(rb"^x-beffroi-source:[ \t]*([\x20-\x7e]{1,600})", head, re.IGNORECASE | re.MULTILINE)
    return found[1].decode("ascii").strip() if found else ""


def submit(
    config: Config,
    address: str,
    recipients: Sequence[str],
    message: bytes,
    *,
    sender: str = "",
    relay: bool = False,
) -> None:
    """As the mailbox ``address``; ``sender``: of the envelope, where it is not that one; ``relay``: with the right of a
    boîtier, which sends in its name and opens nothing. Errors: Refused."""
    host = layout.own_address(config)
    try:
        with smtplib.SMTP(host, config.submission_port, local_hostname="webmail", timeout=TIMEOUT_S) as smtp:
            smtp.starttls(context=_own_certificate_only(config))
            _sign_in(smtp, *_credential(config, address, relay=relay))
            _hand_over(smtp, sender or address, recipients, message)
    except Refused:
        raise
    except smtplib.SMTPResponseException as error:
        raise Refused(
            "unreachable" if error.smtp_code < 500 else "content", again=error.smtp_code < 500
        ) from None
    except (OSError, smtplib.SMTPException):
        raise Refused("unreachable", again=True) from None
    except ValueError:  # an address or a field that SMTP has no words for
        raise Refused("content") from None


def _own_certificate_only(config: Config) -> ssl.SSLContext:
    """The certificate itself is known, so its name and who signed it do not matter."""
    context = ssl.create_default_context(cafile=str(layout.Paths(config.state).tls / "mail.pem"))
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def _credential(config: Config, address: str, *, relay: bool) -> tuple[str, str]:
    return (
        tokens.sending_token(config, address) if relay else (address, tokens.mailbox_token(config, address))
    )


def _sign_in(smtp: smtplib.SMTP, login: str, token: str) -> None:
    smtp.ehlo()
    word = f"n,a={login},\x01auth=Bearer {token}\x01\x01"
    try:
        # After a refusal the server sends its reason and waits for a line.
        smtp.auth("OAUTHBEARER", lambda challenge=None: word if challenge is None else "\x01")
    except smtplib.SMTPAuthenticationError as error:
        raise Refused("sign_in", again=error.smtp_code < 500) from None


def _hand_over(smtp: smtplib.SMTP, sender: str, recipients: Sequence[str], message: bytes) -> None:
    if len(message) > int(smtp.esmtp_features.get("size") or 0) > 0:
        raise Refused("size")
    code, _text = smtp.mail(sender, ["BODY=8BITMIME"])
    if code != 250:
        raise _refusal("sender", code)
    bad: dict[str, int] = {}
    full: list[str] = []
    for one in recipients:
        code, text = smtp.rcpt(one)
        if code not in (250, 251):
            bad[one] = code
            if text.startswith(b"4.2.2"):  # RFC 3463: the mailbox of this colleague has no room at present
                full.append(one)
    if bad:
        smtp.rset()
        lasting = [one for one, code in bad.items() if code >= 500]
        if lasting:
            raise Refused("recipient", addresses=lasting)
        if full:
            raise Refused("full", again=True, addresses=full)
        raise Refused("limit", again=True, addresses=list(bad))
    if smtp.sock is not None:
        smtp.sock.settimeout(ANSWER_S)
    code, _text = smtp.data(message)
    if code != 250:
        raise _refusal("content", code)


def _refusal(reason: str, code: int) -> Refused:
    if code == 552:
        return Refused("size")
    return Refused("limit" if code < 500 else reason, again=code < 500)
