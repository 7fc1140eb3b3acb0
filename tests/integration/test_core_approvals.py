"""Two persons for one act."""

from __future__ import annotations

import json
from typing import Any

import pytest
from beffroi.core.approvals import actions, queries
from beffroi.core.approvals.models import Approval
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, NotAllowed, NotFound

pytestmark = pytest.mark.usefixtures("database")

OTHER = Actor("administrator", "adm_other", None, "administrator")


def ask(actor: Actor, **changes: Any) -> Approval:
    values: dict[str, Any] = {"verb": "mail:withdraw", "subject_id": "cmp_1", "payload": {"messages": 412}}
    return actions.request(actor=actor, **(values | changes))


def test_second_person_grants_exactly_what_was_asked(administrator: Actor) -> None:
    approval = actions.approve(actor=OTHER, approval=ask(administrator))
    assert approval.state == "granted"
    event = OutboxEvent.objects.get(kind="approval:granted")
    assert json.loads(event.payload) == {
        "approval_id": approval.id,
        "verb": "mail:withdraw",
        "subject_id": "cmp_1",
        "payload": {"messages": 412},
        "requested_by": administrator.id,
        "decided_by": OTHER.id,
    }


def test_nobody_grants_the_own_request_but_may_withdraw_it(administrator: Actor) -> None:
    approval = ask(administrator)
    with pytest.raises(actions.SamePerson):
        actions.approve(actor=administrator, approval=approval)
    assert actions.refuse(actor=administrator, approval=approval).state == "refused"
    assert not OutboxEvent.objects.filter(kind="approval:granted").exists()


def test_decided_request_is_decided(administrator: Actor) -> None:
    approval = ask(administrator)
    stale = Approval.objects.get(pk=approval.pk)
    actions.refuse(actor=OTHER, approval=approval)
    with pytest.raises(Conflict):
        actions.approve(actor=OTHER, approval=stale)


def test_request_that_nobody_answered_in_time_is_void(administrator: Actor) -> None:
    approval = ask(administrator, valid_s=60)
    with clock.shifted(61):
        with pytest.raises(Conflict):
            actions.approve(actor=OTHER, approval=approval)
        assert actions.expire_due() == 1
    approval.refresh_from_db()
    assert approval.state == "expired"


def test_rule_or_box_neither_asks_nor_grants(administrator: Actor, system: Actor) -> None:
    approval = ask(administrator)
    for actor in (system, Actor("box", "box_1", None)):
        with pytest.raises(NotAllowed):
            ask(actor)
        with pytest.raises(NotAllowed):
            actions.approve(actor=actor, approval=approval)


def test_request_of_another_commune_does_not_exist(beaune: Any, nuits: Any) -> None:
    approval = ask(beaune.referent, collectivite_id=beaune.id)
    assert queries.access_approval(beaune.referent, approval.id) == approval
    with pytest.raises(NotFound):
        ask(nuits.referent, collectivite_id=beaune.id)
    with pytest.raises(NotFound):
        actions.approve(actor=nuits.referent, approval=approval)
    for wanted in (approval.id, "apr_absent"):
        with pytest.raises(NotFound):
            queries.access_approval(nuits.referent, wanted)
        with pytest.raises(NotFound):
            queries.access_approval(beaune.agent, wanted)
