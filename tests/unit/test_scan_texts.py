"""A document as text for the index: what it says is read, what is wrong with it is no text, all is bounded."""

from __future__ import annotations

import random

import pytest
from beffroi.scan import texts, values

from tests import scan_samples as samples
from tests.pdf_samples import document, protected, scanned


@pytest.mark.parametrize(
    "data, text",
    [
        (samples.docx("Bonjour Beaune"), "Bonjour Beaune"),
        (samples.docx("L&apos;arr&#xEA;t&#233; R&amp;amp;D &lt;note&gt;"), "L'arrêté R&amp;D <note>"),
        (samples.xlsx(), "Total\n12,50"),
        (samples.ods(), "Budget"),
        (document(["Une page", "Une autre"]), "Une page\nUne autre"),
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
    for whole in (samples.docx("Bonjour"), samples.ods(), document(["Bonjour"])):
        for _ in range(40):
            data = bytearray(whole)
            for _ in range(rng.randrange(1, 8)):
                data[rng.randrange(len(data))] = rng.randrange(256)
            assert len(texts.read(bytes(data)).text) <= values.MOST_WORDS_TEXT
