"""Settings of a mailbox over HTTP and as actions: who may, what is refused and how, what is seen."""

from __future__ import annotations

from datetime import date, timedelta

import pytest
from beffroi.core.audit.actions import personal_of
from beffroi.core.audit.models import AuditEntry
from beffroi.core.events.models import OutboxEvent
from beffroi.core.events.running import run_pending
from beffroi.core.identity import actions as identity
from beffroi.core.identity import erasure
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person, SignIn
from beffroi.lib import clock
from beffroi.lib.clock import PLACE
from beffroi.lib.errors import Conflict, NotAllowed, NotFound
from beffroi.mail import actions as mail
from beffroi.mail.aliases.models import Alias
from beffroi.mail.filters import actions, queries
from beffroi.mail.filters.errors import SettingRefused, TooManyFilters
from beffroi.mail.filters.models import Absence, FilterRule, Forward, Signature
from beffroi.mail.held.models import Notice
from beffroi.mail.models import Mailbox
from beffroi.mail.sending.models import SendingAlarm
from beffroi.portal import forward_told
from django.test import Client

from tests.conftest import PASSWORD, Commune
from tests.fixtures_portal import confirmed, console_client, no_door, on_listener, own_mailbox, portal_client
from tests.fixtures_portal_mail import shown_mail
from tests.fixtures_projections import engines

__all__ = ["engines", "no_door", "shown_mail"]
pytestmark = pytest.mark.django_db
SYSTEM = Actor.system("tests")


@pytest.fixture
def box(beaune: Commune, shown_mail: object) -> Mailbox:
    return own_mailbox(beaune)


@pytest.fixture
def target(beaune: Commune) -> str:
    """Another mailbox of the same collectivité."""
    made = Mailbox.objects.create(collectivite_id=beaune.id, address="collegue@beaune.test", crypt_key="-")
    return str(made.address)


@pytest.fixture
def today() -> date:
    """In Paris; what ends tomorrow has not ended where midnight comes meanwhile."""
    return clock.now().astimezone(PLACE).date()


@pytest.fixture
def client(beaune: Commune) -> Client:
    return confirmed(beaune.agent_membership)


def came(person_id: str, owner: str, address: str, *, days_ago: int) -> None:
    at = clock.now() - timedelta(days=days_ago)
    SignIn.objects.create(
        person_id=person_id,
        collectivite_id=owner,
        door="portal",
        address=address,
        day=at.date(),
        first_at=at,
        last_at=at,
    )


def text(answer: object) -> str:
    return answer.content.decode()  # type: ignore[attr-defined]


# -- absence -------------------------------------------------------------------------------------------------


def test_an_absence_is_set_shown_and_ended_with_one_press(client: Client, box: Mailbox, today: date) -> None:
    last = today + timedelta(days=5)
    form = {"first": today.isoformat(), "last": last.isoformat(), "text": "Absente\r\n<b>", "every_days": "3"}
    assert client.post(f"/courrier/{box.id}/reglages/absence/", form).status_code == 302
    row = Absence.objects.get()
    assert (row.text, row.every_days) == ("Absente\n<b>", 3)
    assert row.ends_at.astimezone(PLACE).date() == last + timedelta(days=1)
    for path in (f"/courrier/{box.id}/", "/", f"/courrier/{box.id}/reglages/"):
        assert "Terminer l’absence" in text(client.get(path)), path
    assert "&lt;b&gt;" in text(client.get(f"/courrier/{box.id}/reglages/"))
    client.post(f"/courrier/{box.id}/reglages/absence/", {"word": "end"})
    assert "Terminer l’absence" not in text(client.get(f"/courrier/{box.id}/"))
    details = str(list(AuditEntry.objects.filter(verb__startswith="mail:absence").values()))
    assert "Absente" not in details


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"last": "hier"}, "Indiquez le dernier jour"),
        ({"first": ""}, "Indiquez le premier jour"),
        ({"last": "2020-01-01"}, "ne pas être passé"),
        ({"last": "9999-12-31"}, "un an au plus"),
        ({"text": "  "}, "Écrivez la réponse"),
        ({"text": "x" * 4001}, "trop longue"),
        ({"text": "a\x07b"}, ""),
        ({"every_days": "٣"}, ""),
    ],
)
def test_a_bad_absence_is_said_with_what_was_typed(
    client: Client, box: Mailbox, today: date, changed: dict[str, str], said: str
) -> None:
    last = today + timedelta(days=1)
    form = {"first": today.isoformat(), "last": last.isoformat(), "text": "Absente", "every_days": "7"}
    answer = client.post(f"/courrier/{box.id}/reglages/absence/", form | changed)
    assert answer.status_code == 400
    assert said in text(answer)
    assert not Absence.objects.exists()


