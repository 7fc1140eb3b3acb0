"""Who signs in to the drive: app passwords made for DAV, as long as they and their person may; evidence; erasure."""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from pathlib import Path

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.events import registry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.outbox import publish
from beffroi.core.events.running import run_pending, run_periodic
from beffroi.core.identity import actions, erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.failures import source
from beffroi.core.identity.models import AppPassword, Membership, Person, SignIn
from beffroi.core.planes.db import Database
from beffroi.core.retention import actions as retention
from beffroi.drive import people, projections
from beffroi.drive.calendars import homes
from beffroi.drive.calendars.store import Stores
from beffroi.drive.credentials import Credentials
from beffroi.drive.sign_ins import MAX_FAILURES, SignIns
from beffroi.drive.store import favourites
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.gate import sign_ins as gate

from tests.conftest import Commune
from tests.drive_pages import Drive
from tests.drive_server import A

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def alone(config: Config, own_registry: None) -> Iterator[None]:
    """Only the drive's consumers run: no engine of mail is here."""
    for known in (registry.consumers(), registry.timers()):
        for name in [one for one in known if not one.startswith("drive.")]:
            del known[name]
    yield
    projections.path(config).unlink(missing_ok=True)


def issue(membership: Membership, protocol_set: str = "dav") -> actions.IssuedAppPassword:
    actor = Actor("person", membership.person_id, membership.collectivite_id, membership.role)
    issued = actions.issue_app_password(
        actor=actor, membership=membership, protocol_set=protocol_set, label="Téléphone"
    )
    run_pending("main")
    return issued


def test_an_app_password_made_for_dav_says_whose_it_is(beaune: Commune, config: Config) -> None:
    issued = issue(beaune.agent_membership)
    who = Credentials(config).check("Agent@Beaune.test", issued.secret)
    assert who is not None
    assert (who.person_id, who.collectivite_id, who.role) == (beaune.agent.id, beaune.id, "agent")
    assert who.membership_id == beaune.agent_membership.id
    assert who.app_password_id == issued.record.id
    assert who.login == "agent@beaune.test"


@pytest.mark.parametrize("protocol_set", ["imap", "smtp", "imap,smtp", "imap,smtp,sieve"])
def test_one_made_for_mail_opens_nothing_here(beaune: Commune, config: Config, protocol_set: str) -> None:
    issued = issue(beaune.agent_membership, protocol_set)
    assert Credentials(config).check("agent@beaune.test", issued.secret) is None


def test_login_and_password_belong_together(beaune: Commune, config: Config) -> None:
    mine, other = issue(beaune.agent_membership), issue(beaune.colleague_membership)
    asked = Credentials(config)
    for login, password in (
        ("collegue@beaune.test", mine.secret),
        ("agent@beaune.test", other.secret),
        ("", mine.secret),
        ("agent@beaune.test", ""),
        ("agent@beaune.test", "correct horse battery"),  # of the portal
        ("agent@beaune.test", mine.record.sha256),
        ("é" * 400, mine.secret),
        ("\ud800", "\ud800"),
    ):
        assert asked.check(login, password) is None
    assert asked.check("collegue@beaune.test", other.secret) is not None


def test_what_ends_opens_nothing_more(beaune: Commune, system: Actor, config: Config) -> None:
    asked = Credentials(config)
    revoked, left = issue(beaune.agent_membership), issue(beaune.colleague_membership)
    actions.revoke_app_password(actor=beaune.agent, app_password=revoked.record)
    actions.end_access(actor=system, membership=beaune.colleague_membership)
    run_pending("main")
    assert asked.check("agent@beaune.test", revoked.secret) is None
    assert asked.check("collegue@beaune.test", left.secret) is None


def test_an_app_password_that_its_device_gave_up_is_revoked_for_its_person_alone(
    beaune: Commune, nuits: Commune, config: Config
) -> None:
    mine, asked = issue(beaune.agent_membership), Credentials(config)
    found = asked.holder(mine.record.id)
    assert found is not None and found == asked.check("agent@beaune.test", mine.secret)
    assert asked.holder("") is None and asked.holder(mine.record.sha256) is None
    told = {"app_password_id": mine.record.id, "person_id": beaune.agent.id}
    publish("drive:app_password_given_up", told, collectivite_id=nuits.id)
    publish(
        "drive:app_password_given_up", told | {"person_id": beaune.colleague.id}, collectivite_id=beaune.id
    )
    run_pending("main")
    assert asked.holder(mine.record.id) is not None
    for _ in range(2):
        publish("drive:app_password_given_up", told, collectivite_id=beaune.id)
        run_pending("main")
    assert asked.holder(mine.record.id) is None and asked.check("agent@beaune.test", mine.secret) is None
    (line,) = AuditEntry.objects.filter(verb="identity:app_password:revoked")
    assert (line.actor_kind, line.actor_id, line.object_id) == ("person", beaune.agent.id, mine.record.id)


