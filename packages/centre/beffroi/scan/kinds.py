"""What kind of thing a file is, and which kinds are risky: names of findings and one table of rules. Pure.

Rule:    a file says what it is twice, by its name and by its first bytes; where both differ it is disguised.
         Which finding holds a mail, and who may release it, is for who asks (mail/gate/attachments.py).
Hostile: every name and byte.
Source:  docs/decisions/0039-scanning-of-attachments.md, 0046-scanner-process.md.
"""

from __future__ import annotations

import re
from binascii import a2b_base64
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from html import unescape

from beffroi.lib.unseen import DIRECTION, TURNING
from beffroi.scan import volumes

MALWARE, PROGRAM, DISGUISED, SHORTCUT = "malware", "program", "disguised", "shortcut"
DISK_IMAGE, MACRO, ENCRYPTED, NESTED = "disk_image", "macro", "encrypted", "nested"
ACTIVE_PAGE, ACTIVE_PDF, UNREADABLE = "active_page", "active_pdf", "unreadable"


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PROGRAMS = _set(
    "exe com scr pif cpl msi msp mst msix appx appinstaller application dll sys drv ocx bat cmd ps1 psm1 psd1 vb vbs"
    " vbe js jse wsf wsh wsc sct hta jar class apk elf run sh bash reg inf scf chm hlp gadget xll wll xlam ppam one"
    " onepkg swf ade adp mde msc diagcab pyz pyw library-ms settingcontent-ms search-ms searchconnector-ms command"
    " wsb msu xbap ps1xml psc1 udl webpnp dqy mda mdw accde accdr contact ws pyc pyo pyzw shb shs"
    " mobileconfig ppkg scpt scptd applescript terminal pkg mpkg crx xpi vsix ahk au3 a3x maf mam maq maw mav xnk"
    " appcontent-ms"
    " action rdp jnlp theme themepack deskthemepack appref-ms msixbundle appxbundle vsto iqy oqy rqy"
)
_PROGRAM_CONTENT = _set("exe elf class jar apk bat chm swf msi one")
_SHORTCUTS = _set("lnk url website desktop webloc")
_DISK_IMAGES = _set("iso img vhd vhdx udf dmg vmdk wim mdf nrg")
_PACKED_ALONE = _set("gz bz2 xz zst lz z")
"""One file: what it is called is the rest of the name."""
_ARCHIVES = _set("zip zipx rar 7z gz tgz bz2 tbz xz txz lz lzh lha tar arj cab ace zst z uue alz egg xar")
_PACKED_TAR = _set("gz tgz bz2 tbz xz txz zst")
_WITH_MACROS = _set("docm dotm xlsm xltm xlsb pptm potm ppsm sldm")
_OFFICE = _WITH_MACROS | _set("docx dotx xlsx xltx pptx potx ppsx odt ods odp odg doc dot xls xlt ppt pps")
_PAGES = _set("htm html xhtml xht shtml svg mht mhtml")
_INNOCENT = _OFFICE | _set("pdf txt rtf csv jpg jpeg png gif tif tiff bmp webp mp3 mp4 avi mov")


@dataclass(frozen=True)
class File:
    """One file. ``before``: the extension before the last one; ``detected``: what the content is, as an
    extension; ``flags``: encrypted, macro, active, hidden; ``inner``: extensions of the files in an archive."""

    extension: str = ""
    before: str = ""
    detected: str = ""
    flags: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()

    @property
    def kinds(self) -> frozenset[str]:
        """Its own extension and those inside of it; a document of Office is no archive."""
        own = {self.extension, self.before} if self.extension in _PACKED_ALONE else {self.extension}
        return frozenset(own) | (frozenset() if self.is_office else self.inner)

    @property
    def is_office(self) -> bool:
        return self.extension in _OFFICE


def _is_disguised(file: File) -> bool:
    risky = _PROGRAMS | _SHORTCUTS | _DISK_IMAGES | _PAGES
    if "hidden" in file.flags:
        return True
    if file.extension in _INNOCENT and file.detected in _PROGRAM_CONTENT | _SHORTCUTS | _DISK_IMAGES:
        # An installation package is an OLE file as an old document is: only the name tells them apart.
        return not (file.detected == "msi" and file.is_office)
    return file.extension in risky and file.before in _INNOCENT


def _is_program(file: File) -> bool:
    content = file.detected in _PROGRAM_CONTENT and not (file.detected == "msi" and file.is_office)
    return bool(file.kinds & _PROGRAMS) or content


def _is_nested(file: File) -> bool:
    inside = file.inner & (_ARCHIVES | _DISK_IMAGES)
    if file.extension in _PACKED_TAR:
        inside -= {"tar"}
    return bool(inside) and not file.is_office


