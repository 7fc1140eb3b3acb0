"""What a person set for their mailbox, as one Sieve script. Pure.

Hostile: words, texts, folders and addresses that people type. They stand in quoted strings alone, where only the quote
         and the backslash mean anything: the script requires neither "variables" nor "encoded-character", so that
         "${...}" is text too.
Order:   the script runs after ``verdict.sieve``; what that set aside is answered, forwarded and filed by nothing here.
Source:  RFC 5228, RFC 5230 (vacation; 4.4 for :mime), RFC 3834 (what is never answered), RFC 5260 (dates), RFC 5490.
"""

from __future__ import annotations

import quopri
import re
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from beffroi_protocol.indicators import registered_names

_REQUIRES = ("copy", "date", "envelope", "fileinto", "imap4flags", "mailbox", "relational", "vacation")
_HEADERS = {"from": ("from",), "to": ("to", "cc"), "subject": ("subject",)}
# Control signs mean nothing in a mail and NUL ends a script; a lone surrogate is no text.
_UNWANTED = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_NOT_ANSWERED = (
    "*noreply*",
    "*no-reply*",
    "*no_reply*",
    "*no.reply*",
    "*donotreply*",
    "*do-not-reply*",
    "*nepasrepondre*",
    "*ne-pas-repondre*",
    "*ne_pas_repondre*",
    "*bounce*",
    "postmaster",
)


@dataclass(frozen=True)
class Away:
    """``handle``: its identifier; a new absence answers everybody anew."""

    handle: str
    begins_at: datetime
    ends_at: datetime
    text: str
    every_days: int


@dataclass(frozen=True)
class Onward:
    target: str
    keeps_copy: bool
    expires_at: datetime


@dataclass(frozen=True)
class Rule:
    """``field``: from, to, subject; ``act``: move, copy (both with ``folder``), star, read."""

    field: str
    words: str
    act: str
    folder: str = ""


def quoted(text: str) -> str:
    """A Sieve string that means exactly this text, without its control signs and with CRLF between lines."""
    escaped = _clean(text).replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\r\n")
    return f'"{escaped}"'


def _clean(text: str) -> str:
    return _UNWANTED.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def _entity(text: str) -> str:
    """What an answer says, with its own header: encoded here, for it is signed as ``vacation`` writes it, and a server
    that encodes 8-bit text, or cuts a line, would break the signature (decision 163)."""
    words = quopri.encodestring(_clean(text).encode()).decode("ascii")
    return f"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: quoted-printable\n\n{words}"


def _list(values: Sequence[str]) -> str:
    return f"[{', '.join(quoted(one) for one in values)}]"


def script(
    address: str, *, away: Away | None = None, onward: Onward | None = None, rules: Sequence[Rule] = ()
) -> str:
    """The script of one mailbox; "" when nothing is set."""
    if not (away or onward or rules):
        return ""
    lines = ["# Written by Beffroi, do not edit.", f"require {_list(_REQUIRES)};"]
    if away or onward:
        # Of a mail that was not checked yet nobody is told. The null sender is an automatic one, or a bounce of ours.
        lines.append('if not anyof (exists "X-Beffroi-Unchecked", envelope :is "from" "") {')
        lines += _answer(address, away) if away else ()
        lines += _redirect(address, onward) if onward else ()
        lines.append("}")
    for rule in rules:
        lines += _rule(rule)
    return "\r\n".join(lines) + "\r\n"


def _answer(address: str, away: Away) -> Iterator[str]:
    """Lists, automatic mail and mail that does not name the address are left out by ``vacation`` itself."""
    yield f"  if allof ({_now('ge', away.begins_at)}, {_now('lt', away.ends_at)},"
    yield f'            not envelope :localpart :matches "from" {_list(_NOT_ANSWERED)}) {{'
    yield f"    vacation :mime :days {int(away.every_days)} :handle {quoted(away.handle)}"
    yield f"      :from {quoted(address)} :addresses {_list([address])} {quoted(_entity(away.text))};"
    yield "  }"


def _redirect(address: str, onward: Onward) -> Iterator[str]:
    """The envelope becomes ours, so a forger who writes our own name in From: would pass there for us: such a mail goes
    on only where it proved its domain, or where its sender had signed in."""
    own = registered_names(address.rpartition("@")[2])
    domain = [one for one in own if "." in one][-1]
    yield f"  if allof ({_now('lt', onward.expires_at)},"
    yield f'            anyof (not address :domain :matches "from" {_list([domain, f"*.{domain}"])},'
    yield '                   header :contains "X-Beffroi-Auth" ["dmarc=pass", "signed-in=yes"])) {'
    if onward.keeps_copy:
        yield f"    redirect :copy {quoted(onward.target)};"
    else:
        yield f"    redirect {quoted(onward.target)};"
        yield "    stop;"
    yield "  }"


def _now(comparison: str, moment: datetime) -> str:
    text = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S+00:00")
    return f'currentdate :zone "+0000" :value "{comparison}" "iso8601" "{text}"'


def _rule(rule: Rule) -> Iterator[str]:
    yield f"if header :contains {_list(_HEADERS[rule.field])} {_list(_spellings(rule.words))} {{"
    if rule.act == "move":
        yield f"  fileinto :create {quoted(rule.folder)};"
        yield "  stop;"
    elif rule.act == "copy":
        yield f"  fileinto :copy :create {quoted(rule.folder)};"
    else:
        yield f"  addflag {quoted({'star': chr(92) + 'Flagged', 'read': chr(92) + 'Seen'}[rule.act])};"
    yield "}"


def _spellings(words: str) -> list[str]:
    """As mails write them: the comparator folds capitals of ASCII alone (RFC 4790, i;ascii-casemap), those of accented
    letters stand here: small, capital, at the beginning of words; composed, and decomposed as macOS writes them."""
    if words.isascii():
        return [words]
    cases = (words, words.lower(), words.upper(), words.capitalize(), words.title())
    forms = (unicodedata.normalize(form, one) for one in cases for form in ("NFC", "NFD"))
    return list(dict.fromkeys((words, *forms)))


def matches(rule: Rule, *, sender: str, recipients: Sequence[str], subject: str) -> bool:
    """What the script would say of a mail: capitals do not count, accents do."""
    seen = {"from": [sender], "to": list(recipients), "subject": [subject]}[rule.field]
    wanted = [_folded(one) for one in _spellings(rule.words)]
    return any(one in _folded(text) for text in seen for one in wanted)


def _folded(text: str) -> str:
    return "".join(sign.lower() if sign.isascii() else sign for sign in text)
