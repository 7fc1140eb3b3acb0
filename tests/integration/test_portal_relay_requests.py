"""A référent asks for a relay of copiers; the Département sets it up on the filled-in page, or says why not."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from beffroi.boxes import actions, queries, relay_requests
from beffroi.boxes.models import Box, BoxPolicy, RelayRequest
from beffroi.boxes.retention import relay_requests as past
from beffroi.core.audit.models import AuditEntry
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import NewAdministrator
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi_protocol.messages import Policy
from django.test import Client

from tests.conftest import Commune, code_of
from tests.fixtures_portal import no_door, on_listener, own_mailbox, portal_client, shared_box
from tests.markup import text_of

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
ASKED = {
    "sender": "copieur@beaune.test",
    "purpose": "Le copieur de l’accueil",
    "hour": "40",
    "to": "list",
    "recipients": "@beaune.test\nPaie@CDG21.example",
}


@pytest.fixture
def box(beaune: Commune, administrator: Actor) -> Box:
    actions.set_policy(actor=administrator, collectivite=beaune.collectivite, policy=Policy(), reason="x")
    shared_box(beaune, local="copieur")
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


def asked(commune: Commune) -> RelayRequest:
    return relay_requests.ask(
        actor=commune.referent,
        sender=f"copieur@{commune.domain}",
        purpose="Le copieur de l’accueil",
        hour=40,
        recipients=(),
    )


def test_a_referent_asks_reads_the_state_and_withdraws(portal: Client, box: Box) -> None:
    assert "Demander un relais" in text_of(portal.get("/boitier/"))
    assert portal.post("/boitier/copieurs/", ASKED).status_code == 302
    row = RelayRequest.objects.get()
    assert (row.sender, row.hour, row.state) == ("copieur@beaune.test", 40, "asked")
    assert row.recipients == "@beaune.test\nPaie@cdg21.example"
    page = text_of(portal.get("/boitier/"))
    assert "En attente du Département" in page and "Demander un relais" not in page
    assert portal.post("/boitier/copieurs/", ASKED).status_code == 409, "one waits"
    assert portal.post(f"/boitier/copieurs/{row.id}/retirer/").status_code == 302
    page = text_of(portal.get("/boitier/"))
    assert "Retirée" in page and "Demander un relais" in page
    assert portal.post(f"/boitier/copieurs/{row.id}/retirer/").status_code == 409
    verbs = list(AuditEntry.objects.filter(object_id=row.id).order_by("id").values_list("verb", flat=True))
    assert verbs == ["box:relay_asked", "box:relay_withdrawn"]
    assert portal.post("/boitier/copieurs/", ASKED | {"to": "inside"}).status_code == 302
    assert RelayRequest.objects.get(state="asked").recipients == "", (
        "what stands in the hidden field counts not"
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sender": "agent@beaune.test"}, "agent@beaune.test"),
        ({"sender": "copieur@nuits.test"}, "copieur@nuits.test"),
        ({"purpose": " "}, "Ce champ est obligatoire"),
        ({"purpose": "x" * 301}, "300"),
        ({"hour": "0"}, "1"),
        ({"hour": "1001"}, "1000"),
        ({"to": "everybody"}, "everybody"),
        ({"recipients": "cdg21.example"}, "« cdg21.example »"),
        ({"recipients": " "}, "Écrivez au moins un domaine"),
    ],
)
def test_what_cannot_be_is_said_beside_its_field(  # noqa: PLR0917 - fixtures
    portal: Client, box: Box, beaune: Commune, nuits: Commune, changes: dict[str, str], said: str
) -> None:
    own_mailbox(beaune)
    shared_box(nuits, local="copieur")
    answer = portal.post("/boitier/copieurs/", ASKED | changes)
    assert answer.status_code == 400
    assert said in text_of(answer) and f'id="id_{next(iter(changes))}_error"' in text_of(answer)
    assert not RelayRequest.objects.exists()


def test_only_a_referent_of_the_commune_and_with_a_boitier(
    box: Box, beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    with on_listener("web"):
        agent = portal_client(beaune.agent_membership)
        assert agent.get("/boitier/copieurs/").status_code == 404
        assert agent.post("/boitier/copieurs/", ASKED).status_code == 404
        assert "Demander un relais" not in text_of(agent.get("/boitier/"))
    with pytest.raises(Conflict):
        asked(nuits)
    row = asked(beaune)
    for stranger in (beaune.agent, nuits.referent, nuits.agent):
        with pytest.raises(NotFound):
            relay_requests.withdraw(actor=stranger, request=row)
    with pytest.raises(NotAllowed):
        relay_requests.withdraw(actor=administrator, request=row)
    for act in (
        lambda: relay_requests.accept(actor=beaune.referent, request=row),
        lambda: relay_requests.decline(actor=beaune.referent, request=row, reason="x"),
        lambda: relay_requests.ask(actor=administrator, sender="x", purpose="x", hour=1, recipients=()),
    ):
        with pytest.raises(NotAllowed):
            act()
    with pytest.raises(Invalid):
        relay_requests.decline(actor=administrator, request=row, reason=" ")
    row.refresh_from_db()
    assert row.state == "asked"


def test_another_communes_request_is_neither_read_nor_withdrawn(
    box: Box, beaune: Commune, nuits: Commune
) -> None:
    row = asked(beaune)
    with on_listener("web"):
        other = portal_client(nuits.referent_membership)
        assert other.post(f"/boitier/copieurs/{row.id}/retirer/").status_code == 404
        assert "copieur@beaune.test" not in text_of(other.get("/boitier/"))
    assert RelayRequest.objects.get().state == "asked"


def sent(new_administrator: NewAdministrator, row: RelayRequest) -> dict[str, str]:
    return {
        "demande": row.id,
        "base": "1",
        "on": "on",
        "sender": row.sender,
        "devices": "192.168.1.50 Copieur",
        "recipients": "@beaune.test",
        "hour": "40",
        "size": "20",
        "reason": "x",
        "code": code_of(new_administrator),
    }


def test_the_departement_accepts_by_sending_the_filled_in_settings(
    console: Client, box: Box, beaune: Commune, new_administrator: NewAdministrator
) -> None:
    row = asked(beaune)
    assert "1 demande de relais pour copieurs attend" in text_of(console.get("/"))
    page = text_of(console.get("/boitiers/copieurs/"))
    assert "Le copieur de l’accueil" in page and "La collectivité seulement" in page
    path = f"/boitiers/{box.id}/relais/"
    assert f"{path}?demande={row.id}" in page
    filled = text_of(console.get(path, {"demande": row.id}))
    assert (
        'value="40"' in filled and "@beaune.test</textarea>" in filled and "Le copieur de l’accueil" in filled
    )
    form = sent(new_administrator, row)
    assert console.post(path, form | {"code": "000000"}).status_code == 403
    assert RelayRequest.objects.get().state == "asked"
    assert console.post(path, form).status_code == 302
    policy = queries.current_policy(Actor.system("tests"), beaune.id)
    assert policy is not None and policy[1].relay is not None and policy[1].relay.hour == 40
    assert RelayRequest.objects.get().state == "accepted"
    assert "demande de relais" not in text_of(console.get("/"))
    assert console.get(path, {"demande": row.id}).status_code == 409
    assert AuditEntry.objects.filter(verb="box:relay_accepted", object_id=row.id).count() == 1
    with on_listener("web"):
        assert "Accordé" in text_of(portal_client(beaune.referent_membership).get("/boitier/"))


def test_a_request_withdrawn_meanwhile_changes_no_settings(
    console: Client, box: Box, beaune: Commune, nuits: Commune, new_administrator: NewAdministrator
) -> None:
    row = asked(beaune)
    relay_requests.withdraw(actor=beaune.referent, request=row)
    path = f"/boitiers/{box.id}/relais/"
    assert console.post(path, sent(new_administrator, row)).status_code == 409
    assert BoxPolicy.objects.count() == 1
    Box.objects.create(
        collectivite_id=nuits.id, serial="2", public_key="B" * 43, fingerprint="x", state="active"
    )
    shared_box(nuits, local="copieur")
    assert console.get(path, {"demande": asked(nuits).id}).status_code == 404, "another commune's"


def test_the_departement_declines_with_a_reason_that_the_commune_reads(
    console: Client, box: Box, beaune: Commune
) -> None:
    row = asked(beaune)
    path = f"/boitiers/copieurs/{row.id}/refuser/"
    refused = console.post(path, {"reason": " "})
    assert refused.status_code == 400 and 'id="id_reason_error"' in text_of(refused)
    assert console.post(path, {"reason": "Votre copieur connaît TLS : un compte suffit."}).status_code == 302
    assert console.post(path, {"reason": "x"}).status_code == 409
    assert "un compte suffit" in text_of(console.get("/boitiers/copieurs/"))
    with on_listener("web"):
        page = text_of(portal_client(beaune.referent_membership).get("/boitier/"))
        assert "Refusé" in page and "un compte suffit" in page and "Demander un relais" in page


def test_answered_requests_are_purged_by_term_and_waiting_ones_stay(box: Box, beaune: Commune) -> None:
    row = asked(beaune)
    later = clock.now() + timedelta(days=1)
    assert not past(later).exists()
    relay_requests.withdraw(actor=beaune.referent, request=row)
    assert past(later).get() == row
