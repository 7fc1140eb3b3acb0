"""What the scanner finds in files of every kind, what it leaves alone, and where it stops."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.scan import kinds, looking, rules, values
from beffroi.scan.archives import Budget
from beffroi.scan.values import Report

from tests import scan_samples as samples
from tests.mail_files import EXE, packed

RULES = rules.Rules({rules.OWN: rules.own()})


def look(data: bytes, **budget: Any) -> Report:
    return looking.examine(data, RULES.matches, Budget(**budget))


def names(report: Report) -> str:
    return " ".join(name.removeprefix("Beffroi.") for name in report.names())


@pytest.mark.parametrize("name", samples.HARMLESS)
def test_an_ordinary_file_is_left_alone(name: str) -> None:
    assert names(look(samples.HARMLESS[name])) == ""


@pytest.mark.parametrize("name", samples.FOUND)
def test_what_a_file_carries_is_found(name: str) -> None:
    data, expected = samples.FOUND[name]
    assert names(look(data)) == expected


def test_every_rule_of_ours_has_a_sample() -> None:
    told = {name.partition(".")[2] for _, expected in samples.FOUND.values() for name in expected.split()}
    assert {rule.identifier for rule in RULES.compiled} <= told


def test_text_of_documents_is_handed_on_whole_and_no_longer_than_its_cap() -> None:
    line = f"Notre nouveau RIB : {samples.IBAN}"
    for data in (samples.pdf(line), samples.docx(line), packed(a__pdf=samples.pdf(line))):
        assert line in look(data).text
    assert len(look(samples.docx("x" * 10**6)).text) == values.MAX_TEXT
    assert look(packed(a__txt=line.encode())).text == ""


def linked(*links: str) -> bytes:
    """A PDF with a button for each link."""
    notes = "".join(f"<</Type/Annot/Subtype/Link/Rect[0 0 9 9]/A<</S/URI/URI({one})>>>>" for one in links)
    return samples.pdf(page=f"/Annots[{notes}]")


ODT = b"application/vnd.oasis.opendocument.text"
REFERENCE = b'<text:a xlink:href="https://a.example/">x</text:a>'
RELATION = b'<Relationship Type="http://x/hyperlink" TargetMode="External" Target=\'https://a.example/?b=1&amp;c=2\'/>'
PAGE = (
    b"<html><a href=' ht\ntps&colon;//a.example/f?a=1&amp;b=2#x'>x</a><a href='b.html'>y</a>"
    b'<a href="mailto:a@a.example">z</a><button formaction=https://a.example/g></html>'
)
MAIL = b"From: a@b.example\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/%s; charset=utf-8\n\n%s\n"


@pytest.mark.parametrize(
    ("data", "links"),
    [
        (linked("https://a.example/f", "mailto:a@a.example", "https://a.example/f"), ["https://a.example/f"]),
        (packed(a__pdf=linked("HTTPS:/a.example/f")), ["HTTPS:/a.example/f"]),
        (samples.docx(**{"word/_rels/document.xml.rels": RELATION}), ["https://a.example/?b=1&c=2"]),
        (samples.docx(**{"word/_rels/document.xml.rels": RELATION.replace(b"/hyperlink", b"/image")}), []),
        (packed(a__html=PAGE), ["https://a.example/f?a=1&b=2", "https://a.example/g"]),
        (PAGE.decode().encode("utf-16"), ["https://a.example/f?a=1&b=2", "https://a.example/g"]),
        (packed(a__svg=b"<g><a xlink:href='https://a.example/f'/></g>"), ["https://a.example/f"]),
        (MAIL % (b"html", PAGE), ["https://a.example/f?a=1&b=2", "https://a.example/g"]),
        (packed(a__eml=MAIL % (b"plain", b"Voir (https://a.example/f).")), ["https://a.example/f"]),
        (
            packed(mimetype=ODT, content__xml=REFERENCE, **{"META-INF/manifest__xml": b"<m/>"}),
            ["https://a.example/"],
        ),
    ],
    ids=["pdf", "packed", "docx", "picture", "page", "utf16", "svg", "mail", "plain mail", "odt"],
)
def test_where_a_document_leads_is_told(data: bytes, links: list[str]) -> None:
    assert look(data).links == links


@pytest.mark.parametrize(
    "links",
    [
        [f"https://a.example/{n}" for n in range(values.MAX_LINKS + 1)],
        [f"https://a.example/{n}/{'x' * 1900}" for n in range(100)],
        ["https://a.example/" + "x" * values.MAX_LINK],
    ],
    ids=["many", "much", "long"],
)
def test_that_there_are_more_links_than_are_told_is_told(links: list[str]) -> None:
    report = look(linked(*links))
    assert (report.found, report.more_links) == ({}, True)
    assert values.decode(values.encode(report)) == report


def test_a_long_link_of_a_page_is_told_by_its_beginning() -> None:
    """A tracker's may be long, and hold nothing up; where it leads is seen all the same."""
    told = look(packed(a__html=b"<html><a href='https://a.example/%s'>x</a>" % (b"x" * values.MAX_LINK)))
    assert told.links == ["https://a.example/".ljust(values.MAX_LINK, "x")]
    assert not told.more_links


