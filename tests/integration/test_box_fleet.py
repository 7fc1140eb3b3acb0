"""The real agent in a town hall's network answers a signed question, and takes software of the software key only."""

from __future__ import annotations

import hashlib
import zlib
from collections.abc import Iterator

import pytest
from beffroi_box.software import Shelf
from beffroi_protocol.facts import Diagnosis
from beffroi_protocol.messages import Question, Release
from beffroi_protocol.signing import ROLE_SOFTWARE, Signer, delegate, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.fixtures_box_centre import BOX_ID
from tests.town_hall import TownHall, needs_network, town_hall
from tests.waiting import until

pytestmark = needs_network


@pytest.fixture(scope="module")
def hall() -> Iterator[TownHall]:
    with town_hall() as running:
        yield running


def test_a_question_is_answered_with_what_the_kernel_says(hall: TownHall) -> None:
    now = hall.centre.now()
    hall.centre.say(hall.centre.signer.line(Question(1, "dgn_1", BOX_ID, now, now + 60)))

    def answer() -> Diagnosis | None:
        found = [fact for fact in hall.centre.facts.values() if isinstance(fact, Diagnosis)]
        return found[0] if found else None

    until(lambda: answer() is not None, "answered")
    told = answer()
    assert told is not None
    assert told.question_id == "dgn_1"
    assert told.report["rules"] == "loaded"
    assert told.report["wan_link"].startswith("up")
    assert told.report["lan_addresses"]
    assert abs(int(told.report["clock_offset_s"])) < 120


def test_software_is_fetched_on_the_word_of_the_software_key_only(hall: TownHall) -> None:
    centre, software = hall.centre, Ed25519PrivateKey.generate()
    content = b"no real package: nothing here installs it"
    digest = hashlib.sha256(content).hexdigest()
    centre.files[digest] = zlib.compress(content)
    now = centre.now()
    release = Release(1, 3, "9.9", digest, len(content), now, now - 60, now + 600)
    shelf = Shelf(hall.state)
    centre.say(Signer(centre.feed, role=ROLE_SOFTWARE).line(release))
    centre.say(centre.signer.line(release))
    centre.say(
        delegate(
            centre.root, public_bytes(software), serial=1, not_before=now - 60, not_after=now + 86400,
            role=ROLE_SOFTWARE,
        )
    )  # fmt: skip
    version = centre.publish()
    until(lambda: centre.enforced(version), "enforced")
    assert shelf.plan() is None
    centre.say(Signer(software, role=ROLE_SOFTWARE).line(release))
    until(lambda: shelf.plan() is not None, "planned")
    plan = shelf.plan()
    assert plan is not None
    assert (plan.number, plan.version) == (3, "9.9")
    assert shelf.next.read_bytes() == content
    assert (hall.state / "delegations").read_bytes().count(b"software") == 1
