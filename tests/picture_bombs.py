"""Pictures of many formats that are small, or nearly valid, and ask for more memory or time than there is."""

from __future__ import annotations

import struct

from tests.preview_bombs import page_of, png, png_chunk, stream, zeros

SIDE = 46_000
"""Of a picture in a PDF: its pixels are just fewer than what poppler refuses at once."""

# -- WebP, AVIF ----------------------------------------------------------------------------------------------


def _riff(kind: bytes, data: bytes) -> bytes:
    return kind + struct.pack("<I", len(data)) + data + bytes(len(data) % 2)


def _lossless(side: int) -> bytes:
    """VP8L: each of its five codes has one symbol, so that no pixel costs a bit."""
    bits = 0x2F | (side - 1) << 8 | (side - 1) << 22
    # No alpha, version 0, no transform, no cache of colours, no other codes; five times: simple, one symbol, 0.
    bits |= sum(0b0001 << (43 + 4 * number) for number in range(5))
    return _riff(b"VP8L", bits.to_bytes(8, "little"))


def webp(side: int = 16_383) -> bytes:
    return _riff(b"RIFF", b"WEBP" + _lossless(side))


def animated_webp(frames: int, side: int = 16_383) -> bytes:
    size = (side - 1).to_bytes(3, "little")
    frame = _riff(b"ANMF", bytes(6) + size + size + bytes((1, 0, 0, 0)) + _lossless(side))
    head = _riff(b"VP8X", bytes((0x02, 0, 0, 0)) + size + size) + _riff(b"ANIM", bytes(6))
    return _riff(b"RIFF", b"WEBP" + head + frame * frames)


def avif(side: int = 65_535) -> bytes:
    """Its header alone: what reads it at all makes room by that."""

    def box(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", 8 + len(data)) + kind + data

    size = box(b"ispe", struct.pack(">III", 0, side, side))
    properties = box(b"iprp", box(b"ipco", size) + box(b"ipma", struct.pack(">IIHBB", 0, 1, 1, 1, 1)))
    item = box(b"pitm", struct.pack(">IH", 0, 1))
    meta = box(b"meta", bytes(4) + box(b"hdlr", bytes(8) + b"pict" + bytes(13)) + item + properties)
    return box(b"ftyp", b"avif" + bytes(4) + b"mif1avif") + meta


# -- PNG, TIFF, BMP, ICO ---------------------------------------------------------------------------------------


def apng(frames: int, side: int = 2000) -> bytes:
    """Each frame as large as the picture, of one colour."""

    def control(number: int) -> bytes:
        return png_chunk(b"fcTL", struct.pack(">IIIIIHHBB", number, side, side, 0, 0, 1, 100, 0, 0))

    data = zeros((1 + side * 4) * side)
    out = [
        b"\x89PNG\r\n\x1a\n",
        png_chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 6, 0, 0, 0)),
        png_chunk(b"acTL", struct.pack(">II", frames, 0)),
        control(0),
        png_chunk(b"IDAT", data),
    ]
    for number in range(1, 2 * frames - 2, 2):
        out += (control(number), png_chunk(b"fdAT", struct.pack(">I", number + 1) + data))
    return b"".join((*out, png_chunk(b"IEND", b"")))


def tiff_pages(pages: int, side: int = 4000) -> bytes:
    """All pages have one strip in common; the last one is followed by the first."""
    strip = zeros(side * side)
    entries = (
        (256, side), (257, side), (258, 8), (259, 8), (262, 1), (273, 8), (277, 1), (278, side), (279, len(strip)),
    )  # fmt: skip
    page = struct.pack("<H", len(entries)) + b"".join(
        struct.pack("<HHII", tag, 4, 1, value) for tag, value in entries
    )
    first, length = 8 + len(strip) + len(strip) % 2, len(page) + 4
    out = [struct.pack("<2sHI", b"II", 42, first), strip, bytes(len(strip) % 2)]
    for number in range(1, pages + 1):
        out += (page, struct.pack("<I", first + number * length if number < pages else first))
    return b"".join(out)