@pytest.mark.parametrize(
    ("data", "budget"),
    [
        (packed(**{f"f{n}__txt": b"x" for n in range(30)}), {"files_left": 20}),
        (packed(a__bin=bytes(3 * 2**20)), {"bytes_left": 2**20}),
        (packed(a__bin=bytes(3 * 2**20)), {"free_bytes": 2**10, "ratio": 10}),
        (packed(a__zip=packed(b__zip=packed(c__zip=b""))), {"depth": 1}),
    ],
    ids=["files", "bytes", "ratio", "depth"],
)
def test_what_is_past_a_cap_is_unreadable_and_never_nothing(data: bytes, budget: dict[str, int]) -> None:
    assert kinds.UNREADABLE in look(data, **budget).found
    assert kinds.UNREADABLE not in look(data).found


def test_what_was_found_before_a_cap_is_told_besides() -> None:
    data = packed(a__exe=EXE, **{f"f{n}__txt": b"x" for n in range(30)})
    assert names(look(data, files_left=5)) == "Program Unreadable"


@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"{",
        b"[]",
        b'{"found":{"harmless":[]}}',
        b'{"found":{"macro":["a b"]}}',
        b'{"found":{"macro":["' + b"x" * 65 + b'"]}}',
        b'{"found":{"macro":[' + b",".join([b'"x"'] * 21) + b"]}}",
        b'{"found":{},"text":"' + b"x" * (values.MAX_TEXT + 1) + b'"}',
        b'{"found":{},"sha256":"../../x"}',
        b'{"found":"macro"}',
        b'{"found":{},"links":[' + b",".join([b'""'] * (values.MAX_LINKS + 1)) + b"]}",
        b'{"found":{},"links":["' + b"x" * (values.MAX_LINKS_TEXT + 1) + b'"]}',
        b'{"found":{},"attached":[["' + b"x" * (values.MAX_NAME + 1) + b'",1]]}',
        b'{"found":{},"attached":[' + b",".join([b'["x",1]'] * (values.MAX_ATTACHED + 1)) + b"]}",
        b'{"found":{},"attached":[["x","1"]]}',
    ],
)
def test_a_child_that_was_taken_over_says_nothing_but_names_of_ours(said: bytes) -> None:
    with pytest.raises(ValueError):
        values.decode(said)


def test_extensions_and_signs_that_hide() -> None:
    assert kinds.extensions("facture.PDF.exe ") == ("exe", "pdf")
    assert kinds.extensions("dossier/lisez-moi") == ("", "")
    for name in (
        "facture\u202efdp.exe",
        "facture.pdf\u200d.exe",
        "facture.e\u200cxe",
        "\u200dx.pdf",
        "x\u200b.pdf",
        "x\u061c.pdf",
    ):
        assert kinds.hides(name)
    for name in ("facture d’avril.pdf", "en famille 👨\u200d👩\u200d👧.jpg", "می\u200cخواهم.pdf"):
        assert not kinds.hides(name)