def test_a_second_absence_takes_the_place_of_the_first(beaune: Commune, box: Mailbox, today: date) -> None:
    last = today + timedelta(days=1)
    for words in ("un", "deux"):
        actions.set_absence(actor=beaune.agent, mailbox=box, first=today, last=last, text=words, every_days=7)
    found = queries.absence(box)
    assert found is not None and found.text == "deux"
    assert Absence.objects.filter(ended_at=None).count() == 1


# -- filters -------------------------------------------------------------------------------------------------


def test_a_filter_is_tried_added_ordered_switched_and_removed(client: Client, box: Mailbox) -> None:
    new = f"/courrier/{box.id}/reglages/filtres/"
    form = {"field": "from", "words": '<i>"Syndicat"', "act": "move", "folder": "État civil <b>"}
    tried = text(client.post(new, form | {"word": "try"}))
    assert "Parmi vos 30 derniers courriels, ce filtre en aurait reconnu 7." in tried
    assert not FilterRule.objects.exists()
    assert "&lt;i&gt;&quot;Syndicat&quot;" in tried and "<i>" not in tried
    client.post(new, form | {"word": "add"})
    client.post(new, {"field": "subject", "words": "conseil", "act": "star"})
    first, second = queries.rules(box)
    client.post(f"{new}{second.id}/", {"word": "up"})
    assert [one.id for one in queries.rules(box)] == [second.id, first.id]
    client.post(f"{new}{second.id}/", {"word": "off"})
    assert "conseil" not in queries.script(box)
    client.post(f"{new}{second.id}/", {"word": "on"})
    assert "conseil" in queries.script(box)
    answer = client.post(f"{new}{second.id}/", {"word": "remove"}, follow=True)
    assert FilterRule.objects.count() == 1
    assert 'value="conseil"' in text(answer)  # one press puts it back
    assert client.post(f"{new}{first.id}/", {"word": "x"}).status_code == 400
    assert "Syndicat" not in str(list(AuditEntry.objects.values()))
    assert "Syndicat" not in str(list(OutboxEvent.objects.values()))


@pytest.mark.parametrize(
    "changed",
    [
        {"words": " "},
        {"words": "x" * 201},
        {"field": "body"},
        {"act": "delete"},
        {"act": "move", "folder": ""},
    ],
)
def test_a_bad_filter_is_refused(client: Client, box: Mailbox, changed: dict[str, str]) -> None:
    form = {"field": "from", "words": "x", "act": "star", "word": "add"}
    assert client.post(f"/courrier/{box.id}/reglages/filtres/", form | changed).status_code == 400
    assert not FilterRule.objects.exists()


def test_a_mailbox_has_so_many_filters_at_most(beaune: Commune, box: Mailbox) -> None:
    for number in range(actions.MAX_RULES):
        actions.add_rule(actor=beaune.agent, mailbox=box, field="from", words=f"a{number}", act="star")
    with pytest.raises(TooManyFilters):
        actions.add_rule(actor=beaune.agent, mailbox=box, field="from", words="x", act="star")


# -- forwards ------------------------------------------------------------------------------------------------


