"""Blocks by hand: at once for one thing, by two administrators for wide ones, never for what is protected."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes.models import FlowCount
from beffroi.core.approvals import actions as approvals
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions import actions, by_hand, shared, staging, warning_lists
from beffroi.core.decisions.models import Decision, LocalException
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi_protocol.indicators import normalise
from django.db import connection
from django.test import Client

from tests.conftest import Commune
from tests.fixtures_portal import console_client, on_listener
from tests.fixtures_stream import Centre, read_until, running_centre  # noqa: F401
from tests.fixtures_trust import decide

OTHER = Actor("administrator", "adm_other")
RANGE = normalise("cidr", "45.83.64.0/24")


def block(actor: Actor, kind: str, value: str, **changes: Any) -> by_hand.Blocked:
    values: dict[str, Any] = {"reason": "malware", "why": "appel du CSIRT", "ttl_s": 86400}
    return by_hand.block(actor=actor, indicator=normalise(kind, value), **(values | changes))


@pytest.mark.django_db
@pytest.mark.parametrize(("kind", "value"), [("ip", "45.83.64.7"), ("cidr", "45.83.64.0/28")])
def test_an_address_that_serves_a_member_needs_two(
    administrator: Actor, beaune: Commune, kind: str, value: str
) -> None:
    shared.note("www.mairie-beaune.fr", ["45.83.64.7"])
    assert shared.met(normalise(kind, value)) == ["www.mairie-beaune.fr"]
    asked = block(administrator, kind, value)
    assert asked.approval is not None and asked.decision is None
    with on_listener("console"):
        page = console_client(administrator.id).get("/decisions/bloquer/", {"q": value}).content.decode()
    assert "www.mairie-beaune.fr" in page and "les coupe aussi" in page


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("ip", "45.83.64.7"),
        ("domain", "fournitures-bureau.example"),
        ("url", "https://drop.example.net/a"),
        ("sha256", "ab" * 32),
    ],
)
def test_one_thing_is_in_force_at_once_and_can_be_undone(
    administrator: Actor, beaune: Commune, kind: str, value: str
) -> None:
    done = block(administrator, kind, value)
    assert done.decision is not None and done.approval is None
    assert (done.decision.state, done.decision.rule, done.decision.action) == (
        "active",
        "departement",
        "block",
    )
    assert by_hand.why_of(done.decision.id) == "appel du CSIRT"
    entry = AuditEntry.objects.get(verb="decision:by_hand")
    assert "CSIRT" not in str(entry.details)
    assert actions.revoke(actor=administrator, decision=done.decision, reason="undone")


@pytest.mark.django_db
@pytest.mark.django_db
@pytest.mark.parametrize("approves", [False, True])
def test_the_lists_are_read_while_others_may_write(
    administrator: Actor, system: Actor, monkeypatch: pytest.MonkeyPatch, approves: bool
) -> None:
    """Whoever decides first after a start of the console, or by the command, reads them."""
    waits = decide(system, strength="weak")
    outside, inside = len(connection.savepoint_ids), list[bool]()
    load = warning_lists.load

    def reading() -> warning_lists.WarningLists:
        inside.append(len(connection.savepoint_ids) > outside)
        return load()

    monkeypatch.setattr(warning_lists, "load", reading)
    if approves:
        staging.approve(actor=administrator, decision=waits)
    else:
        block(administrator, "domain", "fournitures-bureau.example")
    assert inside[0] is False


def test_a_range_waits_for_another_administrator(administrator: Actor, beaune: Commune) -> None:
    asked = block(administrator, RANGE.kind.value, RANGE.value).approval
    assert asked is not None and not Decision.objects.exists()
    assert by_hand.why_of(asked.id) == "appel du CSIRT"
    with pytest.raises(Conflict):
        block(administrator, RANGE.kind.value, RANGE.value)
    with pytest.raises(approvals.SamePerson):
        approvals.approve(actor=administrator, approval=asked)
    approvals.approve(actor=OTHER, approval=asked)
    run_pending("main")
    decision = Decision.objects.get()
    assert (decision.kind, decision.value, decision.state) == ("cidr", RANGE.value, "active")
    assert decision.decided_by == OTHER.id
    assert not by_hand.waiting().exists()


@pytest.mark.django_db
def test_what_many_communes_use_waits_too_and_a_refusal_blocks_nothing(
    administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    asked = block(administrator, "domain", "shop.example.net", reach=2).approval
    assert asked is not None
    approvals.refuse(actor=OTHER, approval=asked)
    run_pending("main")
    assert not Decision.objects.exists()
    assert block(administrator, "domain", "shop.example.net", reach=1).decision is not None


@pytest.mark.django_db
def test_who_may_not_and_what_may_not(administrator: Actor, system: Actor, beaune: Commune) -> None:
    for actor in (beaune.agent, beaune.referent, system):
        with pytest.raises(NotAllowed):
            block(actor, "ip", "45.83.64.7")
    for kind, value in (("domain", "impots.gouv.fr"), ("ip", "1.1.1.1")):
        with pytest.raises(actions.ProtectedIndicator):
            block(administrator, kind, value)
    for kind, value in (("cidr", "45.83.0.0/16"), ("cidr", "2a05:d018::/32"), ("sender", "a@b.example")):
        with pytest.raises((Invalid, actions.ProtectedIndicator)):
            block(administrator, kind, value)
    for wrong in ({"why": " "}, {"why": "x" * 501}, {"reason": "why not"}, {"ttl_s": 0}, {"ttl_s": 10**9}):
        with pytest.raises(Invalid):
            block(administrator, "ip", "45.83.64.7", **wrong)
    assert not Decision.objects.exists()


@pytest.mark.django_db
def test_what_became_protected_meanwhile_is_not_blocked(administrator: Actor, beaune: Commune) -> None:
    from beffroi.core.decisions import never_again

    asked = block(administrator, RANGE.kind.value, RANGE.value).approval
    assert asked is not None
    never_again.never_again(actor=OTHER, indicator=normalise("ip", "45.83.64.9"), reason="hébergeur")
    approvals.approve(actor=OTHER, approval=asked)
    run_pending("main")
    assert not Decision.objects.exists()
    assert AuditEntry.objects.filter(verb="decision:by_hand_protected").exists()


@pytest.mark.django_db
def test_the_page_shows_what_it_would_touch_then_blocks(
    console: Client, beaune: Commune, nuits: Commune
) -> None:
    for commune in (beaune, nuits):
        FlowCount.objects.create(
            collectivite_id=commune.id, day=clock.now().date() - timedelta(days=2), kind="domain",
            value="www.shop.example.net", direction="name", count=3, last_at=clock.now(),
        )  # fmt: skip
    page = console.get("/decisions/bloquer/", {"q": "shop.example.net"}).content.decode()
    assert "Beaune, Nuits" in page and "Un second administrateur" in page
    form = {"q": "shop.example.net", "reason": "phishing", "why": "faux magasin", "ttl": "86400"}
    assert console.post("/decisions/bloquer/", form).status_code == 302
    asked = by_hand.waiting().get()
    waiting = console.get("/decisions/attente/").content.decode()
    assert f"/decisions/bloquer/{asked.id}/" in waiting
    page = console.get(f"/decisions/bloquer/{asked.id}/").content.decode()
    assert "faux magasin" in page and "Vous l’avez demandé" in page
    assert console.post(f"/decisions/bloquer/{asked.id}/", {"word": "grant"}).status_code == 409
    protected = console.get("/decisions/bloquer/", {"q": "impots.gouv.fr"}).content.decode()
    assert "Protégé" in protected and "Bloquer partout" not in protected
    assert console.post("/decisions/bloquer/", form | {"q": "impots.gouv.fr"}).status_code == 409
    assert console.post("/decisions/bloquer/", form | {"q": "45.83.64.7", "why": ""}).status_code == 400
    assert console.post("/decisions/bloquer/", form | {"q": "45.83.64.7"}).status_code == 302
    assert Decision.objects.get().value == "45.83.64.7"


@pytest.mark.django_db
def test_what_was_chosen_stays_chosen_while_the_reason_is_missing(console: Client) -> None:
    """Else who only adds the reason blocks for another time, and under another word."""
    shown = console.get("/decisions/bloquer/", {"q": "45.83.64.7"}).content.decode()
    assert re.findall(r'<option value="(\w+)" selected>', shown) == [str(7 * 86400)]
    form = {"q": "45.83.64.7", "reason": "malware", "why": " ", "ttl": str(90 * 86400)}
    refused = console.post("/decisions/bloquer/", form)
    assert refused.status_code == 400
    assert re.findall(r'<option value="(\w+)" selected>', refused.content.decode()) == [
        form["reason"],
        form["ttl"],
    ]


@pytest.mark.django_db
def test_the_departement_lets_pass_for_one_commune_but_no_command_server(
    console: Client, administrator: Actor, beaune: Commune, nuits: Commune
) -> None:
    block(administrator, "domain", "shop.example.net")
    path = "/decisions/laisser-passer/"
    assert (
        "Laisser passer pour une commune"
        in console.get("/decisions/pourquoi/", {"q": "shop.example.net"}).content.decode()
    )
    assert "Beaune" in console.get(path, {"q": "shop.example.net"}).content.decode()
    form = {"q": "shop.example.net", "commune": beaune.id, "ttl": str(90 * 86400), "reason": "marché public"}
    assert console.post(path, form | {"reason": ""}).status_code == 400
    assert console.post(path, form | {"ttl": str(91 * 86400)}).status_code == 400
    assert console.post(path, form).status_code == 302
    made = LocalException.objects.get()
    assert (made.collectivite_id, made.by_departement, made.state) == (beaune.id, True, "active")
    assert "marché public" in console.get("/decisions/attente/").content.decode()
    assert console.post(f"/decisions/exception/{made.id}/").status_code == 302
    made.refresh_from_db()
    assert made.state == "ended"
    block(administrator, "ip", "45.83.64.9", reason="command_server")
    answer = console.post(path, form | {"q": "45.83.64.9"})
    assert answer.status_code == 400 and LocalException.objects.count() == 1


def test_the_stream_tells_every_box_and_takes_it_back(
    centre: Centre, administrator: Actor, beaune: Commune, settings: Any
) -> None:
    settings.BEFFROI = centre.config
    box = centre.box(beaune.id)
    session = centre.session("box")
    held = box.follow("box:0:0:")
    has = lambda: len(session.tables["box"]) == 1  # noqa: E731
    decision = block(administrator, "ip", "45.83.64.7").decision
    assert decision is not None
    read_until(held, session, has)
    actions.revoke(actor=administrator, decision=decision, reason="undone")
    read_until(held, session, lambda: not has())
