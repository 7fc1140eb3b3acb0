"""A collectivité that leaves, without engines: its day, and a child that erases its mailboxes by the rules alone."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from beffroi.core.communes.models import CommuneExport
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.files import list_file
from beffroi.leaving import actions, applying, erasing, erasures, queries
from beffroi.leaving.models import CommuneErasure, Leaving
from beffroi.lib import clock, envelopes
from beffroi.lib.config import Config
from beffroi.mail import key_pairs, keys
from beffroi.mail.backup import asking
from beffroi.mail.closing import children
from beffroi.mail.closing import erasing as mailboxes
from beffroi.mail.closing.erasing import Inventory
from beffroi.mail.closing.models import Erasure
from beffroi.mail.domains import registrar_asking
from beffroi.mail.models import Mailbox
from django.conf import settings

from tests.conftest import Commune
from tests.fixtures_projections import project

WISH = "Délibération du 12 octobre, signée par la maire"
VISA = "AD21 2026-114"


@pytest.fixture
def leaving_state(state: Config, monkeypatch: Any) -> Config:
    """The drive and projections of this test alone; what needs an engine or another process is answered here."""
    (state.state / "projections").mkdir(exist_ok=True)
    project(state)
    (state.state / "exports").mkdir(exist_ok=True)
    list_file(state.state, "").parent.mkdir(exist_ok=True)
    (state.state / "backup-rows").mkdir(exist_ok=True)
    monkeypatch.setattr(mailboxes, "inventory", lambda mailbox: Inventory(3, 1, 0, 4096, "ab" * 32))
    monkeypatch.setattr(asking, "ask", lambda config, verb, **what: {})
    monkeypatch.setattr(registrar_asking, "forget", lambda config, name: None)
    return state


@pytest.fixture
def two(administrator: Actor, other: Actor) -> tuple[Actor, Actor]:
    """Administrators: one asks, another one grants."""
    return administrator, other


def box(commune: Commune, local: str, person_id: str = "") -> Mailbox:
    """With a key of its own under the collectivité's."""
    made = Mailbox(
        collectivite_id=commune.id, address=f"{local}@{commune.domain}", person_id=person_id or None
    )
    outer = keys.commune_key(settings.BEFFROI, commune.id)
    made.crypt_key = envelopes.wrap(outer, key_pairs.new_secret(), made.id)
    made.ready_at = clock.now()
    made.save(force_insert=True)
    return made


def planned(commune: Commune, actor: Actor | None = None, days: int = 1) -> Leaving:
    on: date = queries.today() + timedelta(days=days)
    return actions.plan(
        actor=actor or commune.referent, collectivite=commune.collectivite, leaves_on=on, reason=WISH
    )


def leave(leaving: Leaving) -> Leaving:
    """Its day comes: nothing of the clock, the day is said to be today."""
    Leaving.objects.filter(pk=leaving.pk).update(leaves_on=queries.today())
    assert whole(applying.apply_due()) == 1
    leaving.refresh_from_db()
    return leaving


def exported(commune: Commune) -> CommuneExport:
    return CommuneExport.objects.create(
        collectivite_id=commune.id,
        state="done",
        asked_by="adm_x",
        reason=WISH,
        files=12,
        manifest_sha256="cd" * 32,
    )


def granted(commune: Commune, asker: Actor, granter: Actor, *, no_export: bool = True) -> CommuneErasure:
    made = erasures.ask(actor=asker, collectivite=commune.collectivite, no_export=no_export)
    erasures.grant(actor=granter, erasure=made, visa=VISA, no_export=no_export)
    return made


def carry_out(erasure: CommuneErasure, turns: int = 12) -> CommuneErasure:
    """The worker's turns and its child's, a day later."""
    CommuneErasure.objects.filter(pk=erasure.pk).update(due_at=clock.now() - timedelta(seconds=1))
    for _ in range(turns):
        CommuneErasure.objects.filter(pk=erasure.pk).update(next_run_at=clock.now())
        Erasure.objects.update(next_run_at=clock.now())
        whole(erasing.work())
        children.work(settings.BEFFROI, clock.paced_now())
        erasure.refresh_from_db()
        if erasure.state == CommuneErasure.State.DONE:
            break
    return erasure