def test_a_forward_asks_for_a_step_up_and_is_shown_to_all_who_answer_for_it(
    beaune: Commune, box: Mailbox, target: str, administrator: Actor
) -> None:
    client = portal_client(beaune.agent_membership)
    path = f"/courrier/{box.id}/renvoi/"
    asked = client.post(path, {"target": target, "copy": "1"})
    assert asked.status_code == 302 and asked["Location"].startswith("/confirmer/")
    assert not Forward.objects.exists()
    client.post("/confirmer/", {"password": PASSWORD})
    client.post(path, {"target": target, "copy": "1"})
    row = Forward.objects.get()
    assert row.keeps_copy and row.suspended_at is None
    assert abs(row.expires_at - clock.now() - timedelta(days=90)) < timedelta(minutes=5)
    for where in ("/", f"/courrier/{box.id}/"):
        assert f"sont renvoyés vers {target}" in text(client.get(where))
    referent = portal_client(beaune.referent_membership)
    assert target in text(referent.get("/renvois/"))
    assert client.get("/renvois/").status_code == 403
    with on_listener("console"):
        console = console_client(administrator.id)
        assert target in text(console.get("/sortant/"))
        assert console.post(f"/sortant/renvoi/{row.id}/").status_code == 302
    row.refresh_from_db()
    assert row.ended_by == administrator.id


def test_the_referent_ends_a_forward_and_a_colleague_or_a_neighbour_does_not(
    beaune: Commune, nuits: Commune, box: Mailbox, target: str
) -> None:
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    for stranger in (beaune.colleague_membership, nuits.agent_membership, nuits.referent_membership):
        assert portal_client(stranger).post(f"/renvois/{row.id}/arreter/").status_code == 404
    assert target not in text(portal_client(nuits.referent_membership).get("/renvois/"))
    portal_client(beaune.referent_membership).post(f"/renvois/{row.id}/arreter/")
    assert queries.forward(box) is None
    assert "redirect" not in queries.script(box)


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        ("x", "pas complète"),
        ("a@b.example, c@d.example", "une seule"),
        ("agent@beaune.test", "tournerait en rond"),
        ("AGENT@beaune.test", "tournerait en rond"),
        ("agent+copie@beaune.test", "tournerait en rond"),
        ("qui@ailleurs.example", "envoie pas vers l’extérieur"),
        ('a"b@beaune.test', "pas complète"),
    ],
)
def test_a_bad_target_is_said(client: Client, box: Mailbox, typed: str, said: str) -> None:
    answer = client.post(f"/courrier/{box.id}/renvoi/", {"target": typed})
    assert answer.status_code == 400
    assert said in text(answer)
    assert not Forward.objects.exists()


def test_where_the_policy_says_so_mail_stays_in_the_collectivite(
    beaune: Commune, box: Mailbox, target: str, settings: object
) -> None:
    from dataclasses import replace

    base = settings.BEFFROI  # type: ignore[attr-defined]
    settings.BEFFROI = replace(base, outgoing_mail=True)  # type: ignore[attr-defined]
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target="moi@gmail.example")
    assert queries.is_outside(row)
    Forward.objects.filter(pk=row.pk).update(expires_at=clock.now() + timedelta(days=9))
    told = text(portal_client(beaune.referent_membership).get("/"))
    assert "renvoie son courrier vers moi@gmail.example" in told
    settings.BEFFROI = replace(base, outgoing_mail=True, forwarding_outside=False)  # type: ignore[attr-defined]
    with pytest.raises(SettingRefused):
        actions.set_forward(actor=beaune.agent, mailbox=box, target="moi@gmail.example")
    client = portal_client(beaune.agent_membership)
    client.post("/confirmer/", {"password": PASSWORD})
    refused = client.post(f"/courrier/{box.id}/renvoi/", {"word": "renew"})
    assert refused.status_code == 400 and "n’autorise le renvoi que vers" in text(refused)
    row.refresh_from_db()
    assert row.expires_at < clock.now() + timedelta(days=90)
    assert actions.end_over() == 1, "one that was in place ends"
    assert queries.script(box) == ""
    assert not queries.is_outside(actions.set_forward(actor=beaune.agent, mailbox=box, target=target))
    assert actions.end_over() == 0


