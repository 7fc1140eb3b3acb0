"""Which sending host may be named, and which name of a message says most: pure, as tables of cases."""

from __future__ import annotations

from dataclasses import replace

import pytest
from beffroi.mail.clients import Client, refusal
from beffroi.mail.gate.facts import Attachment, Facts, attachment_types
from beffroi.mail.prevalence import Spread, telling

HOST = Client("91.240.118.66")
CASES = [
    ("a host of nobody", HOST, ""),
    ("a host of its own domain", replace(HOST, spf="pass"), ""),
    ("a forger of a large provider", replace(HOST, spf="fail", provider_sender=True), ""),
    ("a liar about its name, whose domain forbids it", replace(HOST, spf="fail", provider_helo=True), ""),
    ("a large provider", replace(HOST, spf="pass", provider_sender=True), "provider"),
    ("a small domain at a large provider", replace(HOST, spf="pass", provider_helo=True), "provider"),
    ("a host of many", replace(HOST, sender_domains=3), "many_senders"),
    ("a relay of many, which breaks SPF", replace(HOST, spf="fail", sender_domains=9), "many_senders"),
    ("two domains", replace(HOST, sender_domains=2), ""),
    ("a member who signed in", replace(HOST, signed_in=True), "own_user"),
    ("an address read from a header", replace(HOST, rescanned=True), "not_observed"),
    ("no address", replace(HOST, address=""), "unknown"),
    ("no address at all", replace(HOST, address="none"), "unknown"),
    ("IPv6", replace(HOST, address="2a0b:f4c0::66"), ""),
]


@pytest.mark.parametrize(("client", "why"), [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_sending_host_that_looks_shared_is_no_candidate(client: Client, why: str) -> None:
    assert refusal(client) == why


@pytest.mark.parametrize(
    ("spreads", "expected"),
    [
        ([], None),
        ([Spread(None, 2)], Spread(None, 2)),
        ([Spread(90_000, 9), Spread(10, 3)], Spread(10, 3)),
        ([Spread(10, 3), Spread(20, 4)], Spread(20, 4)),
        ([Spread(90_000, 9), Spread(9000, 9)], Spread(9000, 9)),
        ([Spread(None, 9), Spread(10, 1)], Spread(10, 1)),
    ],
)
def test_what_is_new_says_more_than_what_is_spread(spreads: list[Spread], expected: Spread | None) -> None:
    assert telling(spreads) == expected


def test_extensions_are_told_once_and_nothing_else_of_a_file_name() -> None:
    made = [Attachment("a" * 64, e) for e in ("EXE", "exe", "pdf", "", "é", "a b", "x" * 40)]
    facts = Facts(1, "msg_x", attachments=made)
    assert attachment_types(facts) == ["exe", "pdf", "x" * 20]