def test_a_device_with_an_alarm_loses_its_password_also_where_it_wrote_at_a_neighbour_s(
    beaune: Commune, nuits: Commune, config: Config
) -> None:
    mine, other = issue(beaune.agent_membership), issue(beaune.colleague_membership)
    told = {
        "app_password_id": mine.record.id,
        "person_id": beaune.agent.id,
        "files": 3,
        "reasons": {"lost": 3},
    }
    publish("drive:alarm", told, collectivite_id=None)
    publish("drive:alarm", told | {"person_id": beaune.referent.id}, collectivite_id=nuits.id)
    run_pending("main")
    asked = Credentials(config)
    assert asked.check("agent@beaune.test", mine.secret) is not None, "of nowhere, or not that person's"
    for owner in (nuits.id, beaune.id, beaune.id):
        publish("drive:alarm", told, collectivite_id=owner)
        run_pending("main")
        assert asked.check("agent@beaune.test", mine.secret) is None
    assert asked.check("agent@beaune.test", mine.secret) is None
    assert asked.check("collegue@beaune.test", other.secret) is not None
    (entry,) = AuditEntry.objects.filter(verb="identity:app_password:revoked")
    assert (entry.actor_kind, entry.actor_id, entry.object_id) == ("system", "drive.alarm", mine.record.id)
    (told_home,) = OutboxEvent.objects.filter(kind="drive:alarm_elsewhere")
    assert (told_home.collectivite_id, json.loads(told_home.payload)) == (beaune.id, told)


def test_another_role_counts_at_once(beaune: Commune, system: Actor, config: Config) -> None:
    issued = issue(beaune.agent_membership)
    actions.change_role(actor=system, membership=beaune.agent_membership, role="elu")
    run_pending("main")
    who = Credentials(config).check("agent@beaune.test", issued.secret)
    assert who is not None and who.role == "elu"


def test_a_lost_file_comes_back_and_nobody_signs_in_meanwhile(beaune: Commune, config: Config) -> None:
    issued = issue(beaune.agent_membership)
    asked, path = Credentials(config), projections.path(config)
    path.unlink()
    assert asked.check("agent@beaune.test", issued.secret) is None
    path.write_bytes(b"no database" * 100)
    assert asked.check("agent@beaune.test", issued.secret) is None
    path.unlink()
    run_periodic("main")
    assert asked.check("agent@beaune.test", issued.secret) is not None


def test_what_was_read_before_a_revocation_is_not_written_after_it(beaune: Commune, config: Config) -> None:
    """Revocations have a thread of their own, beside that of the hourly look at all."""
    issued = issue(beaune.agent_membership)
    (row,) = projections.known(config)
    with ThreadPoolExecutor(1) as other:

        def read(ids: Collection[str]) -> list[projections.Row]:
            revoked.append(other.submit(projections.put, config, ids, lambda ids: ()))
            wait(revoked, timeout=0.5)
            return [row]

        revoked: list[Future[None]] = []
        projections.put(config, [issued.record.id], read)
        revoked[0].result()
    assert projections.known(config) == set()


