"""What an Office document carries besides its text: macros, older macros, embedded files, a password. Pure.

Old documents (OLE, MS-CFB) and new ones (OOXML, ODF: the parts of a zip, one at a time). Nothing is run or interpreted.
Hostile: everything; what olefile or these offsets raise is the caller's to catch.
Source:  MS-CFB; MS-XLS 2.4.28 (BoundSheet8), 2.4.117 (FilePass); MS-DOC 2.5.2 (FibBase); MS-PPT 2.4.10 (VBAInfoAtom);
         MS-OLEDS (OLENativeStream); ISO/IEC 29500 (its part 2: relationships); OASIS OpenDocument 1.3.
"""

from __future__ import annotations

import binascii
import re
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from html import escape, unescape
from ipaddress import ip_address

import olefile

from beffroi.scan import bodies, kinds, older
from beffroi.scan.bodies import Body
from beffroi.scan.older import FIELD_LINKS

VBA, EXCEL4, BASIC = "Vba", "Excel4", "Basic"
_VBA_NAMES = tuple(name.encode("utf-16-le") for name in ("_VBA_PROJECT", "Macros"))
_SEALED = "EncryptedPackage".encode("utf-16-le")
_MSI = "000C1084-0000-0000-C000-000000000046"
_BOUND_SHEET, _FILE_PASS, _END_OF_FILE = 0x85, 0x2F, 0x0A
_MACRO_SHEET = 1
_STREAM_BYTES = 32 * 1024 * 1024
_MAX_RECORDS = 20_000
# An atom of version 2 and type 0x400, 12 bytes long: a number, whether there are macros, a version.
_PPT_MACROS = re.compile(rb"\x02\x00\x00\x04\x0c\x00\x00\x00.{4}(.{4})", re.S)


@dataclass
class Inside:
    """``macros``: VBA, EXCEL4, BASIC; ``embedded``: (name or "", content); ``links``: of a
    document; ``pages``, ``texts``, ``packed`` (RTF, packed): of a saved mail."""

    kind: str = "doc"
    macros: set[str] = field(default_factory=set)
    encrypted: bool = False
    embedded: list[tuple[str, bytes]] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    pages: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    packed: list[bytes] = field(default_factory=list)


def old(body: Body) -> Inside:
    """What an OLE file holds. Errors: those of olefile, struct.error."""
    found = Inside()
    for window in bodies.windows(body):
        # By their names in the bytes: so they are seen in a file whose tables are broken, too.
        found.encrypted |= _SEALED in window
        if any(name in window for name in _VBA_NAMES):
            found.macros.add(VBA)
    with olefile.OleFileIO(bodies.stream(body)) as ole:
        if str(ole.root.clsid).upper() == _MSI:
            found.kind = "msi"
        for path in ole.listdir(streams=True, storages=False):
            _stream(path[-1], path, ole, found)
    return found


_SAVED_PAGES = {"__SUBSTG1.0_10130102": "utf-8", "__SUBSTG1.0_1013001F": "utf-16-le"}
_SAVED_TEXTS = {"__SUBSTG1.0_1000001F": "utf-16-le", "__SUBSTG1.0_1000001E": "cp1252"}
"""Of a mail that Outlook saved: streams by property and type (MS-OXMSG 2.1)."""


def _stream(name: str, path: list[str], ole: olefile.OleFileIO, found: Inside) -> None:
    def content() -> bytes:
        with ole.openstream(path) as stream:
            return bytes(stream.read(_STREAM_BYTES))

    match name.upper():
        case "WORKBOOK" | "BOOK":
            found.links += older.of_book(book := content())
            for kind, body in _records(book):
                found.encrypted |= kind == _FILE_PASS
                if kind == _BOUND_SHEET and len(body) >= 6 and body[5] == _MACRO_SHEET:
                    found.macros.add(EXCEL4)
        case "WORDDOCUMENT":
            found.links += older.of_text(text := content())
            head = text[:12]
            found.encrypted |= len(head) == 12 and bool(struct.unpack_from("<H", head, 10)[0] & 0x100)
        case "POWERPOINT DOCUMENT":
            found.links += older.of_slides(slides := content())
            if any(any(match[1]) for match in _PPT_MACROS.finditer(slides)):
                found.macros.add(VBA)
        case "\x01OLE10NATIVE":
            found.embedded.append(native(content()))
        case "PACKAGE":
            found.embedded.append(("", content()))
        case page if page in _SAVED_PAGES:
            found.pages.append(content().decode(_SAVED_PAGES[page], "replace"))
        case saved if saved in _SAVED_TEXTS:
            found.texts.append(content().decode(_SAVED_TEXTS[saved], "replace"))
        case "__SUBSTG1.0_10090102":
            found.packed.append(content())
        case "__SUBSTG1.0_37010102":
            found.kind = "msg"
            found.embedded.append((_saved_name(path[:-1], ole), content()))


