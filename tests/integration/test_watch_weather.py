"""The weather from real rows of all services: what a mayor's day depends on, what is kept, whom it is shown to."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta

import msgspec
import pytest
from beffroi.boxes import queries as boxes
from beffroi.boxes.models import Box, FlowCount, RefusedDay
from beffroi.core.communes.models import Collectivite
from beffroi.core.decisions.models import Decision
from beffroi.core.events.models import InboxFact
from beffroi.core.events.registry import Event
from beffroi.core.events.running import whole
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail import queries as mail
from beffroi.mail.models import Mailbox, MailMessage, MailRecipient, RemediationItem
from beffroi.portal import weather
from beffroi.watch.models import Campaign
from beffroi.watch.weather import actions, queries, retention, rules
from beffroi.watch.weather.models import WeatherDay
from beffroi.watch.weather.rules import Level, Reason, Weather
from beffroi_protocol.facts import Fact, FlowsBlocked, NamesRefused, RefusedTotals
from beffroi_protocol.indicators import Indicator, Kind

from tests.conftest import Commune
from tests.fixtures_portal import LURE_ID, deliver, no_door, own_mailbox, sighting, waiting_withdrawal

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
EVIL = Indicator(Kind.IP, "45.155.204.9")


def told(commune: Commune, fact: Fact, number: int) -> None:
    """A fact of the commune's box, as stream stores it and the worker takes it in."""
    from beffroi.boxes.consumers import take_in_fact

    row = InboxFact.objects.create(
        id=f"fact_{number}",
        source="box_1",
        collectivite_id=commune.id,
        payload=msgspec.json.encode(fact).decode(),
        received_at=clock.now(),
    )
    take_in_fact(Event(number, "fact:received", commune.id, {"fact_id": row.id}, clock.now()))


def enrolled(*communes: Commune) -> None:
    Collectivite.objects.filter(pk__in=[one.id for one in communes]).update(enrolled_at=clock.now())


def own_day(commune: Commune) -> WeatherDay:
    return queries.visible_days(commune.agent, since=clock.now().date()).get()


def test_what_a_box_tells_is_what_a_day_counts_each_for_itself(beaune: Commune, nuits: Commune) -> None:
    enrolled(beaune, nuits)
    now = clock.epoch_s()
    facts: list[Fact] = [
        FlowsBlocked("f1", EVIL, "in", 60, now, now, "tcp", 22),
        FlowsBlocked("f2", EVIL, "in", 30, now, now, "tcp", 3389),
        FlowsBlocked("f3", EVIL, "out", 10, now, now, "tcp", 443),
        NamesRefused("f4", Indicator(Kind.DOMAIN, "colis-suivi.com"), 4, now, now),
        RefusedTotals("f5", "in", 20_320, 95, now, now),
        RefusedTotals("f6", "out", 12, 10, now, now),
    ]
    for number, fact in enumerate(facts):
        told(beaune, fact, number)
    assert whole(weather.record_figures(days=2)) == 1
    assert own_day(beaune).figures == {
        "flows_in": 90,
        "flows_out": 10,
        "names": 4,
        "mails_refused": 0,
        "mails_set_aside": 0,
        "mails_withdrawn": 0,
        "packets": 20_332,
        "unnamed": 5,
    }
    assert not queries.visible_days(nuits.agent, since=clock.now().date()).exists()
    assert boxes.refused_by_day(nuits.agent, since=clock.now().date()) == {}
    assert whole(weather.record_figures(days=2)) == 0, "nothing is written twice"


def test_a_fact_that_was_late_is_counted_on_its_own_day(beaune: Commune) -> None:
    enrolled(beaune)
    past = clock.epoch_s() - 30 * 86400
    told(beaune, FlowsBlocked("f1", EVIL, "in", 7, past, past, "tcp", 22), 1)
    whole(weather.record_figures(days=2))
    assert not WeatherDay.objects.exists()
    whole(weather.record_figures(days=40))
    (day,) = WeatherDay.objects.all()
    assert (day.day, day.figures["flows_in"]) == (clock.now().date() - timedelta(days=30), 7)


