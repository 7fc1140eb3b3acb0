"""`mail unscanned` as an administrator types it: password and code to allow it, none to end it."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing

import pytest
from beffroi.cli import mail
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator, SignInRefused
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import unscanned
from beffroi.mail.engines import unscanned as engines_unscanned

from tests.conftest import PASSWORD, code_of
from tests.terminal import Types, terminal

__all__ = ["terminal"]
pytestmark = pytest.mark.usefixtures("database")


@pytest.fixture
def typed(terminal: Types, new_administrator: NewAdministrator, config: Config) -> Callable[..., int]:
    (config.state / "projections").mkdir(exist_ok=True)

    def run(*words: str, code: str = "") -> int:
        right = code_of(new_administrator)
        terminal(PASSWORD, code or right)
        return mail.main(["unscanned", *words, "--state", str(config.state)])

    return run


def test_a_term_is_allowed_with_a_code_shown_and_ended(
    typed: Callable[..., int],
    new_administrator: NewAdministrator,
    config: Config,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert engines_unscanned.sentence(config, now=clock.epoch_s()) == ""
    by = ("--by", new_administrator.record.email)
    with pytest.raises(SignInRefused):
        typed("allow", "--hours", "2", *by, code="000000")
    assert unscanned.until() is None
    with pytest.raises(SystemExit):
        typed("allow", "--hours", "25", *by)
    assert typed("show") == 0
    assert "waits with its senders" in capsys.readouterr().out
    assert typed("allow", "--hours", "2", *by) == 0
    assert "passes while rspamd is away" in capsys.readouterr().out
    assert "incoming mail passes unscanned" in engines_unscanned.sentence(config, now=clock.epoch_s())
    assert engines_unscanned.sentence(config, now=clock.epoch_s() + 2 * 3600) == ""
    entry = AuditEntry.objects.get(verb="mail:unscanned:allowed")
    assert (entry.actor_id, entry.details) == (new_administrator.record.id, '{"hours":2}')
    with clock.shifted(2 * 3600 + 1):
        assert unscanned.until() is None, "it ends by itself"
    assert typed("stop") == 0
    assert unscanned.until() is None
    assert AuditEntry.objects.filter(verb="mail:unscanned:stopped").exists()


@pytest.fixture
def never_started(config: Config) -> Iterator[None]:
    made, aside = config.state / "projections", config.state / "projections.aside"
    made.rename(aside)
    yield
    aside.rename(made)


@pytest.mark.parametrize("words", [("show",), ("stop",), ("allow", "--hours", "2", "--by", "a@dep.example")])
def test_a_centre_whose_mail_was_never_started_says_so(
    never_started: None, terminal: Types, config: Config, words: tuple[str, ...]
) -> None:
    terminal()
    with pytest.raises(mail.MailUnavailable, match="it was never started"):
        mail.main(["unscanned", *words, "--state", str(config.state)])
    assert not AuditEntry.objects.filter(verb__startswith="mail:unscanned").exists()


@pytest.mark.parametrize("ahead_s, is_open", [(0, True), (40 * 86400, False)])
def test_a_term_of_a_clock_that_was_ahead_is_over_once_it_is_set_right(
    config: Config, administrator: Actor, ahead_s: int, is_open: bool
) -> None:
    (config.state / "projections").mkdir(exist_ok=True)
    with clock.jumped(ahead_s):
        unscanned.allow(actor=administrator, hours=24)
    assert bool(unscanned.until()) == is_open
    assert bool(engines_unscanned.sentence(config, now=clock.epoch_s())) == is_open
    asked = engines_unscanned._OPEN.replace("%%", "%")
    with closing(sqlite3.connect(config.state / "projections" / "routes.sqlite")) as routes:
        assert routes.execute(f"SELECT {asked}").fetchone() == (is_open,), (
            "as Postfix asks at each connection"
        )
    unscanned.stop(actor=administrator)
