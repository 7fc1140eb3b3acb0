"""Files that were made to be seen by one program and not by the next: two at once, decoys, padding, depth, numbers."""

from __future__ import annotations

import contextlib
import io
import struct
import zipfile

import pytest
from beffroi.scan import kinds, looking, rules
from beffroi.scan.values import Report

from tests import scan_samples as samples
from tests.mail_files import EXE, packed

RULES = rules.Rules({rules.OWN: rules.own()})
VBA = b"<Types><Override PartName='/word/x.bin' ContentType='application/vnd.ms-office.vbaProject'/></Types>"
SHEET = (
    b"<Types><Override PartName='/xl/a/b.xml' ContentType='application/vnd.ms-excel.macrosheet+xml'/></Types>"
)
MACROS = samples.ole({"VBA": b"x", "_VBA_PROJECT": b"\xcc\x61"})
SCRIPT = b"WScript.CreateObject('WScript.Shell').Run('cmd')"


def look(data: bytes) -> Report:
    return looking.examine(data, RULES.matches)


def many_pages(count: int, last: bytes) -> bytes:
    pages = b"".join(b"%d 0 R " % (number + 6) for number in range(count))
    one = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]%s>>"
    made = samples.pdf(more=tuple(one % (last if number == count - 1 else b"") for number in range(count)))
    return made.replace(b"/Kids[3 0 R]/Count 1", b"/Kids[%s]/Count %d" % (pages, count))


def attachments(count: int) -> bytes:
    """The last one is a program."""
    names = b"".join(b"(a%03d) %d 0 R " % (number, 6 + 2 * number) for number in range(count))
    more = []
    for number in range(count):
        data = EXE if number == count - 1 else b"x"
        more += [
            b"<</Type/Filespec/F(a%03d)/EF<</F %d 0 R>>>>" % (number, 7 + 2 * number),
            b"<</Type/EmbeddedFile/Length %d>>stream\n%s\nendstream" % (len(data), data),
        ]
    catalog = b"/Names<</EmbeddedFiles<</Names[%s]>>>>" % names
    return samples.pdf(catalog=catalog.decode(), more=tuple(more))


def hidden_between() -> bytes:
    """A file in a zip that its list does not name: what reads from the beginning finds it."""
    first, second = packed(virus__com=samples.EICAR), packed(a__txt=b"x")
    end = first.index(b"PK\x01\x02")
    at = struct.unpack("<I", second[second.index(b"PK\x05\x06") + 16 :][:4])[0]
    joined = bytearray(first[:end] + second)
    struct.pack_into("<I", joined, joined.index(b"PK\x05\x06") + 16, at + end)
    place = joined.index(b"PK\x01\x02") + 42
    struct.pack_into("<I", joined, place, end)
    return bytes(joined)


def listed_twice() -> bytes:
    """As many files in the list as there are, and of the same name; both entries lead to the harmless one."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for body in (b"Bonjour" * 9, samples.EICAR + b" " * 4000):
            with pytest.warns() if archive.namelist() else contextlib.nullcontext():
                archive.writestr("note.txt", body)
    made = out.getvalue()
    start, end = made.index(b"PK\x01\x02"), made.index(b"PK\x05\x06")
    one = made[start : start + (end - start) // 2]
    return made[:start] + one + one + made[end:]


def twice() -> bytes:
    """Compressed, so that no rule sees it from outside."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("note.txt", samples.EICAR + b" " * 4000)
    return out.getvalue()