def test_figures_are_written_collectivite_by_collectivite(
    beaune: Commune, nuits: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In between others of the worker have their turn: 40 days of all took it seconds."""
    enrolled(beaune, nuits)
    monkeypatch.setattr(weather, "_PIECE", 1)
    now = clock.epoch_s()
    for number, commune in enumerate((beaune, nuits)):
        told(commune, FlowsBlocked(f"f{number}", EVIL, "in", 7, now, now, "tcp", 22), number)
    written = [0]
    killed = weather.record_figures(days=2)
    for _ in killed:
        written.append(WeatherDay.objects.count())
        if written[-1]:
            break
    killed.close()
    assert written[-1] == 1 and len(written) > 3, "mails of three days, then boîtiers"
    assert whole(weather.record_figures(days=2)) == 1, "the other one"


def test_one_mail_to_two_people_of_a_commune_is_one_and_a_withdrawn_copy_is_one_a_mailbox(
    beaune: Commune, nuits: Commune, system: Actor
) -> None:
    own_mailbox(beaune)
    Mailbox.objects.create(collectivite_id=beaune.id, address="mairie@beaune.test", crypt_key="-")
    own_mailbox(nuits)
    for number, action in enumerate(("reject", "reject", "quarantine", "none")):
        message = f"msg_{number}" + "5" * 25
        MailMessage.objects.create(
            id=message,
            received_at=clock.now(),
            message_id="a@b",
            message_id_hash="0" * 64,
            sender="x@y.example",
            client_ip="192.0.2.1",
            helo="y",
            verdict=f'{{"action":"{action}"}}',
        )
        for address in ("agent@beaune.test", "mairie@beaune.test", "stranger@elsewhere.test"):
            MailRecipient.objects.create(message_id=message, address=address)
    today = clock.now().date()
    stopped = mail.stopped_by_day(system, since=today)
    assert list(stopped) == [(beaune.id, today)]
    found = stopped[beaune.id, today]
    assert (found.refused, found.set_aside, found.withdrawn) == (2, 1, 0)
    assert mail.stopped_by_day(nuits.agent, since=today) == {}


def test_a_silent_box_and_a_campaign_that_nobody_reported_are_to_be_watched(
    beaune: Commune, nuits: Commune, make_commune: Callable[..., Commune]
) -> None:
    enrolled(beaune, nuits)
    Box.objects.create(
        collectivite_id=beaune.id,
        serial="BF-1",
        public_key="A" * 43,
        fingerprint="k7qd",
        state="active",
        last_seen_at=clock.now() - timedelta(hours=2),
    )
    other = make_commune("Saulieu", "saulieu.test")
    mailbox = own_mailbox(beaune)
    deliver(mailbox, LURE_ID)
    sighting(nuits.id, nuits.agent.id, "msg_" + "2" * 26)
    sighting(other.id, other.agent.id, "msg_" + "3" * 26)
    waiting_withdrawal(Campaign.objects.get(state="decided").id, mailbox)
    RemediationItem.objects.update(state="moved", changed_at=clock.now())
    found = weather.inputs(beaune.agent)
    assert list(found) == [beaune.id]
    assert (found[beaune.id].silent_boxes, found[beaune.id].unreported) == (1, 1)
    assert weather.inputs(nuits.agent)[nuits.id] == rules.Inputs()
    weather.record_levels()
    day = own_day(beaune)
    assert (day.level, day.reasons) == ("watch", [["box_silent", 1], ["unreported", 1]])
    assert own_day(nuits).level == "calm"
    for state, counted in (("revoked", 0), ("review", 0), ("expired", 1), ("active", 1)):
        Decision.objects.filter(kind="url").update(state=state)
        assert weather.inputs(beaune.agent)[beaune.id].unreported == counted, state
    sighting(beaune.id, beaune.agent.id, LURE_ID)
    assert weather.inputs(beaune.agent)[beaune.id].unreported == 0


def test_days_before_the_first_box_are_no_usual_days(beaune: Commune) -> None:
    enrolled(beaune)
    today = clock.now().date()
    for back in range(1, 29):
        actions.record_weather({beaune.id: Weather(Level.CALM)}, day=today - timedelta(days=back))
    box = Box.objects.create(
        collectivite_id=beaune.id,
        serial="BF-1",
        public_key="A" * 43,
        fingerprint="k7qd",
        state="active",
        enrolled_at=clock.now() - timedelta(days=7),
        last_seen_at=clock.now(),
    )
    now = clock.epoch_s()
    told(beaune, FlowsBlocked("f1", EVIL, "in", 400, now, now, "tcp", 22), 1)
    found = weather.inputs(beaune.agent)[beaune.id]
    assert (found.attempts, found.baseline) == (400, None), "six whole days"
    assert rules.of_commune(found) == Weather(Level.CALM)
    Box.objects.filter(pk=box.pk).update(enrolled_at=clock.now() - timedelta(days=8))
    found = weather.inputs(beaune.agent)[beaune.id]
    assert (found.baseline, rules.of_commune(found).level) == (0.0, Level.WATCH)


def test_the_worst_of_a_day_stays_and_400_days_are_kept(beaune: Commune) -> None:
    today = clock.now().date()
    storm = Weather(Level.STORM, ((Reason.SEVERE_INCIDENT, 1),))
    for one in (Weather(Level.CALM), storm, Weather(Level.CALM)):
        actions.record_weather({beaune.id: one}, day=today)
    assert (own_day(beaune).level, own_day(beaune).reasons) == ("storm", [["severe_incident", 1]])
    for back in (399, 400, 401):
        actions.record_weather({beaune.id: storm}, day=today - timedelta(days=back))
    cutoff = clock.now() - timedelta(days=retention.KEEP_DAYS)
    assert [row.day for row in retention.past(cutoff)] == [today - timedelta(days=401)]


def test_counts_of_boxes_are_kept_400_days(beaune: Commune) -> None:
    from beffroi.boxes import retention as told

    for back in (400, 401):
        day = clock.now() - timedelta(days=back)
        FlowCount.objects.create(
            collectivite_id=beaune.id, day=day.date(), kind="ip", value="1.2.3.4", direction="in", last_at=day
        )
        RefusedDay.objects.create(collectivite_id=beaune.id, day=day.date(), direction="in")
    cutoff = clock.now() - timedelta(days=told.KEEP_COUNTS_DAYS)
    assert (told.flow_counts(cutoff).count(), told.refused_days(cutoff).count()) == (1, 1)
