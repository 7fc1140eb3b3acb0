"""Coffre, alerts: the référent sees what a device did, and has it taken back or left; nobody else decides."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NoReturn

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity import actions as identity
from beffroi.core.identity.actor import Actor
from beffroi.drive import actions, alarms, recovery, recovery_steps
from beffroi.drive.guard.scoring import Alarm
from beffroi.drive.guard.signs import Sign
from beffroi.drive.store import tree
from beffroi.drive.store.model import EMPTY, Act, Node, StoreFull
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.lib.errors import NotAllowed, NotFound, Unavailable
from beffroi.portal import drive_access, stopped_devices
from django.urls import reverse

from tests.conftest import Commune
from tests.drive_meanwhile import meanwhile, told
from tests.drive_pages import Drive, drive
from tests.fixtures_incidents import open_for
from tests.fixtures_portal import confirmed, console_client, no_door, on_listener, portal_client
from tests.markup import flat, text_of

__all__ = ["drive", "no_door"]
pytestmark = pytest.mark.django_db
PAGE = "/coffre/alertes/"


@pytest.fixture
def device(beaune: Commune) -> str:
    membership = beaune.agent_membership
    actor = Actor("person", membership.person_id, membership.collectivite_id, membership.role)
    issued = identity.issue_app_password(
        actor=actor, membership=membership, protocol_set="dav", label="Portable de l’accueil"
    )
    return issued.record.id


@pytest.fixture
def spoiled(drive: Drive, beaune: Commune, device: str) -> list[Node]:
    """Three files of the commune and one of the agent's own, written over by the device, which is stopped."""
    folder = drive.folder("Budget", drive.common)
    files = [drive.file(f"{number}.ods", folder) for number in range(3)] + [drive.file("lettre-privee.odt")]
    since_s = clock.epoch_s() + 5
    act = Act(beaune.agent.id, device, since_s)
    content = replace(EMPTY, size_bytes=666)
    for one in files:
        drive.database.write(lambda w, it=one: tree.put(w, act, it.parent, it.name, content))
    alarm = Alarm(device, float(since_s), 3, {Sign.LOST: 3, Sign.NO_OVERLAP: 3})
    drive.database.write(lambda w: alarms.raise_(w, alarm, now_s=since_s))
    return files


def sizes(drive: Drive, files: list[Node]) -> list[int]:
    with drive.database.reading() as reading:
        rows = [reading.one("SELECT size_bytes FROM node WHERE id = ?", (one.id,)) for one in files]
    return [row[0] for row in rows if row is not None]


def verbs() -> list[str]:
    return list(
        AuditEntry.objects.filter(verb__startswith="drive:alarm")
        .order_by("id")
        .values_list("verb", flat=True)
    )


def test_contents_and_names_that_come_back_are_counted_apart(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune
) -> None:
    act = Act(beaune.agent.id, device, clock.epoch_s() + 5)
    drive.database.write(lambda w: tree.move(w, act, spoiled[0].id, spoiled[0].parent, "0.ods.lock3d"))
    referent = portal_client(beaune.referent_membership)
    page = flat(referent.post(PAGE, {"what": "preview", "device": device}).content.decode())
    assert "<p>3 remis</p><p>1 reprend son nom ou sa place</p>" in page, "each count is a line of its own"


def test_an_english_reader_is_told_who_uses_a_device_and_when_it_was_stopped(
    spoiled: list[Node], beaune: Commune
) -> None:
    page = portal_client(beaune.referent_membership).get(PAGE, headers={"accept-language": "en"})
    shown = page.content.decode()
    assert "<dt>Who uses it</dt>" in shown and "<dt>Stopped</dt>" in shown
    assert "Nobody" not in shown and "Ended" not in shown


def test_the_referent_sees_looks_ahead_and_has_all_taken_back(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune
) -> None:
    referent = confirmed(beaune.referent_membership)
    assert "Voir l’alerte" in referent.get("/coffre/commune/").content.decode()
    page = referent.get(PAGE).content.decode()
    assert "Portable de l’accueil" in page and "fichiers devenus illisibles (3)" in page
    assert "lettre-privee" not in page
    page = referent.post(PAGE, {"what": "preview", "device": device}).content.decode()
    assert "Budget" in page and "3 remis" in page and "1 remis" in page
    assert "lettre-privee" not in page, "of a person's own folder, the count alone"
    assert sizes(drive, spoiled) == [666] * 4 and verbs() == []
    page = referent.post(PAGE, {"what": "restore", "device": device}, follow=True).content.decode()
    assert "Remis comme avant : 4 changements défaits." in page.replace("\u00a0", " ")
    assert "Tout est remis comme avant" in page and 'name="what"' not in page
    assert sizes(drive, spoiled) == [0] * 4
    assert "Voir l’alerte" not in referent.get("/coffre/commune/").content.decode()
    assert verbs() == ["drive:alarm:taken_back"]
    referent.post(PAGE, {"what": "settle", "device": device})
    with drive.database.reading() as reading:
        assert alarms.find(reading, device).state == "restored"
        assert alarms.stopped(reading) == {device}, "what was taken back is no reason to let it write again"
    referent.post(PAGE, {"what": "restore", "device": device})
    assert verbs() == ["drive:alarm:taken_back"], (
        "an old page that is pressed tells of nothing that is not done"
    )


