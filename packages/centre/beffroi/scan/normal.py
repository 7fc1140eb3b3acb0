"""What stays the same of a file that is padded for each reader: its normal form, by whose SHA-256 it is known. Pure.

| file | its normal form |
|---|---|
| shortcut (.lnk) | the name of the program and its arguments |
| script, page with a script | without comments; names that it gives itself by their order; addresses for mail as "@" |
| file behind a password in a zip, a 7z or a RAR 4 | CRC-32 and length in bytes, which the list tells |
| the same where no sum is told (AE-2, RAR 5) | name, length in bytes, length packed |

All without blanks, in small letters; "" where too little is left to know anything by.

Rule:    what has one normal form does the same, so that an honest file has that of a lure only where it is the lure
         itself. No word that a reader sees and no address of a page is left out.
Hostile: every sign. One pass over a text.
Source:  docs/decisions/0179-normal-forms-of-padded-files.md.
"""

from __future__ import annotations

import re
from base64 import b64decode

from beffroi.scan.scripts import Shortcut

FEWEST = 40
"""Signs; a shorter one is anybody's."""
_FEWEST_NAMED_BYTES = 1024
_BLANKS = re.compile(r"[\s\0]+")
_VBSCRIPT = re.compile(
    r"^[ \t]{0,99}(?:dim\s+\w|on error resume|set\s+\w+\s*=|end (?:sub|function|if)\b)", re.M | re.I
)
_BATCH = re.compile(r"^[ \t]{0,99}(?:@echo|echo off|set\s+\"?\w+=|goto\b)", re.M | re.I)
_POWERSHELL = re.compile(
    r"^[ \t]{0,99}(?:\$\w+\s*=|param\s*\(|function\s+\w+-)|\binvoke-\w|\bnew-object\b", re.M | re.I
)
_TWO = r'"[^"\n]*"?'
# A language, its strings, its comments. What does not end ends with the line, or the file: each sign is read once.
_SYNTAX = (
    (_VBSCRIPT, _TWO, r"'[^\n]*|^[ \t]*rem\b[^\n]*"),
    (_BATCH, _TWO, r"^[ \t]*(?:rem\b|::)[^\n]*"),
    (_POWERSHELL, rf"{_TWO}|'[^'\n]*'?", r"<\#.*?(?:\#>|\Z)|\#[^\n]*"),
    (
        re.compile(""),
        r'"(?:[^"\\\n]|\\.)*+"?' + r"|'(?:[^'\\\n]|\\.)*+'?",
        r"<!--.*?(?:-->|\Z)|/\*.*?(?:\*/|\Z)|(?<!:)//[^\n]*",
    ),
)
_NAME = r"[$]?[a-z_][\w$]*"
_GIVEN = re.compile(
    rf"\b(?:var|let|const|function|class|dim|sub|set)\s+\"?({_NAME})|(?:^|[,;{{])[ \t]{{0,99}}({_NAME})\s*=(?![=>])"
    r"|(\$[a-z]\w*)|(_0x[0-9a-f]+)",
    re.MULTILINE,
)
_PARAMETERS = re.compile(r"\bfunction\s*[\w$]*\s*\(([^()]{0,400})\)|\(([\w$,\s]{0,400})\)\s*=>")
_NOT_GIVEN = {
    *("location", "href", "document", "window", "self", "top", "parent", "src", "innerhtml"),
    *("$_", "$null", "$true", "$false", "$env", "$this", "$args"),
}
"""To set one of these does something."""
_ADDRESS = re.compile(r"[\w.+-]{1,64}(?:@|%40)[\w-]{1,63}(?:\.[\w-]{1,63})+", re.ASCII)
_PACKED = re.compile(r"(?<![\w+/])[A-Za-z0-9+/]{12,120}={0,2}(?![\w+/=])", re.ASCII)


def of_shortcut(found: Shortcut) -> str:
    program = re.split(r"[/\\]", found.texts.get("path", ""))[-1]
    return _form("shortcut", f"{program}|{found.texts.get('arguments', '')}")


def of_script(text: str) -> str:
    """Of a script, or of a page with one."""
    text = _PACKED.sub(_unaddressed, text)
    text = _ADDRESS.sub("@", text).lower()
    strings, comments = next((rest for begins, *rest in _SYNTAX if begins.search(text)))
    tokens = re.compile(f"({strings})|({comments})|{_NAME}", re.MULTILINE | re.DOTALL)
    given, numbers = _names(text), dict[str, int]()

    def plain(found: re.Match[str]) -> str:
        if found[2] is not None:
            return ""
        if found[1] is not None or found[0] not in given:
            return found[0]
        return f"~{numbers.setdefault(found[0], len(numbers))}"

    return _form("script", tokens.sub(plain, text))


def of_locked(crc: int, size_bytes: int) -> str:
    """Of a file whose content only a password opens. Zips that hide it there tell 0."""
    return f"locked|{crc:08x}|{size_bytes}" if crc and size_bytes >= FEWEST else ""


def of_named(name: str, size_bytes: int, packed_bytes: int) -> str:
    """Of one whose list tells no sum. Short ones of one name are as long as others by chance."""
    name = re.split(r"[/\\]", name)[-1].lower()
    return f"named|{name}|{size_bytes}|{packed_bytes}" if name and size_bytes >= _FEWEST_NAMED_BYTES else ""


def _names(text: str) -> set[str]:
    """Those that a script gives itself: whoever writes it may choose them."""
    found = {name for names in _GIVEN.findall(text) for name in names}
    for names in _PARAMETERS.findall(text):
        found.update(one.strip() for one in "".join(names).split(","))
    return found - _NOT_GIVEN


def _unaddressed(found: re.Match[str]) -> str:
    token = found[0].rstrip("=")
    if len(token) % 4 == 1:
        return found[0]
    plain = b64decode(token + "=" * (-len(token) % 4)).decode("latin-1")
    return "@" if _ADDRESS.fullmatch(plain) else found[0]


def _form(kind: str, text: str) -> str:
    text = _BLANKS.sub("", text).lower()
    return f"{kind}|{text}" if len(text) >= FEWEST else ""