RULES: tuple[tuple[str, Callable[[File], bool]], ...] = (
    (DISGUISED, _is_disguised),
    (PROGRAM, _is_program),
    (SHORTCUT, lambda file: bool(file.kinds & _SHORTCUTS) or file.detected in _SHORTCUTS),
    (DISK_IMAGE, lambda file: file.extension in _DISK_IMAGES or file.detected in _DISK_IMAGES),
    (MACRO, lambda file: "macro" in file.flags or bool(file.kinds & _WITH_MACROS)),
    (ENCRYPTED, lambda file: "encrypted" in file.flags),
    (NESTED, _is_nested),
    (ACTIVE_PAGE, lambda file: "active" in file.flags),
)
"""What a file's kind says alone. Strongest first."""
ORDER = (MALWARE, *(code for code, _ in RULES), ACTIVE_PDF, UNREADABLE)
"""Every finding, strongest first: a page shows the first."""


def is_extension(name: str) -> bool:
    """Whether files are called so; of names of hosts that end in it one is taken for a file."""
    return name in _PROGRAMS | _SHORTCUTS | _DISK_IMAGES | _ARCHIVES | _INNOCENT | _PAGES and name != "com"


def found(files: Iterable[File]) -> frozenset[str]:
    """Every code of ``RULES`` that one of the files gives."""
    return frozenset(code for file in files for code, applies in RULES if applies(file))


# The joiners U+200C and U+200D belong to words of Persian or Hindi and to emoji; beside ASCII they only hide.
_HIDING = re.compile(
    f"[\u200b{DIRECTION}{TURNING}]|(?:^|[\x00-\x7f])[\u200c\u200d]|[\u200c\u200d](?:[\x00-\x7f]|$)"
)
# What follows the last letters is dropped by one program or another.
_EXTENSION = re.compile(r"\.([\w-]+)[^\w-]*$")


def extensions(name: str) -> tuple[str, str]:
    """The extension of a file's name and the one before it, in lower case; "" where there is none."""
    last = _EXTENSION.search(name)
    if last is None:
        return "", ""
    before = _EXTENSION.search(name[: last.start()])
    return last[1].lower()[:MAX_EXTENSION], (before[1].lower()[:MAX_EXTENSION] if before else "")


MAX_EXTENSION = 20
"""Longer than any that counts ("searchconnector-ms")."""
_UPWARDS = re.compile(r"(?:^|[/\\:])\.\.[/\\]")


def hides(name: str) -> bool:
    """Whether a name has signs that make it look like another one, or leads out of the folder that it is unpacked
    into."""
    return _HIDING.search(name) is not None or _UPWARDS.search(name) is not None


