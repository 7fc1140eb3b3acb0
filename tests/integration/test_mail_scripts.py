"""People's own scripts as actions and over HTTP: who may, what is judged, what is seen, what goes with a person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.models import AppPassword
from beffroi.lib import clock
from beffroi.lib.errors import NotFound
from beffroi.mail.engines import sievec
from beffroi.mail.models import Mailbox
from beffroi.mail.scripts import actions, queries, retention
from beffroi.mail.scripts.errors import AccountHeld, ScriptActive
from beffroi.mail.scripts.models import PersonalScript
from beffroi.mail.sending.models import SendingAlarm
from django.test import Client

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import no_door, own_mailbox, portal_client
from tests.fixtures_portal_mail import shown_mail
from tests.integration.test_mail_filters import came

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db
FILES = 'if header :contains "subject" "Voirie" { fileinto "Voirie"; }'
HIDES = "discard;"
KNOWN, NEW = "192.0.2.4", "203.0.113.9"


@pytest.fixture
def box(beaune: Commune, shown_mail: object, monkeypatch: pytest.MonkeyPatch) -> Mailbox:
    monkeypatch.setattr(sievec, "fault", lambda conf, script: None)  # the engine: tests/clients
    return own_mailbox(beaune)


@pytest.fixture
def client(beaune: Commune) -> Client:
    return portal_client(beaune.agent_membership)


def put(
    commune: Commune, box: Mailbox, text: str, *, name: str = "regles", address: str = ""
) -> PersonalScript:
    return actions.put(actor=commune.agent, mailbox=box, name=name, text=text, address=address)


def choose(commune: Commune, box: Mailbox, row: PersonalScript | None, address: str = "") -> None:
    actions.activate(actor=commune.agent, mailbox=box, row=row, address=address)


def test_a_script_is_in_force_when_it_is_chosen_and_its_change_counts_at_once(
    beaune: Commune, box: Mailbox
) -> None:
    row = put(beaune, box, FILES)
    assert queries.text_in_force(box) == ""
    choose(beaune, box, row)
    assert queries.text_in_force(box) == FILES
    put(beaune, box, "keep;")
    assert queries.text_in_force(box) == "keep;" and PersonalScript.objects.count() == 1
    other = put(beaune, box, FILES, name="autres")
    choose(beaune, box, other)
    assert queries.text_in_force(box) == FILES
    assert PersonalScript.objects.filter(is_active=True).count() == 1
    with pytest.raises(ScriptActive):
        actions.remove(actor=beaune.agent, mailbox=box, row=other)
    choose(beaune, box, None)
    actions.remove(actor=beaune.agent, mailbox=box, row=other)
    assert queries.text_in_force(box) == ""
    verbs = list(
        AuditEntry.objects.filter(verb__startswith="mail:script:")
        .order_by("id")
        .values_list("verb", flat=True)
    )
    assert [one.rpartition(":")[2] for one in verbs] == [
        "put",
        "on",
        "put",
        "put",
        "off",
        "on",
        "off",
        "removed",
    ]
    entry = AuditEntry.objects.filter(verb="mail:script:put").first()
    assert entry is not None and "Voirie" not in str(entry.details) and "regles" not in str(entry.details)
    assert OutboxEvent.objects.filter(kind="mail:script_changed").count() == len(verbs)


def test_nobody_else_reaches_a_script(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    row = put(beaune, box, FILES)
    with pytest.raises(NotFound):
        actions.put(actor=nuits.agent, mailbox=box, name="x", text="keep;")
    with pytest.raises(NotFound):
        actions.activate(actor=nuits.agent, mailbox=box, row=row)
    Mailbox.objects.filter(pk=box.pk).update(person_id=None)  # a functional mailbox now
    box.refresh_from_db()
    assert not queries.scripts(box).exists() and queries.text_in_force(box) == ""
    with pytest.raises(NotFound):
        actions.put(actor=beaune.agent, mailbox=box, name="x", text="keep;")
    with pytest.raises(NotFound):
        queries.owner_of(box.address)


@pytest.mark.parametrize(
    ("text", "address", "rests"),
    [(HIDES, NEW, True), (HIDES, KNOWN, False), (FILES, NEW, False), (HIDES, "", False)],
)
def test_only_what_hides_mail_from_a_new_network_rests(
    beaune: Commune, box: Mailbox, text: str, address: str, rests: bool
) -> None:
    came(beaune.agent.id, beaune.id, KNOWN, days_ago=5)
    row = put(beaune, box, text)
    choose(beaune, box, row, address)
    row.refresh_from_db()
    assert (row.suspended_at is not None) is rests
    assert (queries.text_in_force(box) == "") is rests
    assert SendingAlarm.objects.exclude(contained_at=None).exists() is rests


def test_a_person_of_whom_nothing_is_known_is_not_judged(beaune: Commune, box: Mailbox) -> None:
    choose(beaune, box, put(beaune, box, HIDES), NEW)
    assert queries.text_in_force(box) == HIDES


def test_while_the_account_is_held_nothing_changes_and_afterwards_its_owner_switches_on(
    beaune: Commune, box: Mailbox, client: Client
) -> None:
    came(beaune.agent.id, beaune.id, KNOWN, days_ago=5)
    row = put(beaune, box, HIDES)
    choose(beaune, box, row, NEW)
    with pytest.raises(AccountHeld):
        put(beaune, box, "keep;")
    SendingAlarm.objects.update(closed_at=clock.now())
    choose(beaune, box, row, NEW)
    assert queries.text_in_force(box) == HIDES  # cleared by a person: not judged again that day


def test_the_page_shows_switches_and_deletes(beaune: Commune, box: Mailbox, client: Client) -> None:
    page = f"/courrier/{box.id}/reglages/"
    assert "h-scripts" not in client.get(page).content.decode()
    row = put(beaune, box, f"# <b>\n{FILES}")
    choose(beaune, box, row)
    shown = client.get(page).content.decode()
    assert "En service" in shown and "&lt;b&gt;" in shown and "Voirie" in shown
    where = f"{page}scripts/{row.id}/"
    assert client.post(where, {"word": "remove"}).status_code == 302 and PersonalScript.objects.exists()
    client.post(where, {"word": "off"})
    assert queries.text_in_force(box) == "" and "Supprimer<" in client.get(page).content.decode()
    client.post(where, {"word": "on"})
    assert queries.text_in_force(box) != ""
    client.post(where, {"word": "off"})
    client.post(where, {"word": "remove"})
    assert not PersonalScript.objects.exists()
    assert client.post(where, {"word": "off"}).status_code == 404


def test_an_unknown_word_is_refused(beaune: Commune, box: Mailbox, client: Client) -> None:
    row = put(beaune, box, FILES)
    assert client.post(f"/courrier/{box.id}/reglages/scripts/{row.id}/", {"word": "x"}).status_code == 400


def test_an_app_password_is_made_for_scripts_only_when_asked(
    beaune: Commune, box: Mailbox, client: Client
) -> None:
    client.post("/confirmer/", {"password": PASSWORD})
    for data in ({"label": "un"}, {"label": "deux", "scripts": "1"}):
        assert client.post("/acces/mot-de-passe/", data).status_code == 200
    made = dict(AppPassword.objects.values_list("label", "protocol_set"))
    assert made == {"un": "imap,smtp", "deux": "imap,smtp,sieve"}
    assert "Règles de classement" in client.get("/acces/").content.decode()


def test_the_page_of_app_passwords_says_why_one_is_refused(
    beaune: Commune, box: Mailbox, client: Client
) -> None:
    assert "Ce mot de passe n’est pas un mot de passe d’application" in client.get("/acces/").content.decode()
    SendingAlarm.objects.create(
        mailbox_id=box.id, collectivite_id=box.collectivite_id, person_id=beaune.agent.id,
        limit="takeover", most=0, contained_at=clock.now(),
    )  # fmt: skip
    assert "suspendue par précaution" in client.get("/acces/").content.decode()


def test_scripts_end_with_the_access_and_go_with_the_person(beaune: Commune, box: Mailbox) -> None:
    choose(beaune, box, put(beaune, box, FILES))
    actions.end_scripts_of(beaune.agent.id, beaune.id)
    assert queries.text_in_force(box) == "" and PersonalScript.objects.exists()
    actions.forget(beaune.agent.id)
    assert not PersonalScript.objects.exists()


def test_scripts_of_a_closed_mailbox_are_kept_thirty_days(beaune: Commune, box: Mailbox) -> None:
    put(beaune, box, FILES)
    cutoff = clock.now() - timedelta(days=retention.KEEP_DAYS)
    for days, due in ((None, False), (29, False), (31, True)):
        closed = None if days is None else clock.now() - timedelta(days=days)
        Mailbox.objects.filter(pk=box.pk).update(closed_at=closed)
        assert retention.scripts(cutoff).exists() is due
