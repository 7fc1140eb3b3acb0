"""Where scripts, shortcuts and commands lead, also those that a reader is told to paste (ClickFix). Pure, and for
hostile text: nothing is run.

Hostile: every sign. Each expression goes over a text once.
Source:  MS-SHLLINK 2.1 to 2.4; docs/decisions/0178-where-scripts-and-shortcuts-lead.md.
"""

from __future__ import annotations

import re
import struct
from base64 import b64decode
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from beffroi.scan import computed, kinds, office

_COMMAND = re.compile(
    r"\b(?:powershell|pwsh|cmd(?:\.exe)?\s*/|mshta|msiexec|rundll32|regsvr32|[cw]script|bitsadmin|certutil|curl|wget|iwr|irm"
    r"|iex|invoke-\w+|start-bitstransfer|net\.webclient|downloadstring|osascript|bash\s+-c|base64\s+-d|installutil|conhost)\b",
    re.IGNORECASE,
)
"""What a person is told to paste into Windows' "Run", a terminal, a file's address line."""
_WORDS_OF_COMMANDS = (
    "powershell", "pwsh", "cmd", "mshta", "msiexec", "rundll32", "regsvr32", "cscript", "wscript", "bitsadmin",
    "certutil", "curl", "wget", "iwr", "irm", "iex", "invoke-", "start-bits", "webclient", "downloadstring",
    "osascript", "bash", "base64 -", "installutil", "conhost", "finger", "ssh",
)  # fmt: skip
"""One of them stands in each of these."""
_FETCHES = re.compile(
    r"\[(?:internetshortcut|desktop entry)\]|[<:](?:libraryDescription|searchConnectorDescription|PCSettings|plist"
    r"|package|job|jnlp|AppInstaller|deploymentProvider|MMC_ConsoleFile)\b|activexobject"
    r"|^(?:full address|gatewayhostname|screen mode id):[si]:|^WEB\r?\n1\r?\n|urldownloadtofile,|inet(?:get|read)\("
    r"|urlopen\(|requests\.get\(|require\([\"']https?[\"']\)"
    r"|wscript\.|createobject\s*\(|msxml2\.|^@echo off|\bweb\.(?:contents|page)\(|" + _COMMAND.pattern,
    re.IGNORECASE | re.MULTILINE,
)
"""What scripts and shortcuts have, and letters have not."""
_WORDS_OF_SCRIPTS = (
    *_WORDS_OF_COMMANDS,
    *(f"{sign}{name}" for sign in "<:" for name in ("plist", "package", "job")),
    "internetshortcut", "desktop entry", "librarydescription", "searchconnectordescription", "pcsettings", "jnlp",
    "appinstaller", "deploymentprovider", "mmc_consolefile", "full address:", "gatewayhostname:", "screen mode id:",
    "web\r\n1", "web\n1", "urldownloadtofile", "inetget", "inetread", "urlopen", "requests.get", "require(",
    "activexobject", "wscript.", "createobject", "msxml2.", "@echo off", "web.contents", "web.page",
)  # fmt: skip
_WEB = r"https?:/{1,2}[^\s\0<>\"'`|;)\\]+[^\s\0<>\"'`|;)\\.,:!?]"
_SHARE = (
    r"(?:file:[/\\]{2,5}|\\{2,4})(?P<host>[\w-]+(?:\.[\w-]+)+)(?P<ssl>@ssl)?(?:@(?P<port>\d{1,5}))?"
    r"(?P<path>[/\\][^\s\0<>\"'|]*)"
)
_PLACES = re.compile(f"(?:{_WEB})|{_SHARE}", re.IGNORECASE)
_BARE = re.compile(
    r"\b(?:iwr|irm|curl|wget|invoke-(?:webrequest|restmethod)|mshta|download(?:string|file|data)\(|start-bitstransfer)"
    r"(?:\.exe)?\s*(?:-\S{1,40}\s{1,9}(?:[^\s-]\S{0,200}\s{1,9})?){0,6}[\"'(]{0,3}((?:[\w-]{1,63}\.){1,8}([a-z]{2,24})(?::\d{1,5})?"
    r"(/[^\s\0<>\"'`|;)]*)?)(?=[\s\"'|;)]|\Z)",
    re.IGNORECASE,
)
"""Programs that fetch take an address without its scheme."""
_ASKED = re.compile(
    r"\b(?:finger|ssh|ftp)(?:\.exe)?\s{1,9}(?:-\S{1,40}\s{1,9}(?:[^\s-]\S{0,200}\s{1,9})?){0,6}(?:[\w.-]{0,64}@)?"
    r"((?:[\w-]{1,63}\.){1,8}([a-z]{2,24}))(?=[\s\"'|;)&]|\Z)",
    re.IGNORECASE,
)
"""Programs that ask a host for what another one runs."""
_ECHOED = re.compile(
    r"(?<![\w+/])([\w+/]{24,}+={0,2})[\"']?\s{0,9}\|\s{0,9}(?:openssl\s{1,9})?base64\s{1,9}-", re.ASCII
)
"""As a terminal of a Mac is told to unpack it."""
_SHARES = re.compile(rf"(?<!\w:)(?<![\w\\]){_SHARE}", re.IGNORECASE)
_DESKTOP = re.compile(
    r"^(?:(?:alternate )?full address|gatewayhostname):s:\s*(?P<host>[\w-]+(?:\.[\w-]+)+)(?P<ssl>)"
    r"(?::(?P<port>\d{1,5}))?(?P<path>)",
    re.IGNORECASE | re.MULTILINE,
)
"""Whose screen, and files, a remote desktop file (.rdp) shows."""
_FOLDERS = re.compile(r"[/\\]+(?:DavWWWRoot[/\\]+)?", re.IGNORECASE)
_NAMES = re.compile(
    r"""\bxmlns(?::\w{1,40})?\s?=\s?["'][^"'<>]{0,200}["']|<!DOCTYPE[^<>]{0,400}>""", re.IGNORECASE
)
_ENCODED = re.compile(r"[-/]e[a-z]{0,14}\s+[\"']?([\w+/]{40,}=*)", re.IGNORECASE | re.ASCII)
"""A command of PowerShell, in base64 of UTF-16."""
_SIGN = re.compile(r"\\x([0-9a-f]{2})|\\u\{?([0-9a-f]{4})\}?|\bchrw?\(\s*(\d{2,3})\s*\)", re.IGNORECASE)
_JOINED = re.compile(r"""["'`]\s*[+&]\s*["'`]""")
_NUMBERS = re.compile(r"(?:(?:0x[0-9a-f]{2}|\d{2,3})\s*,\s*){8,}(?:0x[0-9a-f]{2}|\d{2,3})", re.IGNORECASE)
_OCTAL = re.compile(r"(?:\\[0-7]{2,3}){8,}")
_BACKWARDS = re.compile(r"//:s?ptth")
_QUOTE = re.compile(r"[\"'`\s]")
_REACH, _MOST = 400, 2000
"""Characters between a command and what it fetches; addresses of a text that are looked at."""


