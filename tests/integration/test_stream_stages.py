"""Stages and exceptions through a real publisher: what a door is told, also by a new epoch."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi.core.decisions import actions, exceptions, never_again, staging
from beffroi.core.decisions.models import Decision
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.core.planes.follower import Follower
from beffroi.lib import clock
from beffroi.stream.store import Store
from beffroi_protocol.indicators import normalise

from tests.conftest import Commune
from tests.fixtures_stages import every_hour, with_boxes
from tests.fixtures_stream import Centre, eventually, running_centre  # noqa: F401

__all__ = ["every_hour"]
pytestmark = pytest.mark.usefixtures("every_hour")
SITE = normalise("domain", "fournitures-bureau.com")


def weak() -> Decision:
    return actions.activate(
        actor=Actor.system("tests"),
        indicator=SITE,
        action="block",
        reason="lone_source",
        evidence={"detectors": ["listed_name"]},
        rule="lone_source",
        ttl_s=86400,
        strength="weak",
    )


@pytest.fixture
def mail_door(centre: Centre, tmp_path: Path) -> Follower:
    door = centre.door("mailgate", "mail", tmp_path, more=("mail@*",))
    door.start()
    eventually(lambda: door.connected, "connected")
    return door


def held(door: Follower) -> set[tuple[str, str]]:
    with door.tables() as tables:
        return {(name, e.action.value) for name, table in tables.items() for e in table}


def test_each_stage_reaches_the_doors(
    centre: Centre, mail_door: Follower, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    with_boxes([beaune.id, nuits.id])
    decision = weak()
    eventually(lambda: held(mail_door) == {("mail", "warn")}, "observed")
    assert mail_door.match_name(SITE.value, [beaune.id]) is None
    with clock.shifted(1000):
        whole(staging.tick())
    decision.refresh_from_db()
    (canary,) = decision.canary_communes
    (other,) = {beaune.id, nuits.id} - {canary}
    eventually(lambda: mail_door.match_name(SITE.value, [canary]), "the canary blocks")
    assert mail_door.match_name(SITE.value, [other]) is None
    with clock.shifted(5000):
        whole(staging.tick())
    eventually(lambda: held(mail_door) == {("mail", "block")}, "all block, the overlay is empty")
    exceptions.allow_locally(actor=administrator, collectivite_id=other, indicator=SITE, ttl_s=60, reason="x")
    eventually(lambda: mail_door.match_name("www." + SITE.value, [other]) is None, "let through")
    assert mail_door.match_name(SITE.value, [canary]) is not None
    never_again.never_again(actor=administrator, indicator=SITE, reason="fournisseur")
    eventually(lambda: mail_door.match_name(SITE.value) is None, "gone everywhere")
    mail_door.stop()


def test_a_new_epoch_begins_with_stages_and_exceptions(
    plane: Database, beaune: Commune, nuits: Commune, tmp_path: Path
) -> None:
    with_boxes([beaune.id, nuits.id])
    decision = weak()
    with clock.shifted(1000):
        whole(staging.tick())
    decision.refresh_from_db()
    made = exceptions.allow_locally(
        actor=beaune.agent,
        collectivite_id=beaune.id,
        indicator=normalise("ip", "185.203.116.9"),
        ttl_s=60,
        reason="x",
    )
    events, _ = Store(plane, tmp_path).in_force()
    told = {(e.scope, e.decision_id, e.entry.action.value) for e in events}
    assert told == {
        ("all", decision.id, "warn"),
        (decision.canary_communes[0], decision.id, "block"),
        (beaune.id, made.id, "allow"),
    }
