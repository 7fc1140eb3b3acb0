"""A document as text for the index: what it says is read, what is wrong with it is no text, all is bounded."""

from __future__ import annotations

import random

import pytest
from beffroi.scan import texts, values

from tests import scan_samples as samples
from tests.mail_files import packed
from tests.pdf_samples import document, protected, scanned


@pytest.mark.parametrize(
    "data, text",
    [
        (samples.docx("Bonjour Beaune"), "Bonjour Beaune"),
        (samples.docx("L&apos;arr&#xEA;t&#233; R&amp;amp;D &lt;note&gt;"), "L'arrêté R&amp;D <note>"),
        (samples.xlsx(), "Total\n12,50"),
        (samples.ods(), "Budget"),
        (document(["Une page", "Une autre"]), "Une page\nUne autre"),
        (samples.signed(samples.docx("Bonjour Beaune")), "Bonjour Beaune"),
        (samples.signed(b"Content-Type: text/plain\r\n\r\nBonjour Beaune\r\n"), "Bonjour Beaune"),
        (samples.signed(b"\r\nBonjour Beaune\r\n"), "Bonjour Beaune"),
        (samples.signed(b""), ""),
        (scanned(), ""),
        (protected("x"), ""),
        (b"%PDF-1.7 rien", ""),
        (b"PK\x03\x04 rien", ""),
        (b"MZ", ""),
        (b"", ""),
    ],
)
def test_what_a_document_says(data: bytes, text: str) -> None:
    report = texts.read(data)
    assert report.text.strip() == text and report.found == {}
    assert values.decode(values.encode(report), most_text=values.MOST_WORDS_TEXT) == report


def odt(paragraph: str, **more: bytes) -> bytes:
    content = f"<office:text><text:p>{paragraph}</text:p></office:text>".encode()
    return packed(content__xml=content, **{"META-INF/manifest__xml": b"<m/>"}, **more)


def word(paragraph: str, **more: bytes) -> bytes:
    body = f"<w:document><w:body><w:p>{paragraph}</w:p></w:body></w:document>".encode()
    return packed(**{"[Content_Types]__xml": b"<Types/>", "word/document__xml": body}, **more)


STYLES = b"""<office:styles><style:style style:name="Header"><style:header-style/></style:style></office:styles>
<office:automatic-styles><number:text>rien</number:text></office:automatic-styles><office:master-styles>
<style:master-page style:name="Standard"><style:header><text:p>Commune de Beaune</text:p></style:header>
<style:header-first style:display="false"/><style:footer loext:x="1"><text:p>Page <text:page-number>2</text:page-number>
</text:p></style:footer><text:p>rien</text:p></style:master-page><style:master-page><style:header-left>
<style:region-left><text:p>R&amp;D</text:p></style:region-left><style:region-right><text:p>Voirie</text:p>
</style:region-right></style:header-left></style:master-page></office:master-styles>"""
INLINE = b"""<worksheet><sheetData><row><c t="inlineStr"><is><t>Salle</t></is></c><c><v>7</v></c>
<c t="inlineStr"><is><r><t>poly</t></r><r><t>valente</t></r></is></c></row></sheetData></worksheet>"""
NOTE = (
    '<text:note text:id="n1"><text:note-citation>1</text:note-citation><text:note-body><text:p>notule</text:p>'
    "</text:note-body></text:note>"
)
COMMENT = (
    "<office:annotation><dc:creator>Alice</dc:creator><dc:date>2026-01-02T03:04:05</dc:date><text:p>revoir</text:p>"
    "</office:annotation>"
)
SLIDE = b"<p:txBody><a:p><a:r><a:t>premier</a:t></a:r><a:br/><a:r><a:t>second</a:t></a:r></a:p></p:txBody>"


MAIL = """Received: from x
Subject: =?iso-8859-1?Q?D=E9lib=E9ration?=
From: =?utf-8?B?Wm/DqQ==?= <zoe@beaune.test>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=b

--b
Content-Type: multipart/alternative; boundary=c

--c
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: quoted-printable

La cantine rouvre apr=C3=A8s l=E2=80=99=C3=A9t=C3=A9.
--c
Content-Type: text/html; charset=utf-8

<p>La cantine rouvre</p>
--c--
--b
Content-Type: application/pdf; name="Menu.pdf"
Content-Transfer-Encoding: base64

JVBERi0xLjcgcmllbg==
--b--
"""
PAGE = "Subject: Avis\nContent-Type: text/html; charset=x-odd\n\n<style>p{}</style><p>Voirie ferm&eacute;e"


