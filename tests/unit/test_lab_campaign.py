"""The laboratory's campaign: one real mail becomes many, and hostile mail harms nobody."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi_lab import authority, campaign, extract
from beffroi_lab.campaign import Campaign, LureUnusable
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.fixture(params=sorted(campaign.SAMPLES.glob("*.eml")), ids=lambda p: p.stem)
def sample(request: pytest.FixtureRequest) -> campaign.Lure:
    return campaign.load(request.param)


def test_three_samples_are_shipped_and_lead_to_hosts_that_nobody_protects() -> None:
    lures = [campaign.load(path) for path in campaign.choose(None)]
    assert len(lures) == 3
    assert all(lure.link_hosts and lure.parsed for lure in lures)


def test_variants_have_the_same_links_other_words_and_an_id_of_their_own(sample: campaign.Lure) -> None:
    made = Campaign(sample)
    first = made.first("a@mairie-nolay.fr")
    others = made.variants(["b@mairie-nolay.fr", "c@mairie-nolay.fr"])
    assert len({m.message_id for m in (first, *others)}) == 3
    for mail in others:
        assert tuple(extract.read(mail.data).links) == sample.links
        assert mail.data != first.data
        assert extract.read(mail.data).subject != extract.read(first.data).subject


def test_the_traces_of_the_first_journey_do_not_travel_again() -> None:
    raw = b"Received: from x\n\tby y\nDKIM-Signature: v=1;\n b=abc\nTo: old@example.org\nSubject: s\n\nbody\n"
    made = extract.original(raw, {"To": "<new@example.org>"})
    assert made == b"To: <new@example.org>\nSubject: s\n\nbody\n"


def test_a_mail_without_a_link_is_refused_with_a_sentence(tmp_path: Path) -> None:
    path = tmp_path / "empty.eml"
    path.write_bytes(b"Subject: x\n\nno link here\n")
    with pytest.raises(LureUnusable, match="no link"):
        campaign.load(path)


def test_an_absent_file_and_an_empty_folder_are_said(tmp_path: Path) -> None:
    with pytest.raises(LureUnusable, match="There is no file"):
        campaign.choose(tmp_path / "none.eml")
    with pytest.raises(LureUnusable, match=r"No \.eml file"):
        campaign.choose(tmp_path)


def test_a_stylesheet_or_picture_is_no_link_that_a_person_follows() -> None:
    html = b'Content-Type: text/html\n\n<link href="https://fonts.example.com/a"><img src="https://pic.example.com/b">'
    found = extract.read(html + b'<a href="https://page.example.com/c">x</a>')
    assert found.links == ["https://page.example.com/c"]
    assert found.images == ["https://fonts.example.com/a", "https://pic.example.com/b"]


@given(st.binary(max_size=4000))
@settings(deadline=None, max_examples=200)
def test_no_bytes_break_the_extraction(raw: bytes) -> None:
    extract.read(raw)
    extract.variant(raw, {"To": "<a@b.fr>"}, subject="s", sentence="é")


@given(st.binary(max_size=800))
@settings(deadline=None, max_examples=100)
def test_no_headers_break_the_extraction(tail: bytes) -> None:
    head = b"Content-Type: multipart/mixed; boundary=a\nSubject: =?utf-8?q?"
    extract.read(head + tail)
    extract.variant(head + tail, {"To": "<a@b.fr>"}, subject="s", sentence="é")


def test_a_signature_of_the_laboratory_verifies_with_the_key_in_dns(sample: campaign.Lure) -> None:
    import dkim

    private, public = authority.dkim_key()
    domain = sample.header_from.rpartition("@")[2]
    mail = Campaign(sample, campaign.signer(domain, private)).first("a@mairie-nolay.fr")
    record = f"v=DKIM1; k=rsa; p={public}".encode()
    assert dkim.verify(mail.data, dnsfunc=lambda name, timeout=5: record)


def test_the_laboratory_signs_for_the_domain_that_programs_of_today_ask() -> None:
    """IDNA 2003 made "strasse.example" of it, which is somebody else's."""
    private, _ = authority.dkim_key()
    signed = campaign.signer("straße.example", private)(b"From: a@b.example\r\n\r\nt\r\n")
    assert b" d=xn--strae-oqa.example;" in signed
