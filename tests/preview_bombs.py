"""Documents that are small, valid, and ask for more memory or time than there is."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Sequence

from beffroi.drive.office import blank

_ODF = "urn:oasis:names:tc:opendocument:xmlns:"


def pdf(objects: Sequence[bytes]) -> bytes:
    """Objects numbered from 1; the first one is the catalog."""
    out, places = bytearray(b"%PDF-1.7\n"), []
    for number, one in enumerate(objects, 1):
        places.append(len(out))
        out += b"%d 0 obj\n%b\nendobj\n" % (number, one)
    start = len(out)
    out += b"xref\n0 %d\n0000000000 65535 f \n" % (len(objects) + 1)
    out += b"".join(b"%010d 00000 n \n" % one for one in places)
    return bytes(out) + b"trailer\n<</Size %d/Root 1 0 R>>\nstartxref\n%d\n%%%%EOF\n" % (
        len(objects) + 1,
        start,
    )


def stream(head: bytes, data: bytes) -> bytes:
    return b"<<%b/Length %d>>stream\n%b\nendstream" % (head, len(data), data)


def page_of(box: bytes, resources: bytes = b"", contents: bytes = b"0 0 10 10 re f", *more: bytes) -> bytes:
    page = b"<</Type/Page/Parent 2 0 R/MediaBox[0 0 %b]/Resources<<%b>>/Contents 4 0 R>>" % (box, resources)
    tree = b"<</Type/Pages/Kids[3 0 R]/Count 1>>"
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", tree, page, stream(b"", contents), *more])


def high_page() -> bytes:
    """900 pixels wide, it would be thirteen million high."""
    return page_of(b"1 14400")


def wide_pdf_image(width: int = 60_000) -> bytes:
    """Nothing but zeros, some megabytes when packed; gigabytes when not."""
    data = zeros(3 * width * width)
    head = (
        b"/Type/XObject/Subtype/Image/Width %d/Height %d/ColorSpace/DeviceRGB/BitsPerComponent 8"
        b"/Interpolate true/Filter/FlateDecode" % (width, width)
    )
    return page_of(b"600 600", b"/XObject<</I 5 0 R>>", b"q 600 0 0 600 0 0 cm /I Do Q", stream(head, data))


def forms_of_forms(depth: int = 12) -> bytes:
    """Each draws the next one ten times: a million million rectangles."""
    forms = []
    for number in range(5, 5 + depth):
        inside = b"/F Do " * 10 if number < 4 + depth else b"0 0 600 600 re f "
        below = b"/Resources<</XObject<</F %d 0 R>>>>" % (number + 1) if number < 4 + depth else b""
        forms.append(stream(b"/Type/XObject/Subtype/Form/BBox[0 0 600 600]" + below, inside))
    return page_of(b"600 600", b"/XObject<</F 5 0 R>>", b"/F Do", *forms)


def deep_tree(depth: int = 100_000) -> bytes:
    """Pages in pages in pages."""
    nodes = [
        b"<</Type/Pages/Kids[%d 0 R]/Count 1/Parent %d 0 R>>" % (number + 1, max(2, number - 1))
        for number in range(2, depth)
    ]
    leaf = b"<</Type/Page/MediaBox[0 0 9 9]/Parent %d 0 R>>" % (depth - 1)
    return pdf([b"<</Type/Catalog/Pages 2 0 R>>", *nodes, leaf])


def _nested() -> bytes:
    return zlib.compress(b"1 0 " + b"[" * 5_000_000, 9)


def deep_object_stream() -> bytes:
    """The catalog lies in a stream of objects, in five million arrays."""
    inner = stream(b"/Type/ObjStm/N 1/First 4/Filter/FlateDecode", _nested())
    body = b"%PDF-1.7\n2 0 obj\n" + inner + b"\nendobj\n"
    rows = b"".join(struct.pack(">BIB", *row) for row in ((0, 0, 0), (2, 2, 0), (1, 9, 0), (1, len(body), 0)))
    table = stream(b"/Type/XRef/Size 4/W[1 4 1]/Root 1 0 R", rows)
    return body + b"3 0 obj\n" + table + b"\nendobj\nstartxref\n%d\n%%%%EOF\n" % len(body)


def zeros(count: int) -> bytes:
    """A zlib stream of so many, without having them: one block after the other is the same."""
    piece = 1 << 20

    def packed(size: int) -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, -15)
        return packer.compress(bytes(size)) + packer.flush(zlib.Z_FULL_FLUSH)

    sum_ = (count % 65521) << 16 | 1  # Adler-32 of zeros
    return (
        b"\x78\xda"
        + packed(piece) * (count // piece)
        + packed(count % piece)
        + b"\x03\x00"
        + sum_.to_bytes(4)
    )


# -- pictures in documents -----------------------------------------------------------------------------------


def png_chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(width: int, height: int) -> bytes:
    """Of one colour; each row costs some bytes."""
    data = zeros((1 + width * 4) * height)
    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n" + png_chunk(b"IHDR", head) + png_chunk(b"IDAT", data) + png_chunk(b"IEND", b"")
    )


def tiff(width: int, height: int) -> bytes:
    """Says that it has so many pixels, in one strip of packed zeros."""
    strip = zeros(width * height)
    entries = [
        (256, 4, 1, width), (257, 4, 1, height), (258, 3, 1, 8), (259, 3, 1, 8), (262, 3, 1, 1),
        (273, 4, 1, 0), (277, 3, 1, 1), (278, 4, 1, height), (279, 4, 1, len(strip)),
    ]  # fmt: skip
    start = 8 + 2 + 12 * len(entries) + 4
    out = struct.pack("<2sHIH", b"II", 42, 8, len(entries))
    for tag, kind, count, value in entries:
        out += struct.pack("<HHII", tag, kind, count, start if tag == 273 else value)
    return out + struct.pack("<I", 0) + strip


def gif(frames: int, side: int = 2000) -> bytes:
    """Each frame as large as the picture, in a dozen bytes."""
    frame = b"\x21\xf9\x04\x04\x01\x00\x00\x00" + b"\x2c" + struct.pack("<HHHHB", 0, 0, side, side, 0)
    frame += b"\x02\x02\x44\x01\x00"
    head = b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + b"\x00\x00\x00\xff\xff\xff"
    return head + frame * frames + b"\x3b"


def svg(*, secret: str = "") -> bytes:
    """Entities of entities; or one that is a file of this machine."""
    if secret:
        entities, text = f'<!ENTITY a SYSTEM "file://{secret}">', "&a;"
    else:
        steps = "".join(f'<!ENTITY e{number} "{f"&e{number - 1};" * 10}">' for number in range(1, 11))
        entities, text = f'<!ENTITY e0 "boum">{steps}', "&e10;"
    return (
        f'<?xml version="1.0"?><!DOCTYPE svg [{entities}]><svg xmlns="http://www.w3.org/2000/svg" width="400"'
        f' height="100"><text x="1" y="50">Dessin {text}</text></svg>'
    ).encode()


def with_picture(name: str, data: bytes) -> bytes:
    """An odt that shows it."""
    content = (
        f'<?xml version="1.0" encoding="UTF-8"?><office:document-content xmlns:office="{_ODF}office:1.0"'
        f' xmlns:text="{_ODF}text:1.0" xmlns:draw="{_ODF}drawing:1.0" xmlns:svg="{_ODF}svg-compatible:1.0"'
        ' xmlns:xlink="http://www.w3.org/1999/xlink" office:version="1.3"><office:body><office:text><text:p>Visible.'
        '<draw:frame text:anchor-type="as-char" svg:width="12cm" svg:height="3cm">'
        f'<draw:image xlink:href="Pictures/{name}" xlink:type="simple" xlink:show="embed" xlink:actuate="onLoad"/>'
        "</draw:frame></text:p></office:text></office:body></office:document-content>"
    )
    return _package(
        "application/vnd.oasis.opendocument.text", {"content.xml": content, f"Pictures/{name}": data}
    )


def _package(mime: str, parts: dict[str, str | bytes]) -> bytes:
    entries = "".join(
        f'<manifest:file-entry manifest:full-path="{one}" manifest:media-type=""/>' for one in parts
    )
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr("mimetype", mime, zipfile.ZIP_STORED)
        for path, value in parts.items():
            package.writestr(path, value)
        package.writestr(
            "META-INF/manifest.xml",
            f'<?xml version="1.0" encoding="UTF-8"?><manifest:manifest xmlns:manifest="{_ODF}manifest:1.0"'
            f' manifest:version="1.3"><manifest:file-entry manifest:full-path="/" manifest:media-type="{mime}"/>'
            f"{entries}</manifest:manifest>",
        )
    return out.getvalue()


def wide_sheet() -> bytes:
    """Every cell that a sheet can have says something."""
    cell = '<table:table-cell table:number-columns-repeated="16384" office:value-type="string"><text:p>x</text:p>'
    row = f'<table:table-row table:number-rows-repeated="1048576">{cell}</table:table-cell></table:table-row>'
    return blank.document(
        "tableur", f'<office:spreadsheet><table:table table:name="A">{row}</table:table></office:spreadsheet>'
    )