def tiff_strips(side: int = 60_000) -> bytes:
    """A strip a row, all of them the same two bytes, in tables of strips of another length than they say."""
    entries = (
        (256, 4, 1, side), (257, 4, 1, side), (258, 3, 1, 8), (259, 3, 1, 32773), (262, 3, 1, 1),
        (273, 4, 1 << 30, 8), (277, 3, 1, 1), (278, 4, 1, 1), (279, 4, side, 8),
    )  # fmt: skip
    body = (
        struct.pack("<H", len(entries)) + b"".join(struct.pack("<HHII", *one) for one in entries) + bytes(4)
    )
    return struct.pack("<2sHI", b"II", 42, 8 + 4 * side) + struct.pack("<I", 8) * side + body


def bmp(side: int = 65_000) -> bytes:
    """Of a run of one colour a row."""
    data = (b"\xff\x01" * (side // 255) + b"\x00\x00") * 1000 + b"\x00\x01"
    head = struct.pack("<IiiHHIIiiII", 40, side, side, 1, 8, 1, len(data), 0, 0, 256, 0)
    start = 14 + len(head) + 1024
    return struct.pack("<2sIHHI", b"BM", start + len(data), 0, 0, start) + head + bytes(1024) + data


def ico(side: int = 60_000) -> bytes:
    inside = png(side, side // 20)
    return (
        struct.pack("<HHH", 0, 1, 1) + struct.pack("<BBBBHHII", 0, 0, 0, 0, 1, 32, len(inside), 22) + inside
    )


# -- drawings --------------------------------------------------------------------------------------------------


def drawing(inside: str, more: str = "") -> bytes:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" width="400" height="100"'
        f'{more}><text x="1" y="50">Dessin</text>{inside}</svg>'
    ).encode()


def svg_uses(depth: int = 12) -> bytes:
    """Each group shows the next one ten times."""
    groups = "".join(
        f'<g id="g{number}">{f"""<use xlink:href="#g{number - 1}"/>""" * 10}</g>'
        for number in range(1, depth + 1)
    )
    first = '<g id="g0"><rect width="9" height="9"/></g>'
    return drawing(f'<defs>{first}{groups}</defs><use xlink:href="#g{depth}"/>')


def svg_circle() -> bytes:
    """Each of two shows the other."""
    inside = '<use xlink:href="#b"/>', '<use xlink:href="#a"/>'
    return drawing(f'<defs><g id="a">{inside[0]}</g><g id="b">{inside[1]}</g></defs>{inside[1]}')


def svg_deep(depth: int = 200_000) -> bytes:
    return drawing("<g>" * depth + '<rect width="9" height="9"/>' + "</g>" * depth)


def svg_wide() -> bytes:
    """A pattern of the smallest pieces over the largest plane, blurred."""
    filters = '<filter id="f"><feGaussianBlur stdDeviation="100000"/></filter>'
    tile = (
        '<pattern id="p" width="0.001" height="0.001" patternUnits="userSpaceOnUse">'
        '<rect width="1" height="1"/></pattern>'
    )
    plane = '<rect width="1000000" height="1000000" fill="url(#p)" filter="url(#f)"/>'
    return drawing(f"<defs>{filters}{tile}</defs>{plane}", ' viewBox="0 0 1000000 1000000"')


def svg_linked(*addresses: str) -> bytes:
    """What it shows lies elsewhere."""
    images = "".join(f'<image xlink:href="{one}" width="9" height="9"/>' for one in addresses)
    return drawing(
        f'{images}<style>@import url("{addresses[0]}");</style><use xlink:href="{addresses[-1]}#a"/>'
    )


# -- pictures and patterns in a PDF ----------------------------------------------------------------------------


def _image(width: int, height: int, filter_: bytes, data: bytes, more: bytes = b"") -> bytes:
    head = b"/Type/XObject/Subtype/Image/Width %d/Height %d/Filter/%b%b" % (width, height, filter_, more)
    return page_of(b"600 600", b"/XObject<</I 5 0 R>>", b"q 600 0 0 600 0 0 cm /I Do Q", stream(head, data))


def pdf_jpeg2000(side: int = SIDE) -> bytes:
    """Three colours in one tile, of which nothing comes."""
    size = struct.pack(">HHIIIIIIIIH", 47, 0, side, side, 0, 0, side, side, 0, 0, 3) + b"\x07\x01\x01" * 3
    style = struct.pack(">HBBHBBBBBB", 12, 0, 0, 1, 0, 5, 4, 4, 0, 1)
    steps = struct.pack(">HB", 19, 0x40) + bytes(16)
    tile = struct.pack(">HHIBB", 10, 0, 14 + 64, 0, 1)
    data = (
        b"\xff\x4f\xff\x51" + size + b"\xff\x52" + style + b"\xff\x5c" + steps + b"\xff\x90" + tile + b"\xff\x93"
        + bytes(64) + b"\xff\xd9"
    )  # fmt: skip
    return _image(side, side, b"JPXDecode", data)


def pdf_fax(side: int = SIDE) -> bytes:
    """White rows of a bit each."""
    parameters = b"/ColorSpace/DeviceGray/BitsPerComponent 1/DecodeParms<</K -1/Columns %d/Rows %d>>" % (
        side,
        side,
    )
    return _image(side, side, b"CCITTFaxDecode", b"\xff" * (side // 8), parameters)


def pdf_jbig2(side: int = SIDE) -> bytes:
    """A page that is larger than memory, and one region that fills it."""
    page = struct.pack(">IBBI", 0, 48, 1, 19) + struct.pack(">IIIIBH", side, side, 0, 0, 0, 0)
    region = struct.pack(">IIIIB", side, side, 0, 0, 0) + b"\x00\x03\xff\xfd\xff\x02\xfe\xfe\xfe" + bytes(64)
    data = page + struct.pack(">IBBI", 1, 38, 1, len(region)) + region
    return _image(side, side, b"JBIG2Decode", data, b"/ColorSpace/DeviceGray/BitsPerComponent 1")


def pdf_jpeg(side: int = SIDE) -> bytes:
    """Its header says so many pixels in progressive passes, each of them empty."""
    quantum = b"\xff\xdb" + struct.pack(">HB", 67, 0) + b"\x01" * 64
    frame = (
        b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, side, side, 3) + b"\x01\x22\x00\x02\x11\x00\x03\x11\x00"
    )
    codes = b"".join(b"\xff\xc4" + struct.pack(">HB", 20, one) + b"\x01" + bytes(16) for one in (0x00, 0x10))
    scan = (
        b"\xff\xda" + struct.pack(">H", 12) + b"\x03\x01\x00\x02\x00\x03\x00" + b"\x00\x00\x00" + b"\x00" * 9
    )
    data = b"\xff\xd8" + quantum + frame + codes + scan * 1000 + b"\xff\xd9"
    return _image(side, side, b"DCTDecode", data, b"/ColorSpace/DeviceRGB/BitsPerComponent 8")


def pdf_tiles() -> bytes:
    """A pattern a thousandth of a point wide over the whole page."""
    tile = stream(
        b"/Type/Pattern/PatternType 1/PaintType 1/TilingType 1/BBox[0 0 1 1]/XStep .001/YStep .001/Resources<<>>",
        b"0 0 1 1 re f",
    )
    return page_of(b"600 600", b"/Pattern<</P 5 0 R>>", b"/Pattern cs /P scn 0 0 600 600 re f", tile)


def pdf_masks(depth: int = 60) -> bytes:
    """Transparent groups in one another, each as large as a page may be."""
    groups = []
    for number in range(5, 5 + depth):
        inner = b"/Resources<</XObject<</F %d 0 R>>>>" % (number + 1) if number < 4 + depth else b""
        head = (
            b"/Type/XObject/Subtype/Form/BBox[0 0 14400 14400]/Group<</S/Transparency/I true/K true>>" + inner
        )
        groups.append(stream(head, b"/F Do" if inner else b"0 0 9 9 re f"))
    return page_of(b"14400 14400", b"/XObject<</F 5 0 R>>", b"/F Do", *groups)


def pdf_in_itself() -> bytes:
    """A form that shows itself, and letters that are made of the same letters."""
    form = stream(
        b"/Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</F 5 0 R>>>>", b"/F Do " * 50
    )
    letters = (
        b"<</Type/Font/Subtype/Type3/FontBBox[0 0 9 9]/FontMatrix[1 0 0 1 0 0]/FirstChar 97/LastChar 97/Widths[9]"
        b"/Encoding<</Differences[97/a]>>/CharProcs<</a 7 0 R>>/Resources<</Font<</T 6 0 R>>>>>>"
    )
    letter = stream(b"", b"9 0 d0 BT /T 9 Tf (aaaaaaaaaa) Tj ET")
    contents = b"/F Do BT /T 9 Tf (aaaaaaaaaa) Tj ET"
    return page_of(b"600 600", b"/XObject<</F 5 0 R>>/Font<</T 6 0 R>>", contents, form, letters, letter)