def written_out(script: str) -> str:
    """The same with signs instead of their numbers, and texts that are put together as one."""
    script = _JOINED.sub("", _SIGN.sub(_sign, script))
    numbers = (
        "".join(chr(int(one, 16 if "x" in one.lower() else 10)) for one in found[0].split(","))
        for found in _NUMBERS.finditer(script)
    )
    backwards = (
        _turned(script[max(0, found.end() - _REACH) : found.end()]) for found in _BACKWARDS.finditer(script)
    )
    octal = (
        "".join(chr(int(one, 8)) for one in found[0].split("\\")[1:]) for found in _OCTAL.finditer(script)
    )
    return "\n".join((script, *(f'"{one}"' for one in (*numbers, *octal, *islice(backwards, _MOST)))))


def _turned(text: str) -> str:
    return _QUOTE.split(text[::-1], maxsplit=1)[0]


def _sign(found: re.Match[str]) -> str:
    if found[3]:
        return f'"{chr(int(found[3]))}"'
    return chr(int(found[1] or found[2], 16))


def is_script(text: str) -> bool:
    lower = text.lower()
    return any(word in lower for word in _WORDS_OF_SCRIPTS) and _FETCHES.search(text) is not None


def links(text: str) -> Iterator[str]:
    """Each address in what is a script, or a shortcut that is text; none where it is neither."""
    if is_script(text):
        yield from addresses(_NAMES.sub("", text))
        yield from map(_address, islice(_DESKTOP.finditer(text), _MOST))
        yield from computed.links(text)


