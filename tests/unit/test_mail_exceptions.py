"""Local exceptions at the mail door: whose they are, and what a message to several communes gets."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.lib.config import Config
from beffroi.mail import projections
from beffroi.mail.gate.facts import Observation
from beffroi.mail.gate.owners import Owners
from beffroi.mail.gate.rules import judge
from beffroi_protocol.indicators import normalise

from tests.fixtures_mail_table import Layered
from tests.fixtures_projections import project

LINK, PARENT = "pay.evil.example.com", "evil.example.com"
SEEN = [
    Observation(normalise("url", f"https://{LINK}/a"), "link"),
    Observation(normalise("domain", LINK), "link"),
    Observation(normalise("domain", PARENT), "link_parent"),
    Observation(normalise("domain", "example.com"), "link_parent"),
    Observation(normalise("ip", "91.240.118.66"), "client"),
]


@pytest.mark.parametrize(
    ("blocked", "allowed", "action"),
    [
        (("domain", PARENT), None, "reject"),
        (("domain", PARENT), ("domain", PARENT), "none"),
        (("domain", PARENT), ("domain", LINK), "none"),
        (("domain", PARENT), ("domain", "other.evil.example.com"), "reject"),
        (("domain", LINK), ("domain", "example.com"), "none"),
        (("url", f"https://{LINK}/a"), ("domain", LINK), "reject"),
        (("url", f"https://{LINK}/a"), ("url", f"https://{LINK}/a"), "none"),
        (("cidr", "91.240.118.0/24"), ("ip", "91.240.118.66"), "none"),
        (("cidr", "91.240.118.0/24"), ("ip", "91.240.118.67"), "reject"),
    ],
)
def test_verdict_with_an_exception_of_the_recipients_commune(
    blocked: tuple[str, str], allowed: tuple[str, str] | None, action: str
) -> None:
    table = Layered([blocked], [allowed] if allowed else [])
    assert judge(SEEN, table).action == action


def test_a_parent_that_a_message_names_itself_is_asked_itself() -> None:
    table = Layered([("domain", PARENT)], [("domain", LINK)])
    assert judge([*SEEN, Observation(normalise("domain", PARENT), "link")], table).action == "reject"


@pytest.fixture
def place(tmp_path: Path) -> Config:
    config = Config(state=tmp_path)
    project(config)
    return config


def test_owners_are_read_again_when_they_change(place: Config) -> None:
    owners = Owners(place.state / "projections" / "routes.sqlite")
    assert owners.of(["agent@beaune.test"]) == frozenset()  # nobody has told yet: no exception counts
    projections.put_owners(place, {"beaune.test": "col_a", "nuits.test": "col_b"})
    assert owners.of(["Agent@Beaune.test"]) == {"col_a"}
    assert owners.of(["agent@beaune.test", "x@nuits.test"]) == {"col_a", "col_b"}
    assert owners.of(["agent@beaune.test", "x@elsewhere.test"]) == frozenset()
    assert owners.of([]) == frozenset()
    projections.put_owners(place, {"nuits.test": "col_b"})
    assert owners.of(["agent@beaune.test"]) == frozenset()
    assert owners.of(["x@nuits.test"]) == {"col_b"}


def test_without_the_projection_no_exception_counts(tmp_path: Path) -> None:
    assert Owners(tmp_path / "none.sqlite").of(["agent@beaune.test"]) == frozenset()
