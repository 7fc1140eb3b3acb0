"""One order of locks (``test_identity_lock_order``), for aliases, exports, old archives, domains and departures: what
ends several of them has published when it comes to the second."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes import actions as boxes
from beffroi.boxes.models import BoxPolicy
from beffroi.core.identity.actor import Actor
from beffroi.leaving import applying
from beffroi.leaving.models import Leaving
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.mail.aliases import actions as aliases
from beffroi.mail.aliases.models import Alias, CatchAll
from beffroi.mail.closing import actions as closing
from beffroi.mail.closing.models import Export
from beffroi.mail.domains import actions as domains
from beffroi.mail.domains.models import DkimKey
from beffroi.mail.importing import actions as importing
from beffroi.mail.importing.models import ImportJob
from beffroi.mail.models import Mailbox
from beffroi.mail.people import arriving, leaving
from beffroi.mail.people.models import Departure
from beffroi_protocol.messages import Policy

from tests.conftest import Commune
from tests.fixtures_erasure import state
from tests.fixtures_leaving import leaving_state, planned
from tests.fixtures_portal import own_mailbox, shared_box
from tests.integration.test_identity_lock_order import ADMINISTRATOR, knots

__all__ = ["leaving_state", "state"]
pytestmark = pytest.mark.usefixtures("committed")
SYSTEM = Actor.system("tests")
Acts = dict[str, Callable[[Any], object]]


def cases(acts: Acts) -> list[Any]:
    return [pytest.param(act, id=name) for name, act in acts.items()]


@pytest.fixture
def alias(beaune: Commune) -> Alias:
    boxes = [own_mailbox(beaune).id, shared_box(beaune).id]
    return aliases.create(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        address=f"elus@{beaune.domain}",
        mailboxes=boxes,
    )


@pytest.mark.parametrize(
    "act",
    cases(
        {
            "sends": lambda one: aliases.let_send(actor=SYSTEM, alias=one, sends=True),
            "added": lambda one: aliases.add_target(
                actor=SYSTEM, alias=one, mailbox_id=Mailbox.objects.get(address__startswith="seul").id
            ),
            "removed": lambda one: aliases.remove_target(
                actor=SYSTEM, alias=one, mailbox_id=Mailbox.objects.get(address__startswith="agent").id
            ),
            "ended": lambda one: aliases.end(actor=SYSTEM, alias=one),
        }
    ),
)
def test_a_collectivite_that_leaves_and_who_changes_its_alias(
    alias: Alias, beaune: Commune, act: Callable[[Alias], object]
) -> None:
    shared_box(beaune, local="seul")
    made = planned(beaune)
    assert knots(lambda: applying._end_aliases(made), lambda: act(alias)) == []
    assert Leaving.objects.get().undo and Alias.objects.filter(ended_at=None).count() <= 1


@pytest.mark.parametrize(
    "act",
    cases(
        {
            "ended": lambda one: aliases.end_catch_all(actor=SYSTEM, row=one),
            "begun": lambda one: aliases.begin_catch_all(
                actor=SYSTEM, domain=one.domain, mailbox_id=one.mailbox_id
            ),
        }
    ),
)
def test_a_catch_all_whose_time_is_over_and_who_changes_it(
    beaune: Commune, act: Callable[[CatchAll], object]
) -> None:
    row = aliases.begin_catch_all(
        actor=beaune.referent, domain=beaune.domain, mailbox_id=own_mailbox(beaune).id
    )
    CatchAll.objects.update(expires_at=clock.now())
    assert knots(aliases.end_over, lambda: act(row)) == []
    row.refresh_from_db()
    assert row.ended_at is not None


def test_an_address_that_is_made_twice_at_once(beaune: Commune) -> None:
    box = own_mailbox(beaune)

    def alias() -> None:
        aliases.create(
            actor=beaune.referent,
            collectivite=beaune.collectivite,
            address=f"zoe.petit@{beaune.domain}",
            mailboxes=[box.id],
        )

    def arrive() -> None:
        arriving.arrive(
            actor=beaune.referent,
            collectivite=beaune.collectivite,
            name="Luc Petit",
            role="agent",
            local="luc.petit",
            domain=beaune.domain,
        )

    assert knots(alias, arrive) == []
    assert Mailbox.objects.filter(address__startswith="luc").exists() and Alias.objects.exists()


@pytest.fixture
def exports(leaving_state: Config, beaune: Commune) -> list[Export]:
    now, made = clock.now(), []
    for name in ("parti", "partie"):
        box = Mailbox.objects.create(
            collectivite_id=beaune.id, address=f"{name}@{beaune.domain}", closed_at=now
        )
        made.append(
            Export.objects.create(
                collectivite_id=beaune.id,
                mailbox_id=box.id,
                asked_by=beaune.referent.id,
                state="ready",
                ends_at=now + timedelta(days=1),
            )
        )
    return made


@pytest.mark.parametrize(
    ("state_before", "act"),
    [
        ("ready", "download"),
        ("ready", "end"),
        ("running", "ready"),
        ("running", "failed"),
    ],
)
def test_exports_whose_days_are_over_and_one_that_is_taken(
    exports: list[Export], beaune: Commune, state_before: str, act: str
) -> None:
    one = exports[-1]
    Export.objects.filter(pk=one.pk).update(state=state_before)
    acts: dict[str, Callable[[], object]] = {
        "download": lambda: closing.download(actor=beaune.referent, export=one),
        "end": lambda: closing.end_export(actor=beaune.referent, export=one),
        "ready": lambda: closing.ready(one, key=b"k" * 32, size_bytes=1, sha256="", manifest_sha256=""),
        "failed": lambda: closing.failed(one, "x", again_s=None),
    }
    assert knots(lambda: closing.end_old([two.pk for two in exports]), acts[act]) == []
    assert not Export.objects.filter(pk=exports[0].pk, state="ready").exists()


def test_an_archive_that_was_cut_off_and_who_ends_it(beaune: Commune) -> None:
    box = own_mailbox(beaune)
    job = importing.begin_archive(mailbox=box, name="vieux.zip", account="root")
    assert (
        knots(
            lambda: importing.begin_archive(mailbox=box, name="vieux.zip", account="root"),
            lambda: importing.cancel(actor=beaune.agent, job=job),
        )
        == []
    )
    assert ImportJob.objects.get(pk=job.pk).state == "cancelled"


def test_keys_of_a_domain_that_are_made_while_it_is_checked(leaving_state: Config, beaune: Commune) -> None:
    domain = beaune.collectivite.domains.get()

    def check() -> None:
        domains.store_check(actor=SYSTEM, domain=domain, items={"mx": ("ok", "")}, scores={})

    check()
    assert knots(lambda: domains.ensure_keys(actor=SYSTEM, domain=domain), check) == []
    assert DkimKey.objects.count() == 2


def test_a_policy_that_is_given_with_a_box_and_by_a_person(beaune: Commune) -> None:
    def give() -> None:
        boxes.set_policy(actor=ADMINISTRATOR, collectivite=beaune.collectivite, policy=Policy())

    assert knots(give, give) == []
    assert BoxPolicy.objects.filter(collectivite_id=beaune.id).count() == 2


@pytest.mark.parametrize("act", ["confirm", "undo"])
def test_a_departure_that_is_taken_back_with_others(beaune: Commune, act: str) -> None:
    made = leaving.depart(
        actor=beaune.referent,
        collectivite=beaune.collectivite,
        person=beaune.agent_membership.person,
        successors={},
    )

    def undo() -> None:
        leaving.undo(actor=ADMINISTRATOR, departure=made)

    acts: dict[str, Callable[[], object]] = {"confirm": lambda: leaving.confirm(made), "undo": undo}
    assert knots(undo, acts[act]) == []
    assert Departure.objects.get().state == "undone"