ZIPPED = twice()
FOUND: dict[str, tuple[bytes, str]] = {
    "a zip behind a PDF": (samples.pdf() + ZIPPED, kinds.MALWARE),
    "a zip behind a picture": (b"\xff\xd8\xff\xe0" + bytes(999) + ZIPPED, kinds.MALWARE),
    "a zip behind an old document": (samples.word() + ZIPPED, kinds.MALWARE),
    "a PDF that starts a program behind a picture": (
        b"GIF89a" + bytes(50) + samples.LAUNCHES,
        kinds.ACTIVE_PDF,
    ),
    "a disk image behind a picture": (
        (b"GIF89a" + bytes(9)) + samples.made("iso9660", "none", {"a.txt": samples.EICAR})[15:],
        kinds.MALWARE,
    ),
    "two zips in one file, bad first": (ZIPPED + packed(a__txt=b"x"), kinds.MALWARE),
    "two zips in one file, bad last": (packed(a__txt=b"x") + ZIPPED, kinds.MALWARE),
    "a zip whose list has a file twice and another one not": (listed_twice(), kinds.MALWARE),
    "a zip whose list leaves a file out": (hidden_between(), kinds.MALWARE),
    "macros under another name": (
        samples.docx(**{"[Content_Types]__xml": VBA, "word/x__bin": MACROS}),
        kinds.MACRO,
    ),
    "macros of which the list says nothing": (samples.docx(**{"word/x__bin": MACROS}), kinds.MACRO),
    "a macro sheet under another name": (samples.xlsx(**{"[content_types]__xml": SHEET}), kinds.MACRO),
    "a script in what looks like a document": (samples.docx(facture__js=SCRIPT), kinds.PROGRAM),
    "a program in what looks like a document": (samples.docx(**{"word/image1__png": EXE}), kinds.PROGRAM),
    "a zip in a document, outside of its place": (samples.docx(**{"word/theme__bin": ZIPPED}), kinds.MALWARE),
    "a template of the web behind padding": (
        samples.docx(**{"word/_rels/settings__xml__rels": samples.REMOTE + b" " * 3_000_000}),
        kinds.MALWARE,
    ),
    "a program that Windows runs, behind padding": (
        b"<html>" + b" " * 5_000_000 + b"<hta:application id=a>",
        kinds.MALWARE,
    ),
    "a page that starts a program at its six hundredth turn": (
        many_pages(600, b"/AA<</O<</S/Launch/F(cmd.exe)>>>>"),
        kinds.ACTIVE_PDF,
    ),
    "a note that starts a script when its page is seen": (
        samples.pdf(
            page="/Annots[<</Type/Annot/Subtype/Widget/Rect[0 0 9 9]/AA<</PV<</S/JavaScript/JS"
            "(app.launchURL\\('https://x.example'\\))>>>>>>]"
        ),
        kinds.ACTIVE_PDF,
    ),
    "a tar.gz behind a tar.gz": (
        samples.made("ustar", "gzip", {"a.txt": b"x"}) + samples.made("ustar", "gzip", {"a.js": SCRIPT}),
        kinds.PROGRAM,
    ),
    "a rar behind a picture": (b"\xff\xd8\xff\xe0" + bytes(999) + samples.rar("a.js", SCRIPT), kinds.PROGRAM),
    "a rar behind a picture and a decoy": (
        b"\x89PNG\r\n\x1a\nRar!\x1a\x07\x01\0" + bytes(99) + samples.rar("a.js", SCRIPT),
        kinds.PROGRAM,
    ),
    "a 7z behind a picture": (
        b"GIF89a" + bytes(999) + samples.made("7zip", "none", {"a.js": SCRIPT}),
        kinds.PROGRAM,
    ),
    "a signed zip": (samples.signed(ZIPPED), kinds.MALWARE),
    "a signed zip, written as a stream": (samples.signed(ZIPPED, in_parts=True), kinds.MALWARE),
    "a signed mail with a program": (
        samples.signed(samples.attached_mail(samples.part(EXE, samples.named("a.exe")))),
        kinds.PROGRAM,
    ),
    "a signed script in a zip": (
        packed(note__js__p7m=samples.signed(SCRIPT)),
        kinds.PROGRAM,
    ),
    "a signature that is cut": (samples.signed(ZIPPED)[:-9000], kinds.UNREADABLE),
    "a program as the sixtieth file of a PDF": (attachments(60), kinds.PROGRAM),
    "more files in a PDF than are looked at": (attachments(600), kinds.UNREADABLE),
}


@pytest.mark.parametrize("name", FOUND)
def test_what_one_program_sees_is_seen(name: str) -> None:
    data, code = FOUND[name]
    assert code in look(data).found, look(data).found


@pytest.mark.parametrize(
    "data",
    [
        samples.pdf() + b"PK\x05\x06" + bytes(18),
        samples.pdf(text="PK") + packed(a__txt=b"x"),
        b"\xff\xd8\xff\xe0" + bytes(99) + b"%PDF-1.7 is how a PDF begins",
        samples.docx(**{"word/media/image1__png": b"\x89PNG\r\n\x1a\n" + bytes(400)}),
        samples.made("ustar", "none", {"a.txt": b"x"}) + bytes(512 * 700),
        samples.made("ustar", "none", {"a.txt": b"x"})[:1024],
        b"\xff\xd8\xff\xe0" + bytes(99) + b"Rar!\x1a\x07\0 is how a rar begins",
        samples.signed(b"Bonjour"),
        samples.signed(samples.docx(), in_parts=True),
        samples.signed(b""),
    ],
)
def test_what_only_looks_like_two_is_left_alone(data: bytes) -> None:
    assert look(data).found == {}
