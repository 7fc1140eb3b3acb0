"""A domain that comes after the boîtier of its commune is protected there as those of before."""

from __future__ import annotations

import pytest
from beffroi.boxes import actions, queries
from beffroi.boxes.models import BoxPolicy
from beffroi.core.communes import actions as communes
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi_protocol.messages import Policy

from tests.conftest import Commune

pytestmark = pytest.mark.django_db


def names(administrator: Actor, commune: Commune) -> tuple[str, ...]:
    found = queries.current_policy(administrator, commune.id)
    assert found is not None
    return found[1].protected_names


def test_a_domain_that_comes_later_is_protected_by_its_own_communes_boxes_alone(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    run_pending("main")
    for commune in (beaune, nuits):
        policy = Policy(protected_names=(commune.domain,), unlock=False)
        actions.set_policy(actor=administrator, collectivite=commune.collectivite, policy=policy)
    communes.add_domain(
        actor=administrator, collectivite=beaune.collectivite, name="ecole-beaune.example.org"
    )
    run_pending("main")
    assert names(administrator, beaune) == (beaune.domain, "ecole-beaune.example.org")
    assert names(administrator, nuits) == (nuits.domain,)
    row = BoxPolicy.objects.filter(collectivite_id=beaune.id).latest("policy_version")
    assert (row.policy_version, row.policy["unlock"], row.changed_by) == (2, False, "boxes"), (
        "the rest is as it was"
    )
    run_pending("main")
    assert BoxPolicy.objects.filter(collectivite_id=beaune.id).count() == 2


def test_what_is_protected_already_or_has_no_boitier_changes_nothing(
    administrator: Actor, beaune: Commune
) -> None:
    run_pending("main")
    communes.add_domain(actor=administrator, collectivite=beaune.collectivite, name="a-beaune.example.org")
    run_pending("main")
    assert not BoxPolicy.objects.exists()
    policy = Policy(protected_names=("b-beaune.example.org",))
    actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=policy)
    communes.add_domain(actor=administrator, collectivite=beaune.collectivite, name="b-beaune.example.org")
    run_pending("main")
    assert BoxPolicy.objects.count() == 1
