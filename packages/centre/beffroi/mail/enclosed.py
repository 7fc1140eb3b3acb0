"""The text of a mail that is enclosed in its signature (S/MIME, signed-data): Dovecot sees one attached file.

Process: web. The file is opened in the process ``scan``; here its text alone arrives.
Hostile: the file. Nobody checks the signature: who signs is known to no list of ours, and the mail door has proved, or
         not, who sent it.
Fails:   towards no text.
Source:  RFC 8551, 3.5.2.
"""

from __future__ import annotations

from beffroi.lib.config import Config
from beffroi.mail.reader import MAX_ATTACHMENT_BYTES, Attachment, MessageView
from beffroi.scan import values, wire

KINDS = ("application/pkcs7-mime", "application/x-pkcs7-mime")
_PATIENCE_S = 15.0


def part_of(view: MessageView) -> Attachment | None:
    """What may be such a mail, or an encrypted one."""
    if view.text.strip() or view.html:
        return None
    found = (one for one in view.attachments if one.content_type in KINDS)
    return next((one for one in found if one.size_bytes <= MAX_ATTACHMENT_BYTES), None)


def text(config: Config, data: bytes) -> str:
    """With the names of its files; "" for what is encrypted, or where ``scan`` does not answer."""
    try:
        answer = wire.ask(wire.files_socket_path(config.state), wire.WORDS, data, timeout_s=_PATIENCE_S)
        return values.decode(answer, most_text=values.MOST_WORDS_TEXT).text.strip()
    except (OSError, wire.Ended, ValueError):
        return ""
