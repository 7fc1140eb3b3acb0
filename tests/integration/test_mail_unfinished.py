"""A decision that could not be carried out in every mailbox: `status` names it, what is left, and what to do."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.cli import report
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail import consumers, moving, remediation, unfinished
from beffroi.mail.doveadm import Command, Rows
from beffroi.mail.models import Mailbox, RemediationItem, RemediationJob
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, seen
from tests.integration.test_mail_holding import decide
from tests.integration.test_mail_remediation_queries import Boxes, delivered

__all__ = ["no_door"]
pytestmark = pytest.mark.usefixtures("database")


class Full(Boxes):
    """No disk for what is moved, as long as ``full`` says so; the first mailbox has some."""

    full = True

    def run(self, commands: Sequence[Command], *, at_once: int = 1) -> list[Rows | None]:
        def refused(name: str, arguments: dict[str, object]) -> bool:
            return self.full and name == "move" and "b0-" not in str(arguments["user"])

        return [None if refused(*one) else self._do(*one) for one in commands]


@pytest.fixture
def place(tmp_path: Path, config: Config, settings: Any, monkeypatch: pytest.MonkeyPatch) -> Config:
    monkeypatch.setattr(moving, "Doveadm", Full)
    monkeypatch.setattr(Full, "full", True)
    Boxes.lying = {}
    settings.BEFFROI = dataclasses.replace(config, state=tmp_path)
    (tmp_path / "run").mkdir()
    return settings.BEFFROI


def told(place: Config) -> str:
    consumers.tell_unfinished()
    return unfinished.problem(place)


def later(**by: float) -> None:
    """So much passes, and what is due is asked for again."""
    for job in RemediationJob.objects.all():
        RemediationJob.objects.filter(pk=job.pk).update(created_at=job.created_at - timedelta(**by))
    for item in RemediationItem.objects.all():
        RemediationItem.objects.filter(pk=item.pk).update(changed_at=item.changed_at - timedelta(**by))
    remediation.try_again()
    remediation.resume()


def test_what_stays_in_mailboxes_or_in_quarantine_is_named_until_it_is_done(
    place: Config, beaune: Commune
) -> None:
    decision = decide("url", delivered(beaune, 3))
    assert told(place) == ""
    remediation.withdraw(decision.id)
    said = told(place)
    assert f"lie in mailboxes still: decision {decision.id} (2 in 2 mailboxes)." in said
    assert str(place.log / "dovecot.log") in said
    assert report._WRONG["withdrawals"](place) == said
    Full.full = False
    later(minutes=2)
    assert told(place) == ""

    Full.full = True
    Decision.objects.filter(pk=decision.id).update(state="revoked")
    remediation.restore(decision.id)
    assert f"were not given back to their owners: decision {decision.id} (2 in 2 mailboxes)." in told(place)
    Full.full = False
    later(minutes=2)
    assert told(place) == ""


def test_who_is_asked_each_hour_for_a_week_is_asked_each_day_then(place: Config, beaune: Commune) -> None:
    remediation.withdraw(decide("url", delivered(beaune, 2)).id)
    later(days=8)  # a centre that was stopped for so long
    assert RemediationItem.objects.filter(state="failed").count() == 1
    Full.full = False
    later(hours=2)
    assert "1 in 1 mailbox)" in told(place), "not each hour any more"
    later(hours=23)
    assert told(place) == ""


def test_a_closed_mailbox_and_a_decision_that_ended_are_nobody_s_trouble(
    place: Config, beaune: Commune
) -> None:
    decision = decide("url", delivered(beaune, 3))
    remediation.withdraw(decision.id)
    Mailbox.objects.filter(address__startswith="b1-").update(closed_at=clock.now())
    assert f"{decision.id} (1 in 1 mailbox)." in told(place)
    Decision.objects.filter(pk=decision.id).update(state="expired")
    assert told(place) == ""


def test_a_withdrawal_that_stands_still_is_named_as_one_that_failed(place: Config, beaune: Commune) -> None:
    decision = decide("url", delivered(beaune, 3))
    remediation.withdraw(decision.id)
    RemediationJob.objects.update(state="running")
    RemediationItem.objects.filter(state="failed").update(state="found")
    assert told(place) == "", "it has only begun"
    RemediationJob.objects.update(created_at=clock.now() - timedelta(minutes=11))
    assert f"{decision.id} (2 in 2 mailboxes)." in told(place)


def test_what_waits_for_two_administrators_is_named_and_where_they_agree(
    place: Config, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(remediation, "FREE_MESSAGES", 0)
    made = [decide("url", delivered(beaune, 1), communes=1).id for _ in range(5)]
    for one in made:
        remediation.withdraw(one)
    said = told(place)
    assert said.startswith(
        "So many mails are to be withdrawn that two administrators have to agree: decisions "
    )
    assert (
        all(f"{one} (1 in 1 mailbox)" in said for one in made[:3]) and "2 more. Next: on the console" in said
    )
    mtime = (place.run / "withdrawals.json").stat().st_mtime_ns
    assert told(place) == said
    assert (place.run / "withdrawals.json").stat().st_mtime_ns == mtime, "nothing new is not written"


@pytest.mark.parametrize("text", ["", "{", json.dumps({"left": [{"copies": "x"}]}), "[]"])
def test_a_file_that_cannot_be_read_says_nothing(place: Config, text: str) -> None:
    (place.run / "withdrawals.json").write_text(text)
    assert unfinished.problem(place) == ""


def test_the_console_names_it_on_its_overview_and_page(
    place: Config, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    decision = decide("url", delivered(beaune, 3))
    remediation.withdraw(decision.id)
    told(place)
    with on_listener("console"):
        console = console_client(new_administrator.record.id)
        assert "1 décision n’a pas pu être appliquée dans toutes les boîtes" in seen(console, "home").lower()
        shown = seen(console, "withdrawals")
        assert "2 copies encore dans leurs boîtes" in shown
        assert reverse("decision", args=(decision.id,)) in shown
        Full.full = False
        later(minutes=2)
        told(place)
        assert "Pas appliqué" not in seen(console, "withdrawals")
        Full.full = True
        Decision.objects.filter(pk=decision.id).update(state="revoked")
        remediation.restore(decision.id)
        told(place)
        assert "2 copies pas encore rendues" in seen(console, "withdrawals")
