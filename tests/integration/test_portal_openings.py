"""A référent asks that somebody may come in from the internet; the Département opens it, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import msgspec
import pytest
from beffroi.boxes import actions, fleet, openings, queries
from beffroi.boxes.models import Box, BoxPolicy, LearnedFlow, OpeningRequest
from beffroi.boxes.retention import opening_requests as past
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events import outbox
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.mail.held.models import Notice
from beffroi.portal import opening_told
from beffroi_protocol.messages import Policy
from beffroi_protocol.openings import Opening
from django.db import transaction
from django.test import Client
from django.utils import timezone

from tests.conftest import Commune, code_of
from tests.fixtures_portal import no_door, on_listener, own_mailbox, portal_client
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
PATH = "/boitier/ouvertures/"


def in_days(days: int) -> str:
    return f"{timezone.localdate() + timedelta(days=days):%Y-%m-%d}"


def typed(**values: str) -> dict[str, str]:
    return {
        "machine": "192.168.1.50",
        "protocol": "tcp",
        "port": "8443",
        "sources": "82.64.10.7\n82.64.11.0/28",
        "purpose": "La société Untel maintient le logiciel du cimetière",
        "until": in_days(30),
    } | values


@pytest.fixture
def box(beaune: Commune, administrator: Actor) -> Box:
    actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=Policy(), reason="x")
    return Box.objects.create(
        collectivite_id=beaune.id,
        serial="BF-0001",
        public_key="A" * 43,
        fingerprint="x",
        state="active",
        last_seen_at=clock.now(),
    )


@pytest.fixture
def portal(beaune: Commune) -> Iterator[Client]:
    with on_listener("web"):
        yield portal_client(beaune.referent_membership)


def asked(commune: Commune, port: int = 8443) -> OpeningRequest:
    return openings.ask(
        actor=commune.referent,
        at="192.168.1.50",
        protocol="tcp",
        port=port,
        sources=("82.64.10.7",),
        purpose="Télémaintenance",
        until=clock.now() + timedelta(days=3),
    )


def in_force(commune: Commune) -> tuple[Opening, ...]:
    current = queries.current_policy(Actor.system("tests"), commune.id)
    assert current is not None
    return current[1].openings


def test_a_referent_asks_reads_the_state_and_withdraws(portal: Client, box: Box) -> None:
    assert "Demander une ouverture" in text_of(portal.get("/boitier/"))
    assert "TeamViewer" in text_of(portal.get(PATH))
    assert portal.post(PATH, typed()).status_code == 302
    row = OpeningRequest.objects.get()
    assert (row.machine, row.protocol, row.port, row.state) == ("192.168.1.50", "tcp", 8443, "asked")
    assert row.sources == "82.64.10.7\n82.64.11.0/28"
    assert f"{timezone.localtime(row.until):%Y-%m-%d %H:%M}" == f"{in_days(30)} 23:59"
    page = text_of(portal.get("/boitier/"))
    assert "En attente du Département" in page and "TCP 8443 → 192.168.1.50" in page
    assert portal.post(f"{PATH}{row.id}/refermer/").status_code == 409, "it is not open"
    assert portal.post(f"{PATH}{row.id}/retirer/").status_code == 302
    assert portal.post(f"{PATH}{row.id}/retirer/").status_code == 409
    assert "Retirée" in text_of(portal.get("/boitier/"))
    verbs = list(AuditEntry.objects.filter(object_id=row.id).order_by("id").values_list("verb", flat=True))
    assert verbs == ["box:opening_asked", "box:opening_withdrawn"]


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"machine": "camera"}, "comme 192.168.1.50"),
        ({"machine": "127.0.0.1"}, "comme 192.168.1.50"),
        ({"protocol": "icmp"}, "icmp"),
        ({"port": "0"}, "1"),
        ({"port": "65536"}, "65535"),
        ({"sources": " "}, "au moins une adresse"),
        ({"sources": "partout"}, "« partout »"),
        ({"sources": "82.64.0.0/16"}, "trop large"),
        ({"sources": "2001:db8::7"}, "tous deux en IPv4"),
        ({"sources": "\n".join(f"82.64.10.{n}" for n in range(17))}, "16"),
        ({"purpose": " "}, "Ce champ est obligatoire"),
        ({"until": in_days(-1)}, "Un jour à partir d’aujourd’hui"),
        ({"until": in_days(400)}, "dans un an au plus"),
        ({"until": "demain"}, "date"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(
    portal: Client, box: Box, changes: dict[str, str], said: str
) -> None:
    answer = portal.post(PATH, typed(**changes))
    assert answer.status_code == 400
    assert said in text_of(answer) and f'id="id_{next(iter(changes))}_error"' in text_of(answer)
    assert not OpeningRequest.objects.exists()


def test_the_service_checks_what_a_form_would(box: Box, beaune: Commune, nuits: Commune) -> None:
    fields = {
        "at": "192.168.1.50",
        "protocol": "tcp",
        "port": 1,
        "sources": ("82.64.10.7",),
        "purpose": "x",
        "until": clock.now() + timedelta(days=1),
    }
    for bad in (
        {"at": "192.168.1.0/24"},
        {"protocol": "icmp"},
        {"port": 0},
        {"sources": ()},
        {"sources": ("0.0.0.0/0",)},
        {"sources": ("2001:db8::7",)},
        {"purpose": " "},
        {"until": clock.now()},
        {"until": clock.now() + timedelta(days=400)},
    ):
        with pytest.raises(Invalid):
            openings.ask(actor=beaune.referent, **fields | bad)  # type: ignore[arg-type]
    with pytest.raises(Conflict):
        asked(nuits)  # no boîtier
    for number in range(openings.MAX_WAITING):
        asked(beaune, 8000 + number)
    with pytest.raises(Conflict):
        asked(beaune)


def test_only_a_referent_of_the_commune_asks_withdraws_and_closes(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    row = asked(beaune)
    with on_listener("web"):
        agent = portal_client(beaune.agent_membership)
        assert agent.get(PATH).status_code == agent.post(PATH, typed()).status_code == 404
        assert "192.168.1.50" not in text_of(agent.get("/boitier/"))
        other = portal_client(nuits.referent_membership)
        assert other.post(f"{PATH}{row.id}/retirer/").status_code == 404
        assert "192.168.1.50" not in text_of(other.get("/boitier/"))
    for act in (
        lambda: openings.withdraw(actor=administrator, request=row),
        lambda: openings.accept(actor=beaune.referent, request=row, until=row.until),
        lambda: openings.decline(actor=beaune.referent, request=row, reason="x"),
    ):
        with pytest.raises(NotAllowed):
            act()
    openings.accept(actor=administrator, request=row, until=row.until)
    for stranger in (beaune.agent, nuits.referent, nuits.agent):
        with pytest.raises(NotFound):
            openings.close(actor=stranger, request=row)
    with on_listener("web"):
        assert portal_client(nuits.referent_membership).post(f"{PATH}{row.id}/refermer/").status_code == 404
    assert [one.label for one in in_force(beaune)] == [row.id]


def test_the_departement_opens_until_a_day_and_the_commune_closes(
    console: Client, box: Box, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    mailbox = own_mailbox(beaune, beaune.referent)
    row = asked(beaune)
    assert "1 demande d’ouverture attend" in text_of(console.get("/"))
    page = text_of(console.get("/boitiers/ouvertures/"))
    assert "TCP 8443 → 192.168.1.50" in page and "Télémaintenance" in page and "82.64.10.7" in page
    path = f"/boitiers/ouvertures/{row.id}/ouvrir/"
    wrong = console.post(path, {"until": in_days(10), "code": "000000"})
    assert wrong.status_code == 403 and f'value="{in_days(10)}"' in text_of(wrong)
    assert console.post(path, {"until": in_days(-2), "code": "000000"}).status_code == 400
    assert OpeningRequest.objects.get().state == "asked" and in_force(beaune) == ()
    assert console.post(path, {"until": in_days(10), "code": code_of(new_administrator)}).status_code == 302
    row.refresh_from_db()
    assert row.state == "accepted" and f"{timezone.localtime(row.until):%Y-%m-%d}" == in_days(10)
    end = int(row.until.timestamp())
    assert in_force(beaune) == (Opening("tcp", 8443, "192.168.1.50", ("82.64.10.7",), end, row.id),)
    assert "Refermer" in text_of(console.get("/boitiers/ouvertures/"))
    assert console.post(path, {"until": in_days(10), "code": code_of(new_administrator)}).status_code in {
        403,
        409,
    }
    opening_told.ask(row.id)
    notice = Notice.objects.get(about=opening_told.ABOUT)
    said = opening_told.compose(notice, mailbox)
    assert said is not None and "accordée" in said.subject and "192.168.1.50" in said.text
    with on_listener("web"):
        portal = portal_client(beaune.referent_membership)
        assert "Ouvert" in text_of(portal.get("/boitier/"))
        assert portal.post(f"{PATH}{row.id}/refermer/").status_code == 302
    row.refresh_from_db()
    assert (row.state, row.ended_by) == ("ended", beaune.referent.id) and in_force(beaune) == ()
    assert opening_told.compose(notice, mailbox) is None, "it is not true any more"
    entry = AuditEntry.objects.get(verb="box:opening_ended")
    assert entry.actor_id == beaune.referent.id
    assert BoxPolicy.objects.order_by("-policy_version")[0].changed_by == "boxes", "the rest is not theirs"


def test_an_opening_ends_by_itself_and_no_former_policy_brings_it_back(
    box: Box, beaune: Commune, administrator: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    row, other = asked(beaune), asked(beaune, 9443)
    openings.accept(actor=administrator, request=row, until=clock.now() + timedelta(days=1))
    openings.accept(actor=administrator, request=other, until=clock.now() + timedelta(days=2))
    assert openings.end_due() == 0 and len(in_force(beaune)) == 2
    OpeningRequest.objects.filter(pk=row.pk).update(until=clock.now())
    assert openings.end_due() == 1
    assert [one.label for one in in_force(beaune)] == [other.id]
    row.refresh_from_db()
    assert (row.state, row.ended_by) == ("ended", "") and openings.end_due() == 0
    collectivite = beaune.collectivite
    fleet.restore_policy(actor=administrator, collectivite=collectivite, version=3, reason="x")
    assert [one.label for one in in_force(beaune)] == [other.id]
    fleet.restore_policy(actor=administrator, collectivite=collectivite, version=1, reason="x")
    assert [one.label for one in in_force(beaune)] == [other.id]
    assert past(clock.now() + timedelta(days=1)).get() == row, "what is open is not purged"


def test_one_port_leads_to_one_machine_and_is_no_trap(
    console: Client, box: Box, beaune: Commune, administrator: Actor, new_administrator: NewAdministrator
) -> None:
    openings.accept(actor=administrator, request=asked(beaune), until=clock.now() + timedelta(days=1))
    again = asked(beaune)
    path = f"/boitiers/ouvertures/{again.id}/ouvrir/"
    answer = console.post(path, {"until": in_days(1), "code": code_of(new_administrator)})
    assert answer.status_code == 400 and "Ce port mène déjà" in text_of(answer)
    assert OpeningRequest.objects.get(pk=again.id).state == "asked" and len(in_force(beaune)) == 1
    collectivite = beaune.collectivite
    current = queries.current_policy(administrator, beaune.id)
    assert current is not None
    for bad in (
        {"honeyports": (8443,)},
        {"openings": current[1].openings * 2},
        {"openings": (msgspec.structs.replace(current[1].openings[0], sources=("nowhere",)),)},
    ):
        with pytest.raises(Invalid):
            actions.set_policy(
                actor=administrator,
                collectivite=collectivite,
                policy=msgspec.structs.replace(current[1], **bad),
            )
    trapped = msgspec.structs.replace(current[1], honeyports=(23,))
    actions.set_policy(actor=administrator, collectivite=collectivite, policy=trapped)
    with pytest.raises(openings.PortTaken):
        openings.accept(actor=administrator, request=asked(beaune, 23), until=clock.now() + timedelta(days=1))
    page = text_of(console.get(f"/boitiers/{box.id}/"))
    assert "TCP 8443 → 192.168.1.50, depuis 82.64.10.7" in page, "the history of the settings names it"


def test_the_departement_declines_with_a_reason_that_the_commune_reads(
    console: Client, box: Box, beaune: Commune
) -> None:
    row = asked(beaune)
    path = f"/boitiers/ouvertures/{row.id}/refuser/"
    refused = console.post(path, {"reason": " "})
    assert refused.status_code == 400 and 'id="id_reason_error"' in text_of(refused)
    assert console.post(path, {"reason": "Une télémaintenance lancée d’ici suffit."}).status_code == 302
    assert console.post(path, {"reason": "x"}).status_code == 409
    assert "lancée d’ici suffit" in text_of(console.get("/boitiers/ouvertures/"))
    with on_listener("web"):
        page = text_of(portal_client(beaune.referent_membership).get("/boitier/"))
        assert "Refusé" in page and "lancée d’ici suffit" in page


def test_an_older_opening_is_still_read_and_closed_after_many_requests(
    portal: Client, box: Box, beaune: Commune, administrator: Actor
) -> None:
    row = asked(beaune)
    openings.accept(actor=administrator, request=row, until=row.until)
    for port in range(9000, 9012):
        openings.withdraw(actor=beaune.referent, request=asked(beaune, port))
    page = text_of(portal.get("/boitier/"))
    assert "TCP 8443 → 192.168.1.50" in page and f"{PATH}{row.id}/refermer/" in page
    assert "TCP 9011" in page and "TCP 9000" not in page


def test_a_trap_on_an_opened_port_is_refused_at_its_field(
    console: Client, box: Box, beaune: Commune, administrator: Actor
) -> None:
    row = asked(beaune)
    openings.accept(actor=administrator, request=row, until=row.until)
    current = queries.current_policy(administrator, beaune.id)
    assert current is not None
    sent = {"base": str(current[0]), "mode": "router", "honeyports": "2323, 8443", "protected_names": "ex.fr"}
    said = text_of(console.post(f"/boitiers/{box.id}/reglages/", sent | {"send": "1", "reason": "x"}))
    assert "Le port 8443 ne peut pas être ouvert et servir de piège" in said
    assert "2323, 8443" in said and "ex.fr" in said


def test_what_was_typed_stays_when_no_more_requests_may_wait(
    portal: Client, box: Box, beaune: Commune
) -> None:
    for number in range(openings.MAX_WAITING):
        asked(beaune, 8000 + number)
    answer = portal.post(PATH, typed())
    assert answer.status_code == 400 and "10 demandes attendent déjà" in text_of(answer)
    assert "logiciel du cimetière" in text_of(answer) and "82.64.11.0/28" in text_of(answer)


def test_the_departement_reads_and_closes_each_opening_of_a_long_list(
    console: Client, box: Box, beaune: Commune
) -> None:
    made = [
        OpeningRequest(
            collectivite_id=beaune.id,
            machine="192.168.1.50",
            protocol="tcp",
            port=20_000 + number,
            sources="82.64.10.7",
            purpose="Télémaintenance",
            until=clock.now() + timedelta(days=1, minutes=number),
            asked_by=beaune.referent.id,
            state="accepted",
        )
        for number in range(201)
    ]
    OpeningRequest.objects.bulk_create(made)
    pages = [text_of(console.get(f"/boitiers/ouvertures/?page={number}")) for number in range(1, 6)]
    assert all(sum(f"TCP {one.port} " in page for page in pages) == 1 for one in made)
    assert f"/boitiers/ouvertures/{made[-1].id}/refermer/" in pages[-1] and "?page=2" in pages[0]


def test_a_former_policy_is_taken_up_without_its_trap_on_a_port_that_is_open_now(
    box: Box, beaune: Commune, administrator: Actor
) -> None:
    for traps in ((23, 8443), ()):
        actions.set_policy(
            actor=administrator, collectivite=beaune.collectivite, policy=Policy(honeyports=traps)
        )
    row = asked(beaune)
    openings.accept(actor=administrator, request=row, until=row.until)
    fleet.restore_policy(actor=administrator, collectivite=beaune.collectivite, version=2, reason="x")
    current = queries.current_policy(administrator, beaune.id)
    assert current is not None and current[1].honeyports == (23,)
    assert [one.label for one in current[1].openings] == [row.id]


def test_what_comes_in_by_an_opening_is_not_proposed_for_good(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    """While a box observes it proposes what comes in: to every machine, without an end."""
    row = asked(beaune)
    openings.accept(actor=administrator, request=row, until=row.until)

    def proposed(commune: Commune, remote: str, port: int = 8443) -> int:
        now = clock.epoch_s()
        told = {"direction": "in", "protocol": "tcp", "port": port, "remote": remote, "service": ""}
        with transaction.atomic():
            payload = told | {"count": 3, "first_at": now, "last_at": now}
            outbox.publish("box:flow_learned", payload, collectivite_id=commune.id)
        run_pending("main")
        return LearnedFlow.objects.count()

    assert proposed(beaune, "82.64.10.7") == 0
    assert proposed(beaune, "192.0.2.7") == 1, "of somebody else"
    assert proposed(beaune, "82.64.10.7", port=8444) == 2, "to another port"
    assert proposed(nuits, "82.64.10.7") == 3, "of another commune"
    openings.close(actor=beaune.referent, request=row)
    OpeningRequest.objects.update(ended_at=clock.now() - timedelta(hours=1))
    assert proposed(beaune, "82.64.10.7") == 4, "it passes because the box observes"
