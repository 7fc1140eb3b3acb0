"""Pages of one decision: what each side reads, and what they press."""

from __future__ import annotations

from typing import Any

import pytest
from beffroi.boxes.models import BoxPolicy
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import actions, appeals, door, exceptions, never_again, shared, sparing, staging
from beffroi.core.decisions.models import Appeal, Decision, LocalException, NeverAgain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.portal.web import signin
from beffroi.watch.models import Campaign, Sighting
from beffroi_protocol.indicators import normalise
from beffroi_protocol.messages import Action, Entry, Policy
from django.test import Client, RequestFactory
from msgspec import to_builtins

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client, text

__all__ = ["no_door"]
SITE = "fournitures-bureau.com"
pytestmark = pytest.mark.django_db


def decide(actor: Actor, **changes: Any) -> Decision:
    values: dict[str, Any] = {
        "indicator": normalise("domain", SITE),
        "action": "block",
        "reason": "lone_source",
        "evidence": {"communes": 0, "detectors": ["listed_name"]},
        "rule": "lone_source",
        "ttl_s": 86400,
    }
    return actions.activate(actor=actor, **(values | changes))


@pytest.fixture
def agent(beaune: Commune, no_door: None) -> Client:
    return portal_client(beaune.agent_membership)


def test_a_commune_reads_why_and_contests_and_the_departement_answers(
    agent: Client, beaune: Commune, system: Actor, administrator: Actor
) -> None:
    decision = decide(system)
    listed = text(agent.get("/blocages/?q=fournitures"))
    assert SITE in listed
    assert "Aucun blocage ne porte ce nom" in text(agent.get("/blocages/?q=inconnu"))
    page = text(agent.get(f"/blocages/{decision.id}/"))
    assert "Inscrit sur une liste extérieure" in page
    assert "Contester" in page
    wrong = text(agent.post(f"/blocages/{decision.id}/", {"word": "contest", "text": " "}), 400)
    assert 'aria-describedby="id_text_hint id_text_error" aria-invalid="true"' in wrong
    answer = agent.post(f"/blocages/{decision.id}/", {"word": "contest", "text": "Notre fournisseur."})
    assert answer.status_code == 302
    assert "Vous l’avez contesté" in text(agent.get(f"/blocages/{decision.id}/"))
    appeals.answer(
        actor=administrator, appeal_id=Appeal.objects.get().id, accept=True, text="Merci, c’est corrigé."
    )
    assert "Merci, c’est corrigé." in text(agent.get("/blocages/"))
    assert "N’est plus bloqué" in text(agent.get(f"/blocages/{decision.id}/"))


def test_a_commune_lets_it_through_for_an_hour_and_blocks_it_again(
    agent: Client, beaune: Commune, system: Actor
) -> None:
    decision = decide(system)
    assert "Débloquer 60 minutes" in text(agent.get(f"/blocages/{decision.id}/"))
    agent.post(f"/blocages/{decision.id}/", {"word": "unlock", "text": "commande urgente"})
    made = LocalException.objects.get()
    assert (made.collectivite_id, made.decision_id, made.state) == (beaune.id, decision.id, "active")
    assert "Débloqué chez vous" in text(agent.get(f"/blocages/{decision.id}/"))
    agent.post(f"/blocages/exception/{made.id}/")
    made.refresh_from_db()
    assert made.state == "ended"


def test_what_may_not_be_let_through_says_so(agent: Client, beaune: Commune, system: Actor) -> None:
    decision = decide(system, evidence={"communes": 2})
    page = text(agent.get(f"/blocages/{decision.id}/"))
    assert "Débloquer 60 minutes" not in page and "Seul le Département peut le débloquer" in page
    answer = agent.post(f"/blocages/{decision.id}/", {"word": "unlock", "text": "urgent"})
    said = text(answer, 400)
    assert "seul le Département peut la débloquer" in said and ">urgent</textarea>" in said
    agent.post(f"/blocages/{decision.id}/", {"word": "contest", "text": "urgent"})
    page = text(agent.get(f"/blocages/{decision.id}/"))
    assert "Vous l’avez contesté" in page and "Seul le Département peut le débloquer" not in page
    BoxPolicy.objects.create(
        collectivite_id=beaune.id, policy_version=1, policy=to_builtins(Policy(unlock=False)), changed_by="x"
    )
    assert "Débloquer" not in text(agent.get(f"/blocages/{decision.id}/"))
    assert agent.post(f"/blocages/{decision.id}/", {"word": "unlock", "text": "x"}).status_code == 403
    assert not LocalException.objects.exists()


def test_suspicions_are_no_business_of_communes(agent: Client, system: Actor) -> None:
    weak = decide(system, strength="weak")
    assert SITE not in text(agent.get("/blocages/"))
    assert agent.get(f"/blocages/{weak.id}/").status_code == 404


