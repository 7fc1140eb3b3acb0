"""PDFs with text, made by pypdf: pages with a line each, or one that asks for a password."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject


def document(lines: Sequence[str]) -> bytes:
    """One page for each line (Latin-1)."""
    out = io.BytesIO()
    _writer(lines).write(out)
    return out.getvalue()


def protected(password: str) -> bytes:
    writer, out = _writer(["secret"]), io.BytesIO()
    writer.encrypt(password, algorithm="RC4-128")
    writer.write(out)
    return out.getvalue()


def _writer(lines: Sequence[str]) -> PdfWriter:
    writer = PdfWriter()
    font = DictionaryObject(
        {
            NameObject("/Type"): NameObject("/Font"),
            NameObject("/Subtype"): NameObject("/Type1"),
            NameObject("/BaseFont"): NameObject("/Helvetica"),
            NameObject("/Encoding"): NameObject("/WinAnsiEncoding"),
        }
    )
    for line in lines:
        page = writer.add_blank_page(595, 842)
        content = DecodedStreamObject()
        text = line.encode("cp1252").replace(b"\\", rb"\\").replace(b"(", rb"\(").replace(b")", rb"\)")
        content.set_data(b"BT /F1 18 Tf 60 760 Td (" + text + b") Tj ET")
        page[NameObject("/Resources")] = DictionaryObject(
            {NameObject("/Font"): DictionaryObject({NameObject("/F1"): font})}
        )
        page[NameObject("/Contents")] = writer._add_object(content)
    return writer
