"""What the drive's process tells of shares becomes lines of the audit log: of the owner, and of the receiver."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, replace

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending, run_periodic
from beffroi.core.identity import actions
from beffroi.core.identity.actor import Actor
from beffroi.core.planes.db import Database
from beffroi.drive import __main__ as process
from beffroi.drive import crossing, people, projections
from beffroi.drive.crossing import Crossing
from beffroi.drive.sharing import Line
from beffroi.lib.config import Config

from tests.conftest import Commune, make_member
from tests.integration.test_drive_credentials import alone

__all__ = ["alone"]
pytestmark = pytest.mark.django_db
SHARE = "shr_" + "0" * 26


@pytest.fixture(autouse=True)
def projected(config: Config) -> Iterator[None]:
    yield
    projections.path(config).unlink(missing_ok=True)


def test_an_access_from_elsewhere_is_a_line_of_the_owner(beaune: Commune, nuits: Commune) -> None:
    told = Crossing(SHARE, beaune.id, nuits.id, nuits.agent.id, "app_x", "read", 7)
    publish("drive:crossed", asdict(told), collectivite_id=beaune.id)
    run_pending("main")
    (entry,) = AuditEntry.objects.filter(verb="drive:share:crossed")
    assert (entry.collectivite_id, entry.actor_id, entry.object_id) == (beaune.id, nuits.agent.id, SHARE)
    said = json.loads(entry.details)
    assert (said["receiver"], said["what"], said["node_id"]) == (nuits.id, "read", 7)


def test_a_share_that_a_client_made_is_a_line(beaune: Commune) -> None:
    line = Line("made", SHARE, beaune.agent.id, beaune.id, details={"node_id": 3, "kind": "role"})
    publish("drive:share_told", asdict(line), collectivite_id=beaune.id)
    run_pending("main")
    (entry,) = AuditEntry.objects.filter(verb="drive:share:made")
    assert (entry.collectivite_id, entry.actor_id) == (beaune.id, beaune.agent.id)
    assert json.loads(entry.details)["kind"] == "role"


@pytest.mark.django_db(transaction=True)
def test_the_process_tells_it_before_it_is_done(
    committed: str, plane: Database, config: Config, beaune: Commune, nuits: Commune
) -> None:
    config = replace(config, database_url=committed)
    crossing.tell(config, Crossing(SHARE, beaune.id, nuits.id, nuits.agent.id, "", "change", 0))
    process.tell_share(config, Line("ended", SHARE, beaune.agent.id, beaune.id))
    run_pending("main")
    verbs = AuditEntry.objects.filter(object_id=SHARE).order_by("id").values_list("verb", flat=True)
    assert list(verbs) == ["drive:share:crossed", "drive:share:ended"]


def test_clients_choose_among_who_belongs_to_the_collectivite_now(
    beaune: Commune, nuits: Commune, system: Actor, config: Config
) -> None:
    assert people.of(config, beaune.id) == []
    run_periodic("main")
    names = {one.person_id for one in people.of(config, beaune.id)}
    assert beaune.agent.id in names and nuits.agent.id not in names
    new = make_member(system, beaune.collectivite, "nouvelle@beaune.test", "elu")
    run_pending("main")
    assert new.person_id in {one.person_id for one in people.of(config, beaune.id)}
    actions.end_access(actor=system, membership=new)
    run_pending("main")
    assert new.person_id not in {one.person_id for one in people.of(config, beaune.id)}
    assert nuits.agent.id in {one.person_id for one in people.of(config, nuits.id)}