def test_a_forward_ends_with_its_term_and_is_renewed(beaune: Commune, box: Mailbox, target: str) -> None:
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    Forward.objects.filter(pk=row.pk).update(expires_at=clock.now() + timedelta(minutes=1))
    actions.renew_forward(actor=beaune.agent, mailbox=box)
    assert actions.end_over() == 0
    with clock.shifted(91 * 86400):
        assert queries.forward(box) is None
        assert actions.end_over() == 1
        with pytest.raises(Conflict):
            actions.renew_forward(actor=beaune.agent, mailbox=box)


def test_a_forward_to_a_mailbox_that_was_closed_ends_and_says_why(
    beaune: Commune, client: Client, box: Mailbox, target: str
) -> None:
    actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    assert actions.end_over() == 0
    mail.close_mailbox(actor=SYSTEM, mailbox=Mailbox.objects.get(address=target))
    assert actions.end_over() == 1
    assert "sont renvoyés vers" not in text(client.get("/"))
    forward_told.ask_due()
    said = forward_told.compose(Notice.objects.get(), box)
    assert said is not None and "la boîte vers laquelle il allait est fermée" in " ".join(said.text.split())
    client.post("/confirmer/", {"password": PASSWORD})
    refused = client.post(f"/courrier/{box.id}/renvoi/", {"target": target.replace("@", "+x@")})
    assert refused.status_code == 400 and "Cette boîte est fermée" in text(refused)


def test_a_closed_mailbox_whose_address_an_alias_took_over_takes_forwards(
    beaune: Commune, box: Mailbox, target: str
) -> None:
    actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    mail.close_mailbox(actor=SYSTEM, mailbox=Mailbox.objects.get(address=target))
    Alias.objects.create(collectivite_id=beaune.id, address=target)
    assert actions.end_over() == 0
    assert actions.renew_forward(actor=beaune.agent, mailbox=box).target == target


def test_who_leaves_receives_nothing_any_more(beaune: Commune, box: Mailbox, target: str) -> None:
    actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    identity.end_access(actor=SYSTEM, membership=beaune.agent_membership)
    run_pending("main")
    assert queries.forward(box) is None


# -- an account in other hands -------------------------------------------------------------------------------


def test_a_forward_made_after_a_sign_in_from_nowhere_contains_the_account(
    beaune: Commune, box: Mailbox, target: str, administrator: Actor
) -> None:
    came(beaune.agent.id, beaune.id, "192.0.2.7", days_ago=9)
    came(beaune.agent.id, beaune.id, "203.0.113.9", days_ago=0)
    before = Person.objects.get(pk=beaune.agent.id).sessions_from
    row = actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    assert row.suspended_at is not None
    alarm = SendingAlarm.objects.get()
    assert (alarm.limit, alarm.contained_at is not None) == ("takeover", True)
    assert Person.objects.get(pk=beaune.agent.id).sessions_from != before
    assert "redirect" not in queries.script(box)
    told = text(portal_client(beaune.referent_membership).get("/"))
    assert f"La boîte {box.address} est suspendue" in told
    with on_listener("console"):
        console = console_client(administrator.id)
        assert "réseau jamais vu" in text(console.get("/sortant/"))
        console.post(f"/sortant/compte/{alarm.id}/", {"word": "give_back"})
    assert "redirect" not in queries.script(box)  # it rests until its owner confirms it
    actions.renew_forward(actor=beaune.agent, mailbox=box)
    assert "redirect" in queries.script(box)
    assert actions.set_forward(actor=beaune.agent, mailbox=box, target=target).suspended_at is None