_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"MZ", "exe"),
    (b"\x7fELF", "elf"),
    (b"PK\x03\x04", "zip"),
    (b"PK\x05\x06", "zip"),
    (b"PK\x07\x08", "zip"),
    (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "ole"),
    (b"{\\rt", "rtf"),
    (b"\x1f\x8b", "gz"),
    (b"BZh", "bz2"),
    (b"\xfd7zXZ\0", "xz"),
    (b"\x28\xb5\x2f\xfd", "zst"),
    (b"LZIP", "lz"),
    (b"7z\xbc\xaf\x27\x1c", "7z"),
    (b"Rar!\x1a\x07", "rar"),
    (b"MSCF", "cab"),
    (b"xar!", "xar"),
    (b"L\0\0\0\x01\x14\x02\0", "lnk"),
    (b"conectix", "vhd"),
    (b"vhdxfile", "vhd"),
    (b"\xca\xfe\xba\xbe", "class"),
    (b"ITSF", "chm"),
    (b"FWS", "swf"),
    (b"CWS", "swf"),
    (b"ZWS", "swf"),
    (b"\xe4\x52\x5c\x7b\x8c\xd8\xa7\x4d", "one"),
    (b"\x78\x9f\x3e\x22", "tnef"),
    (b"MSWIM\0\0\0", "wim"),
    (b"\x1f\x9d", "z"),
    (b"\x04\x22\x4d\x18", "lz4"),
    (b"EGGA", "egg"),
)
_WORDS = (b"MZ", b"FWS", b"CWS", b"ZWS", b"ITSF", b"MSCF", b"LZIP", b"xar!")
_NO_TEXT = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_FIRST_BYTES = 64
_PAGE = re.compile(
    rb"^(?:\s|<\?xml[^>]*>|<!--.{0,400}?-->)*<(?:!doctype\s+(?:html|svg)|html|svg|script)\b", re.I | re.S
)
_XML, _XHTML = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,99}<[?!\w]"), b"http://www.w3.org/1999/xhtml"
"""Elements of pages in another XML are those of a page to browsers."""
# The headers of a mail that carries more than a text, wherever they stand before its first empty line.
_MAIL = re.compile(rb"^(?:mime-version|content-(?:type|transfer-encoding|disposition))[ \t]*:", re.I | re.M)
# Nothing but headers before that line, and one that mails have: a text alone, as programs still save one.
_HEADERS = re.compile(rb"(?:From [^\n]*+\n)?(?:[!-9;-~]{1,76}+[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)++\r?\n")
_OF_MAILS = re.compile(rb"^(?:from|to|subject|date|received|message-id)[ \t]*:", re.I | re.M)
_HEADER_END = re.compile(rb"\n\r?\n")
_MAIL_HEADER_BYTES = 1024 * 1024
_BEHIND = (("rar", re.compile(rb"Rar!\x1a\x07[\x00\x01]")), ("7z", re.compile(rb"7z\xbc\xaf\x27\x1c\x00")))
"""What programs look for behind the beginning of a file: where it unpacks itself, or stands behind a picture."""
_SIGNED = re.compile(
    rb"\x30(?:[\x00-\x80]|[\x81-\x8f].{1,15}?)\x06(?:[\x81-\x8f]\0{0,14})?"
    rb"(?:\x09\x2a\x86\x48\x86\xf7\x0d\x01\x07[\x01\x02\x05]|\x0b\x2a\x86\x48\x86\xf7\x0d\x01\x09\x10\x01[\x02\x09])",
    re.S,
)
"""CMS that is not encrypted: data, signed, digested, authenticated, compressed. Programs take a length that is written
longer than it need be."""
_ARMOUR = re.compile(
    rb"(?:[^-]{0,4096}-----BEGIN (?:CMS|PKCS7|PKCS #7 SIGNED DATA)-----[^\S\n]*\n)?\s{0,99}(?=MI)", re.S
)
_ARMOUR_SIGNS, _NOT_BASE64 = 120, re.compile(rb"[^A-Za-z0-9+/]")
DISKS = _set("img vhd udf")
"""Disk images that are no ISO 9660."""
UNPACKED = _set("zip gz bz2 xz zst lz lz4 z 7z rar cab tar iso xar lha") | DISKS
"""Kinds, by content, that are opened to see what is inside."""
SHUT = _set("arj ace egg")
"""Archives, by content, that other programs open and nothing maintained reads here."""
_ARJ_HEADER_BYTES = range(30, 2601)
_PLACES = (
    (32769, (b"CD001",), "iso"),
    (32769, (b"BEA01",), "udf"),
    (257, (b"ustar",), "tar"),
    (2, (b"-lh5-", b"-lh6-", b"-lh7-", b"-lh1-", b"-lh0-"), "lha"),
    (7, (b"**ACE**",), "ace"),
)
"""Marks that stand elsewhere than at the beginning."""
UUENCODED = re.compile(rb"^begin [0-7]{3,4} ([^\r\n]{1,200})\r?\n(?=[!-`])", re.M)
_UUENCODED_WITHIN_BYTES = 4096
ENCODED_OTHERWISE = re.compile(
    rb"^=ybegin [^\r\n]{0,200}name=|^\(This file must be converted with BinHex", re.M | re.I
)
"""A file in a text, by an encoding of the Usenet or of old Macs, as beffroi-content.lua looks for it."""
_CARDS = re.compile(rb"(?:\xef\xbb\xbf)?\s{0,99}begin:v(?:calendar|card)\b", re.I)
"""Appointments and contacts (RFC 5545, RFC 6350)."""


def detect(data: bytes) -> str:
    """What the content is, as an extension; "" when nothing is known. Looks at the first 66 kB and the last 66."""
    for magic, kind in _MAGIC:
        if data.startswith(magic) and not (magic in _WORDS and _is_words(data)):
            return kind
    if _SIGNED.match(data) or _is_armoured(data):
        return "p7m"
    for place, marks, kind in _PLACES:
        if data[place : place + len(marks[0])] in marks:
            return kind
    if data[:2] == b"\x60\xea" and int.from_bytes(data[2:4], "little") in _ARJ_HEADER_BYTES:
        return "arj"
    if data[-512:].startswith(b"koly"):
        return "dmg"
    if _is_fixed_vhd(data):
        return "vhd"
    if volumes.is_image(data[:8192]):
        return "img"
    if data.find(b"%PDF-", 0, 1024) >= 0:
        return "pdf"
    return _of_text(data)


def _is_armoured(data: bytes) -> bool:
    armour = _ARMOUR.match(data)
    head = data[armour.end() : armour.end() + _ARMOUR_SIGNS] if armour else b""
    return _SIGNED.match(_of_base64(head)) is not None


def unarmoured(data: bytes) -> bytes:
    """CMS as it is, also where it came in base64, with or without the lines of PEM around it (RFC 7468)."""
    armour = _ARMOUR.match(data)
    return _of_base64(data[armour.end() :].partition(b"-----END")[0]) if armour else data


