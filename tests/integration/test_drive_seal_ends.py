"""Coffre, seals: a seal is lifted, a folder is eliminated, and what is refused on the way."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Membership
from beffroi.drive.archives import rules
from beffroi.drive.backup import pictures
from beffroi.drive.seals import actions
from beffroi.drive.seals.verification import of_texts
from beffroi.drive.store import look, seal_ends, seals
from beffroi.drive.store.model import Node, StoreFull
from beffroi.lib import clock
from django.test import Client

from tests.conftest import Commune
from tests.drive_browser import server
from tests.drive_pages import Drive
from tests.fixtures_portal import confirmed, no_door, portal_client
from tests.fixtures_seals import (
    BODIES,
    DAY_S,
    VISA,
    again,
    drive,
    elu,
    folder,
    node_of,
    referent,
    seal_of,
    sealed,
    verbs,
)
from tests.markup import text_of

__all__ = ["drive", "elu", "folder", "no_door", "referent", "server"]
pytestmark = pytest.mark.django_db


def test_a_seal_without_a_rule_is_lifted_after_its_term_and_no_clock_does_it_before(
    drive: Drive, folder: Node, referent: Client
) -> None:
    day = datetime.fromtimestamp(clock.epoch_s() + 20 * DAY_S, UTC).date().isoformat()
    seal = sealed(drive, folder, referent, until=day)
    page = f"/coffre/sceaux/{seal.id}/"
    assert "Le terme du sceau n’est pas passé" in text_of(referent.post(page, {"what": "lift"}, follow=True))
    person = Actor("person", drive.act.person_id, drive.collectivite_id, "referent")
    for jump_s in (-400 * DAY_S, 400 * DAY_S):
        with clock.jumped(jump_s), pytest.raises(rules.TermRunning):
            actions.lift(actor=person, database=drive.database, seal_id=seal.id)
        with clock.jumped(jump_s), pytest.raises(rules.TermNotForward):
            actions.extend(actor=person, database=drive.database, seal_id=seal.id, until_s=seal.until_s - 1)
    assert seal_of(drive, folder).until_s == seal.until_s
    earlier = {"what": "extend", "until": "2026-11-30"}
    assert "ne se raccourcit pas" in text_of(referent.post(page, earlier, follow=True))
    later = datetime.fromtimestamp(clock.epoch_s() + 30 * DAY_S, UTC).date().isoformat()
    assert "est prolongé" in text_of(referent.post(page, {"what": "extend", "until": later}, follow=True))
    with clock.shifted(25 * DAY_S):
        fresh = again(drive)
        assert "Le terme du sceau n’est pas passé" in text_of(fresh.post(page, {"what": "lift"}, follow=True))
    with clock.shifted(31 * DAY_S):
        fresh = again(drive)
        assert "Lever le sceau" in text_of(fresh.get(page))
        assert "C’est scellé" in text_of(_deleted(fresh, drive, folder)), (
            "the end of the term alone frees nothing"
        )
        assert "Le sceau est levé" in text_of(fresh.post(page, {"what": "lift"}, follow=True))
        _deleted(fresh, drive, folder)
        assert drive.names(folder) == ["Facture 2.pdf"]
    assert verbs() == ["drive:seal:asked", "drive:seal:extended", "drive:seal:lifted"]


def _deleted(client: Client, drive: Drive, folder: Node) -> Any:
    what = {"what": "delete", "dossier": str(folder.id), "n": node_of(drive, folder, "Facture 1.pdf")}
    return client.post("/coffre/agir/", what, follow=True)


def test_an_elimination_takes_the_term_a_visa_and_a_second_person(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, elu: Membership
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    assert "Le terme du sceau n’est pas passé" in text_of(referent.post(page, VISA, follow=True))
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        referent = again(drive)
        assert "il ne se libère pas" in text_of(referent.post(page, {"what": "lift"}, follow=True))
        for bad in ({"visa": ""}, {"visa_on": "2199-01-01"}, {"visa_by": " "}, {"visa": "x" * 201}):
            answer = referent.post(page, {**VISA, **bad})
            assert answer.status_code == 400 and "Il manque le visa" in text_of(answer)
            kept = {name: value for name, value in VISA.items() if name not in {"what", *bad}}
            assert all(f'value="{value}"' in text_of(answer) for value in kept.values()), (
                "what was typed stays"
            )
        assert not Approval.objects.exists()
        shown = text_of(referent.post(page, VISA, follow=True))
        assert "AD21-2036-0142" in shown and "Accorder" not in shown
        assert "Quelqu’un a agi" in text_of(referent.post(page, VISA, follow=True))
        assert "Une autre personne" in text_of(referent.post(page, {"what": "grant"}, follow=True))
        agent = confirmed(beaune.agent_membership)
        assert agent.post(page, {"what": "grant"}).status_code == 403
        run_pending("main")
        assert drive.names(folder) == sorted(BODIES)
        mayor = confirmed(elu)
        assert "1 élimination de dossier scellé attend votre réponse" in text_of(mayor.get("/"))
        assert "attend votre réponse" not in text_of(referent.get("/")) + text_of(agent.get("/"))
        assert "élimination demandée" in text_of(mayor.get("/coffre/sceaux/"))
        assert "Accorder" in text_of(mayor.get(page))
        mayor.post(page, {"what": "grant"})
        assert "attend votre réponse" not in text_of(mayor.get("/"))
        assert drive.names(folder) == sorted(BODIES)
        run_pending("main")
        run_pending("main")
        shown = text_of(agent.get(page))
        assert "Bordereau d’élimination" in shown and "AD21-2036-0142" in shown
        assert "Facture 1.pdf" in shown and "2 fichiers éliminés" in shown
        with drive.database.reading() as reading:
            assert look.node(reading, folder.id) is None
            assert reading.one("SELECT 1 FROM version LIMIT 1") is None
            record = seal_ends.of(reading, seal.id)
            assert record is not None and record.granted_by != record.asked_by
            assert of_texts(seals.texts(reading, seal.id)).statement, "what it was stays known"
        assert verbs() == ["drive:seal:asked", "drive:seal:destroyed"]


def test_a_refused_or_overtaken_elimination_destroys_nothing(
    drive: Drive, folder: Node, referent: Client, elu: Membership
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        referent = again(drive)
        referent.post(page, VISA)
        mayor = confirmed(elu)
        assert "abandonnée" in text_of(mayor.post(page, {"what": "refuse"}, follow=True))
        assert "Quelqu’un a agi" in text_of(mayor.post(page, {"what": "grant"}, follow=True))
        referent.post(page, VISA)
        later = {"what": "extend", "until": _day_after(seal.until_s + 900 * DAY_S)}
        assert "est prolongé" in text_of(referent.post(page, later, follow=True))
        assert "Quelqu’un a agi" in text_of(mayor.post(page, {"what": "grant"}, follow=True))
        run_pending("main")
    with clock.shifted(seal.until_s - clock.epoch_s() + 1000 * DAY_S):
        referent, mayor = again(drive), confirmed(elu)
        assert drive.names(folder) == sorted(BODIES)
        referent.post(page, VISA)
        mayor.post(page, {"what": "grant"})
        later = {"what": "extend", "until": _day_after(clock.epoch_s() + 900 * DAY_S)}
        assert "Quelqu’un a agi" in text_of(referent.post(page, later, follow=True))
        run_pending("main")
        assert seal_of(drive, folder).state == "destroyed"


def test_an_extension_that_fails_gives_no_elimination_up(
    drive: Drive, folder: Node, referent: Client, elu: Membership, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = sealed(drive, folder, referent)
    page = f"/coffre/sceaux/{seal.id}/"

    def full(*said: Any, **more: Any) -> None:
        raise StoreFull

    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        referent = again(drive)
        referent.post(page, VISA)
        with monkeypatch.context() as patched:
            patched.setattr(seals, "extend", full)
            later = {"what": "extend", "until": _day_after(seal.until_s + 900 * DAY_S)}
            assert "est prolongé" not in text_of(referent.post(page, later, follow=True))
        assert Approval.objects.get(subject_id=seal.id).state == Approval.State.REQUESTED
        assert seal_of(drive, folder).until_s == seal.until_s


def _day_after(epoch_s: int) -> str:
    return datetime.fromtimestamp(epoch_s + DAY_S, UTC).date().isoformat()


def test_what_is_not_over_by_the_worker_s_clock_is_not_destroyed(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    said = {"seal_id": seal.id, "visa": "AD21-1", "visa_on": "2026-11-01", "visa_by": "AD21"}
    with pytest.raises(rules.TermRunning):
        actions.carry_out(
            drive.collectivite_id, said, approval_id="apr_1", asked_by="per_a", granted_by=beaune.referent.id
        )
    assert drive.names(folder) == sorted(BODIES)


def test_a_crash_between_the_destruction_and_its_record_is_made_good(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    seal = sealed(drive, folder, referent)
    said = {"seal_id": seal.id, "visa": "AD21-1", "visa_on": "2026-11-01", "visa_by": "AD21"}

    def carry_out() -> None:
        actions.carry_out(
            drive.collectivite_id, said, approval_id="apr_1", asked_by="per_a", granted_by=beaune.referent.id
        )

    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        with monkeypatch.context() as broken, pytest.raises(OSError, match="cut"):
            broken.setattr(audit, "record", lambda *_entry, **_more: (_ for _ in ()).throw(OSError("cut")))
            carry_out()
        assert verbs() == ["drive:seal:asked"]
        carry_out()
        carry_out()
    assert verbs() == ["drive:seal:asked", "drive:seal:destroyed"]


def test_what_a_restore_brought_back_is_eliminated_again_and_on_record_again(
    drive: Drive, folder: Node, referent: Client, beaune: Commune, tmp_path: Path
) -> None:
    seal = sealed(drive, folder, referent)
    said = {"seal_id": seal.id, "visa": "AD21-1", "visa_on": "2026-11-01", "visa_by": "AD21"}
    pictures.take(drive.database, tmp_path / "picture")
    with clock.shifted(seal.until_s - clock.epoch_s() + DAY_S):
        for approval_id in ("apr_1", "apr_2"):
            actions.carry_out(
                drive.collectivite_id,
                said,
                approval_id=approval_id,
                asked_by="per_a",
                granted_by=beaune.referent.id,
            )
            with drive.database.reading() as reading:
                assert look.node(reading, folder.id) is None
            drive.database.write(lambda w: pictures.load(w, tmp_path / "picture"))
            assert drive.names(folder) == sorted(BODIES)
    assert verbs() == ["drive:seal:asked", "drive:seal:destroyed", "drive:seal:destroyed"]


def test_the_password_is_asked_for_before_a_seal_ends(
    drive: Drive, folder: Node, referent: Client, beaune: Commune
) -> None:
    seal = sealed(drive, folder, referent)
    client = portal_client(beaune.referent_membership)
    for what in ("lift", "eliminate", "grant"):
        answer = client.post(f"/coffre/sceaux/{seal.id}/", {"what": what})
        assert answer.status_code == 302 and answer["Location"].startswith("/confirmer/")


def test_what_is_kept_for_good_is_never_ended(drive: Drive, folder: Node, referent: Client) -> None:
    seal = sealed(drive, folder, referent, rule="deliberations")
    page = f"/coffre/sceaux/{seal.id}/"
    with clock.shifted(200 * 365 * DAY_S):
        referent = again(drive)
        for form in ({"what": "lift"}, VISA):
            assert "se conserve sans fin" in text_of(referent.post(page, form, follow=True))
    assert seal_of(drive, folder).state == "sealed"
