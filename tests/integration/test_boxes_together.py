"""One setting for many boxes: each keeps the rest, and one undo gives back what is still of the batch."""

from __future__ import annotations

import pytest
from beffroi.boxes import actions, queries, together
from beffroi.boxes.models import Box, BoxPolicy
from beffroi.core.identity.actor import Actor
from beffroi.lib.errors import Invalid, NotAllowed, NotFound
from beffroi_protocol.messages import Policy
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def boxes(administrator: Actor, beaune: Commune, nuits: Commune) -> None:
    for commune, policy in (
        (beaune, Policy(inbound_tcp_ports=(2323,), allow_addresses=("192.0.2.7",))),
        (nuits, Policy(unlock=False)),
    ):
        Box.objects.create(
            collectivite_id=commune.id, serial=commune.id[:20], public_key=commune.id, fingerprint="x",
            state="active", policy_version=1,
        )  # fmt: skip
        actions.set_policy(actor=administrator, collectivite=commune.collectivite, policy=policy)


def policy_of(actor: Actor, commune: Commune) -> Policy:
    found = queries.current_policy(actor, commune.id)
    assert found is not None
    return found[1]


def test_each_keeps_its_others_and_undo_gives_back(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    values = {"refuse_doh": True}
    assert len(together.preview(administrator, values)) == 2
    done = together.apply(actor=administrator, values=values, reason="DoH")
    assert (done.changed, done.left) == (2, {})
    assert policy_of(administrator, beaune).refuse_doh and policy_of(administrator, nuits).refuse_doh
    assert policy_of(administrator, beaune).allow_addresses == ("192.0.2.7",)
    assert not policy_of(administrator, nuits).unlock
    assert together.preview(administrator, values) == []
    ((_row, progress),) = together.batches(administrator, limit=5)
    assert (progress.boxes, progress.proved) == (2, 0)
    Box.objects.update(policy_version=2)
    assert together.batches(administrator, limit=5)[0][1].proved == 2
    together.apply(actor=administrator, values={"leak_bytes_hour": 5}, reason="x", chosen=[nuits.id])
    assert not policy_of(administrator, beaune).leak_bytes_hour
    back = together.undo(actor=administrator, batch=done.batch, reason="retour")
    assert back.changed == 2
    assert not policy_of(administrator, nuits).refuse_doh
    assert policy_of(administrator, nuits).leak_bytes_hour == 5, "what came since stays"


def test_undo_finds_what_stood_before_where_a_restore_left_a_gap(
    administrator: Actor, beaune: Commune
) -> None:
    Box.objects.filter(collectivite_id=beaune.id).update(policy_version=7)
    done = together.apply(actor=administrator, values={"refuse_doh": True}, reason="DoH", chosen=[beaune.id])
    assert BoxPolicy.objects.get(batch=done.batch).policy_version == 8
    assert together.undo(actor=administrator, batch=done.batch, reason="retour").changed == 1
    assert not policy_of(administrator, beaune).refuse_doh


def test_undo_reads_no_more_for_more_communes_and_forgets_none_whose_box_is_gone(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    done = together.apply(actor=administrator, values={"refuse_doh": True}, reason="DoH")
    Box.objects.filter(collectivite_id=nuits.id).update(state="revoked")
    before = {one.id: policy_of(administrator, one) for one in (beaune, nuits)}
    with CaptureQueriesContext(connection) as seen:
        assert together.undo(actor=administrator, batch=done.batch, reason="retour").changed == 2
    reads = [one["sql"] for one in seen if one["sql"].startswith("SELECT") and '"policy"' in one["sql"]]
    assert len(reads) == 2, reads
    for one in (beaune, nuits):
        assert before[one.id].refuse_doh and not policy_of(administrator, one).refuse_doh


def test_what_does_not_fit_in_one_place_leaves_it_and_goes_on(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    done = together.apply(actor=administrator, values={"honeyports": (2323,)}, reason="pièges")
    assert done.changed == 1 and list(done.left) == [beaune.id]
    assert policy_of(administrator, nuits).honeyports == (2323,)


def test_who_may_not(administrator: Actor, beaune: Commune) -> None:
    with pytest.raises(NotAllowed):
        together.apply(actor=beaune.referent, values={"refuse_doh": True}, reason="x")
    with pytest.raises(NotAllowed):
        together.undo(actor=beaune.referent, batch="bat_x", reason="x")
    for wrong in ({"mode": "bridge"}, {}):
        with pytest.raises(Invalid):
            together.apply(actor=administrator, values=wrong, reason="x")
    with pytest.raises(NotFound):
        together.undo(actor=administrator, batch="bat_x", reason="x")
    assert together.batches(beaune.referent, limit=5) == [] and together.owners(beaune.referent) == []


def test_the_page(console: Client, administrator: Actor, beaune: Commune, nuits: Commune) -> None:
    path = "/boitiers/reglages/"
    assert "Quel réglage" in console.get(path).content.decode()
    for setting in together.SETTINGS:
        assert console.get(path, {"setting": setting}).status_code == 200
    form = {"setting": "leak_bytes_hour", "leak_megabytes": "500", "who": "some", "commune": [nuits.id]}
    page = console.post(path, form).content.decode()
    assert "1 collectivité change" in page and "Nuits" in page
    assert console.post(path, form | {"send": "1", "reason": ""}).status_code == 200
    assert not policy_of(administrator, nuits).leak_bytes_hour
    assert console.post(path, form | {"send": "1", "reason": "fuites"}).status_code == 302
    assert policy_of(administrator, nuits).leak_bytes_hour == 500_000_000
    assert "boîtiers à jour\N{NO-BREAK SPACE}: 0 sur 1" in console.get(path).content.decode()
    batch = together.batches(administrator, limit=1)[0][0].batch
    assert console.post(path, {"undo": batch}).status_code == 302
    assert not policy_of(administrator, nuits).leak_bytes_hour
