"""The portal over HTTP: who may see what, what a page says, and which headers protect it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from beffroi.core.decisions import door
from beffroi.mail.models import Mailbox, MailMessage
from beffroi.mail.reader import MessageView
from beffroi.portal.web.signin import MOST_RECORDED
from django.test import Client

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import (
    LURE_ID,
    confirmed,
    deliver,
    no_door,
    own_mailbox,
    portal_client,
    sighting,
)
from tests.fixtures_portal_mail import FILE, SEEN, letter, shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def mailbox(beaune: Commune) -> Mailbox:
    made = own_mailbox(beaune)
    deliver(made, LURE_ID)
    return made


def test_health_answers_without_a_session(client: Client) -> None:
    answer = client.get("/healthz")
    assert (answer.status_code, answer.content) == (200, b"ok\n")


@pytest.mark.parametrize(
    "path", ["/", "/courrier/", "/acces/", "/collectivites/", "/direct/", "/acces/mot-de-passe/"]
)
def test_every_page_asks_a_stranger_to_sign_in(client: Client, path: str) -> None:
    answer = client.get(path)
    assert answer.status_code == 302
    assert answer["Location"].startswith("/connexion/")


def test_a_form_sent_after_the_session_is_said_to_be_lost(beaune: Commune) -> None:
    agent = portal_client(beaune.agent_membership)
    agent.logout()
    assert "rien n’a été enregistré" not in agent.get("/agenda/ajouter/", follow=True).content.decode()
    answer = agent.post("/agenda/ajouter/", {"title": "Conseil"}, follow=True)
    assert answer.redirect_chain == [("/connexion/", 302)]
    assert "rien n’a été enregistré" in answer.content.decode()
    page, part = f"https://{answer.wsgi_request.get_host()}/coffre/?vue=liste", {"HX-Request": "true"}
    for headers in ({}, part):
        leads = agent.post("/agenda/ajouter/", headers={"Referer": page, **headers})
        assert leads.headers.get("Location", leads.headers.get("HX-Redirect")) == (
            "/connexion/?next=%2Fcoffre%2F%3Fvue%3Dliste"
        ), "back to where the form stood"
        away = agent.post("/agenda/ajouter/", headers={"Referer": "https://ailleurs.test/x", **headers})
        assert away.headers.get("Location", away.headers.get("HX-Redirect")) == "/connexion/"


def test_what_no_program_of_ours_sends_is_refused_and_breaks_nothing(beaune: Commune) -> None:
    """PostgreSQL takes no NUL; SQLite has nothing of that name."""
    agent = portal_client(beaune.agent_membership)
    assert agent.get("/acces/mot-de-passe/a%00b/retirer/").status_code in (400, 404)
    assert agent.get("/acces/").status_code == 200


def test_signing_in_by_password_leads_home_and_names_what_to_do(beaune: Commune) -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal", "X-Forwarded-For": "192.0.2.7"})
    answer = client.post("/connexion/", {"login": "agent@beaune.test", "password": PASSWORD})
    assert answer.status_code == 302, answer.content.decode()
    page = client.get("/").content.decode()
    assert page.count("<h1") == 1
    assert "1 action vous attend." in page
    assert "Ajoutez une clé d’accès" in page and "/acces/cles/nouvelle/" in page
    assert "per_" not in page.partition("<main")[2]  # nobody is called by an identifier


def test_a_wrong_password_says_so_in_french(beaune: Commune) -> None:
    client = Client(headers={"X-Forwarded-For": "192.0.2.8"})
    answer = client.post("/connexion/", {"login": "agent@beaune.test", "password": "not this one"})
    assert answer.status_code == 200
    assert 'role="alert"' in answer.content.decode()


def test_sign_in_from_a_blocked_address_is_refused_before_the_password_and_recorded(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.core.audit.models import AuditEntry
    from beffroi_protocol.indicators import Indicator, Kind
    from beffroi_protocol.messages import Action, Entry

    asked: list[str] = []

    def blocked(address: str) -> Entry:
        asked.append(address)
        return Entry("dec_x", Indicator(Kind.IP, address), Action.BLOCK, 0)

    monkeypatch.setattr(door, "blocked_address", blocked)
    client = Client(headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.4"})
    answer = client.post("/connexion/", {"login": "agent@beaune.test", "password": PASSWORD})
    assert answer.status_code == 403
    assert "Connexion refusée depuis ce réseau" in answer.content.decode()
    assert asked == ["198.51.100.4"]
    recorded = AuditEntry.objects.filter(verb="identity:sign_in:refused_by_door")
    assert recorded.count() == 1
    assert client.get("/").status_code == 302
    for _ in range(4 * MOST_RECORDED):  # no front door counts these as sign-ins
        assert client.post("/index.php/login/v2").status_code == 403
    assert recorded.count() <= 2 * MOST_RECORDED, (
        "a flood of the refused fills no log; one window may end meanwhile"
    )


def test_pages_carry_a_policy_without_inline_code(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    answer = portal_client(beaune.agent_membership).get("/")
    policy = answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    page = answer.content.decode()
    assert " style=" not in page
    assert "<style" not in page
    assert "onclick" not in page
    assert "no-store" in answer["Cache-Control"] and answer["X-Content-Type-Options"] == "nosniff"


def test_the_live_grant_is_limited_to_its_path_and_the_commune(beaune: Commune, config: Any) -> None:
    from beffroi.core.planes.tokens import read_grant

    answer = portal_client(beaune.agent_membership).get("/direct/")
    cookie = answer.cookies["beffroi_live"]
    assert answer.status_code == 204
    assert (cookie["path"], cookie["samesite"], bool(cookie["httponly"])) == ("/live", "Strict", True)
    assert read_grant(config.secret("live.key"), cookie.value, path="/live").collectivite_id == beaune.id


def test_home_counts_what_is_blocked_and_hides_other_communes_numbers(
    beaune: Commune, nuits: Commune, shown_mail: object
) -> None:
    sighting(beaune.id, beaune.agent.id, "msg_" + "2" * 26)
    sighting(nuits.id, nuits.agent.id, "msg_" + "3" * 26)
    page = portal_client(beaune.agent_membership).get("/").content.decode()
    assert "Le site colis-suivi-paiement.example est bloqué" in page
    assert "signalé dans 2 collectivités, par 2 personnes" in page
    assert "Nuits" not in page


# -- mail ----------------------------------------------------------------------------------------------------


def test_list_escapes_a_hostile_subject(beaune: Commune, mailbox: Mailbox, shown_mail: object) -> None:
    page = portal_client(beaune.agent_membership).get(f"/courrier/{mailbox.id}/").content.decode()
    assert "<script>alert(1)" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "Pas encore contrôlé" in page


def test_reading_names_the_sender_the_verdict_and_the_true_target(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    page = portal_client(beaune.agent_membership).get(f"/courrier/{mailbox.id}/1/").content.decode()
    assert "<script>alert" not in page
    assert "ne reconnaît pas ce courriel" in page
    assert "Extérieur" in page
    assert "Lien trompeur" in page
    assert "1 image distante non chargée" in page
    assert "Signaler un hameçonnage" in page
    assert 'sandbox="allow-popups allow-popups-to-escape-sandbox"' in page


def test_what_is_in_doubt_is_reported_first_and_the_rest_answered(
    beaune: Commune, mailbox: Mailbox, shown_mail: list[MessageView]
) -> None:
    shown_mail.append(letter(9, "Réunion", "maire@sender.example", text="Jeudi ?"))
    client = portal_client(beaune.agent_membership)
    for uid, first in ((1, "Signaler un hameçonnage"), (9, "Répondre")):
        page = client.get(f"/courrier/{mailbox.id}/{uid}/").content.decode()
        assert "Signaler un hameçonnage" in page
        open_page = re.sub("<dialog.*?</dialog>", "", page, flags=re.DOTALL)
        (primary,) = re.findall(r'class="btn primary"[^>]*>(.*?)</(?:a|button)>', open_page, re.DOTALL)
        assert first in primary


def test_where_each_of_many_links_leads_is_told(
    beaune: Commune, mailbox: Mailbox, shown_mail: list[MessageView]
) -> None:
    text = " ".join(f"https://n{number}.example/" for number in range(23))
    shown_mail.append(letter(9, "Lettre d’information", "lettre@sender.example", text=text))
    page = portal_client(beaune.agent_membership).get(f"/courrier/{mailbox.id}/9/").content.decode()
    assert "<b>n0.example</b>" in page and "3 autres liens" in page and "<b>n22.example</b>" in page


def test_the_body_of_a_mail_loads_nothing_and_runs_nothing(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    answer = portal_client(beaune.agent_membership).get(f"/courrier/{mailbox.id}/1/contenu/")
    body, policy = answer.content.decode(), answer["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "sandbox allow-popups" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert answer["X-Frame-Options"] == "SAMEORIGIN"
    for word in ("script", "onload", "onclick", "onerror", "<form", "<iframe", "pixel.example", "evil.test"):
        assert word not in body
    assert "mène en réalité à colis-suivi-paiement.example" in body


@pytest.mark.parametrize("tail", ["", "1/", "1/contenu/", "1/signaler/"])
def test_another_communes_mailbox_is_no_such_page(
    beaune: Commune, nuits: Commune, mailbox: Mailbox, shown_mail: object, tail: str
) -> None:
    for stranger in (nuits.agent_membership, beaune.colleague_membership, beaune.referent_membership):
        answer = portal_client(stranger).get(f"/courrier/{mailbox.id}/{tail}")
        assert answer.status_code == 404
        assert "n’existe pas" in answer.content.decode()


def test_another_commune_cannot_report_from_a_mailbox_that_is_not_its_own(
    nuits: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client = portal_client(nuits.agent_membership)
    answer = client.post(f"/courrier/{mailbox.id}/1/signaler/", {"beffroi_id": LURE_ID})
    assert answer.status_code == 404
    assert client.get(f"/courrier/signale/{LURE_ID}/").status_code == 404


def test_a_report_is_confirmed_thanked_and_followed(
    beaune: Commune, nuits: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    from beffroi.core.events.models import OutboxEvent

    client = portal_client(beaune.agent_membership)
    asked = client.get(f"/courrier/{mailbox.id}/1/signaler/").content.decode()
    assert "Ce qui va se passer" in asked and "Un code QR mène à" not in asked
    MailMessage.objects.filter(pk=LURE_ID).update(verdict='{"qr_codes": ["https://pay.evil.example.com/f"]}')
    asked = client.get(f"/courrier/{mailbox.id}/1/signaler/").content.decode()
    assert "Un code QR mène à" in asked and "pay.evil.example.com" in asked
    answer = client.post(f"/courrier/{mailbox.id}/1/signaler/", {"beffroi_id": LURE_ID})
    assert answer["Location"] == f"/courrier/signale/{LURE_ID}/"
    assert OutboxEvent.objects.filter(kind="sighting:reported").count() == 1
    assert "Reçu." in client.get(answer["Location"]).content.decode()
    # A second press is the same report.
    client.post(f"/courrier/{mailbox.id}/1/signaler/", {"beffroi_id": LURE_ID})
    assert OutboxEvent.objects.filter(kind="sighting:reported").count() == 1
    sighting(beaune.id, beaune.agent.id, LURE_ID)
    assert "En attente d’une confirmation" in client.get(answer["Location"]).content.decode()
    sighting(nuits.id, nuits.agent.id, "msg_" + "5" * 26)
    assert "bloquée pour toutes les collectivités" in client.get(answer["Location"]).content.decode()
    assert "Vous avez signalé ce courriel" in client.get(f"/courrier/{mailbox.id}/1/").content.decode()


def test_a_mail_that_passed_unchecked_is_reported_a_moment_later(beaune: Commune, shown_mail: object) -> None:
    unchecked = own_mailbox(beaune)
    client = portal_client(beaune.agent_membership)
    answer = client.post(f"/courrier/{unchecked.id}/1/signaler/", {"beffroi_id": LURE_ID})
    assert answer.status_code == 409
    assert "pas encore contrôlé" in answer.content.decode()
    # An id of chance beside it stays no page at all.
    other = client.post(f"/courrier/{unchecked.id}/1/signaler/", {"beffroi_id": "msg_" + "7" * 26})
    assert other.status_code == 404
    deliver(unchecked, LURE_ID)
    answer = client.post(f"/courrier/{unchecked.id}/1/signaler/", {"beffroi_id": LURE_ID})
    assert answer["Location"] == f"/courrier/signale/{LURE_ID}/"


def test_a_report_without_the_form_token_is_refused(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client = portal_client(beaune.agent_membership)
    client.handler.enforce_csrf_checks = True
    answer = client.post(f"/courrier/{mailbox.id}/1/signaler/", {"beffroi_id": LURE_ID})
    assert answer.status_code == 403


# -- access --------------------------------------------------------------------------------------------------


def test_an_app_password_needs_a_step_up_is_shown_once_and_can_be_revoked(beaune: Commune) -> None:
    from beffroi.core.identity import queries

    client = portal_client(beaune.agent_membership)
    first = client.get("/acces/mot-de-passe/")
    assert first.status_code == 302
    assert first["Location"].startswith("/confirmer/")
    answer = client.post("/confirmer/", {"password": PASSWORD, "next": "/acces/mot-de-passe/"})
    assert answer["Location"] == "/acces/mot-de-passe/"
    assert client.post("/acces/mot-de-passe/", {"label": ""}).status_code == 400
    shown = client.post("/acces/mot-de-passe/", {"label": "Accueil"}).content.decode()
    record = queries.app_passwords(beaune.agent).get()
    assert "Recopiez ce mot de passe maintenant" in shown
    secret = shown.split('id="secret">')[1].split("<")[0]
    assert len(secret) >= 26
    assert secret not in client.get("/acces/").content.decode()
    for _ in ("once", "in another tab, too"):
        done = client.post(f"/acces/mot-de-passe/{record.id}/retirer/", follow=True)
        assert "est retiré" in done.content.decode()
        assert not queries.app_passwords(beaune.agent).exists()


def test_nobody_revokes_another_persons_app_password(beaune: Commune, nuits: Commune) -> None:
    from beffroi.core.identity import actions

    issued = actions.issue_app_password(
        actor=beaune.agent, membership=beaune.agent_membership, protocol_set="imap,smtp", label="x"
    )
    for stranger in (nuits.agent_membership, beaune.colleague_membership):
        answer = portal_client(stranger).post(f"/acces/mot-de-passe/{issued.record.id}/retirer/")
        assert answer.status_code == 404


def test_a_session_carries_only_a_membership_of_its_own(beaune: Commune, nuits: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    answer = client.post("/collectivites/", {"membership_id": nuits.agent_membership.id})
    assert answer.status_code == 404
    assert "Nuits" not in client.get("/").content.decode()


@pytest.mark.parametrize("path", ["/acces/double-verification/", "/acces/codes/nouveaux/", "/deconnexion/"])
def test_pages_of_the_account_are_ours_not_the_librarys(beaune: Commune, path: str) -> None:
    page = confirmed(beaune.agent_membership).get(path, follow=True).content.decode()
    assert 'class="tiles"' in page
    assert page.count("<h1") == 1


def test_the_consoles_addresses_do_not_exist_on_the_portal(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    for path in ("/decisions/", "/boitiers/", "/communes/", "/journal/"):
        assert client.get(path).status_code == 404


def test_boxes_cannot_enrol_on_the_portals_listener(beaune: Commune) -> None:
    client = Client(headers={"X-Beffroi-Listener": "portal"})
    assert client.post("/v1/enrol", b"{}", content_type="application/json").status_code == 404


# -- reading: once seen, and attachments ---------------------------------------------------------------------


def test_the_list_shows_each_mail_once_and_no_banner(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    page = portal_client(beaune.agent_membership).get(f"/courrier/{mailbox.id}/").content.decode()
    assert page.count("Effectifs cantine") == 1
    assert "MessageSummary" not in page
    assert 'class="say' not in page


def test_opening_an_unread_mail_marks_it_as_read(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client = portal_client(beaune.agent_membership)
    client.get(f"/courrier/{mailbox.id}/3/")
    assert SEEN == []
    client.get(f"/courrier/{mailbox.id}/1/contenu/")
    assert SEEN == []
    client.get(f"/courrier/{mailbox.id}/1/")
    assert SEEN == [1]


def test_an_attachment_is_saved_and_never_shown(
    beaune: Commune, mailbox: Mailbox, shown_mail: object
) -> None:
    client = portal_client(beaune.agent_membership)
    link = f"/courrier/{mailbox.id}/1/piece/2/"
    assert link in client.get(f"/courrier/{mailbox.id}/1/").content.decode()
    answer = client.get(link)
    assert answer.content == FILE
    assert answer["Content-Disposition"] == 'attachment; filename="facture 88213.zip"'
    assert answer["Content-Type"] == "application/octet-stream"
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["Content-Security-Policy"].startswith("sandbox; default-src 'none'")
    assert client.get(f"/courrier/{mailbox.id}/1/piece/7/").status_code == 404
    assert client.get(f"/courrier/{mailbox.id}/1/piece/2;x/").status_code == 404


@pytest.mark.parametrize("as_recorded", [True, False])
def test_an_attachment_that_a_decision_names_is_not_given(
    beaune: Commune, mailbox: Mailbox, shown_mail: object, system: Any, as_recorded: bool
) -> None:
    import hashlib

    from beffroi.core.decisions import actions
    from beffroi.mail.models import MailObservation
    from beffroi_protocol.indicators import normalise

    # What the entry hashed may differ in line ends from what IMAP gives: then the whole mail's files are held.
    digest = hashlib.sha256(FILE if as_recorded else FILE + b"\r\n").hexdigest()
    MailObservation.objects.create(message_id=LURE_ID, kind="sha256", value=digest, role="attachment")
    shown_mail[0] = letter(
        1,
        "Facture",
        "a@b.example",
        attachments=shown_mail[0].attachments,
    )
    client, link = portal_client(beaune.agent_membership), f"/courrier/{mailbox.id}/1/piece/2/"
    assert client.get(link).status_code == 200
    actions.activate(
        actor=system,
        indicator=normalise("sha256", digest),
        action="block",
        scope="all",
        reason="phishing",
        evidence={"communes": 2},
        rule="test",
        ttl_s=3600,
    )
    answer = client.get(link)
    assert answer.status_code == 403
    assert "Cette pièce jointe est bloquée" in answer.content.decode()
    assert FILE not in answer.content


def test_an_attachment_that_is_too_large_says_what_to_do(
    beaune: Commune, mailbox: Mailbox, shown_mail: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    from beffroi.mail import reader

    from tests.fixtures_portal_mail import ShownMailbox

    def too_large(self: object, uid: int, section: str, folder: str) -> None:
        raise reader.AttachmentTooLarge(reader.MAX_ATTACHMENT_BYTES)

    monkeypatch.setattr(ShownMailbox, "attachment", too_large)
    answer = portal_client(beaune.agent_membership).get(f"/courrier/{mailbox.id}/1/piece/2/")
    assert answer.status_code == 413
    assert "trop lourde pour le portail" in answer.content.decode()
    assert "logiciel de courriel" in answer.content.decode()