def _saved_name(folder: list[str], ole: olefile.OleFileIO) -> str:
    """The name of a file in a mail that Outlook saved: the long one, else the short one."""
    for kind, encoding in (
        ("3707001F", "utf-16-le"),
        ("3707001E", "cp1252"),
        ("3704001F", "utf-16-le"),
        ("3704001E", "cp1252"),
    ):
        path = [*folder, f"__substg1.0_{kind}"]
        if ole.exists(path):
            with ole.openstream(path) as stream:
                return bytes(stream.read(1024)).decode(encoding, "replace").rstrip("\0")
    return ""


def _records(book: bytes) -> Iterator[tuple[int, bytes]]:
    """Records of the first substream, which lists the sheets: type, body."""
    at = 0
    for _ in range(_MAX_RECORDS):
        if at + 4 > len(book):
            return
        kind, length = struct.unpack_from("<HH", book, at)
        yield kind, book[at + 4 : at + 4 + length]
        if kind == _END_OF_FILE:
            return
        at += 4 + length


def native(stream: bytes) -> tuple[str, bytes]:
    """The file in an OLENativeStream: size, flags, label, name, flags, size and path of a copy, size, data."""
    label_end = stream.index(b"\0", 6)
    name_end = stream.index(b"\0", label_end + 1)
    path_length = struct.unpack_from("<I", stream, name_end + 5)[0]
    at = name_end + 9 + path_length
    length = struct.unpack_from("<I", stream, at)[0]
    name = stream[label_end + 1 : name_end].decode("cp1252", "replace").replace("\\", "/").rpartition("/")[2]
    return name, stream[at + 4 : at + 4 + length]


# -- documents that are zips ---------------------------------------------------------------------------------


def is_document(names: Iterable[str]) -> bool:
    """Whether the files of a zip are those of an Office document."""
    lower = {name.lower() for name in names}
    return "[content_types].xml" in lower or {"content.xml", "meta-inf/manifest.xml"} <= lower


def is_list(name: str) -> bool:
    """Whether it is the part of a new document that tells the kinds of the others."""
    return name.lower() == "[content_types].xml"


def macros_of(name: str, part: bytes) -> list[str]:
    """What a part of a document says of macros: it holds them, or it lists parts that do, whatever their names."""
    found = [_macro_of(name)]
    if is_list(name):
        plain = kinds.plain(part).lower()
        found += [VBA] * (b"vnd.ms-office.vbaproject" in plain) + [EXCEL4] * (b"macrosheet" in plain)
    return [one for one in found if one]


def _macro_of(name: str) -> str:
    """VBA, EXCEL4, BASIC for a part that holds macros; "" for any other."""
    lower = name.lower()
    if lower.endswith("vbaproject.bin"):
        return VBA
    if lower.startswith("xl/macrosheets/"):
        return EXCEL4
    if lower.startswith("basic/") and not lower.endswith(("/", "script-lc.xml", "script-lb.xml")):
        return BASIC
    return BASIC if lower.startswith("scripts/") and not lower.endswith("/") else ""


def is_embedded(name: str) -> bool:
    """A file of its own in a document: an object, or what is shown in its place."""
    return "/embeddings/" in name.lower() or "/afchunk" in name.lower()