def test_the_incident_says_to_everybody_what_became_of_the_files(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune, administrator: Actor
) -> None:
    """To the Département too, and what of them is not back."""
    incident = open_for(beaune, Kind.SUSPECT_MACHINE, subject=f"drive:{device}")
    page = reverse("incident", args=[incident.id])
    colleague, referent = (
        portal_client(beaune.colleague_membership),
        portal_client(beaune.referent_membership),
    )

    def read() -> list[str]:
        pages = [colleague.get(page)]
        with on_listener("console"):
            pages.append(console_client(administrator.id).get(f"/dossiers/{incident.id}/"))
        return [one.content.decode() for one in pages]

    assert all("La personne référente remet comme avant les fichiers" in one for one in read())
    referent.post(PAGE, {"what": "restore", "device": device})
    assert all("touchés sont remis comme avant" in one and "pas pu" not in one for one in read())
    drive.database.write(lambda w: w.run("UPDATE alarm SET missed = 2"))
    shown = [*read(), referent.get(PAGE).content.decode()]
    assert all("2 éléments n’ont pas pu l’être" in one for one in shown)
    assert "Tout est remis" not in shown[-1]


def test_on_a_full_disk_the_page_says_that_it_stopped_on_the_way_and_goes_on_later(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    referent = portal_client(beaune.referent_membership)

    with monkeypatch.context() as patch:
        patch.setattr(recovery, "MOST_STEPS", 1)
        taken, left = recovery_steps.taken, [2]

        def take(*step: Any) -> bool:
            left[0] -= 1
            if left[0] < 0:
                raise StoreFull
            return taken(*step)

        patch.setattr(recovery_steps, "taken", take)
        page = referent.post(PAGE, {"what": "restore", "device": device}, follow=True).content.decode()
    assert "s’est arrêtée en chemin, rien n’est perdu" in page and "reprenez-la" in page
    assert sorted(sizes(drive, spoiled)) == [0, 0, 666, 666]
    page = referent.post(PAGE, {"what": "restore", "device": device}, follow=True).content.decode()
    assert "Tout est remis comme avant" in page and sizes(drive, spoiled) == [0] * 4


def test_what_was_meant_stays_and_the_device_is_free(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune
) -> None:
    stolen = portal_client(beaune.referent_membership).post(PAGE, {"what": "settle", "device": device})
    assert stolen.status_code == 302 and stolen["Location"].startswith("/confirmer/")
    with drive.database.reading() as reading:
        assert alarms.stopped(reading) == {device}, "a session alone gives no way back away"
    referent = confirmed(beaune.referent_membership)
    assert "Oui, c’était voulu" not in referent.get(PAGE).content.decode()
    asked = referent.post(PAGE, {"what": "ask", "device": device}).content.decode()
    assert "ne pourra plus être remis" in asked and 'value="settle">Oui, c’était voulu' in asked
    assert "Tout remettre comme avant" not in asked and verbs() == []
    page = referent.post(PAGE, {"what": "settle", "device": device}, follow=True).content.decode()
    assert "Classée" in page and "rien n’est défait" in page
    assert sizes(drive, spoiled) == [666] * 4 and verbs() == ["drive:alarm:settled"]
    with drive.database.reading() as reading:
        assert alarms.stopped(reading) == set()
    page = referent.post(PAGE, {"what": "restore", "device": device}, follow=True).content.decode()
    assert "déjà répondu" in page and sizes(drive, spoiled) == [666] * 4
    page = referent.post(PAGE, {"what": "settle", "device": device}, follow=True).content.decode()
    assert "déjà répondu" in page and verbs() == ["drive:alarm:settled"], "told of what is done, and once"
    assert "Oui, c’était voulu" not in referent.post(PAGE, {"what": "ask", "device": device}).content.decode()


def test_the_person_of_the_device_sees_it_and_decides_nothing(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune
) -> None:
    agent = portal_client(beaune.agent_membership)
    page = agent.get(PAGE).content.decode()
    assert "Portable de l’accueil" in page and "Prévenez la personne référente" in page
    assert 'name="what"' not in page
    for what in ("preview", "restore", "ask", "settle"):
        assert agent.post(PAGE, {"what": what, "device": device}).status_code == 403
    assert sizes(drive, spoiled) == [666] * 4 and verbs() == []


def test_the_person_reads_where_their_passwords_are_which_device_was_stopped_and_what_to_do(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune, nuits: Commune
) -> None:
    agent, referent = (portal_client(one) for one in (beaune.agent_membership, beaune.referent_membership))

    def said() -> str:
        return text_of(agent.get("/acces/"))

    page = said()
    assert "L’appareil « Portable de l’accueil » a été arrêté." in page and "Heure de l’arrêt :" in page
    assert "fichiers devenus illisibles (3)" in page and "Débranchez cet appareil" in page
    assert "Prévenez la personne référente" in page and 'href="/coffre/alertes/"' in page
    for other in (beaune.colleague_membership, beaune.referent_membership, nuits.agent_membership):
        assert "a été arrêté" not in portal_client(other).get("/acces/").content.decode()
    referent.post(PAGE, {"what": "restore", "device": device})
    page = said()
    assert "Les fichiers sont remis comme avant." in page and "nouveau mot de passe d’application" in page
    assert "Débranchez" not in page
    with clock.shifted(stopped_devices.TOLD_S + 60):
        assert stopped_devices.told(beaune.agent) == []


def test_what_was_meant_is_said_where_the_passwords_are(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune
) -> None:
    drive.database.write(lambda w: alarms.settle(w, device, person_id="per_x", now_s=clock.epoch_s()))
    page = portal_client(beaune.agent_membership).get("/acces/").content.decode()
    assert "a répondu que c’était voulu" in page and "Débranchez" not in page


def test_the_passwords_are_shown_while_the_coffre_does_not_answer(
    drive: Drive, spoiled: list[Node], beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unavailable(collectivite_id: str) -> NoReturn:
        raise Unavailable("metadata")

    monkeypatch.setattr(drive_access, "metadata_of", unavailable)
    page = portal_client(beaune.agent_membership).get("/acces/").content.decode()
    assert "Portable de l’accueil" in page and "a été arrêté" not in page


def test_colleagues_and_other_communes_see_and_change_nothing(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune, nuits: Commune
) -> None:
    for stranger, refused in (
        (beaune.colleague_membership, 403),
        (nuits.agent_membership, 403),
        (nuits.referent_membership, 404),
    ):
        other = portal_client(stranger)
        page = other.get(PAGE).content.decode()
        assert "Portable" not in page
        assert ("Aucune alerte" in page) is (stranger.role == "referent"), (
            "there is one, which they do not see"
        )
        for what in ("preview", "restore", "ask", "settle"):
            assert other.post(PAGE, {"what": what, "device": device}).status_code == refused
        assert "Voir l’alerte" not in other.get("/coffre/").content.decode()
    neighbour = Actor("person", nuits.referent.id, nuits.id, "referent")
    for act in (actions.take_back, actions.settle):
        with pytest.raises(NotFound):
            act(actor=neighbour, database=drive.database, collectivite_id=beaune.id, device_id=device)
        with pytest.raises(NotAllowed):
            act(
                actor=Actor("person", beaune.agent.id, beaune.id, "agent"),
                database=drive.database,
                collectivite_id=beaune.id,
                device_id=device,
            )
    assert sizes(drive, spoiled) == [666] * 4 and verbs() == []


def test_odd_forms_are_refused(drive: Drive, spoiled: list[Node], device: str, beaune: Commune) -> None:
    referent = portal_client(beaune.referent_membership)
    for data, status in (
        ({"what": "explode", "device": device}, 400),
        ({}, 404),
        ({"what": "restore", "device": "x" * 5000}, 404),
        ({"what": "restore", "device": "\0"}, 404),
        ({"what": "preview"}, 404),
    ):
        assert referent.post(PAGE, data).status_code == status, data
    assert sizes(drive, spoiled) == [666] * 4 and verbs() == []


def test_two_answers_at_once_are_both_told_and_one_is_done(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    referent = portal_client(beaune.referent_membership)
    meanwhile(
        monkeypatch,
        lambda: drive.database.write(lambda w: alarms.settle(w, device, person_id="per_x", now_s=1)),
    )
    page = referent.post(PAGE, {"what": "restore", "device": device}, follow=True).content.decode()
    assert "déjà répondu" in page and sizes(drive, spoiled) == [666] * 4
    assert told() == ["drive:alarm:taken_back", "not drive:alarm:taken_back: state.conflict"]


def test_the_departement_may_answer_for_a_commune(
    drive: Drive, spoiled: list[Node], device: str, beaune: Commune, administrator: Actor
) -> None:
    over = actions.take_back(
        actor=administrator, database=drive.database, collectivite_id=beaune.id, device_id=device
    )
    assert (over.state, over.missed) == ("restored", 0) and sizes(drive, spoiled) == [0] * 4


def test_an_editor_that_was_stopped_is_answered_for_as_any_device(drive: Drive, beaune: Commune) -> None:
    now_s = clock.epoch_s() + 5
    device = f"office:{beaune.agent.id}:20000"
    one = drive.file("Budget.ods", drive.common)
    act = Act(beaune.agent.id, device, now_s)
    drive.database.write(lambda w: tree.put(w, act, one.parent, one.name, replace(EMPTY, size_bytes=666)))
    alarm = Alarm(device, float(now_s), 1, {Sign.LOST: 1})
    drive.database.write(lambda w: alarms.raise_(w, alarm, now_s=now_s))
    referent = portal_client(beaune.referent_membership)
    assert "L’éditeur en ligne" in referent.get(PAGE).content.decode()
    referent.post(PAGE, {"what": "restore", "device": device})
    assert sizes(drive, [one]) == [0]
