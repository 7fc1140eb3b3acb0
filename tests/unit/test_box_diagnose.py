"""The box answers a signed question about itself: once, bounded, with nothing of the people behind it."""

from __future__ import annotations

import threading
from pathlib import Path

import msgspec
import pytest
from beffroi_box.config import BoxConfig
from beffroi_box.diagnose import MAX_TEXT, Doctor, addresses, link
from beffroi_box.facts import FactSpool
from beffroi_box.status import Report
from beffroi_protocol.facts import Diagnosis, FactBatch
from beffroi_protocol.messages import Question, decode

NOW = 1_800_000_000


@pytest.fixture
def spool(tmp_path: Path) -> FactSpool:
    (tmp_path / "spool").mkdir()
    return FactSpool(tmp_path / "spool", "box_1")


@pytest.fixture
def doctor(tmp_path: Path, spool: FactSpool) -> Doctor:
    config = BoxConfig(state=tmp_path, centre="https://boitiers.cotedor.fr", wan="lo", lan="nothing0")
    report = Report(policy_version=3, resolver_trouble="x" * 500, versions={"box": "1:9"}, addresses=12)
    return Doctor(config, "box_1", spool, lambda: NOW, report=lambda: report, has_rules=lambda: True)


def question(**changes: object) -> Question:
    values: dict[str, object] = {
        "v": 1,
        "id": "dgn_1",
        "box_id": "box_1",
        "issued_at": NOW,
        "valid_until": NOW,
    }
    return Question(**{**values, **changes})  # type: ignore[arg-type]


def answers(doctor: Doctor, spool: FactSpool) -> list[Diagnosis]:
    stopping = threading.Event()
    thread = threading.Thread(target=doctor.run, args=(stopping,))
    thread.start()
    spool.changed.wait(3.0)
    stopping.set()
    thread.join(10)
    taken = spool.take()
    if taken is None:
        return []
    return [fact for fact in decode(taken, FactBatch).facts if isinstance(fact, Diagnosis)]


def test_the_answer_says_how_the_box_is_in_short_texts(doctor: Doctor, spool: FactSpool) -> None:
    doctor.ask(question())
    doctor.ask(question())  # heard twice, answered once
    (answer,) = answers(doctor, spool)
    assert answer.question_id == "dgn_1"
    assert answer.report["rules"] == "loaded"
    assert answer.report["policy_version"] == "3"
    assert answer.report["lists"] == "box 1:9"
    assert answer.report["lan_link"] == "absent"
    assert int(answer.report["disk_total_bytes"]) > int(answer.report["disk_free_bytes"]) > 0
    assert int(answer.report["memory_total_kib"]) > 0
    assert all(len(text) <= MAX_TEXT for text in answer.report.values())
    assert len(msgspec.json.encode(answer)) < 4096


@pytest.mark.parametrize("changes", [{"box_id": "box_2"}, {"valid_until": NOW - 1}])
def test_a_question_for_another_box_or_of_before_is_not_answered(
    doctor: Doctor, spool: FactSpool, changes: dict[str, object]
) -> None:
    doctor.ask(question(**changes))
    assert answers(doctor, spool) == []


def test_a_flood_of_questions_is_dropped(doctor: Doctor) -> None:
    for number in range(1000):
        doctor.ask(question(id=f"dgn_{number}"))
    assert doctor._questions.qsize() == 4


def test_links_and_own_addresses_are_read_from_the_kernel(tmp_path: Path) -> None:
    assert link("lo").startswith("up")
    assert link("../../etc") == link("") == link("nothing0") == "absent"
    (tmp_path / "lo").mkdir()
    (tmp_path / "lo/speed").write_text("1000\n")
    assert link("lo", tmp_path) == "up 1000"
    assert addresses("lo") == []  # nothing of global scope
    assert addresses("nothing0") == []