_TEXT_PARTS = re.compile(
    r"(?:word/(?:document|header\d*|footer\d*|footnotes|endnotes)|xl/sharedstrings|ppt/slides/slide\d+|content)\.xml"
)
_SHEETS = re.compile(r"xl/worksheets/[^/]+\.xml")
_HEADS = re.compile(rb"<style:(?:header|footer)(?:-left|-first)?(?:\s[^<>]*[^<>/])?>")
_HEADS_END = re.compile(rb"</style:(?:header|footer)")
"""Of OpenDocument, in its styles; one that ends where it begins is none."""
_DELETED = re.compile(rb"<w:delText\b[^<>/]*>[^<]*")
_HYPHENS, _SPACES = re.compile(rb"<w:noBreakHyphen\b[^<>]*>"), re.compile(rb"<text:s\b[^<>]*>")
_BREAKS = re.compile(
    rb"</(?:w:p|w:tc|a:p|si|is|text:p|text:h|table:table-cell|dc:creator|dc:date)>"
    rb"|<(?:w:br|w:tab|a:br|text:tab|text:line-break|text:note|office:annotation)\b[^<>]*>"
)
_RELATION = re.compile(r"(?:\w{1,99}:)?Relationship\s")
_ATTRIBUTES = re.compile(r"""([\w:.-]+)\s*=\s*(?:"([^"]*)"|'([^']*)')""")
_REFERENCES = re.compile(rb"""\bxlink:href\s*=\s*("[^"]*"|'[^']*')""")
_FIELDS = re.compile(
    r"""<(?:[\w.-]{1,99}:)?instrText\b[^<>]*>([^<]*)|\binstr\s*=\s*(?:"([^"<]*)"|'([^'<]*)')|FldCharType\s*=\s*["'](begin)""",
    re.I,
)
_COMMAND = re.compile(r"^\s*DDE(?:AUTO)?\s", re.I | re.M)
_FORMULA = re.compile(rb"HYPERLINK\(|WEBSERVICE\(|IMAGE\(|&#", re.I)
_FORMULAS = re.compile(r'(?:HYPERLINK|WEBSERVICE|IMAGE)\(\s*"{1,2}(https?:[^"]*)', re.I)
_JOINED = re.compile(r'"\s{0,99}&\s{0,99}"')
_CONNECTIONS = re.compile(r"""\b(?:url|connection|sourceFile|odcFile)\s*=\s*(?:"([^"]*)"|'([^']*)')""", re.I)
_SOURCES = re.compile(r"""(?:https?:|file:|\\\\)[^\s;"']+""", re.I)
_NAVIGATE = re.compile(r"""\bFixedPage\.NavigateUri\s*=\s*(?:"([^"]*)"|'([^']*)')""")
"""Of XPS."""
_MASHUP = re.compile(rb"<(?:\w+:)?DataMashup\b[^<>]*>([\w+/=\s]+)")
_STARTS = re.compile(rb"ppaction://program", re.I)
_SHAPE_LINKS = re.compile(r"""\bN=["']Address["']\s+V=(?:"([^"]*)"|'([^']*)')""")
_TAGS = re.compile(rb"<[^<>]*>")
_WIDE = re.compile(rb"(?:(\xff\xfe|<\0[?!a-zA-Z]\0)|\xfe\xff|\0<\0[?!a-zA-Z])")
_CDATA, _COMMENT = b"<![CDATA[", b"<!--"
_ENDS = {_CDATA: b"]]>", _COMMENT: b"-->"}
_ASIDE = re.compile(rb"<!\[CDATA\[|<!--")


_PLACE = re.compile(r"(?:mhtml:|\s)*(?:https?:[/\\]{2}|file:[/\\]{2,5}|[/\\]{2})([^/\\]+)", re.I)
_NEARBY = re.compile(r"[a-z][a-z0-9-]*:?|[a-z0-9.-]+\.(?:local|lan|intra|intranet|internal)", re.I)
"""A letter of a disk, a server of the town hall's own network."""
_FETCHED = frozenset(["attachedtemplate", "oleobject", "frame", "afchunk", "subdocument"])
FETCHES, COMMAND, STARTS = "RemoteTemplate", "DdeCommand", "SlideAction"


def fetched(place: str) -> str:
    """What it says of a document that it fetches its template, with its macros, or an object from there when it is
    opened: a finding, "" where that is near by. Town halls that work in SharePoint keep their templates there, and so
    does who took over such a place."""
    found = _PLACE.match(place)
    host = found[1].lower() if found else ""
    if not host or _NEARBY.fullmatch(host) or _is_private(host):
        return ""
    return kinds.MACRO if host.endswith(".sharepoint.com") and "@" not in host else kinds.MALWARE


def _is_private(host: str) -> bool:
    try:
        return ip_address(host).is_private
    except ValueError:
        return False


@dataclass(frozen=True)
class Relation:
    """What a part of a document is tied to outside of it. ``kind``: the last word of its type, in lower case."""

    kind: str
    target: str

    @property
    def finding(self) -> str:
        return fetched(self.target) if self.kind in _FETCHED else ""


def relations(part: bytes) -> list[Relation]:
    """Of a ``readable`` part, in whatever spelling: its author chooses order, quotes and entities."""
    found = []
    # What an attribute says may have a ">" in it, and no "<".
    tags = part.decode("utf-8", "replace").split("<")
    for tag in filter(_RELATION.match, tags):
        told = {name: unescape(one or other).strip() for name, one, other in _ATTRIBUTES.findall(tag)}
        if told.get("TargetMode", "").lower() == "external":
            found.append(Relation(told.get("Type", "").lower().rpartition("/")[2], told.get("Target", "")))
    return found


def readable(part: bytes) -> bytes:
    """The same part in UTF-8, without comments, and what stands in a section of its own (CDATA) as any other text:
    Office reads all of these spellings."""
    wide = _WIDE.match(part)
    if wide:
        part = (
            part.decode("utf-16-le" if wide[1] else "utf-16-be", "replace")
            .lstrip("\ufeff")
            .encode("utf-8", "replace")
        )
    if b"<!" not in part:
        return part
    pieces, at = [], 0
    while (found := _ASIDE.search(part, at)) and (end := part.find(_ENDS[found[0]], found.end())) >= 0:
        pieces.append(part[at : found.start()])
        if found[0] == _CDATA:
            pieces.append(escape(part[found.end() : end].decode("utf-8", "replace")).encode())
        at = end + len(_ENDS[found[0]])
    return b"".join((*pieces, part[at:]))