def addresses(text: str) -> Iterator[str]:
    """Those of the web, and shares elsewhere as the web would have them."""
    for one in _unpacked(text):
        yield from map(_address, islice(_PLACES.finditer(one), _MOST))
        yield from _bare(one)


def shares(text: str) -> Iterator[str]:
    """Those elsewhere, in whatever text: Windows asks for what a list of songs or the look of a folder names there."""
    if "\\\\" in text or "file:" in text.lower():
        yield from map(_address, islice(_SHARES.finditer(text), _MOST))


def commanded(text: str) -> Iterator[str]:
    """Each address behind a command, in whatever text."""
    lower = _unmarked(text).lower()
    if not any(word in lower for word in _WORDS_OF_COMMANDS):  # a tenth of what the expression takes
        return
    for one in _unpacked(text):
        for found in islice(_PLACES.finditer(one), _MOST):
            # Once for each address, and not over the whole text for each command.
            if _COMMAND.search(one, max(0, found.start() - _REACH), found.start()):
                yield _address(found)
        yield from _bare(one)


def _unmarked(text: str) -> str:
    """Without the signs that the command line and PowerShell leave out."""
    return text.replace("^", "").replace("`", "")


def _bare(text: str) -> Iterator[str]:
    for found in islice(_ASKED.finditer(text), _MOST):
        if not kinds.is_extension(found[2].lower()):
            yield f"http://{found[1]}"
    for found in islice(_BARE.finditer(text), _MOST):
        if found[3] or not kinds.is_extension(found[2].lower()):
            yield f"http://{found[1]}"


def _unpacked(text: str) -> Iterator[str]:
    yield written_out(computed.command(_unmarked(text)))
    for token in islice(_ENCODED.findall(text), _MOST):
        yield b64decode(token[: len(token) // 4 * 4]).decode("utf-16-le", "ignore")
    for token in islice(_ECHOED.findall(text), _MOST):
        yield b64decode(token[: len(token) // 4 * 4]).decode("utf-8", "ignore")


def _address(found: re.Match[str]) -> str:
    """ "" for a share near by. One elsewhere is asked for as a page, too (WebDAV): so its host is known."""
    if not found["host"]:
        return found[0]
    if not office.fetched(f"\\\\{found['host']}\\"):
        return ""
    scheme, port = "https" if found["ssl"] else "http", f":{found['port']}" if found["port"] else ""
    path = _FOLDERS.sub("/", found["path"])
    return f"{scheme}://{found['host']}{port}{path}"


# -- shortcuts -----------------------------------------------------------------------------------------------

_HEADER_BYTES = 76
_TARGET, _PLACE, _UNICODE = 0x01, 0x02, 0x80
_TEXTS = {0x04: "name", 0x08: "path", 0x10: "folder", 0x20: "arguments", 0x40: "icon"}
_WORDS = re.compile(rb"(?:[\x20-\x7e]\x00){4,}|[\x20-\x7e]{4,}")


@dataclass(frozen=True)
class Shortcut:
    """``texts``: by kind (``_TEXTS``). ``target``: what is readable of what it opens and of what stands behind."""

    texts: dict[str, str]
    target: str

    @property
    def said(self) -> str:
        return "\n".join((*self.texts.values(), self.target))


def shortcut(data: bytes) -> Shortcut:
    """Of a .lnk. Errors: struct.error where it is cut."""
    flags = struct.unpack_from("<I", data, 20)[0]
    at, target = _HEADER_BYTES, b""
    if flags & _TARGET:
        length = struct.unpack_from("<H", data, at)[0]
        target, at = data[at + 2 : at + 2 + length], at + 2 + length
    if flags & _PLACE:
        length = struct.unpack_from("<I", data, at)[0]
        target, at = target + b"\0\0" + data[at : at + length], at + length
    texts = {}
    for flag, kind in _TEXTS.items():
        if flags & flag:
            length = struct.unpack_from("<H", data, at)[0] * (2 if flags & _UNICODE else 1)
            texts[kind] = data[at + 2 : at + 2 + length].decode(
                "utf-16-le" if flags & _UNICODE else "cp1252", "replace"
            )
            at += 2 + length
    return Shortcut(texts, readable(target + b"\0\0" + data[at : at + 4096]))


def readable(data: bytes) -> str:
    """What is text in bytes that are none, in ASCII or UTF-16, each piece a line."""
    return "\n".join(one.replace(b"\0", b"").decode() for one in _WORDS.findall(data))
