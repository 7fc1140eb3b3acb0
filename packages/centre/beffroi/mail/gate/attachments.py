"""Which attached files, and which shapes of a mail, are held before their owner has it. Pure: a table of rules.

Rule:    held, never refused and never deleted: the owner reads why, and what to do. A collectivité lets some kinds pass
         (``LOOSENED``); programs, what is disguised and shortcuts never.
Hostile: names and kinds, as rspamd found them (templates/rspamd/beffroi-content.lua); nothing is opened here.
Limits:  an archive inside an archive, and one with a password, is not looked into: that is why it is held.
Source:  docs/decisions/0039-scanning-of-attachments.md.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

VIRUS, PROGRAM, DISGUISED, SHORTCUT = "virus", "program", "disguised", "shortcut"
DISK_IMAGE, MACRO, ENCRYPTED, NESTED, ACTIVE_PAGE = (
    "disk_image",
    "macro",
    "encrypted",
    "nested",
    "active_page",
)
UNPARSEABLE, FORGED_BANK = "unparseable", "forged_bank"
STRICT = frozenset({VIRUS, PROGRAM, DISGUISED, SHORTCUT})
"""No collectivité lets these pass, and no one person releases them."""
LOOSENED = (MACRO, ENCRYPTED, NESTED, ACTIVE_PAGE, DISK_IMAGE)
"""What a référent may let pass, in the order in which a page shows it."""


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


_PROGRAMS = _set(
    "exe com scr pif cpl msi msp mst msix appx appinstaller application dll sys drv ocx bat cmd ps1 psm1 psd1 vb vbs"
    " vbe js jse wsf wsh wsc sct hta jar class apk elf run sh bash reg inf scf chm hlp gadget xll wll xlam ppam one"
    " onepkg swf ade adp mde msc diagcab pyz pyw ws library-ms settingcontent-ms command action"
)
_PROGRAM_CONTENT = _set("exe elf class jar apk bat chm swf msi")
_SHORTCUTS = _set("lnk url website desktop webloc")
_DISK_IMAGES = _set("iso img vhd vhdx udf dmg vmdk wim mdf nrg")
_ARCHIVES = _set("zip zipx rar 7z gz tgz bz2 tbz xz txz lz lzh lha tar arj cab ace zst z uue alz egg xar")
_PACKED_TAR = _set("gz tgz bz2 tbz xz txz zst")
_WITH_MACROS = _set("docm dotm xlsm xltm xlsb pptm potm ppsm sldm")
_OFFICE = _WITH_MACROS | _set("docx dotx xlsx xltx pptx potx ppsx odt ods odp odg doc dot xls xlt ppt pps")
_PAGES = _set("htm html xhtml xht shtml svg mht mhtml")
_INNOCENT = _OFFICE | _set("pdf txt rtf csv jpg jpeg png gif tif tiff bmp webp mp3 mp4 avi mov")


@dataclass(frozen=True)
class File:
    """One attached file. ``before``: the extension before the last one; ``detected``: what the content is, as an
    extension; ``flags``: encrypted, macro, active, hidden; ``inner``: extensions of the files in an archive."""

    extension: str = ""
    before: str = ""
    detected: str = ""
    flags: frozenset[str] = frozenset()
    inner: frozenset[str] = frozenset()

    @property
    def kinds(self) -> frozenset[str]:
        """Its own extension and those inside of it; a document of Office is no archive."""
        return frozenset({self.extension}) | (frozenset() if self.is_office else self.inner)

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
"""Strongest first: a page shows the first reason."""
ORDER = (VIRUS, *(code for code, _ in RULES), UNPARSEABLE, FORGED_BANK)


def found(files: Iterable[File]) -> frozenset[str]:
    """Every code of ``RULES`` that one of the files gives."""
    return frozenset(code for file in files for code, applies in RULES if applies(file))


def held(
    files: Iterable[File],
    *,
    allowed: Iterable[str],
    virus: bool,
    unparseable: bool,
    forged_bank: bool,
    signed_in: bool,
) -> tuple[str, ...]:
    """Return why the mail is held, strongest first; () when it is not.

    ``allowed``: what all its collectivités let pass; ``virus``: a scanner knows one of the files. A colleague's mail
    is held for what no one lets pass alone.
    """
    codes = found(files) | ({VIRUS} if virus else set())
    if signed_in:
        return tuple(code for code in ORDER if code in codes & STRICT)
    codes -= frozenset(allowed) & frozenset(LOOSENED)
    codes |= {UNPARSEABLE} if unparseable else set()
    codes |= {FORGED_BANK} if forged_bank else set()
    return tuple(code for code in ORDER if code in codes)