def test_the_page_and_the_json_explain_a_decision(
    console: Client, beaune: Commune, nuits: Commune, system: Actor
) -> None:
    decision = decide(system)
    staging.note_effect(
        decision_id=decision.id, collectivite_id=beaune.id, blocked_out=7, looked_back=9, days=12
    )
    exceptions.allow_locally(
        actor=nuits.agent,
        collectivite_id=nuits.id,
        indicator=decision.indicator,
        ttl_s=60,
        reason="commande urgente",
        decision_id=decision.id,
    )
    page = text(console.get(f"/decisions/regle/{decision.id}/"))
    for shown in (
        "Beaune",
        "Nuits-Saint-Georges",
        "commande urgente",
        "En vigueur\xa0: 7 connexions arrêtées.",
    ):
        assert shown in page
    answer = console.get(f"/decisions/regle/{decision.id}.json").json()
    assert answer["rule"] == {"code": "lone_source", "words": "inscrit sur une liste extérieure"}
    assert answer["protected"] == {"communes": 1, "flows_in": 0, "flows_out": 7}
    assert answer["hit"]["communes_with_regular_traffic"] == 1
    assert [e["state"] for e in answer["hit"]["exceptions"]] == ["active"]
    assert len(answer["history"]) == 2


def test_undo_and_never_again_from_the_page(console: Client, system: Actor) -> None:
    decision = decide(system)
    assert "plus jamais" in text(console.get(f"/decisions/regle/{decision.id}/annuler/"))
    assert text(console.post(f"/decisions/regle/{decision.id}/annuler/", {"never": "1"}), 400)
    answer = console.post(f"/decisions/regle/{decision.id}/annuler/", {"never": "1", "reason": "fournisseur"})
    assert answer.status_code == 302
    decision.refresh_from_db()
    assert (decision.state, decision.end_reason) == ("revoked", "never_again")
    row = NeverAgain.objects.get()
    assert "fournisseur" in text(console.get("/decisions/plus-jamais/"))
    console.post("/decisions/plus-jamais/", {"entry": row.id, "reason": "rachetée"})
    assert decide(system).state == "active"
    second = Decision.objects.get(state="active")
    console.post(f"/decisions/regle/{second.id}/annuler/")
    second.refresh_from_db()
    assert (second.state, NeverAgain.objects.filter(revoked_at=None).count()) == ("revoked", 0)


def test_what_waits_is_decided_by_a_person(console: Client, system: Actor, beaune: Commune) -> None:
    Collectivite.objects.update(enrolled_at=clock.now())
    weak = decide(system, strength="weak")
    assert SITE in text(console.get("/decisions/attente/"))
    Decision.objects.update(state="review", review_reason="over_budget")
    page = text(console.get("/decisions/attente/"))
    assert "Des collectivités s’en servent régulièrement" in page
    assert "1 décision attend votre avis." in page
    assert "à trancher" in text(console.get("/decisions/"))
    assert "Bloquer partout" in text(console.get(f"/decisions/regle/{weak.id}/bloquer/"))
    console.post(f"/decisions/regle/{weak.id}/bloquer/")
    weak.refresh_from_db()
    assert (weak.state, weak.rule) == ("active", "departement")
    appeal = appeals.appeal(actor=beaune.agent, decision_id=weak.id, text="C’est notre fournisseur")
    assert "C’est notre fournisseur" in text(console.get(f"/decisions/contestation/{appeal.id}/"))
    assert text(console.post(f"/decisions/contestation/{appeal.id}/", {"word": "accept", "text": ""}), 400)
    console.post(f"/decisions/contestation/{appeal.id}/", {"word": "refuse", "text": "C’est un faux site."})
    appeal.refresh_from_db()
    weak.refresh_from_db()
    assert (appeal.state, weak.state) == ("refused", "active")


def test_no_page_of_a_commune_tells_who_else_met_it(
    agent: Client, beaune: Commune, nuits: Commune, system: Actor, administrator: Actor
) -> None:
    decision = decide(system, evidence={"communes": 1, "persons": 1})
    staging.note_effect(decision_id=decision.id, collectivite_id=nuits.id, blocked_out=31337, days=12)
    appeals.appeal(actor=nuits.agent, decision_id=decision.id, text="texte de Nuits")
    exceptions.allow_locally(
        actor=nuits.agent,
        collectivite_id=nuits.id,
        indicator=decision.indicator,
        ttl_s=60,
        reason="raison de Nuits",
        decision_id=decision.id,
    )
    for path in ("/blocages/", f"/blocages/{decision.id}/", "/"):
        page = text(agent.get(path))
        for secret in ("Nuits", nuits.id, nuits.agent.id, "31337", "texte de", "raison de"):
            assert secret not in page, (path, secret)
    never_again.never_again(actor=administrator, indicator=decision.indicator, reason="raison interne")
    assert "raison interne" not in text(agent.get(f"/blocages/{decision.id}/"))


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        (("post", "agent@beaune.test"), 0),
        (("post", "AGENT@beaune.test"), 0),
        (("post", "agent@nuits.test"), 403),
        (("post", "personne@nulle.part"), 403),
        (("post", ""), 403),
        (("get", ""), 0),
    ],
)
def test_the_sign_in_door_opens_for_people_of_the_commune_that_let_an_address_through(
    beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch, asked: tuple[str, str], status: int
) -> None:
    """The door itself is tested with a real feed in test_stream_doors; here, what the page asks it."""
    method, email = asked
    entry = Entry("dec_1", normalise("ip", "185.203.116.9"), Action.BLOCK, 2**31)
    monkeypatch.setattr(door, "some_allow", lambda _: True)
    monkeypatch.setattr(
        door, "blocked_address", lambda _, whose=(): None if set(whose) == {beaune.id} else entry
    )
    request = getattr(RequestFactory(), method)("/connexion/", {"login": email}, REMOTE_ADDR="185.203.116.9")
    answer = signin.refuse_blocked(request, email=email, person_unknown=method == "get")
    assert (answer.status_code if answer else 0) == status


