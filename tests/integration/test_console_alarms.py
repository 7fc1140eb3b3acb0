"""Alarms of the centre that an administrator saw: by name, for a cause and a term; what may be an attack is none."""

from __future__ import annotations

import dataclasses
import json
import os
import re
from pathlib import Path

import pytest
from beffroi.core import acknowledgements
from beffroi.core.audit import told as audited
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Invalid, NotAllowed
from beffroi.mail.backup import told
from beffroi.portal.console import breakdowns
from django.test import Client

from tests.conftest import Commune
from tests.markup import flat

pytestmark = pytest.mark.usefixtures("database")
DAY_S = 86400
SAID = "la sauvegarde des boîtes demande un regard"
REASON = "Le disque neuf arrive jeudi."


@pytest.fixture
def place(config: Config, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Config:
    """A centre whose backup failed."""
    found = dataclasses.replace(config, state=tmp_path)
    found.run.mkdir()
    told.write(found, told.Told(since=clock.epoch_s(), failure="No space left."))
    monkeypatch.setattr("django.conf.settings.BEFFROI", found)
    return found


def overview(console: Client) -> tuple[str, str]:
    """The first sentence with what waits, and what was seen."""
    page = flat(console.get("/").content.decode())
    head, _, rest = page.partition("Alarmes vues, en attente")
    return head, rest.partition("En ce moment")[0]


def acknowledge(console: Client, **changed: str) -> int:
    shown = console.get("/alarmes/backup/").content.decode()
    cause = re.search(r'name="cause" value="(\w+)"', shown)
    sent = {"word": "seen", "cause": cause[1] if cause else "", "days": "7", "reason": REASON} | changed
    return console.post("/alarmes/backup/", sent).status_code


def test_an_alarm_that_was_seen_waits_with_who_when_and_why_and_is_called_back(
    place: Config, console: Client, administrator: Actor
) -> None:
    waiting, seen = overview(console)
    assert SAID in waiting.lower() and "/alarmes/backup/" in waiting and seen == ""
    assert acknowledge(console) == 302
    waiting, seen = overview(console)
    assert SAID not in waiting.lower()
    assert SAID in seen.lower() and "Ada" in seen and REASON in seen and "/sauvegardes/" in seen
    entry = AuditEntry.objects.get(verb=acknowledgements.SEEN)
    assert (entry.actor_id, entry.object_id, json.loads(entry.details)["days"]) == (
        administrator.id,
        "backup",
        7,
    )
    assert REASON not in entry.details, "on the erasable side"
    assert "Alarme du centre vue, et mise en attente" in console.get("/journal/").content.decode()

    assert "Rappeler cette alarme" in console.get("/alarmes/backup/").content.decode()
    assert console.post("/alarmes/backup/", {"word": "back"}).status_code == 302
    waiting, seen = overview(console)
    assert SAID in waiting.lower() and seen == ""
    assert AuditEntry.objects.filter(verb=acknowledgements.CALLED_BACK, object_id="backup").count() == 1


def test_it_is_back_when_its_cause_changes_and_at_its_term(place: Config, console: Client) -> None:
    assert acknowledge(console, days="1") == 302
    told.changed(place, damaged=("data/ab",))
    assert SAID in overview(console)[0].lower()
    told.changed(place, damaged=())
    assert SAID not in overview(console)[0].lower()
    (one,) = acknowledgements.in_force({"backup": acknowledgements.digest(["No space left."])}).values()
    assert one.reason == REASON
    for later_s in (DAY_S + 1, -3600):  # over; said under a clock that ran ahead
        with clock.shifted(later_s):
            assert acknowledgements.in_force({"backup": acknowledgements.digest(["No space left."])}) == {}


def test_a_cause_that_changed_while_the_page_was_open_stays_an_alarm(place: Config, console: Client) -> None:
    assert acknowledge(console, cause="0" * 32) == 302
    assert SAID in overview(console)[0].lower()
    assert not AuditEntry.objects.filter(verb=acknowledgements.SEEN).exists()


@pytest.mark.parametrize(
    "changed", [{"reason": "  "}, {"reason": "x" * 501}, {"days": "365"}, {"days": "-1"}]
)
def test_what_lacks_a_reason_or_a_term_is_asked_for_again(
    place: Config, console: Client, changed: dict[str, str]
) -> None:
    assert acknowledge(console, **changed) == 400
    assert SAID in overview(console)[0].lower()


def test_only_administrators_acknowledge_and_only_what_there_is(
    place: Config, console: Client, beaune: Commune, administrator: Actor
) -> None:
    with pytest.raises(NotAllowed):
        acknowledgements.acknowledge(actor=beaune.referent, alarm="backup", cause="", days=7, reason="x")
    with pytest.raises(NotAllowed):
        acknowledgements.call_back(actor=beaune.referent, alarm="backup")
    with pytest.raises(Invalid):
        acknowledgements.acknowledge(actor=administrator, alarm="backup", cause="", days=2, reason="x")
    for name in ("fetched", "nothing"):  # well; no such alarm
        assert (
            console.post(f"/alarmes/{name}/", {"word": "seen", "days": "7", "reason": "x"}).status_code == 404
        )
    trace = place.state / "supervisor" / "fetched"
    trace.parent.mkdir()
    trace.touch()
    os.utime(trace, (clock.epoch() - 3 * DAY_S,) * 2)
    assert console.get("/alarmes/fetched/").status_code == 200


def test_nothing_that_may_be_an_attack_can_be_acknowledged(
    place: Config, console: Client, administrator: Actor
) -> None:
    audited.write(place, audited.Told(clock.epoch_s(), 3))
    waiting, _ = overview(console)
    assert "le journal a été altéré" in waiting.lower()
    assert set(re.findall(r"/alarmes/(\w+)/", waiting)) == {"backup"}
    assert {one.name for one in breakdowns.alarms(administrator, [])} == {
        "clock", "audit_late", "boxes_silent", "domains", "events", "probe", "listed", "backup",
        "database_backup", "fetched", "logs", "certificates", "seals_held_up", "seals_unstamped",
    }  # fmt: skip
