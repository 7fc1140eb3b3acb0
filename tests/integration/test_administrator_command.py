"""`beffroi administrator`: the first one, a second one, one who lost everything, one who leaves."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from beffroi.cli import administrators as command
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import totp
from beffroi.core.identity.administrators import (
    NewAdministrator,
    SignInRefused,
    authenticate_administrator,
)
from beffroi.core.identity.models import Administrator
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid

from tests.conftest import PASSWORD
from tests.terminal import Types, terminal

__all__ = ["terminal"]
pytestmark = pytest.mark.django_db
SECOND = "second@departement.test"
_SAID = re.compile(
    r"^(?P<email>\S+) signs in to https://\S+\nPassword: (?P<password>\S+)\nSecond factor, [^:]+: (?P<secret>\S+)\n",
    re.MULTILINE,
)
Run = Callable[..., str]


@pytest.fixture
def run(terminal: Types, config: Config, capsys: pytest.CaptureFixture[str]) -> Run:
    """``run(*words)``: what it prints."""
    del terminal

    def command_line(*words: str) -> str:
        assert command.main([*words, "--state", str(config.state)]) == 0
        return capsys.readouterr().out

    return command_line


def code_of(secret: str) -> str:
    return totp.code_at(secret, clock.epoch())


def signs_in(said: str) -> Administrator:
    found = _SAID.search(said)
    assert found is not None and f"secret={found['secret']}" in said
    return authenticate_administrator(
        email=found["email"], password=found["password"], code=code_of(found["secret"]), address=""
    )


def add(run: Run, *more: str, email: str = SECOND) -> str:
    return run("add", email, "--name", "Nadia Perrot", *more)


def test_the_first_one_needs_nobody_and_the_log_names_the_account(run: Run) -> None:
    assert "Nobody signs in" in run("list")
    made = signs_in(add(run))
    assert made.email == SECOND and made.name == "Nadia Perrot"
    entry = AuditEntry.objects.get(verb="identity:administrator:created")
    assert entry.actor_id.startswith("command:") and entry.object_id == made.id
    assert f"{SECOND}  Nadia Perrot  open" in (shown := run("list")) and "add a second one" in shown


def test_a_second_one_needs_the_first(run: Run, terminal: Types, new_administrator: NewAdministrator) -> None:
    first = new_administrator.record
    with pytest.raises(command.AdministratorNeeded):
        add(run)
    terminal(PASSWORD, "000000")
    with pytest.raises(SignInRefused):
        add(run, "--by", first.email)
    assert not Administrator.objects.filter(email=SECOND).exists()
    terminal(PASSWORD, code_of(new_administrator.totp_secret))
    made = signs_in(add(run, "--by", first.email))
    assert (
        AuditEntry.objects.get(verb="identity:administrator:created", object_id=made.id).actor_id == first.id
    )
    assert "add a second one" not in run("list")


def test_who_leaves_is_signed_out_and_the_last_one_stays(
    run: Run, terminal: Types, new_administrator: NewAdministrator
) -> None:
    first = new_administrator.record
    terminal(PASSWORD, code_of(new_administrator.totp_secret))
    with pytest.raises(Conflict):
        run("end", first.email, "--by", first.email)
    other = Administrator.objects.create(email=SECOND, name="Nadia Perrot", password="-", totp_secret="-")
    Administrator.objects.update(totp_last_step=0)
    terminal(PASSWORD, code_of(new_administrator.totp_secret))
    assert "is signed out" in run("end", SECOND, "--by", first.email)
    other.refresh_from_db()
    assert not other.is_active and other.session_version == 2
    assert f"{SECOND}  Nadia Perrot  closed" in run("list")


def test_who_lost_everything_gets_both_anew_by_another_or_alone(
    run: Run, terminal: Types, new_administrator: NewAdministrator
) -> None:
    first = new_administrator.record
    made = signs_in(run("renew", first.email))
    assert made.pk == first.pk and made.session_version == first.session_version + 1
    with pytest.raises(SignInRefused):
        authenticate_administrator(
            email=first.email, password=PASSWORD, code=code_of(new_administrator.totp_secret), address=""
        )
    terminal()
    Administrator.objects.create(email=SECOND, name="N P", password="-", totp_secret="-")
    with pytest.raises(command.AdministratorNeeded):
        run("renew", first.email)
    assert AuditEntry.objects.filter(verb="identity:administrator:renewed").count() == 1


def test_a_closed_account_is_opened_again(
    run: Run, terminal: Types, new_administrator: NewAdministrator
) -> None:
    Administrator.objects.create(
        email=SECOND, name="Nadia Perrot", password="-", totp_secret="-", is_active=False
    )
    terminal(PASSWORD, code_of(new_administrator.totp_secret))
    made = signs_in(run("renew", SECOND.upper(), "--by", new_administrator.record.email))
    assert made.email == SECOND and made.is_active


def test_what_cannot_be_is_refused(run: Run, terminal: Types, new_administrator: NewAdministrator) -> None:
    with pytest.raises(command.AdministratorUnknown):
        run("end", "nobody@departement.test", "--by", new_administrator.record.email)
    for email, error in (("no address", Invalid), (new_administrator.record.email, Conflict)):
        Administrator.objects.update(totp_last_step=0)
        terminal(PASSWORD, code_of(new_administrator.totp_secret))
        with pytest.raises(error):
            add(run, "--by", new_administrator.record.email, email=email)
