"""Attached files for tests: harmless, and of every kind that the door holds. All are made here; none does anything."""

from __future__ import annotations

import io
import struct
import zipfile
from email.message import EmailMessage

OLE = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
WORD = b"application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"


def packed(**files: bytes) -> bytes:
    """A zip; names are given with "__" for a dot."""
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name.replace("__", "."), content)
    return data.getvalue()


def locked(data: bytes) -> bytes:
    """The same zip with the sign of a password on each file, as a reader of its lists sees it."""
    out = bytearray(data)
    for mark, at in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        start = out.find(mark)
        while start >= 0:
            out[start + at] |= 1
            start = out.find(mark, start + 4)
    return bytes(out)


def ole(*streams: str) -> bytes:
    """An old Office document, as far as its directory shows: header, one sector of names."""
    header = OLE + bytes(16) + struct.pack("<HHHHH", 0x3E, 3, 0xFFFE, 9, 6) + bytes(10)
    header += struct.pack("<II", 1, 1) + bytes(4) + struct.pack("<I", 4096)
    names = b"".join(
        n.encode("utf-16-le").ljust(64, b"\0") + struct.pack("<H", 2 * len(n) + 2) + bytes(62)
        for n in streams
    )
    return header.ljust(512, b"\0") + b"\xff" * 512 + names.ljust(512, b"\0")


def document(**more: bytes) -> bytes:
    parts = {"[Content_Types]__xml": WORD, "word/document__xml": b"<w:document/>"}
    return packed(**parts, **more)


EXE = b"MZ" + bytes(58) + struct.pack("<I", 64) + b"PE\0\0" + struct.pack("<HH", 0x14C, 1) + bytes(400)
LNK = b"L\0\0\0\x01\x14\x02\0" + bytes(200)
ISO = bytes(32768) + b"\x01CD001\x01" + bytes(4000)
PDF = b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"
LOGIN = b"<html><body><p>Votre document</p><form action='https://x.example'><input type=password></form></body></html>"
SCRIPT = b"<html><body><p>Bonjour</p><script>location='https://x.example'</script></body></html>"
PLAIN = b"<html><body><h1>Compte rendu</h1><p>Bonjour.</p></body></html>"

HARMLESS: dict[str, bytes] = {
    "compte rendu.pdf": PDF,
    "courrier.docx": document(),
    "plans.zip": packed(plan__pdf=PDF, notice__txt=b"Bonjour"),
    "ancien.doc": ole("Root Entry", "WordDocument", "1Table"),
    "page.html": PLAIN,
}
HELD: dict[str, tuple[bytes, str]] = {
    "outil.exe": (EXE, "program"),
    "facture.pdf.exe": (EXE, "disguised program"),
    "facture.pdf": (EXE, "disguised program"),
    "facture\u202efdp.exe": (EXE, "disguised program"),
    "colis.zip": (packed(suivi__js=b"WScript.Echo(1)"), "program"),
    "scan.lnk": (LNK, "shortcut"),
    "scan.iso": (ISO, "disk_image"),
    "budget.docm": (document(**{"word/vbaProject__bin": b"macro"}), "macro"),
    "budget.docx": (document(**{"word/vbaProject__bin": b"macro"}), "macro"),
    "budget.doc": (ole("Root Entry", "WordDocument", "Macros", "_VBA_PROJECT"), "macro"),
    "dossier.zip": (locked(packed(piece__pdf=PDF)), "encrypted"),
    "secret.docx": (ole("Root Entry", "EncryptionInfo", "EncryptedPackage"), "encrypted"),
    "paquet.zip": (packed(dedans__zip=packed(a__pdf=PDF)), "nested"),
    "document.html": (LOGIN, "active_page"),
    "document.htm": (SCRIPT, "active_page"),
    "large.html": ("\ufeff".encode("utf-16-le") + SCRIPT.decode().encode("utf-16-le"), "active_page"),
    "image.svg": (b"<svg xmlns='http://www.w3.org/2000/svg' onload='x()'><g/></svg>", "active_page"),
}


def letter(name: str, content: bytes, *, to: str, sender: str = "billing@sender.example.net") -> bytes:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        f"Service <{sender}>",
        to,
        f"Pièce jointe {len(name)}",
    )
    message["Message-ID"], message["Date"] = (
        f"<{abs(hash(name))}@sender.example.net>",
        "Tue, 24 Nov 2026 10:00:00 +0000",
    )
    message.set_content("Bonjour,\n\nVoici le fichier que vous avez demandé.\n\nBien à vous.\n")
    message.add_attachment(content, maintype="application", subtype="octet-stream", filename=name)
    return message.as_bytes()
