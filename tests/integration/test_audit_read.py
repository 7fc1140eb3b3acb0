"""The whole audit log is read each week; one that does not hold is said by itself, by status and on the console."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from beffroi.cli import report as status
from beffroi.core.audit import actions as audit
from beffroi.core.audit import chain, consumers, heads, queries, signing, told
from beffroi.core.audit.models import AuditCheckpoint, AuditEntry, AuditSeal
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from beffroi.lib.config import Config, load
from beffroi.portal.console import journal
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.db import transaction
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.fixtures_stream import make_state

__all__ = ["no_door"]
WEEK = timedelta(days=7)


@pytest.fixture
def centre(committed: str, config: Config, system: Actor, settings: Any) -> Iterator[Config]:
    """Nine entries, of which checkpoints cover the first seven."""
    state = make_state(committed, config.run / "wake")
    shutil.copytree(config.secrets, state / "secrets", dirs_exist_ok=True)
    key = Ed25519PrivateKey.generate()
    (state / "secrets" / signing.KEY).write_text(b64(key.private_bytes_raw()))
    (state / "secrets" / signing.PUBLIC).write_text(b64(public_bytes(key)))
    settings.BEFFROI = load(state)
    for count in (4, 3, 2):
        for number in range(count):
            with transaction.atomic():
                audit.record(system, "tests:done", str(number), collectivite_id=None)
        audit.seal()
        if count > 2:
            assert audit.checkpoint(key)
    consumers.read()  # the first look: a week from now
    yield settings.BEFFROI
    shutil.rmtree(state, ignore_errors=True)


def read_in_a_week(config: Config, *, weeks: int = 1) -> told.Told:
    with clock.shifted(WEEK.total_seconds() * weeks):
        consumers.read()
    assert consumers._child is not None
    consumers._child.wait(300)
    found = told.read(config)
    assert found is not None
    return found


def take_out_the_third() -> None:
    one = AuditSeal.objects.get(position=3)
    one.delete()
    AuditEntry.objects.filter(pk=one.entry_id).delete()


def change_the_second() -> None:
    AuditEntry.objects.filter(seal__position=2).update(actor_id="per_somebody_else")


@pytest.mark.parametrize(("tamper", "position"), [(change_the_second, 2), (take_out_the_third, 3)])
def test_a_line_of_before_the_last_checkpoint_is_found_within_a_week_and_said_everywhere(
    centre: Config, tamper: Any, position: int, capsys: pytest.CaptureFixture[str],
    new_administrator: NewAdministrator,
) -> None:  # fmt: skip
    consumers.read()
    assert consumers._child is None or consumers._child.poll() is not None, "not due"
    tamper()
    found = read_in_a_week(centre)
    assert found.first_bad == position
    assert status._WRONG["audit"](centre).startswith(f"The audit log does not hold at entry {position}")
    journal.verification.forget()
    with on_listener("console"):
        console = console_client(new_administrator.record.id)
        assert "Le journal a été altéré" in console.get(reverse("home")).content.decode()
        page = console.get(reverse("journal")).content.decode()
    assert "Le journal a été altéré" in page and f"Premier défaut à la ligne {position}" in page
    assert "docs/runbooks/audit-log.md" in status._WRONG["audit"](centre)


def test_a_commune_reads_in_its_journal_whether_it_holds(centre: Config, beaune: Commune) -> None:
    def journal() -> str:
        return portal_client(beaune.referent_membership).get(reverse("own_journal")).content.decode()

    audit.seal()
    assert "Une ligne écrite ne change plus" in journal() and "Relu en entier" not in journal()
    read_in_a_week(centre)
    with on_listener("web"):
        assert "Relu en entier" in journal()
        told.write(centre, told.Told(clock.epoch_s(), 3, 9))
        altered = journal()
    assert "a été altéré" in altered and "Une ligne écrite ne change plus" not in altered


def test_one_that_holds_says_so_and_one_that_nobody_reads_is_late(
    centre: Config, new_administrator: NewAdministrator
) -> None:
    assert status._WRONG["audit"](centre) == ""
    found = read_in_a_week(centre)
    assert (found.first_bad, found.count) == (0, 9)
    with on_listener("console"):
        console = console_client(new_administrator.record.id)
        page = console.get(reverse("journal")).content.decode()
        assert "Le journal est intact" in page and "Relu en entier" in page
        assert "altéré" not in console.get(reverse("home")).content.decode()
        with clock.shifted(11 * 86400):
            assert "was not read for 11 days" in status._WRONG["audit"](centre)
            console = console_client(new_administrator.record.id)
            assert "n’a pas été relu" in console.get(reverse("home")).content.decode()


def test_a_reading_by_a_clock_that_was_ahead_hides_no_lack_of_one(
    centre: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[str] = []
    monkeypatch.setattr(consumers, "_start", lambda *verb: started.append(verb[0]))
    told.write(centre, told.Told(clock.epoch_s() + 400 * 86400, 3, 9))
    consumers.read()
    assert started == ["verify"]
    assert "entry 3" in status._WRONG["audit"](centre), "what was found stays so until it is read again"
    told.write(centre, told.Told(clock.epoch_s() + 400 * 86400, 0, 9))
    consumers.read()
    with clock.shifted(11 * 86400):
        assert "was not read for 11 days" in status._WRONG["audit"](centre)


def test_a_checkpoint_that_cannot_be_signed_has_all_of_it_read_at_once(centre: Config) -> None:
    AuditEntry.objects.filter(seal__position=8).update(verb="tests:hidden")
    with clock.shifted(2 * 86400):
        consumers.checkpoint()
    assert consumers._child is not None
    consumers._child.wait(300)
    found = told.read(centre)
    assert found is not None and found.first_bad == 8
    child = consumers._child
    with clock.shifted(2 * 86400):
        consumers.checkpoint()
    assert consumers._child is child, "said once"


def write_another_history(config: Config, key: Ed25519PrivateKey) -> None:
    """What who holds the database and the key can do: the chain holds, and each checkpoint is signed."""
    change_the_second()
    previous = chain.GENESIS
    for one in AuditSeal.objects.select_related("entry").order_by("position"):
        previous = chain.link(previous, one.position, one.entry)
        AuditSeal.objects.filter(pk=one.pk).update(hash=previous)
    for mark in AuditCheckpoint.objects.order_by("position"):
        mark.hash = AuditSeal.objects.get(position=mark.position).hash
        mark.signature = signing.sign(key, queries.statement_of(mark))
        mark.save()


def test_another_history_does_not_pass_through_what_backups_noted(
    centre: Config, system: Actor, capsys: pytest.CaptureFixture[str]
) -> None:
    key = signing.private_key(centre)
    position, head = queries.sealed_head()
    heads.note(centre, heads.Head(clock.epoch_s(), position, head))
    assert (queries.verify(full=True).witnesses, queries.verify().ok) == (1, True)
    write_another_history(centre, key)
    with transaction.atomic():
        audit.record(system, "tests:done", "later", collectivite_id=None)
    audit.seal()
    # The next backup notes the false one, too: that does not make it true.
    heads.note(centre, heads.Head(clock.epoch_s(), *queries.sealed_head()))
    assert queries.verify(full=True).first_bad == position
    assert read_in_a_week(centre).first_bad == position
    assert status._WRONG["audit"](centre).startswith(f"The audit log does not hold at entry {position}")
    with pytest.raises(audit.ChainBroken):
        audit.checkpoint(key)
    heads.forget(centre)
    assert queries.verify(full=True).ok, "and nothing else tells"


def test_a_log_that_was_cut_off_is_shorter_than_a_backup_said(centre: Config) -> None:
    position, head = queries.sealed_head()
    heads.note(centre, heads.Head(clock.epoch_s(), position, head))
    last = AuditSeal.objects.get(position=position)
    last.delete()
    AuditEntry.objects.filter(pk=last.entry_id).delete()
    assert queries.verify().first_bad == position


def test_only_the_newest_heads_are_kept_each_once(centre: Config) -> None:
    for at in range(1, heads.MAX_KEPT + 3):
        for _ in range(2):
            heads.note(centre, heads.Head(at, at, f"{at:064x}"))
    found = heads.read(centre)
    assert [one.at_s for one in found] == list(range(3, heads.MAX_KEPT + 3))


def test_a_log_that_was_put_right_holds_again(centre: Config) -> None:
    before = AuditEntry.objects.get(seal__position=2).verb
    AuditEntry.objects.filter(seal__position=2).update(verb="tests:hidden")
    assert read_in_a_week(centre).first_bad == 2
    AuditEntry.objects.filter(seal__position=2).update(verb=before)
    assert read_in_a_week(centre, weeks=2).first_bad == 0
    assert status._WRONG["audit"](centre) == ""


def test_what_is_told_holds_no_content(centre: Config) -> None:
    read_in_a_week(centre)
    assert set(json.loads((centre.run / "audit.json").read_text())) <= {"read_at", "first_bad", "count"}
