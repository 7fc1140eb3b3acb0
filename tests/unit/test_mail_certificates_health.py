"""How the processes of certificates are, from the files of STATE/acme alone; by pebble in
tests/integration/test_mail_certificates.py."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.certificates import health, places, rules
from beffroi.mail.certificates.authority import Authority
from beffroi.mail.certificates.keeper import Keeper
from beffroi.mail.certificates.places import Told
from beffroi.supervise import acme, centre

DAY_S = 86400
NOW_S = 1_800_000_000


@pytest.fixture
def config(tmp_path: Path) -> Config:
    made = Config(state=tmp_path, acme_directory="https://authority.example/directory")
    acme.prepare(made)
    return made


def tell(config: Config, domain: str, told: Told, *, wanted: bool = True) -> None:
    places.tell(config.state, domain, told)
    if wanted:
        path = places.folder(config.state) / "wanted" / domain
        places.write(path, {"names": [f"mta-sts.{domain}"]})


def issued(days_ago: int, **more: object) -> Told:
    begins = NOW_S - days_ago * DAY_S
    return Told("ok", ("x",), begins, begins + 90 * DAY_S, **more)  # type: ignore[arg-type]


def test_each_process_says_whether_it_takes_its_turns(config: Config) -> None:
    questions = {one.name: one.healthy for one in (centre._authority(config), centre._certificates(config))}
    assert {name: ask() for name, ask in questions.items()} == dict.fromkeys(
        ("acme", "certificates"), "It has taken no turn yet."
    )
    Authority(config).step()
    Keeper(config.state).turn()
    assert [ask() for ask in questions.values()] == ["", ""]
    long_ago = clock.epoch_s() - 2 * health.AUTHORITY_LATE_S
    for name in ("brought", "told"):
        os.utime(places.folder(config.state) / name / health.TURN, (long_ago, long_ago))
    assert all("no turn for" in ask() for ask in questions.values())
    Keeper(config.state).turn()
    assert questions["certificates"]() == "" and questions["acme"](), "each answers for itself"


def test_a_turn_is_never_written_through_a_link(config: Config, tmp_path: Path) -> None:
    (places.folder(config.state) / "told" / health.TURN).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError):
        Keeper(config.state).turn()
    assert not (tmp_path / "elsewhere").exists()


def test_last_success_next_due_and_last_error_in_words(config: Config) -> None:
    assert health.of(config, now=NOW_S) == health.Health()
    tell(config, "beaune.test", issued(10))
    tell(config, "nuits.test", issued(3))
    renewal = rules.renew_at(NOW_S - 10 * DAY_S, NOW_S + 80 * DAY_S, "beaune.test")
    assert health.of(config, now=NOW_S) == health.Health(2, NOW_S - 3 * DAY_S, renewal)
    said = health.sentence(config, now=NOW_S)
    assert "2; last issued 3 days ago; next due in" in said and "error" not in said
    tell(config, "dijon.test", Told("failed", code="caa", failures=1, tried_at=NOW_S - 600))
    tell(config, "saulieu.test", Told("failed", code="silent", failures=1, tried_at=NOW_S - 60))
    found = health.of(config, now=NOW_S)
    assert (found.failed, found.code) == ("saulieu.test", "silent"), "the latest"
    assert found.due_at == NOW_S - 600 + rules.wait_s(1, "caa"), "the next try comes first"
    assert "saulieu.test, the authority does not answer" in health.sentence(config, now=NOW_S)
    assert health.problem(config, now=NOW_S) == "", "nothing ends soon"


def test_what_ends_soon_and_is_wanted_is_a_problem_with_the_next_step(config: Config) -> None:
    tell(config, "ancien.test", issued(80), wanted=False)
    assert health.problem(config, now=NOW_S) == ""
    tell(config, "beaune.test", issued(80, code="rate", failures=2, tried_at=NOW_S - 60))
    said = health.problem(config, now=NOW_S)
    assert "beaune.test" in said and "too many requests" in said and "ancien.test" not in said
    by_hand = Config(state=config.state)
    assert health.problem(by_hand, now=NOW_S) == health.sentence(by_hand, now=NOW_S) == ""
