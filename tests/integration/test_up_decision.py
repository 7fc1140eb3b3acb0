"""`./beffroi decision`: an administrator blocks, opens and undoes on the command line as on the console."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from beffroi.cli import decision as command
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import by_hand, shared
from beffroi.core.decisions.models import Decision, LocalException
from beffroi.core.identity.administrators import NewAdministrator, SignInRefused
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, NotFound

from tests.conftest import PASSWORD, Commune, code_of
from tests.terminal import Types, terminal

__all__ = ["terminal"]
pytestmark = pytest.mark.usefixtures("database")
SITE = "fournitures-bureau.example"


@pytest.fixture
def beffroi(terminal: Types, new_administrator: NewAdministrator, config: Config) -> Callable[..., int]:
    """The command as the administrator types it, each time with a present code; ``code``: another one."""
    step = iter(range(100))

    def run(*words: str, code: str = "") -> int:
        if words[0] == "show":
            return command.main([*words, "--state", str(config.state)])
        with clock.shifted(next(step) * 30):  # a code opens once
            right = code_of(new_administrator)
            terminal(PASSWORD, code or right)
            said = ["--reason", "appel du CSIRT", "--by", new_administrator.record.email]
            return command.main([*words, *said, "--state", str(config.state)])

    return run


def shown(beffroi: Callable[..., int], capsys: pytest.CaptureFixture[str], about: str) -> Any:
    capsys.readouterr()
    assert beffroi("show", about, "--json") == 0
    return json.loads(capsys.readouterr().out)


def test_block_show_and_undo(
    beffroi: Callable[..., int], new_administrator: NewAdministrator, capsys: pytest.CaptureFixture[str]
) -> None:
    assert beffroi("block", "domain", SITE, "--threat", "phishing", "--days", "2") == 0
    made = Decision.objects.get()
    assert f"Decision {made.id}" in capsys.readouterr().out
    assert (made.value, made.state, made.reason) == (SITE, "active", "phishing")
    assert made.decided_by == new_administrator.record.id
    assert by_hand.why_of(made.id) == "appel du CSIRT"
    told = shown(beffroi, capsys, made.id)
    assert (told["indicator"], told["state"]) == ({"kind": "domain", "value": SITE}, "active")
    told = shown(beffroi, capsys, f"www.{SITE}")
    assert told["blocked"] and told["decisions"] == [{"id": made.id, "state": "active"}]
    assert beffroi("show", made.id) == beffroi("show", SITE) == 0
    said = capsys.readouterr().out
    assert f"{made.id}  domain {SITE}\n  block, active, scope all\n" in said
    assert f"domain {SITE}: blocked\n  decision {made.id}, active\n" in said
    assert beffroi("undo", made.id) == 0
    made.refresh_from_db()
    assert (made.state, made.end_reason) == ("revoked", "undone")
    entry = AuditEntry.objects.get(verb="decision:by_hand_undone")
    assert entry.actor_id == new_administrator.record.id and "CSIRT" not in entry.details
    capsys.readouterr()
    assert beffroi("undo", made.id) == 0
    assert "had ended before" in capsys.readouterr().out
    assert not shown(beffroi, capsys, SITE)["blocked"]


def test_what_is_protected_or_unreadable_is_refused_with_the_next_step(
    beffroi: Callable[..., int], system: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    for kind, value in (("domain", "impots.gouv.fr"), ("ip", "1.1.1.1")):
        with pytest.raises(command.NotBlocked, match=r"never be blocked .*\. Next: block its exact page"):
            beffroi("block", kind, value)
    for kind, value in (("ip", SITE), ("cidr", "45.83.0.0/16")):
        with pytest.raises((command.ValueUnreadable, command.NotBlocked)):
            beffroi("block", kind, value)
    for wrong in (("block", "sender", "a@b.example"), ("block", "domain", SITE, "--days", "367")):
        with pytest.raises(SystemExit):
            beffroi(*wrong)
    with pytest.raises(SystemExit):
        command.main(["undo", "dec_1", "--reason", " ", "--by", "a@b.example"])
    with pytest.raises(command.ValueUnreadable):
        beffroi("show", "not a value")
    for about in ("show", "undo"):
        with pytest.raises(NotFound):
            beffroi(about, "dec_" + "0" * 26)
    assert not Decision.objects.exists()


def test_who_does_not_sign_in_changes_nothing(beffroi: Callable[..., int], beaune: Commune) -> None:
    for words in (
        ("block", "domain", SITE),
        ("undo", "dec_" + "0" * 26),
        ("let-pass", SITE, "--commune", "Beaune", "--hours", "1"),
    ):
        with pytest.raises(SignInRefused):
            beffroi(*words, code="000000")
    assert not Decision.objects.exists() and not LocalException.objects.exists()


@pytest.mark.usefixtures("beaune")
@pytest.mark.parametrize(
    ("kind", "value", "why"),
    [("cidr", "45.83.64.0/28", "it is a range"), ("ip", "45.83.64.7", "www.mairie-beaune.fr")],
)
def test_what_is_wide_waits_for_a_second_administrator(
    beffroi: Callable[..., int],
    capsys: pytest.CaptureFixture[str],
    kind: str,
    value: str,
    why: str,
) -> None:
    shared.note("www.mairie-beaune.fr", ["45.83.64.7"])
    assert beffroi("block", kind, value) == 0
    said = capsys.readouterr().out
    assert "Nothing is blocked yet" in said and why in said and "À trancher" in said
    assert by_hand.waiting().get().id in said
    assert not Decision.objects.exists()
    with pytest.raises(Conflict):
        beffroi("block", kind, value)


def test_one_commune_lets_it_pass_but_no_command_server(
    beffroi: Callable[..., int], beaune: Commune, nuits: Commune, capsys: pytest.CaptureFixture[str]
) -> None:
    beffroi("block", "domain", SITE)
    for words in ("Beau", "Dijon"):
        with pytest.raises(command.CommuneUnclear, match="0 collectivités"):
            beffroi("let-pass", SITE, "--commune", words, "--hours", "48")
    name = beaune.collectivite.name
    assert beffroi("let-pass", SITE, "--commune", name.upper(), "--hours", "48") == 0
    made = LocalException.objects.get()
    assert (made.collectivite_id, made.by_departement, made.reason) == (beaune.id, True, "appel du CSIRT")
    assert f"passes for {name} until" in capsys.readouterr().out
    (told,) = shown(beffroi, capsys, SITE)["local_exceptions"]
    assert told["collectivite"] == name
    assert beffroi("let-pass", SITE, "--commune", nuits.id, "--hours", "1") == 0
    beffroi("block", "ip", "45.83.64.9", "--threat", "command_server")
    with pytest.raises(command.NotLetPass, match=r"command_server\. Next: \./beffroi decision show"):
        beffroi("let-pass", "45.83.64.9", "--commune", name, "--hours", "1")
    with pytest.raises(SystemExit):
        beffroi("let-pass", SITE, "--commune", name, "--hours", str(90 * 24 + 1))
    assert LocalException.objects.count() == 2
