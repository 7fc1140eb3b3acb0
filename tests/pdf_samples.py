"""PDFs made by pypdf: pages with a line of text each, one that asks for a password, one that was scanned."""

from __future__ import annotations

import io
from collections.abc import Sequence

from pypdf import PdfWriter
from pypdf.generic import DecodedStreamObject, DictionaryObject, NameObject, NumberObject, StreamObject


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


def scanned() -> bytes:
    """A page without text: a black picture of 64 x 8 pixels, in the code of fax machines (ITU-T T.6)."""
    white_0, black_64, black_0 = "00110101", "0000001111", "0000110111"
    bits = "001" + white_0 + black_64 + black_0 + "11" * 7 + "000000000001" * 2
    bits += "0" * (-len(bits) % 8)
    writer, out = _writer([""]), io.BytesIO()
    picture = StreamObject()
    picture._data = int(bits, 2).to_bytes(len(bits) // 8)
    for name, value in {
        "/Type": NameObject("/XObject"),
        "/Subtype": NameObject("/Image"),
        "/Width": NumberObject(64),
        "/Height": NumberObject(8),
        "/BitsPerComponent": NumberObject(1),
        "/ColorSpace": NameObject("/DeviceGray"),
        "/Filter": NameObject("/CCITTFaxDecode"),
        "/DecodeParms": DictionaryObject(
            {
                NameObject("/K"): NumberObject(-1),
                NameObject("/Columns"): NumberObject(64),
                NameObject("/Rows"): NumberObject(8),
            }
        ),
    }.items():
        picture[NameObject(name)] = value
    page = writer.pages[0]
    page[NameObject("/Resources")] = DictionaryObject(
        {NameObject("/XObject"): DictionaryObject({NameObject("/I"): writer._add_object(picture)})}
    )
    content = DecodedStreamObject()
    content.set_data(b"q 400 0 0 400 60 300 cm /I Do Q")
    page[NameObject("/Contents")] = writer._add_object(content)
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
