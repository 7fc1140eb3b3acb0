"""The Coffre of a commune is erased: two administrators, then nothing opens, nothing is left but a certificate."""

from __future__ import annotations

import io
import json
import shutil
import zipfile
from itertools import pairwise
from typing import Any

import pytest
from beffroi.core.approvals.actions import SamePerson
from beffroi.core.approvals.models import Approval
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive import erasures, projections, removal
from beffroi.drive.backup import places, turns
from beffroi.drive.backup.work import Backups
from beffroi.drive.calendars import homes
from beffroi.drive.store import keys, room
from beffroi.drive.store.keys import Keys, KeysErased
from beffroi.drive.store.object_store import open_objects
from beffroi.drive.store.objects import ObjectMissing
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.portal import words
from beffroi.portal.console import drive as console_drive

from tests.conftest import Commune
from tests.drive_place import LARGE, Place
from tests.drive_sound import body
from tests.fixtures_drive import noise
from tests.fixtures_erasure import TERM_S, agreed, other, place, state
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client

__all__ = ["no_door", "other", "place", "state"]
pytestmark = pytest.mark.django_db


def test_two_administrators_destroy_everything_and_nothing_opens_any_more(
    place: Place, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    config = place.config
    one = place.put("Budget secret.bin", noise(LARGE, b"x"))
    place.put("petit", b"petit")
    neighbour = Place(config, place.communes, place.bodies, place.work, "col_" + "0" * 26)
    kept = neighbour.put("voisin", noise(LARGE, b"y"))
    entry = homes.folder(config, beaune.id) / homes.ROOT / "mairie" / "agenda" / "x.ics"
    entry.parent.mkdir(parents=True)
    entry.write_text("BEGIN:VCALENDAR")
    backups = Backups(config, place.communes)
    backups.round()
    outside = config.state.parent / "outside"
    shutil.copytree(config.state, outside)
    row = projections.Row("ab" * 32, "apw_x", "per_x", "mem_x", beaune.id, "agent", "x@beaune.test", "X")
    projections.put(config, [row.app_password_id], lambda ids: [row])
    own = Keys(config, beaune.id)
    fingerprints = {keys.fingerprint(key) for key in (own.naming(), own.current()[1])}
    approval_id = agreed(beaune.collectivite, administrator, other)
    with clock.shifted(TERM_S):
        assert whole(erasures.carry_out(approval_id))

    certificate = keys.certificate(config, beaune.id)
    assert certificate is not None and {k.fingerprint for k in certificate.keys} == fingerprints
    assert certificate.erased_by == f"{administrator.id} {other.id}"
    assert removal.is_whole(config, beaune.id)
    left = {
        str(p.relative_to(config.state))
        for p in config.state.rglob("*")
        if beaune.id in str(p) and p.is_file()
    }
    folder = f"drive/{beaune.id}"
    assert left == {
        f"{folder}/{name}" for name in ("erased.json", "keys.lock", "collect.lock", "backup.lock")
    }
    with pytest.raises(KeysErased):
        place.communes.metadata(beaune.id)
    with pytest.raises((KeysErased, ObjectMissing)):
        body(place, one)
    with pytest.raises(KeysErased):
        keys.make(config, beaune.id)
    assert b"x@beaune.test" not in projections.path(config).read_bytes()
    assert body(neighbour, kept) == noise(LARGE, b"y")
    backups.round()
    assert not backups.place.has(beaune.id)

    # Who copied all of STATE, master key and wrapped keys, can still open: that is what the documents say remains.
    copied = Keys(Config(state=outside), beaune.id)
    assert {keys.fingerprint(k) for k in (copied.naming(), copied.current()[1])} == fingerprints
    (outside / "drive" / beaune.id / "keys.json").unlink()
    shutil.rmtree(outside / "drive-backup" / beaune.id)
    with pytest.raises(keys.KeysMissing):
        Keys(Config(state=outside), beaune.id).naming()


def test_what_was_cut_is_finished_and_said_once(
    place: Place, beaune: Commune, administrator: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("grand", noise(LARGE, b"x"))
    place.communes.close()
    approval_id = agreed(beaune.collectivite, administrator, other)
    with monkeypatch.context() as broken:
        broken.setattr(places.LocalBackups, "erase", lambda *given: (_ for _ in ()).throw(OSError("cut")))
        with clock.shifted(TERM_S), pytest.raises(OSError, match="cut"):
            whole(erasures.finish())
    assert keys.certificate(place.config, beaune.id) is not None, "the keys are gone first"
    assert not removal.is_whole(place.config, beaune.id)
    with clock.shifted(TERM_S):
        assert (whole(erasures.finish()), whole(erasures.finish())) == (1, 0)
        assert removal.is_whole(place.config, beaune.id)
        whole(erasures.carry_out(approval_id))
    done = AuditEntry.objects.filter(verb="drive:erasure:done", object_id=beaune.id)
    assert done.count() == 1


def test_an_end_that_was_cut_before_it_was_on_record_is_put_there(
    place: Place, beaune: Commune, administrator: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    place.put("grand", noise(LARGE, b"x"))
    place.communes.close()
    agreed(beaune.collectivite, administrator, other)
    with monkeypatch.context() as broken:
        broken.setattr(erasures, "_record", lambda *given, **details: (_ for _ in ()).throw(OSError("cut")))
        with clock.shifted(TERM_S), pytest.raises(OSError, match="cut"):
            whole(erasures.finish())
    assert removal.is_whole(place.config, beaune.id)
    with clock.shifted(TERM_S):
        assert (whole(erasures.finish()), whole(erasures.finish())) == (1, 0)
    assert AuditEntry.objects.filter(verb="drive:erasure:done", object_id=beaune.id).count() == 1


def test_it_goes_in_pieces_between_which_no_lock_is_held_and_a_kill_may_come(
    place: Place, beaune: Commune, administrator: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "PORTION", 1)
    for number in range(3):
        place.put(f"grand {number}", noise(LARGE, bytes([number])))
    Backups(place.config, place.communes).round()
    place.communes.close()
    agreed(beaune.collectivite, administrator, other)
    objects = open_objects(place.config)
    left = [before := len(list(objects.list(beaune.id)))]
    with clock.shifted(TERM_S):
        killed = erasures.finish()
        for _ in killed:
            with (
                turns.backing_up(place.config, beaune.id, waits=False),
                turns.collecting(place.config, beaune.id, waits=False),
            ):
                left.append(len(list(objects.list(beaune.id))))
            if left[-1] <= before - 2:
                break
        killed.close()
        assert {one - other for one, other in pairwise(left)} <= {0, 1}, "one object a piece"
        assert not removal.is_whole(place.config, beaune.id)
        assert whole(erasures.finish()) == 1
    assert removal.is_whole(place.config, beaune.id)
    assert AuditEntry.objects.filter(verb="drive:erasure:done", object_id=beaune.id).count() == 1


@pytest.mark.parametrize("at_work", [turns.backing_up, turns.collecting])
def test_it_waits_for_no_backup_and_no_collection_that_is_under_way(
    place: Place, beaune: Commune, administrator: Actor, other: Actor, at_work: Any
) -> None:
    """Each takes minutes, in which worker would do nothing else."""
    place.put("grand", noise(LARGE, b"x"))
    place.communes.close()
    agreed(beaune.collectivite, administrator, other)
    with clock.shifted(TERM_S):
        with at_work(place.config, beaune.id), pytest.raises(turns.OthersTurn):
            whole(erasures.finish())
        assert keys.certificate(place.config, beaune.id) is not None, "the keys are gone all the same"
        assert whole(erasures.finish()) == 1
    assert removal.is_whole(place.config, beaune.id)


def test_one_alone_or_nobody_of_the_departement_erases_nothing(
    place: Place, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    place.put("a", b"a")
    with pytest.raises(NotAllowed):
        erasures.request(actor=beaune.referent, collectivite=beaune.collectivite, reason="x")
    with pytest.raises(Invalid):
        erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="  ")
    approval = erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="x")
    with pytest.raises(Conflict):
        erasures.request(actor=other, collectivite=beaune.collectivite, reason="x")
    with pytest.raises(SamePerson):
        erasures.grant(actor=administrator, approval=approval)
    with pytest.raises(NotAllowed):
        erasures.grant(actor=beaune.referent, approval=approval)
    erasures.refuse(actor=administrator, approval=approval)
    with pytest.raises(Conflict):
        erasures.grant(actor=other, approval=approval)
    assert whole(erasures.finish()) == 0 and keys.certificate(place.config, beaune.id) is None
    assert Keys(place.config, beaune.id).current()[0] == 1


def test_the_console_shows_asks_and_keeps_the_certificate(
    place: Place, beaune: Commune, administrator: Actor, other: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, name = f"/communes/{beaune.id}/coffre/", beaune.collectivite.name
    place.put("a", b"a")
    with on_listener("console"):
        client = console_client(administrator.id)
        page = client.get(url).content.decode()
        assert "En service depuis" in page and "sur 500" in page
        assert client.post(url, {"word": "limit", "limit": "x"}).status_code == 400
        assert client.post(url, {"word": "limit", "limit": "7"}).status_code == 302
        assert client.post(url, {"word": "rotate", "code": "000000"}).status_code == 403
        assert client.post(url, {"word": "ask", "name": "Autre", "reason": "x"}).status_code == 400
        monkeypatch.setattr(console_drive, "step_up", lambda request, actor: "")
        assert client.post(url, {"word": "ask", "name": name, "reason": ""}).status_code == 400
        assert client.post(url, {"word": "rotate"}).status_code == 302
        assert client.post(url, {"word": "rotate"}).status_code == 409
        assert client.post(url, {"word": "file"}).status_code == 409
        assert client.post(url, {"word": "ask", "name": name, "reason": "Départ"}).status_code == 302
        assert "un autre administrateur doit répondre" in client.get(url).content.decode()
        assert client.post(url, {"word": "grant"}).status_code == 409
        second = console_client(other.id)
        assert "Départ" in second.get(url).content.decode()
        assert second.post(url, {"word": "grant"}).status_code == 302
        with place.database.reading() as reading:
            assert room.limit(reading, room.WHOLE) == 7 * 10**9
        place.communes.close()
        assert "au plus tôt" in client.get(url).content.decode()
        with clock.shifted(TERM_S):
            assert whole(erasures.finish()) == 1
        assert client.post(url, {"word": "call_back"}).status_code == 409
        assert "Coffre effacé" in client.get(url).content.decode()
    verbs = set(AuditEntry.objects.filter(object_id=beaune.id).values_list("verb", flat=True))
    assert {"drive:key:asked", "drive:quota:collectivite", "drive:erasure:done"} <= verbs
    answer = portal_client(beaune.agent_membership).get("/coffre/")
    assert (answer.status_code, "a été effacé" in answer.content.decode()) == (410, True)


def test_a_certificate_is_signed(place: Place, beaune: Commune, administrator: Actor, other: Actor) -> None:
    approval_id = agreed(beaune.collectivite, administrator, other)
    with clock.shifted(TERM_S):
        whole(erasures.carry_out(approval_id))
    with on_listener("console"):
        packed = console_client(administrator.id).post(f"/communes/{beaune.id}/coffre/", {"word": "file"})
    with zipfile.ZipFile(io.BytesIO(packed.content)) as archive:
        told = json.loads(archive.read("attestation.json"))
    assert told["collectivite"]["name"] == beaune.collectivite.name


def test_for_a_day_any_administrator_calls_it_back(
    place: Place, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    one = place.put("a", noise(LARGE, b"a"))
    url = f"/communes/{beaune.id}/coffre/"
    with on_listener("console"):
        client = console_client(administrator.id)
        assert client.post(url, {"word": "call_back"}).status_code == 409
        approval_id = agreed(beaune.collectivite, administrator, other)
        granted = erasures.granted(beaune.id)
        assert granted is not None and granted.id == approval_id
        with pytest.raises(NotAllowed):
            erasures.call_back(actor=beaune.referent, approval=granted)
        with pytest.raises(Conflict):
            erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="x")
        with clock.shifted(TERM_S - 120):
            assert whole(erasures.finish()) == 0
            assert client.post(url, {"word": "call_back"}).status_code == 302
            assert "Demander l’effacement" in client.get(url).content.decode()
    with clock.shifted(TERM_S):
        assert (whole(erasures.finish()), whole(erasures.carry_out(approval_id))) == (0, False)
    assert keys.certificate(place.config, beaune.id) is None
    assert body(place, one) == noise(LARGE, b"a")
    verbs = AuditEntry.objects.filter(object_id=beaune.id).values_list("verb", flat=True)
    assert {"drive:erasure:granted", "drive:erasure:withdrawn"} <= set(verbs)
    assert "drive:erasure:done" not in verbs
    assert AuditEntry.objects.filter(object_id=approval_id, verb="approval:withdrawn").count() == 1
    # It may be asked for once more, and its day begins again.
    with clock.shifted(TERM_S):
        agreed(beaune.collectivite, administrator, other)
        assert whole(erasures.finish()) == 0


def test_the_referent_alone_reads_at_home_and_in_the_coffre_that_all_will_be_erased(
    place: Place, beaune: Commune, nuits: Commune, administrator: Actor, other: Actor
) -> None:
    place.put("a", b"a")

    def pages(membership: Membership) -> str:
        client = portal_client(membership)
        return "".join(client.get(url).content.decode() for url in ("/", "/coffre/commune/"))

    asked, granted = "L’effacement de tout le Coffre est demandé", "Tout le Coffre sera effacé le"
    approval = erasures.request(actor=administrator, collectivite=beaune.collectivite, reason="x")
    assert (pages(beaune.referent_membership).count(asked), granted in pages(beaune.referent_membership)) == (
        2,
        False,
    )
    erasures.grant(actor=other, approval=approval)
    said = pages(beaune.referent_membership)
    due = words.since(erasures.due_at(approval))
    assert (said.count(f"Tout le Coffre sera effacé {due}"), said.count("il peut encore y renoncer")) == (
        2,
        2,
    )
    assert asked not in said
    for others in (beaune.agent_membership, nuits.referent_membership):
        assert granted not in pages(others)
    found = erasures.granted(beaune.id)
    assert found is not None
    erasures.call_back(actor=administrator, approval=found)
    assert granted not in pages(beaune.referent_membership)


def test_a_clock_that_jumps_begins_no_erasure(
    place: Place, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    place.put("a", b"a")
    clock.paced()
    agreed(beaune.collectivite, administrator, other)
    with clock.jumped(10 * TERM_S):
        assert whole(erasures.finish()) == 0
    assert keys.certificate(place.config, beaune.id) is None
    with clock.shifted(TERM_S):
        assert whole(erasures.finish()) == 1


def test_what_has_begun_is_not_called_back(
    place: Place, beaune: Commune, administrator: Actor, other: Actor
) -> None:
    place.put("a", b"a")
    agreed(beaune.collectivite, administrator, other)
    granted = erasures.granted(beaune.id)
    assert granted is not None
    removal.destroy_keys(place.config, beaune.id, by="adm_x adm_y")
    with pytest.raises(Conflict):
        erasures.call_back(actor=administrator, approval=granted)
    assert erasures.granted(beaune.id) is not None


def test_one_that_fails_keeps_no_other_from_its_turn(
    place: Place,
    beaune: Commune,
    administrator: Actor,
    other: Actor,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    place.put("a", b"a")
    place.communes.close()
    sound = agreed(beaune.collectivite, administrator, other)
    broken = Approval.objects.create(
        verb=erasures.VERB,
        subject_id="not an identifier",
        state=Approval.State.GRANTED,
        requested_by=administrator.id,
        decided_by=other.id,
        decided_at=clock.now(),
        expires_at=clock.now(),
    )
    monkeypatch.setattr(removal, "is_whole", lambda config, owner: False)
    assert {sound, broken.id} == set(Approval.objects.values_list("id", flat=True))
    with clock.shifted(TERM_S), pytest.raises(keys.KeysMissing):
        whole(erasures.finish())
    assert keys.certificate(place.config, beaune.id) is not None