def test_an_entry_taken_out_of_lists_waits_for_a_person(console: Client) -> None:
    for name in ("one.example.net", "two.example.net"):
        never_again.spare(
            actor=sparing.ACTOR, indicator=normalise("domain", name), reason="entry_used", communes=7
        )
    page = text(console.get("/decisions/attente/"))
    assert "one.example.net" in page
    assert "7 collectivités" in page
    assert "2 décisions attendent" in page
    for path in ("/decisions/plus-jamais/", "/decisions/pourquoi/?q=one.example.net"):
        page = text(console.get(path))
        assert "entry_used" not in page and "Sur une liste depuis peu" in page, path
    one, two = NeverAgain.objects.order_by("value")
    assert console.post(f"/decisions/epargne/{one.id}/", {"word": "keep"}).status_code == 302
    assert console.post(f"/decisions/epargne/{two.id}/", {"word": "block"}).status_code == 302
    one.refresh_from_db()
    two.refresh_from_db()
    assert (one.pending, one.revoked_at, two.revoked_at is not None) == (False, None, True)
    assert text(console.post(f"/decisions/epargne/{one.id}/", {"word": "block"}), 404)


def test_who_blocks_an_address_of_a_member_too_says_so(console: Client) -> None:
    found = Campaign.objects.create()
    found.indicators.create(kind="ip", value="185.203.116.9")
    Sighting.objects.create(
        id="sgt_1",
        door="packet",
        campaign=found,
        seen_at=clock.now(),
        indicators=[["ip", "185.203.116.9"]],
    )
    shared.note("www.mairie-saulieu.fr", ["185.203.116.9"])
    page = text(console.get(f"/decisions/{found.id}/confirmer/"))
    assert "www.mairie-saulieu.fr" in page
    assert console.post(f"/decisions/{found.id}/confirmer/", {}).status_code == 302
    assert not Decision.objects.exists()
    console.post(f"/decisions/{found.id}/confirmer/", {"also_shared": "yes"})
    assert Decision.objects.get().value == "185.203.116.9"


def test_a_decision_leads_to_what_can_be_done_with_its_value(
    agent: Client, beaune: Commune, administrator: Actor
) -> None:
    decision = decide(administrator)
    own = text(agent.get(f"/blocages/{decision.id}/"))
    assert f'href="/blocages/pourquoi/?q={SITE}"' in own and "/decisions/" not in own
    assert SITE in text(agent.get("/blocages/pourquoi/", {"q": SITE}))
    path = f"/decisions/regle/{decision.id}/"
    with on_listener("console"):
        console = console_client(administrator.id)
        page = text(console.get(path))
        let_pass = f"/decisions/laisser-passer/?q={SITE}&amp;decision={decision.id}"
        assert f'href="{let_pass}"' in page and "/decisions/bloquer/" not in page
        form = text(console.get(let_pass.replace("&amp;", "&")))
        assert SITE in form and f'value="{decision.id}"' in form
        assert console.post(f"{path}annuler/", {"reason": "erreur de nom"}).status_code == 302
        page = text(console.get(path))
        assert f'href="/decisions/bloquer/?q={SITE}"' in page and "/decisions/laisser-passer/" not in page
        assert "erreur de nom" in page
        assert SITE in text(console.get("/decisions/bloquer/", {"q": SITE}))
    assert "erreur de nom" not in text(agent.get(f"/blocages/{decision.id}/"))


def test_no_decision_leads_to_what_would_be_refused(console: Client, administrator: Actor) -> None:
    """Nobody lets a command server pass locally, and nobody blocks a sender by hand."""
    server = decide(administrator, reason="command_server", rule="departement")
    assert "/decisions/laisser-passer/" not in text(console.get(f"/decisions/regle/{server.id}/"))
    sender = decide(administrator, indicator=normalise("sender", "a@lure.example"))
    actions.revoke(actor=administrator, decision=sender, reason="undone")
    assert "/decisions/bloquer/" not in text(console.get(f"/decisions/regle/{sender.id}/"))