def test_a_filter_that_hides_everything_is_switched_off_in_the_same_way(
    beaune: Commune, box: Mailbox
) -> None:
    came(beaune.agent.id, beaune.id, "192.0.2.7", days_ago=9)
    came(beaune.agent.id, beaune.id, "203.0.113.9", days_ago=0)
    actions.add_rule(
        actor=beaune.agent, mailbox=box, field="from", words="promo@x", act="move", folder="Trash"
    )
    assert not SendingAlarm.objects.exists()
    actions.add_rule(actor=beaune.agent, mailbox=box, field="from", words="@", act="move", folder="Trash")
    assert SendingAlarm.objects.get().limit == "takeover"
    assert [one.is_on for one in queries.rules(box)] == [True, False]


def test_the_same_from_a_known_network_is_nobodys_alarm(beaune: Commune, box: Mailbox, target: str) -> None:
    came(beaune.agent.id, beaune.id, "192.0.2.7", days_ago=9)
    came(beaune.agent.id, beaune.id, "192.0.2.99", days_ago=0)
    assert actions.set_forward(actor=beaune.agent, mailbox=box, target=target).suspended_at is None
    assert not SendingAlarm.objects.exists()


# -- signatures ----------------------------------------------------------------------------------------------


def test_a_signature_and_the_common_line_stand_under_new_messages_and_above_quotes(
    beaune: Commune, box: Mailbox, client: Client
) -> None:
    actions.set_common_line(actor=beaune.referent, text="Mairie ouverte le matin")
    client.post(f"/courrier/{box.id}/reglages/signature/", {"signature": "Claire\r\nAccueil", "line": "x"})
    new = text(client.get(f"/courrier/{box.id}/ecrire/"))
    assert "\n\n-- \nClaire\nAccueil\nMairie ouverte le matin\n" in new
    answer = text(client.get(f"/courrier/{box.id}/ecrire/?repondre=2"))
    assert answer.index("Mairie ouverte") < answer.index("a écrit")
    assert "Claire" not in text(client.get(f"/courrier/{box.id}/brouillon/1/"))
    client.post(f"/courrier/{box.id}/reglages/signature/", {"signature": ""})
    assert not Signature.objects.exists()
    with pytest.raises(NotAllowed):
        actions.set_common_line(actor=beaune.agent, text="x")


# -- everybody's own -----------------------------------------------------------------------------------------


def test_actions_refuse_another_persons_mailbox(beaune: Commune, nuits: Commune, box: Mailbox) -> None:
    for stranger in (beaune.colleague, beaune.referent, nuits.agent):
        for act in (
            lambda who: actions.set_forward(actor=who, mailbox=box, target="x@beaune.test"),
            lambda who: actions.set_signature(actor=who, mailbox=box, text="x"),
            lambda who: actions.add_rule(actor=who, mailbox=box, field="from", words="x", act="star"),
            lambda who: actions.end_absence(actor=who, mailbox=box),
        ):
            with pytest.raises(NotFound):
                act(stranger)


@pytest.mark.usefixtures("engines")
def test_an_erased_person_leaves_no_text_behind(
    beaune: Commune, box: Mailbox, target: str, today: date
) -> None:
    last = today + timedelta(days=1)
    actions.set_signature(actor=beaune.agent, mailbox=box, text="Claire")
    actions.set_absence(actor=beaune.agent, mailbox=box, first=today, last=last, text="x", every_days=7)
    actions.set_forward(actor=beaune.agent, mailbox=box, target=target)
    actions.add_rule(actor=beaune.agent, mailbox=box, field="from", words="ma sœur", act="star")
    told = AuditEntry.objects.get(verb="mail:forward:set")
    assert personal_of(told) == {"target": target}
    erasure.erase(Person.objects.get(pk=beaune.agent.id))
    run_pending("main")
    for model in (Signature, Absence, Forward, FilterRule):
        assert not model._default_manager.exists(), model
    assert personal_of(told) == {}, "where their mail went on to is most often their own address"