RTF = (
    rb"{\rtf1\ansi\ansicpg1252\deff0{\fonttbl{\f0 Arial;}}{\*\generator Riched20}{\info{\title secret}}\uc1 "
    rb"{\header En-t\'eate}D\'e9lib\'e9\b ration\b0\par \u8212? \u-10179?\u-8704? {\deleted rien}{\pict 01\bin3 }{}}"
    rb" caf\u233\'e9\cell" + b"\r\n" + rb"suite\_et {\field{\*\fldinst HYPERLINK}{\fldrslt lien}} {\b\{x\}}"
    rb"{\uc2\u339oe}uvre}"
)


@pytest.mark.parametrize(
    "data, words",
    [
        (RTF, "En-têteDélibération — 😀 café suite-et lien {x}œuvre"),
        (RTF[:-60], "En-têteDélibération — 😀 café suite-et"),
        (rb"{\rtf1\ansi\ansicpg1251 \'cf\'f0\'e8}", "При"),
        (rb"{\rtf1\ansicpg99999\'e9" + b"{" * 5000 + b"x" + b"}" * 5001 + rb"\'", "éx'"),
        (MAIL.encode(), "Délibération Zoé <zoe@beaune.test> Menu.pdf La cantine rouvre après l’été."),
        (PAGE.encode(), "Avis Voirie fermée"),
        (odt("premier<text:line-break/>second"), "premier second"),
        (odt(f"appel<text:span>{NOTE}</text:span> suite"), "appel 1 notule suite"),
        (odt(f"mot{COMMENT} suite"), "mot Alice 2026-01-02T03:04:05 revoir suite"),
        (odt("corps", styles__xml=STYLES), "corps Commune de Beaune Page 2 R&D Voirie"),
        (odt("<text:span>un</text:span><text:span><text:s/></text:span>deux"), "un deux"),
        (word("<w:r><w:t>sous</w:t><w:noBreakHyphen/><w:t>préfet</w:t></w:r>"), "sous-préfet"),
        (
            word(
                "<w:r><w:t>délibé</w:t></w:r><w:del><w:r><w:delText>er</w:delText></w:r></w:del><w:t>ration</w:t>"
            ),
            "délibération",
        ),
        (
            word("<w:t>appel</w:t>", **{"word/footnotes__xml": b"<w:p><w:t>notule</w:t></w:p>"}),
            "appel notule",
        ),
        (samples.xlsx(**{"xl/worksheets/sheet1__xml": INLINE}), "Total 12,50 Salle polyvalente"),
        (samples.xlsx(**{"ppt/slides/slide1__xml": SLIDE}), "Total 12,50 premier second"),
    ],
)
def test_words_stay_apart_and_whole(data: bytes, words: str) -> None:
    assert texts.read(data).text.split() == words.split()


def test_every_page_of_a_long_document_is_read_up_to_the_bound() -> None:
    found = texts.read(document([f"page {number}" for number in range(60)])).text
    assert "page 0" in found and "page 59" in found
    assert len(texts.read(samples.docx("mot " * 200_000)).text) == values.MOST_WORDS_TEXT


def test_an_answer_is_never_longer_than_its_reader_takes() -> None:
    """Each sign may need four bytes, and none more: control signs, which JSON writes with six, are left out."""
    for sign in ("\N{GRINNING FACE}", "\x01", '"', "\\", "é"):
        report = texts.read(samples.docx(sign * values.MOST_WORDS_TEXT))
        assert len(values.encode(report)) <= values.MAX_ANSWER_BYTES


def test_mutated_documents_give_a_text_or_none() -> None:
    rng = random.Random(1)
    for whole in (samples.docx("Bonjour"), samples.ods(), document(["Bonjour"]), MAIL.encode()):
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            assert len(texts.read(bytes(data)).text) <= values.MOST_WORDS_TEXT
