"""The console of the Département over HTTP: its own directory, and its three words with their effects."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from beffroi.boxes.models import Box, BoxAck
from beffroi.core.approvals.models import Approval
from beffroi.core.audit import actions as audit
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions import door, lists
from beffroi.core.decisions.models import Decision, FeedBatch
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.administrators import create_administrator
from beffroi.lib import clock
from beffroi.mail.models import RemediationJob
from beffroi.portal.console import journal
from beffroi.watch import resolving
from beffroi.watch.models import Campaign, Sighting
from django.core.cache import cache
from django.test import Client

from tests.conftest import PASSWORD, Commune, code_of
from tests.fixtures_portal import (
    console_client,
    on_listener,
    own_mailbox,
    portal_client,
    sighting,
    waiting_withdrawal,
)

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(door, "blocked_address", lambda address: None)
    # No resolver runs here; where a link leads is tested with watch.
    monkeypatch.setattr(resolving, "addresses", lambda names, config: {})
    journal.verification.forget()
    with on_listener("console"):
        yield
    cache.clear()


def test_lists_in_force_are_shown_and_nothing_where_there_is_none(console: Client) -> None:
    assert "Listes en vigueur" not in console.get("/decisions/").content.decode()
    lists.publish_list(
        actor=Actor.system("tests"),
        name="phishing",
        kind="domain",
        values=["lure.example.net", "b.lure.fr"],
        source="<b>abuse.ch</b>",
        licence="CC0",
        ttl_s=86400,
    )
    shown = console.get("/decisions/").content.decode()
    assert "Listes en vigueur" in shown
    assert "phishing" in shown
    assert "&lt;b&gt;abuse.ch&lt;/b&gt;" in shown
    lists.withdraw_list(actor=Actor.system("tests"), name="phishing")
    assert "phishing" not in console.get("/decisions/").content.decode()


@pytest.fixture
def waiting(beaune: Commune) -> Campaign:
    """One report, not corroborated."""
    sighting(beaune.id, beaune.agent.id)
    return Campaign.objects.get()


@pytest.fixture
def decided(beaune: Commune, nuits: Commune) -> Campaign:
    """Reported in two communes, so decided by a rule."""
    sighting(beaune.id, beaune.agent.id, "msg_" + "2" * 26)
    sighting(nuits.id, nuits.agent.id, "msg_" + "3" * 26)
    return Campaign.objects.get()


def verbs_by(actor: Actor) -> list[str]:
    return list(AuditEntry.objects.filter(actor_id=actor.id).order_by("id").values_list("verb", flat=True))


@pytest.fixture
def job(decided: Campaign, beaune: Commune) -> RemediationJob:
    return waiting_withdrawal(decided.id, own_mailbox(beaune))


def test_a_large_withdrawal_is_asked_for_by_one_administrator_and_granted_by_another(
    console: Client, job: RemediationJob, system: Actor
) -> None:
    path = f"/retraits/{job.id}/"
    assert "1 retrait attend une seconde personne" in console.get("/").content.decode()
    assert (
        "La page https://colis-suivi-paiement.example/laposte est bloquée"
        in console.get(path).content.decode()
    )
    assert console.post(path, {"word": "grant"}).status_code == 409  # nobody asked
    assert console.post(path, {"word": "ask"})["Location"] == "/retraits/"
    assert "Vous l’avez demandé" in console.get("/retraits/").content.decode()
    assert console.post(path, {"word": "ask"}).status_code == 409
    assert console.post(path, {"word": "grant"}).status_code == 409  # not by oneself
    assert Approval.objects.get().state == "requested"
    second = create_administrator(actor=system, email="deux@cotedor.test", name="Deux", password=PASSWORD)
    other = console_client(second.record.id)
    assert "Accorder le retrait" in other.get(path).content.decode()
    assert other.post(path, {"word": "grant"})["Location"] == "/retraits/"
    assert Approval.objects.get().decided_by == second.record.id
    assert "approval:granted" in verbs_by(Actor("administrator", second.record.id, None, "administrator"))


def test_an_administrator_may_give_up_the_own_request(console: Client, job: RemediationJob) -> None:
    console.post(f"/retraits/{job.id}/", {"word": "ask"})
    console.post(f"/retraits/{job.id}/", {"word": "refuse"})
    assert Approval.objects.get().state == "refused"


def test_no_withdrawal_that_was_answered_is_found_again(console: Client, job: RemediationJob) -> None:
    RemediationJob.objects.update(state="done")
    assert console.get(f"/retraits/{job.id}/").status_code == 404
    assert "Aucun retrait n’attend de réponse" in console.get("/retraits/").content.decode()


def test_an_administrator_signs_in_with_password_and_code(new_administrator: Any) -> None:

    client = Client(headers={"X-Forwarded-For": "192.0.2.9"})
    form = {"email": "admin@cotedor.test", "password": PASSWORD}
    assert client.post("/connexion/", {**form, "code": "000000"}).status_code == 403
    answer = client.post("/connexion/", {**form, "code": code_of(new_administrator)})
    assert answer["Location"] == "/"
    assert "__Host-beffroi_console_session" in client.cookies
    assert "__Host-beffroi_session" not in client.cookies
    assert "Vue d’ensemble" in client.get("/").content.decode()


def test_after_signing_in_nobody_is_sent_to_another_site(new_administrator: Any) -> None:
    client = Client()
    for target in ("//evil.test/", "https://evil.test/", "javascript:alert(1)"):
        assert 'name="next" value="/"' in client.get("/connexion/", {"next": target}).content.decode()


def test_an_agents_session_opens_nothing_on_the_console(beaune: Commune) -> None:
    with on_listener("web"):
        value = portal_client(beaune.agent_membership).cookies["__Host-beffroi_session"].value
    for name in ("__Host-beffroi_session", "__Host-beffroi_console_session"):
        client = Client()
        client.cookies[name] = value
        answer = client.get("/")
        assert (answer.status_code, answer["Location"]) == (302, "/connexion/")


def test_an_administrators_session_opens_nothing_on_the_portal(
    console: Client,
) -> None:
    value = console.cookies["__Host-beffroi_console_session"].value
    assert console.get("/").status_code == 200
    with on_listener("web"):
        for name in ("__Host-beffroi_session", "__Host-beffroi_console_session"):
            client = Client()
            client.cookies[name] = value
            answer = client.get("/")
            assert (answer.status_code, answer["Location"]) == (302, "/connexion/")


def test_confirming_blocks_what_was_shown_and_nothing_protected(
    console: Client, waiting: Campaign, administrator: Actor
) -> None:
    asked = console.get(f"/decisions/{waiting.id}/confirmer/").content.decode()
    assert "Confirmer cette attaque" in asked
    assert not Decision.objects.filter(state="active").exists()
    answer = console.post(f"/decisions/{waiting.id}/confirmer/")
    assert answer["Location"] == f"/decisions/{waiting.id}/"
    waiting.refresh_from_db()
    assert (waiting.state, waiting.decided_by) == ("decided", administrator.id)
    active = set(Decision.objects.filter(state="active").values_list("value", flat=True))
    assert "colis-suivi-paiement.example" in active
    assert "impots.gouv.fr" not in active
    assert "campaign:confirmed" in verbs_by(administrator)
    assert OutboxEvent.objects.filter(kind="decision:activated").count() == len(active)
    shown = console.get(answer["Location"]).content.decode()
    assert "Bloquée pour toutes les collectivités" in shown
    assert "par Ada" in shown.replace("Par Ada", "par Ada")


def test_dismissing_closes_it_and_a_second_word_finds_it_closed(
    console: Client, waiting: Campaign, administrator: Actor
) -> None:
    assert console.post(f"/decisions/{waiting.id}/ecarter/").status_code == 302
    waiting.refresh_from_db()
    assert (waiting.state, waiting.ended_by) == ("dismissed", administrator.id)
    assert not Decision.objects.exclude(state="revoked").exists()
    assert "campaign:dismissed" in verbs_by(administrator)
    answer = console.post(f"/decisions/{waiting.id}/confirmer/")
    assert answer.status_code == 409
    assert "La situation a changé entre-temps" in answer.content.decode()
    assert not Decision.objects.exclude(state="revoked").exists()


def test_undoing_ends_every_decision_and_stands_in_the_log(
    console: Client, decided: Campaign, administrator: Actor
) -> None:
    count = Decision.objects.filter(campaign_id=decided.id, state="active").count()
    assert count >= 2
    asked = console.get(f"/decisions/{decided.id}/annuler/").content.decode()
    assert f"{count} blocages sont levés" in asked
    assert console.post(f"/decisions/{decided.id}/annuler/").status_code == 302
    decided.refresh_from_db()
    assert decided.state == "revoked"
    ended = Decision.objects.filter(campaign_id=decided.id)
    assert {(one.state, one.ended_by) for one in ended} == {("revoked", administrator.id)}
    assert "campaign:undone" in verbs_by(administrator)
    assert OutboxEvent.objects.filter(kind="decision:ended").count() == count
    assert "Blocage annulé" in console.get(f"/decisions/{decided.id}/").content.decode()
    assert console.post(f"/decisions/{decided.id}/annuler/").status_code == 409


@pytest.mark.parametrize("word", ["confirmer", "ecarter", "annuler"])
def test_a_word_without_the_form_token_is_refused(console: Client, waiting: Campaign, word: str) -> None:
    console.handler.enforce_csrf_checks = True
    answer = console.post(f"/decisions/{waiting.id}/{word}/")
    assert answer.status_code == 403
    assert "Le formulaire a expiré" in answer.content.decode()
    waiting.refresh_from_db()
    assert waiting.state == "open"


def test_what_is_protected_stands_under_never_blocked_and_nowhere_else(
    console: Client, decided: Campaign
) -> None:
    page = console.get(f"/decisions/{decided.id}/").content.decode()
    before, _, after = page.partition("Jamais bloqués")
    assert "impots.gouv.fr" not in before
    assert after.count("impots.gouv.fr") == 1
    assert "impots.gouv.fr" not in console.get("/decisions/").content.decode()


def test_a_link_that_stood_in_a_code_says_so(console: Client, decided: Campaign) -> None:
    seen = decided.seen.first()
    link = next(value for kind, value, *_ in seen.indicators if kind == "url")
    path = f"/decisions/{decided.id}/"
    assert "dans un code QR" not in console.get(path).content.decode()
    Sighting.objects.filter(pk=seen.pk).update(evidence={**seen.evidence, "qr_codes": [link]})
    assert console.get(path).content.decode().count("dans un code QR") == 1


def box(owner: Commune, serial: str) -> Box:
    made: Box = Box.objects.create(
        collectivite_id=owner.id,
        serial=serial,
        public_key=serial.ljust(43, "A"),
        fingerprint="k7qd-m2xp-9rtb-wz4f",
        state="active",
        last_seen_at=clock.now(),
    )
    return made


def test_a_box_that_acknowledged_a_later_version_counts_but_its_delay_is_not_claimed(
    console: Client, decided: Campaign, beaune: Commune, nuits: Commune
) -> None:
    boxes = [box(beaune, "BF-1"), box(nuits, "BF-2"), box(nuits, "BF-3")]
    last = Decision.objects.filter(kind__in=("ip", "domain")).latest("activated_at")
    FeedBatch.objects.create(channel="box", epoch=1, to_version=7, line=b"..." + last.id.encode() + b"...")
    assert last.activated_at is not None
    decided_ms = round(last.activated_at.timestamp() * 1000)
    for one, version in zip(boxes, (7, 9, 6), strict=True):
        BoxAck.objects.create(
            box_id=one.id, channel="box", epoch=1, version=version, enforced_at_ms=decided_ms + 240
        )
    page = console.get(f"/decisions/{decided.id}/").content.decode()
    assert "2 boîtiers sur 3 appliquent ce blocage." in page
    assert "Délai connu pour un boîtier\u00a0: 240\u00a0ms après la décision." in page
    # After a restore the epoch is a new one, and its numbers begin anew.
    BoxAck.objects.filter(box_id=boxes[2].id).update(epoch=2, version=1)
    page = console.get(f"/decisions/{decided.id}/").content.decode()
    assert "3 boîtiers sur 3 appliquent ce blocage." in page


def test_a_box_is_confirmed_by_another_administrator_than_the_one_who_issued_its_code(
    console: Client, beaune: Commune, administrator: Actor, system: Actor, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.boxes import actions
    from beffroi.boxes.models import EnrolmentCode

    monkeypatch.setattr(actions, "pinned_root", lambda config: bytes(range(32)))
    shown = console.post("/boitiers/code/", {"collectivite_id": beaune.id}).content.decode()
    code = shown.split('id="code">')[1].split("<")[0]
    assert code not in console.get("/boitiers/code/").content.decode()
    made = box(beaune, "BF-9")
    Box.objects.filter(pk=made.id).update(state="pending")
    EnrolmentCode.objects.update(box_id=made.id, used_at=clock.now())
    other = create_administrator(actor=system, email="b@cotedor.test", name="Bob", password=PASSWORD)
    refused = console.post(f"/boitiers/{made.id}/confirmer/")
    assert refused.status_code in (403, 409)
    assert "Une autre personne doit confirmer" in refused.content.decode()
    assert console_client(other.record.id).post(f"/boitiers/{made.id}/confirmer/").status_code == 302
    made.refresh_from_db()
    assert made.state == "active"
    assert console.post(f"/boitiers/{made.id}/revoquer/").status_code == 302
    made.refresh_from_db()
    assert made.state == "revoked"
    assert "box:revoked" in verbs_by(administrator)


def test_a_commune_is_found_in_the_register_and_enrolled_with_its_own_domain(
    console: Client, administrator: Actor
) -> None:
    from beffroi.core.communes.models import Domain

    assert "Inscrire" in console.get("/communes/", {"q": "saulieu"}).content.decode()
    wrong = console.post("/communes/inscrire/", {"insee": "21584", "domain": "not a name"})
    assert wrong.status_code == 400
    assert "n’est pas valide" in wrong.content.decode()
    assert (
        console.post("/communes/inscrire/", {"insee": "21584", "domain": "saulieu.test"}).status_code == 302
    )
    assert Domain.objects.get().name == "saulieu.test"
    found = console.get("/communes/", {"q": "saulieu", "part": "hits"}).content.decode()
    made = Collectivite.objects.get(name="Saulieu")
    assert "Inscrite" in found and f"/communes/{made.id}/personnes/" in found
    again = console.post("/communes/inscrire/", {"insee": "21584", "domain": "autre.test"})
    assert again.status_code == 400
    assert "déjà inscrit" in again.content.decode()


def test_a_commune_gets_another_name_and_the_former_one_is_said(console: Client, beaune: Commune) -> None:
    from beffroi.core.events.running import run_pending
    from beffroi.drive import people
    from django.conf import settings

    url = f"/communes/{beaune.id}/nom/"
    assert url in console.get("/communes/").content.decode()
    wrong = console.post(url, {"name": "Beaune-la-Neuve", "insee": "2105", "siren": ""})
    assert wrong.status_code == 400 and "cinq signes" in wrong.content.decode()
    assert 'value="Beaune-la-Neuve"' in wrong.content.decode(), "what was typed stays"
    done = console.post(url, {"name": "Beaune-la-Neuve", "insee": "21054", "siren": ""}, follow=True)
    text = done.content.decode()
    assert "Auparavant" in text and "<strong>Beaune</strong>" in text and 'value="21054"' in text
    run_pending("main")
    assert people.name_of(settings.BEFFROI, beaune.id) == "Beaune-la-Neuve", "sync clients are told, too"
    assert (
        "Rien à changer"
        in console.post(
            url, {"name": "Beaune-la-Neuve", "insee": "21054", "siren": ""}, follow=True
        ).content.decode()
    )


def test_the_chain_of_the_log_is_verified_at_most_once_a_minute(
    console: Client, beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:

    from beffroi.core.audit import queries

    audit.seal()
    asked: list[int] = []
    real = queries.verify

    def counted() -> queries.Report:
        asked.append(1)
        return real()

    monkeypatch.setattr(queries, "verify", counted)
    for _ in range(3):
        assert "Le journal est intact" in console.get("/journal/").content.decode()
    assert len(asked) == 1
    AuditEntry.objects.filter(pk=AuditEntry.objects.order_by("id").first().pk).update(verb="forged")
    later = clock.now() + timedelta(seconds=61)
    monkeypatch.setattr(clock, "now", lambda: later)
    assert "Le journal a été altéré" in console.get("/journal/").content.decode()
    assert len(asked) == 2


@pytest.mark.parametrize("path", ["/", "/decisions/", "/boitiers/", "/communes/", "/journal/"])
def test_an_empty_list_says_what_comes_next(console: Client, path: str) -> None:
    page = console.get(path).content.decode()
    assert page.count("<h1") == 1
    assert path == "/journal/" or 'class="empty"' in page


def test_the_consoles_policy_allows_no_inline_code(console: Client, decided: Campaign) -> None:
    answer = console.get(f"/decisions/{decided.id}/")
    assert "unsafe" not in answer["Content-Security-Policy"]
    assert " style=" not in answer.content.decode()