def test_however_many_are_revoked_the_file_is_written_once(
    beaune: Commune, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each writing waits for the disk some times: one by one, the last of 150 waited half a minute."""
    issued = [issue(beaune.agent_membership, protocols) for protocols in ("dav", "dav", "dav", "imap")]
    stays, opened, real = issue(beaune.colleague_membership), list[int](), projections._open

    def counted(config: Config) -> AbstractContextManager[sqlite3.Connection]:
        opened.append(1)
        return real(config)

    actions.end_access(actor=Actor.system("tests"), membership=beaune.agent_membership)
    for name in [one for one in registry.consumers() if one != "drive.app_passwords"]:
        del registry.consumers()[name]
    monkeypatch.setattr(projections, "_open", counted)
    assert run_pending("main") >= len(issued)
    monkeypatch.undo()
    assert opened == [1]
    assert [one.app_password_id for one in projections.known(config)] == [stays.record.id]


def test_the_hourly_look_undoes_no_revocation_that_came_meanwhile(
    beaune: Commune, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    issued, stays = issue(beaune.agent_membership), issue(beaune.colleague_membership)
    projections.path(config).unlink()
    known = projections.known

    def meanwhile(config: Config) -> set[projections.Row]:
        actor = Actor("person", beaune.agent_membership.person_id, beaune.id, "agent")
        actions.revoke_app_password(actor=actor, app_password=issued.record)
        return known(config)

    monkeypatch.setattr(projections, "known", meanwhile)
    run_periodic("main")
    assert [one.app_password_id for one in known(config)] == [stays.record.id]


def test_the_file_holds_no_secret_and_is_nobody_elses(beaune: Commune, config: Config) -> None:
    issued = issue(beaune.agent_membership)
    path: Path = projections.path(config)
    assert path.stat().st_mode & 0o777 == 0o600
    assert issued.secret.encode() not in path.read_bytes()
    with sqlite3.connect(path) as database:
        assert database.execute("SELECT count(*) FROM app_password").fetchone() == (1,)


def test_what_collectivites_are_called_is_known_and_follows_the_database(
    beaune: Commune, nuits: Commune, config: Config
) -> None:
    run_periodic("main")
    assert people.name_of(config, beaune.id) == beaune.collectivite.name
    assert people.name_of(config, nuits.id) == nuits.collectivite.name
    Collectivite.objects.filter(pk=nuits.id).update(name="Nuits-Saint-Georges-la-Neuve")
    run_periodic("main")
    assert people.name_of(config, nuits.id) == "Nuits-Saint-Georges-la-Neuve"
    assert people.name_of(config, "col_unknown") == ""


def test_an_erased_person_takes_what_was_theirs_alone_along(
    beaune: Commune, nuits: Commune, system: Actor, config: Config
) -> None:
    issued, stays = issue(beaune.agent_membership), issue(beaune.colleague_membership)
    also = actions.add_membership(
        actor=system, person=beaune.agent_membership.person, collectivite=nuits.collectivite, role="agent"
    )
    stores = Stores(config, lambda *grown: None)
    for collectivite_id, person_id in (
        (beaune.id, beaune.agent.id),
        (nuits.id, beaune.agent.id),
        (beaune.id, beaune.colleague.id),
    ):
        stores.home(collectivite_id, person_id)
    shared = homes.folder(config, beaune.id) / homes.ROOT / homes.SHARED_HOME / homes.AGENDA
    (shared / "conseil.ics").write_text("shared")
    starred = [Drive(one) for one in (beaune.agent_membership, also, beaune.colleague_membership)]
    for one in starred:
        for owner in (one.collectivite_id, "col_other"):
            star = owner, one.common.id
            one.database.write(lambda w, d=one, s=star: favourites.set_star(w, d.who, s, starred=True))
    for membership in (beaune.agent_membership, also):
        actions.end_access(actor=system, membership=membership)
    erasure.erase(Person.objects.get(pk=beaune.agent.id))
    run_pending("main")
    assert Credentials(config).check("agent@beaune.test", issued.secret) is None
    assert Credentials(config).check("collegue@beaune.test", stays.secret) is not None
    assert list(homes.homes(config)) == [(beaune.id, beaune.colleague.id)]
    assert (shared / "conseil.ics").read_text() == "shared"
    left = []
    for one in starred:
        with one.database.reading() as reading:
            left.append(len(favourites.everywhere(reading, one.who)))
    assert left == [0, 0, 2]
    homes.remove_everywhere(config, beaune.colleague.id)


def test_who_left_one_collectivite_long_ago_leaves_no_calendar_there(
    beaune: Commune, nuits: Commune, system: Actor, config: Config
) -> None:
    also = actions.add_membership(
        actor=system, person=beaune.agent_membership.person, collectivite=nuits.collectivite, role="agent"
    )
    stores = Stores(config, lambda *grown: None)
    stores.home(beaune.id, beaune.agent.id)
    stores.home(nuits.id, beaune.agent.id)
    actions.end_access(actor=system, membership=beaune.agent_membership)

    def purge(days: int) -> int:
        with clock.shifted(days * 86400.0):
            run = retention.begin(clock_confirmed_by="root")
            assert retention.go_on(run)
        return sum(one.deleted for one in run.counts.all() if one.category == "private_calendars")

    assert purge(config.retention_accounts_days - 1) == 0
    assert purge(config.retention_accounts_days + 1) == 1
    assert list(homes.homes(config)) == [(nuits.id, beaune.agent.id)]
    assert also.until is None
    homes.remove_everywhere(config, beaune.agent.id)


def test_sign_ins_to_the_drive_are_evidence_without_a_mailbox(beaune: Commune, plane: Database) -> None:
    issued = issue(beaune.agent_membership)
    now = clock.now()
    told = gate.Count("agent@beaune.test", "37.65.1.9", "dav", now, now, app_password=issued.record.id)
    with plane.transaction():
        gate.write(plane, told)
    (row,) = SignIn.objects.all()
    assert (row.person_id, row.collectivite_id, row.door) == (beaune.agent.id, beaune.id, "dav")
    assert AppPassword.objects.get(pk=issued.record.id).last_used_at is not None


def test_a_source_that_fails_too_often_waits_and_others_do_not(config: Config) -> None:
    counted = SignIns(config, "calendars")
    for number in range(MAX_FAILURES):
        assert not counted.too_many("2001:db8:1:2::9")
        counted.failed(f"2001:db8:1:2::{number + 1:x}", "x@y.test")
    assert counted.too_many("2001:db8:1:2:ffff::1")
    assert not counted.too_many("2001:db8:1:3::1")
    assert not counted.too_many("37.65.1.9")
    assert source("::ffff:37.65.1.9") == "37.65.1.9"


def test_a_communes_folder_is_open_to_nobody_else_whoever_makes_it_first(tmp_path: Path) -> None:
    """The process of calendars may come before the drive, whose metadata lie in the same folder."""
    before = os.umask(0o007)
    try:
        place = homes.folder(Config(state=tmp_path), A)
        Stores(Config(state=tmp_path), lambda *grown: None).of(A)
    finally:
        os.umask(before)
    assert {stat.S_IMODE(one.stat().st_mode) for one in (place, place.parent)} == {0o700}
