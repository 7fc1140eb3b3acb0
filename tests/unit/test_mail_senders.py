"""Who counts as a released sender."""

from __future__ import annotations

import pytest
from beffroi.mail.held.heading import Heading, read
from beffroi.mail.held.senders import is_the_same, network_of

HERE, NEAR, ELSEWHERE = "198.51.100.7", "198.51.100.200", "91.240.118.66"


@pytest.mark.parametrize(
    ("released", "dmarc", "client", "passes"),
    [
        ("pass", "pass", ELSEWHERE, True),
        ("pass", "none", HERE, False),
        ("pass", "fail", HERE, False),
        ("none", "none", ELSEWHERE, True),
        ("none", "fail", ELSEWHERE, False),
        ("fail", "fail", NEAR, True),
        ("fail", "fail", ELSEWHERE, False),
        ("fail", "pass", ELSEWHERE, True),
        ("fail", "fail", "", False),
    ],
)
def test_a_released_sender_is_known_by_how_the_released_mail_came(
    released: str, dmarc: str, client: str, passes: bool
) -> None:
    proof = released == "pass"
    assert is_the_same(dmarc=dmarc, client=client, needs_proof=proof, network=network_of(HERE)) is passes


def test_a_mail_of_unknown_origin_opens_the_way_for_no_network() -> None:
    assert network_of("unknown") == "" and network_of("2a0b:f4c2:77::9") == "2a0b:f4c2:77::/48"
    assert not is_the_same(dmarc="fail", client="unknown", needs_proof=False, network="")


@pytest.mark.parametrize(
    ("sender", "subject", "heading"),
    [
        ("Mairie <A@B.example>", "Avis", Heading("Mairie", "a@b.example", "Avis")),
        (
            "=?utf-8?q?=C3=89cole?= <e@n.test>",
            "=?utf-8?q?Cant=C3=A9e?=",
            Heading("École", "e@n.test", "Cantée"),
        ),
        ("", "", Heading()),
        ("nobody", "x\u202ecod.exe", Heading("", "", "x cod.exe")),
        ("a b@c.example", "\x00\x1b[31mx", Heading("", "", "[31mx")),
    ],
)
def test_hostile_headings_become_one_line_of_text(sender: str, subject: str, heading: Heading) -> None:
    assert read({"hdr.from": sender, "hdr.subject": subject}) == heading


def test_a_heading_is_capped() -> None:
    found = read({"hdr.from": f'"{"n" * 5000}" <{"a" * 500}@b.example>', "hdr.subject": "s" * 5000})
    assert len(found.from_name) <= 200 and len(found.from_address) <= 320 and len(found.subject) <= 300
