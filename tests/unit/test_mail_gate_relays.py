"""What a relay of copiers may send, at the mail door: as tables. The projection is a real file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from beffroi.lib.config import Config
from beffroi.mail import projections
from beffroi.mail.gate import relays
from beffroi.mail.gate.facts import Facts, relay_login
from beffroi.mail.gate.relays import Allowed, Relays
from beffroi.mail.gate.sending import Limits, Sent

LOGIN = "copieur@beaune.test@relay"
NOW_S = 1_800_000_000.0
UNLIMITED = Limits(0, 0, 0, 0)


@pytest.fixture
def config(tmp_path: Path) -> Config:
    (tmp_path / "projections").mkdir()
    return Config(state=tmp_path)


def known(config: Config) -> Relays:
    return Relays(config.state / "projections" / "routes.sqlite")


def test_what_the_worker_wrote_is_enforced_and_what_it_takes_back_is_not(config: Config) -> None:
    projections.put_relays(config, {LOGIN: (7, 60, "@beaune.test perception+2026@dgfip.example")})
    door = known(config)
    allowed = door.of(LOGIN)
    assert allowed == Allowed(60, frozenset({"@beaune.test", "perception@dgfip.example"}))
    assert projections.relay_version(config, login=LOGIN) == 7
    projections.put_relays(config, {LOGIN: (8, 10, "x@dgfip.example")})
    os.utime(config.state / "projections" / "routes.sqlite", ns=(1, 1))  # whatever the clock's step
    assert door.of(LOGIN) == Allowed(10, frozenset({"x@dgfip.example"}))
    projections.put_relays(config, {})
    assert door.of(LOGIN) is None and projections.relay_version(config, login=LOGIN) == 0


def test_without_a_projection_nothing_is_allowed(config: Config) -> None:
    assert known(config).of(LOGIN) is None
    assert projections.relay_version(config, login=LOGIN) == 0


@pytest.mark.parametrize(
    ("recipients", "outside"),
    [
        (["maire@beaune.test"], []),
        (["maire@beaune.test", "perception@dgfip.example"], []),
        (["autre@dgfip.example"], ["autre@dgfip.example"]),
        (["maire@beaune.test", "x@mauvais.example"], ["x@mauvais.example"]),
        (["maire@sous.beaune.test"], ["maire@sous.beaune.test"]),
        (["beaune.test@mauvais.example"], ["beaune.test@mauvais.example"]),
    ],
)
def test_recipients_outside_the_policy_are_named(recipients: list[str], outside: list[str]) -> None:
    allowed = Allowed(60, frozenset({"@beaune.test", "perception@dgfip.example"}))
    assert allowed.outside(recipients) == outside


def test_refusal_is_one_line_of_ascii_within_what_a_boitier_keeps() -> None:
    said = relays.refusal([f"é{'x' * 300}@mauvais.example", "y@mauvais.example"])
    assert said.isascii() and said.isprintable() and "et 1 de plus" in said
    assert "demandez-le au Departement" in relays.refusal(["x@mauvais.example"])


@pytest.mark.parametrize(
    ("facts", "login"),
    [
        (Facts(1, "m", signed_in=True, user="Copieur@Beaune.test@relay"), LOGIN),
        (Facts(1, "m", signed_in=True, user="copieur@beaune.test"), ""),
        (Facts(1, "m", signed_in=False, user=LOGIN), ""),
        (Facts(1, "m", signed_in=True, user=LOGIN, rescan=True), ""),
    ],
)
def test_only_what_a_relay_hands_in_is_held_to_its_policy(facts: Facts, login: str) -> None:
    assert relay_login(facts) == login


def test_a_relay_has_a_rate_of_its_own_and_its_refusals_hold_nobody(tmp_path: Path) -> None:
    sent = Sent(tmp_path / "sending.sqlite", UNLIMITED)
    account = "copieur@beaune.test"

    def hands_in(at_s: float = NOW_S) -> str:
        refused = sent.take(account, 1, now_s=at_s, contain_at=0, relay=LOGIN, relay_hour=2)
        return refused.text if refused else ""

    assert [bool(hands_in()) for _ in range(4)] == [False, False, True, True]
    assert "2 messages par heure pour ce relais" in hands_in()
    assert sent.take(account, 1, now_s=NOW_S, contain_at=1) is None, "people write with the same address"
    assert not hands_in(NOW_S + 4000)
    for _ in range(3):
        sent.refuse_relay(account, LOGIN, now_s=NOW_S)
    told = [(one["account"], one["limit"], one["impossible"]) for one in sent.waiting.take()]
    assert told == [(account, limit, False) for limit in ("relay_rate", "relay_recipients")], "each kind once"
    sent.close()
