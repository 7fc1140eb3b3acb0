"""What a person's own script may do, and when one looks like somebody else's hand. Pure.

Rule:    it may look at mail, file it, flag it, and throw it away (which means the bin: ``trash.sieve``). It may not
         send: no redirect, no answer, no notice, no refusal; absence and forward of the portal end by themselves, are
         seen by the référent, and ask for a step-up.
Engine:  the extensions are its business (``sieve_extensions``). ``redirect`` is no extension, so the word itself is
         refused wherever it stands: a name of a command has one spelling only (RFC 5228, 2.4.1 and 8.1), so what does
         not hold it cannot redirect. No reading of ours could err about where a comment ends.
Source:  RFC 5228, RFC 5804.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from beffroi.mail.filters.rules import HIDING_PLACES, SHORT_WORDS

MAX_SCRIPT_BYTES = 32 * 1024
MAX_SCRIPTS = 5
MAX_NAME_CHARS = 128
_NAME = re.compile(r"[^\x00-\x1f\x7f/\u2028\u2029\ud800-\udfff]+")
_TOKEN = re.compile(
    r"""
    (?P<gap>   \s+ | \#[^\n]*(?:\n|$) | /\*.*?(?:\*/|$) )
  | (?P<lines> text:[ \t]*(?:\#[^\n]*)?\r?\n(?:.*?\n)??\.\r?(?:\n|$) )
  | (?P<text>  "(?:[^"\\]|\\.)*(?:"|$) )
  | (?P<word>  :?[A-Za-z_][A-Za-z0-9_]* )
  | (?P<sign>  . )
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)
# Tests that most mails pass, or of which nothing can be said.
_WIDE = {"true", "not", "size", "exists", "else"}
_SHORT_HEADERS = {"to", "cc"}


def name_fault(name: str) -> bool:
    return not 0 < len(name) <= MAX_NAME_CHARS or _NAME.fullmatch(name) is None or not name.strip(". ")


def fault(text: str) -> str:
    """A code of ``words`` for what the engine would not say by itself; "" for none."""
    if len(text.encode("utf-8", "replace")) > MAX_SCRIPT_BYTES:
        return "long"
    if "\x00" in text:
        return "signs"
    return "redirect" if "redirect" in text.lower() else ""


def _tokens(text: str) -> Iterator[tuple[str, str]]:
    for found in _TOKEN.finditer(text):
        kind, value = str(found.lastgroup), found.group()
        if kind == "text":
            yield "text", re.sub(r"\\(.)", r"\1", value.strip('"'), flags=re.DOTALL)
        elif kind == "lines":
            yield "text", value
        elif kind == "word":
            yield "word", value.lower()
        elif kind == "sign":
            yield "sign", value


def hides(text: str) -> bool:
    """Whether the script could put nearly everything out of sight: it throws mail away, marks it as deleted, files it
    where nobody looks or where only the running script knows, or moves it upon no test, or upon one that says little.

    A guess about a text, good enough to ask its owner; whoever wants to be sure that nothing is lost has the rules
    above.
    """
    wide = [True]
    command: list[tuple[str, str]] = []
    for kind, value in _tokens(text):
        if (kind, value) == ("sign", "{"):
            wide.append(wide[-1] and _is_wide(command))
            command = []
        elif (kind, value) in (("sign", "}"), ("sign", ";")):
            if _puts_away(command, everything=wide[-1]):
                return True
            if value == "}" and len(wide) > 1:
                wide.pop()
            command = []
        else:
            command.append((kind, value))
    return False


def _is_wide(test: list[tuple[str, str]]) -> bool:
    if any(kind == "word" and value in _WIDE for kind, value in test):
        return True
    texts = [value for kind, value in test if kind == "text" and value.lower() not in _SHORT_HEADERS]
    return any(len(re.sub(r"[*?\s]", "", one)) < SHORT_WORDS for one in texts)


def _puts_away(command: list[tuple[str, str]], *, everything: bool) -> bool:
    words = {value for kind, value in command if kind == "word"}
    texts = [value for kind, value in command if kind == "text"]
    if "discard" in words or any(one.lower() == "\\deleted" for one in texts):
        return True
    if "fileinto" not in words or ":copy" in words:
        return False
    return everything or any("${" in one or one.split("/")[0] in HIDING_PLACES for one in texts)
