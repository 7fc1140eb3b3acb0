"""A question to one box over the real stream: it alone hears it, its answer is kept, and nobody else's is."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.boxes import diagnoses, retention
from beffroi.boxes.models import Box, BoxDiagnosis
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed
from beffroi_box.config import BoxConfig
from beffroi_box.diagnose import Doctor
from beffroi_box.facts import FactSpool
from beffroi_box.status import Report
from beffroi_protocol.facts import Diagnosis, FactBatch
from beffroi_protocol.messages import Question, encode

from tests.conftest import Commune
from tests.fixtures_stream import BoxClient, Centre, running_centre  # noqa: F401


def row_of(box: BoxClient) -> Box:
    return Box.objects.get(pk=box.id)


def told(box: BoxClient, question_id: str, **report: str) -> int:
    fact = Diagnosis(f"dia_{question_id}{len(report)}", question_id, 1, report)
    status = box.post("/v1/facts", encode(FactBatch(1, (fact,)))).status
    run_pending("main")
    return status


def test_the_asked_box_hears_a_signed_question_answers_it_and_is_shown(
    centre: Centre, administrator: Actor, beaune: Commune, tmp_path: Path
) -> None:
    box, neighbour = centre.box(beaune.id), centre.box(beaune.id)
    sessions = [centre.session("box") for _ in (box, neighbour)]
    helds = [one.follow("box:0:0:") for one in (box, neighbour)]
    for held, session in zip(helds, sessions, strict=True):
        while not session.tables["box"].epoch:
            session.receive(held.line(), monotonic=0.0)
    asked = diagnoses.ask(actor=administrator, box=row_of(box))
    assert diagnoses.ask(actor=administrator, box=row_of(box)).id == asked.id  # impatience asks once

    def heard(at: int) -> Question | None:
        for _ in range(6):  # heartbeats come in between
            result = sessions[at].receive(helds[at].line(), monotonic=0.0)
            if isinstance(result, Question):
                return result
        return None

    question = heard(0)
    assert question is not None
    assert (question.id, question.box_id) == (asked.id, box.id)
    assert heard(1) is None

    (tmp_path / "spool").mkdir()
    spool = FactSpool(tmp_path / "spool", box.id)
    doctor = Doctor(
        BoxConfig(state=tmp_path, centre="https://boitiers.cotedor.fr"), box.id, spool, clock.epoch_s,
        report=Report, has_rules=lambda: False,
    )  # fmt: skip
    doctor.answer(question)
    body = spool.take()
    assert body is not None
    assert box.post("/v1/facts", body).status == 200
    run_pending("main")
    found = diagnoses.latest(row_of(box))
    assert found is not None
    assert found.answered_at is not None
    assert found.report["rules"] == "missing"
    assert AuditEntry.objects.filter(verb="box:diagnosis_asked").count() == 1


def test_an_answer_counts_from_the_asked_box_once_and_with_known_names_only(
    centre: Centre, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    box, other = centre.box(beaune.id), centre.box(nuits.id)
    asked = diagnoses.ask(actor=administrator, box=row_of(box))
    assert told(other, asked.id, rules="loaded") == 200
    assert BoxDiagnosis.objects.get().answered_at is None
    assert told(box, asked.id, rules="loaded", visited_sites="impots.gouv.fr") == 200
    assert BoxDiagnosis.objects.get().report == {"rules": "loaded"}
    assert told(box, asked.id, rules="missing", agent="x", mode="y") == 200
    assert BoxDiagnosis.objects.get().report == {"rules": "loaded"}
    assert told(box, "dgn_nothing", rules="loaded") == 200
    many = {f"k{n}": "x" for n in range(51)}
    assert told(box, asked.id, **many) == 400


def test_who_may_ask_whom_and_for_how_long_it_is_kept(
    centre: Centre, administrator: Actor, beaune: Commune
) -> None:
    box = row_of(centre.box(beaune.id))
    with pytest.raises(NotAllowed):
        diagnoses.ask(actor=beaune.referent, box=box)
    with pytest.raises(Conflict):
        diagnoses.ask(actor=administrator, box=row_of(centre.box(beaune.id, state="pending")))
    diagnoses.ask(actor=administrator, box=box)
    BoxDiagnosis.objects.update(expires_at=clock.now() - timedelta(seconds=1))
    assert diagnoses.latest(box) is None
    assert retention.diagnoses(clock.now()).count() == 1