def is_text(name: str) -> bool:
    """Whether a part is one of a text (Word)."""
    return name.lower().startswith("word/") and name.lower().endswith(".xml")


def fields_of(part: bytes) -> str:
    """What the fields of a part of a text say, one after the other; one may be split over tags."""
    told = _FIELDS.findall(part.decode("utf-8", "replace"))
    return "".join(
        "\n" if begins else unescape(one) or f"\n{unescape(a or b)}\n" for one, a, b, begins in told
    )


def has_command(fields: str) -> bool:
    """Whether a field starts a program (DDE)."""
    return _COMMAND.search(fields) is not None


def field_links(fields: str) -> list[str]:
    """Where a click on a field leads, or what it fetches by itself."""
    return FIELD_LINKS.findall(fields)


def links_of(name: str, part: bytes) -> list[str]:
    """The web addresses that a click on a document opens, or that it fetches by itself, as far as this part of it names
    them (``readable``); those of fields: ``field_links``. Pictures are none: what is shown leads nowhere."""
    lower = name.lower()
    if lower in ("content.xml", "styles.xml"):
        told = [unescape(one[1:-1].decode("utf-8", "replace")) for one in _REFERENCES.findall(part)]
        return [*told, *(formulas(part.decode("utf-8", "replace")) if _FORMULA.search(part) else ())]
    if lower.startswith("xl/worksheets/") and _FORMULA.search(part):
        return formulas(part.decode("utf-8", "replace"))
    if lower.startswith("xl/worksheets/") and lower.endswith(".bin"):
        return list(older.of_formulas(part, wide=True))
    if lower == "xl/connections.xml":
        sources = _CONNECTIONS.findall(part.decode("utf-8", "replace"))
        return [place for one, other in sources for place in _SOURCES.findall(unescape(one or other))]
    if ".fpage" in lower:
        return [unescape(one or other) for one, other in _NAVIGATE.findall(part.decode("utf-8", "replace"))]
    if lower.startswith("visio/pages/"):
        return [
            unescape(one or other) for one, other in _SHAPE_LINKS.findall(part.decode("utf-8", "replace"))
        ]
    return []


def formulas(text: str) -> list[str]:
    """Of a sheet, or of a table of lines (CSV)."""
    return _FORMULAS.findall(_JOINED.sub("", unescape(text)))


def queries(name: str, part: bytes) -> Iterator[bytes]:
    """The zips in which a workbook keeps its queries (Power Query; MS-QDEFF 2.2)."""
    if name.lower().startswith("customxml/"):
        for packed in _MASHUP.findall(part):
            mashup = binascii.a2b_base64(packed)
            yield mashup[8 : 8 + int.from_bytes(mashup[4:8], "little")]


def starts_program(name: str, part: bytes) -> bool:
    """Whether a shape of a slide starts a program, on a click or when the mouse is over it."""
    return name.lower().startswith("ppt/") and _STARTS.search(part) is not None


_NOTE_FILE = bytes.fromhex("e716e3bd65261145a4c48d4d0b7a9eac")
_MOST_NOTE_FILES = 200


def in_notes(data: bytes) -> Iterator[bytes]:
    """The files in a page of OneNote (MS-ONESTORE 2.6.13)."""
    at = data.find(_NOTE_FILE)
    for _ in range(_MOST_NOTE_FILES):
        if at < 0:
            return
        length = int.from_bytes(data[at + 16 : at + 24], "little")
        yield data[at + 36 : at + 36 + length]
        at = data.find(_NOTE_FILE, at + 36)


def text_of(name: str, part: bytes, most: int) -> str:
    """The text of a part that holds some, at most so many characters; a word that is split over tags is whole again,
    two that only a tag keeps apart stay two, and what is marked as deleted is left out."""
    part = part[: 40 * most]
    if _SHEETS.fullmatch(name.lower()):  # most programs write texts beside the cells, some into them
        part = b"".join(one.partition(b"</is>")[0] + b"</is>" for one in part.split(b"<is>")[1:])
    elif name.lower() == "styles.xml":
        part = b"\n".join(_HEADS_END.split(one, maxsplit=1)[0] for one in _HEADS.split(part)[1:])
    elif not _TEXT_PARTS.fullmatch(name.lower()):
        return ""
    bare = _HYPHENS.sub(b"-", _SPACES.sub(b" ", _BREAKS.sub(b"\n", _DELETED.sub(b"", part))))
    return unescape(_TAGS.sub(b"", bare)[: 4 * most].decode("utf-8", "replace"))[:most]
