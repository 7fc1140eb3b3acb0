"""A phishing campaign made of one real mail: other wording, other recipients, the same links.

Purpose: the lure as it came for the first commune, variants for the others, and the next mail that the door
         must refuse; each with its own Message-ID, as real campaigns have.
Input:   the mail is hostile; only the child process of ``extract`` parses it.
Source:  docs/internals/lab.md.
"""

from __future__ import annotations

import base64
import json
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from email.utils import formatdate
from pathlib import Path
from typing import TypedDict
from urllib.parse import urlsplit

import dkim
import idna
from beffroi_protocol.errors import IndicatorInvalid
from beffroi_protocol.indicators import Kind, normalise

from beffroi_lab.extract import MAX_MAIL_BYTES

SAMPLES = Path(__file__).parent / "samples"
_EXTRACT_S = 20
_FALLBACK_SENDER = "ne-pas-repondre@avis-notification-hw6613.com"
_SENTENCES = (
    "Dernier rappel : votre dossier est incomplet.",
    "Madame, Monsieur, merci de traiter ce message avant vendredi.",
    "Suite à notre précédent courrier, une action est attendue de votre part.",
    "Votre référence est à rappeler dans tout échange.",
)


class LureUnusable(Exception):
    """The mail cannot be played; the text says why."""


@dataclass(frozen=True)
class Lure:
    """A mail as a machine reads it. ``link_hosts`` hold the page it wants to be followed to."""

    path: Path
    raw: bytes
    mail_from: str
    header_from: str
    links: tuple[str, ...]
    link_hosts: tuple[str, ...]
    image_hosts: tuple[str, ...]
    parsed: bool

    @property
    def sender_domains(self) -> tuple[str, ...]:
        found = {a.rpartition("@")[2].lower() for a in (self.mail_from, self.header_from) if "@" in a}
        return tuple(sorted(d for d in found if _usable_name(d)))


@dataclass(frozen=True)
class Mail:
    """One message of the campaign, ready for DATA."""

    message_id: str
    mail_from: str
    recipient: str
    data: bytes


def choose(path: Path | None) -> list[Path]:
    """Return the mails that an argument names: a file, a folder of files, or the shipped samples."""
    if path is None:
        return sorted(SAMPLES.glob("*.eml"))
    if path.is_dir():
        found = sorted(p for p in path.rglob("*.eml") if p.is_file())
        if not found:
            raise LureUnusable(f"No .eml file in {path}.")
        return found
    if not path.is_file():
        raise LureUnusable(f"There is no file {path}.")
    return [path]


def load(path: Path) -> Lure:
    """Read one mail. Errors: LureUnusable."""
    raw = path.read_bytes()[:MAX_MAIL_BYTES]
    found = _extract(raw, [])["found"]
    hosts = _hosts(found["links"])
    if not hosts:
        raise LureUnusable(f"{path.name} holds no link that a machine can find: nothing to block at a box.")
    mail_from = found["mail_from"] if _usable_address(found["mail_from"]) else ""
    header_from = found["header_from"] if _usable_address(found["header_from"]) else ""
    return Lure(
        path=path,
        raw=raw,
        mail_from=mail_from or header_from or _FALLBACK_SENDER,
        header_from=header_from,
        links=tuple(found["links"]),
        link_hosts=hosts,
        image_hosts=tuple(h for h in _hosts(found["images"]) if h not in hosts),
        parsed=bool(found["parsed"]),
    )


class Campaign:
    """Makes the messages of one campaign from one lure."""

    def __init__(self, lure: Lure, sign: Callable[[bytes], bytes] | None = None) -> None:
        self.lure = lure
        self._sign = sign or (lambda data: data)
        self._made = 0

    def first(self, recipient: str) -> Mail:
        """The lure as it was written."""
        return self._make([(recipient, False)])[0]

    def variants(self, recipients: Sequence[str]) -> list[Mail]:
        """The same links in other words, one message a recipient."""
        return self._make([(recipient, True) for recipient in recipients])

    def _make(self, wanted: Sequence[tuple[str, bool]]) -> list[Mail]:
        asked: list[dict[str, object]] = []
        ids: list[str] = []
        for recipient, reworded in wanted:
            self._made += 1
            message_id = f"<{secrets.token_hex(12)}.{self._made}@{self.lure.mail_from.rpartition('@')[2]}>"
            ids.append(message_id)
            # A forged header of ours travels along: the centre must strip it at its door.
            headers = {
                "X-Beffroi-Id": "msg_00000000000000000000000000",
                "Message-ID": message_id,
                "Date": formatdate(time.time()),
                "To": f"<{recipient}>",
            }
            sentence = _SENTENCES[self._made % len(_SENTENCES)] if reworded else ""
            subject = f"Dossier {secrets.randbelow(90000) + 10000} : votre attention est requise"
            asked.append({"headers": headers, "sentence": sentence, "subject": subject})
        made = _extract(self.lure.raw, asked)["messages"]
        return [
            Mail(message_id, self.lure.mail_from, recipient, self._sign(_crlf(base64.b64decode(text))))
            for message_id, (recipient, _), text in zip(ids, wanted, made, strict=True)
        ]


def signer(domain: str, private_key_pem: bytes, selector: str = "lab") -> Callable[[bytes], bytes]:
    """Return a function that adds a DKIM signature of ``domain``; a mail it cannot sign stays unsigned."""

    def sign(data: bytes) -> bytes:
        try:
            header: bytes = dkim.sign(
                data,
                selector.encode(),
                domain.encode() if domain.isascii() else idna.encode(domain, uts46=True),
                private_key_pem,
                canonicalize=(b"relaxed", b"relaxed"),
                include_headers=[b"from", b"to", b"subject", b"date", b"message-id"],
            )
        except (dkim.DKIMException, UnicodeError, ValueError, IndexError, KeyError):
            return data
        return header + data

    return sign


class _Found(TypedDict):
    mail_from: str
    header_from: str
    links: list[str]
    images: list[str]
    parsed: bool


class _Answer(TypedDict):
    found: _Found
    messages: list[str]


def _extract(raw: bytes, messages: list[dict[str, object]]) -> _Answer:
    request = json.dumps({"mail": base64.b64encode(raw).decode(), "messages": messages})
    try:
        done = subprocess.run(
            [sys.executable, "-m", "beffroi_lab.extract"],
            input=request.encode(),
            capture_output=True,
            timeout=_EXTRACT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise LureUnusable(f"Reading the mail took more than {_EXTRACT_S} s.") from None
    if done.returncode != 0:
        raise LureUnusable(f"Reading the mail ended with status {done.returncode} (limits of the child).")
    answer: _Answer = json.loads(done.stdout)
    return answer


def _hosts(links: Sequence[str]) -> tuple[str, ...]:
    names: list[str] = []
    for link in links:
        try:
            name = (urlsplit(link).hostname or "").rstrip(".").lower()
        except ValueError:
            continue
        if _usable_name(name) and name not in names:
            names.append(name)
    return tuple(names)


def _usable_name(name: str) -> bool:
    """True for a name that DNS can hold; an address in a link needs no name."""
    try:
        return normalise(Kind.DOMAIN, name).value == name
    except IndicatorInvalid:
        return False


def _usable_address(address: str) -> bool:
    try:
        normalise(Kind.SENDER, address)
    except IndicatorInvalid:
        return False
    return address.isascii() and _usable_name(address.rpartition("@")[2].lower())


def _crlf(data: bytes) -> bytes:
    return data.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