def _of_base64(text: bytes) -> bytes:
    signs = _NOT_BASE64.sub(b"", text)
    return a2b_base64(signs[: -1 if len(signs) % 4 == 1 else None] + b"==")


def _of_text(data: bytes) -> str:
    if _PAGE.match(plain(data[:4096])) or (_XML.match(data) and _XHTML in data):
        return "html"
    if _CARDS.match(data):
        return "card"
    end = _HEADER_END.search(data, 0, _MAIL_HEADER_BYTES)
    if _MAIL.search(data, 0, end.start() + 1 if end else _MAIL_HEADER_BYTES):
        return "eml"
    if end and _HEADERS.fullmatch(data, 0, end.end()) and _OF_MAILS.search(data, 0, end.start() + 1):
        return "eml"
    if UUENCODED.search(data, 0, _UUENCODED_WITHIN_BYTES):
        return "uue"
    # Programs find a zip by its end, whatever stands before it.
    if data.rfind(b"PK\x05\x06", -66_000) >= 0:
        return "zip"
    return ""


def _is_words(data: bytes) -> bool:
    """Whether letters that are a magic, too, begin a text. A program's header without a zero in it would place what
    follows more than 150 MB behind it; the others have zeros there as well."""
    return _NO_TEXT.search(data, 0, _FIRST_BYTES) is None


def others(data: bytes, kind: str) -> tuple[str, ...]:
    """What the content is besides ``kind`` to programs that do not ask for it at the beginning: a zip by its end, a
    disk image by its middle, a PDF within its first kilobyte."""
    found = {
        "zip": data.rfind(b"PK\x05\x06", -66_000) >= 0,
        "iso": data[32769:32774] == b"CD001",
        "udf": kind not in {"iso", *DISKS} and is_udf(data),
        "vhd": kind not in DISKS and _is_fixed_vhd(data),
        "pdf": (at := data.find(b"%PDF-", 0, 1024)) >= 0 and not _is_first_member(data, kind, at),
    }
    return tuple(other for other, is_one in found.items() if is_one and other != kind)


def is_udf(data: bytes) -> bool:
    """Whether one of the first marks of a disc says so, where others may stand before it: most discs are both."""
    return any(data[at : at + 4] == b"NSR0" for at in range(32769, 65536, 2048))


def _is_fixed_vhd(data: bytes) -> bool:
    """A disk as it is, with its mark behind it; old programs left out the last byte."""
    return any(data[-length:].startswith(b"conectix") for length in (512, 511))


def archives_behind(data: bytes) -> Iterator[tuple[str, int]]:
    """Archives that begin somewhere in something else, where programs look for them: (kind, place)."""
    return ((kind, at.start()) for kind, begins in _BEHIND for at in begins.finditer(data))


def _is_first_member(data: bytes, kind: str, at: int) -> bool:
    """Whether an archive's first file begins there: it is looked at as one of the archive's."""
    if kind == "zip" and data.startswith(b"PK\x03\x04"):
        return at == 30 + int.from_bytes(data[26:28], "little") + int.from_bytes(data[28:30], "little")
    return kind in UNPACKED and kind != "zip"


def is_binary(data: bytes) -> bool:
    """Whether what it begins with is no text."""
    return _NO_TEXT.search(plain(data[:_FIRST_BYTES])) is not None


def plain(data: bytes) -> bytes:
    """A page's bytes without byte order mark and without the zeros of UTF-16."""
    return data.lstrip(b"\xef\xbb\xbf\xff\xfe").replace(b"\0", b"")


def text(data: bytes) -> str:
    """A page, or a text."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace").replace("\0", "")
    return plain(data).decode("utf-8", "replace")


_LOOK_BYTES = 4 * 1024 * 1024
_ACTIVE = re.compile(
    rb"<(?:\w{1,40}:)?script|javascript:|vbscript:|<form|<iframe|<embed|<object|http-equiv\s*=\s*[\"']?\s*refresh"
    rb"|(?:\s|<\w+/+|[\"']/?)on[a-z]+\s*=",
    re.I,
)
"""What a browser would run or send."""
_SCRIPT_ADDRESS = re.compile(r"(?:java|vb)script:", re.I)
_LEFT_OUT = dict.fromkeys(map(ord, "\t\r\n"))


def is_page(extension: str, detected: str) -> bool:
    return extension in _PAGES or detected == "html"


def is_active(data: bytes) -> bool:
    """Whether a page holds something that a browser runs or sends."""
    page = plain(data[:_LOOK_BYTES])
    if _ACTIVE.search(page):
        return True
    # Spelt by entities, or over lines.
    return _SCRIPT_ADDRESS.search(unescape(page.decode("latin-1")).translate(_LEFT_OUT)) is not None
