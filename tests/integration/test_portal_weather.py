"""The weather's pages: what a mayor and the Département read, whose days they show, and what each figure is called."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta

import pytest
from beffroi.boxes.models import Box, FlowCount
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.incidents import actions as incidents
from beffroi.incidents.rules import Kind
from beffroi.lib import clock
from beffroi.portal import about, months, weather_words
from beffroi.portal.web import home, weather
from beffroi.watch.sources.models import FeedSource, SourceTrial
from beffroi.watch.weather import actions
from beffroi.watch.weather.models import WeatherDay
from beffroi.watch.weather.rules import FIGURES, Level, Reason, Weather
from django.urls import reverse

from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.fixtures_portal_mail import shown_mail

__all__ = ["no_door", "shown_mail"]
pytestmark = pytest.mark.django_db


@pytest.fixture
def territory(beaune: Commune, nuits: Commune) -> None:
    """Two communes with a box; Beaune had a storm yesterday, Nuits counts other figures."""
    Collectivite.objects.update(enrolled_at=clock.now())
    now, yesterday = clock.now(), clock.now().date() - timedelta(days=1)
    for number, (commune, level, flows) in enumerate(((beaune, "storm", 4711), (nuits, "calm", 815))):
        Box.objects.create(
            collectivite_id=commune.id,
            serial=f"BF-{number}",
            public_key=f"{number}".ljust(43, "A"),
            fingerprint="k7qd",
            state="active",
            last_seen_at=now,
        )
        WeatherDay.objects.create(
            collectivite_id=commune.id,
            day=yesterday,
            level=level,
            reasons=[["severe_incident", 1]] if level == "storm" else [],
            figures={"flows_in": flows, "flows_out": 0, "names": 3, "packets": 9 * flows, "unnamed": 2},
        )


def text(answer: object) -> str:
    """What is said, without tags, with plain spaces."""
    content = answer.content.decode()  # type: ignore[attr-defined]
    return " ".join(re.sub(r"<[^>]+>", " ", content).replace("\xa0", " ").replace("\u202f", " ").split())


def test_home_says_the_weather_first(beaune: Commune, territory: None, shown_mail: object) -> None:
    page = text(portal_client(beaune.agent_membership).get("/"))
    assert "Temps calme Aucune alerte en cours." in page  # her second factor still waits
    Box.objects.filter(serial="BF-0").update(last_seen_at=clock.now() - timedelta(hours=3))
    page = text(portal_client(beaune.agent_membership).get("/"))
    assert (
        "2 actions vous attendent. Météo cyber de Beaune : Vigilance Voir la météo 1 boîtier ne répond"
        in page
    )


def test_what_the_council_gets_stands_before_how_the_weather_is_made(
    beaune: Commune, territory: None
) -> None:
    """On a phone the rules are three screens long."""
    page = text(portal_client(beaune.agent_membership).get("/meteo/"))
    heads = ("Une page par mois", "Les 30 derniers jours", "Comment la météo se décide")
    assert [*heads] == sorted(heads, key=page.index)


def test_each_reason_leads_to_where_it_is_dealt_with(
    beaune: Commune, territory: None, shown_mail: object
) -> None:
    incidents.open_incident(
        actor=incidents.SYSTEM,
        kind=Kind.FOREIGN_SIGN_IN,
        collectivite_id=beaune.id,
        subject="x",
        occurred_at=clock.now(),
        data={"count": 2, "address": "185.203.116.9"},
    )
    Box.objects.filter(serial="BF-0").update(last_seen_at=clock.now() - timedelta(hours=3))
    client = portal_client(beaune.agent_membership)
    for page in ("/", "/meteo/"):
        shown = client.get(page).content.decode()
        assert re.search(r'<a href="/dossiers/">1 dossier grave est ouvert[^<]*</a>', shown)
        assert re.search(r'<a href="/boitier/">1 boîtier ne répond plus[^<]*</a>', shown)
    assert set(weather.WAYS) == set(weather_words.PAST), "each reason of a commune"
    assert all(client.get(reverse(way)).status_code == 200 for way in weather.WAYS.values())


def test_home_counts_each_thing_that_waits_once_also_what_it_has_no_room_to_show(
    beaune: Commune, territory: None, shown_mail: object
) -> None:
    for number in range(home.OPEN_SHOWN + 2):
        incidents.open_incident(
            actor=incidents.SYSTEM,
            kind=Kind.FOREIGN_SIGN_IN,
            collectivite_id=beaune.id,
            subject=f"number {number}",
            occurred_at=clock.now(),
            data={"count": 2, "address": "185.203.116.9"},
        )
    client = portal_client(beaune.agent_membership)
    for path in ("/", "/?part=weather"):
        page = text(client.get(path, headers={"HX-Request": "true"}))
        assert f"{home.OPEN_SHOWN + 3} actions vous attendent." in page  # her second factor, too
        assert "à mener" not in page and "Rien à faire" not in page


def test_the_part_that_is_asked_for_again_is_the_card_alone(beaune: Commune, territory: None) -> None:
    answer = portal_client(beaune.agent_membership).get("/?part=weather", headers={"HX-Request": "true"})
    assert "Météo cyber de Beaune" in text(answer) and "<h1" not in answer.content.decode()


def test_a_commune_reads_its_own_days_only(beaune: Commune, nuits: Commune, territory: None) -> None:
    day = clock.now().date() - timedelta(days=1)
    for path in ("/meteo/", f"/meteo/mois/?mois={day:%Y-%m}"):
        own = text(portal_client(beaune.agent_membership).get(path))
        other = text(portal_client(nuits.agent_membership).get(path))
        assert "4711" in own.replace(" ", "") and "815" not in own.replace(" ", ""), path
        assert "815" in other.replace(" ", "") and "4711" not in other.replace(" ", ""), path
        assert "dossier grave" in own.lower()


def test_today_is_told_alike_on_each_page_before_it_is_kept(
    beaune: Commune, territory: None, administrator: Actor
) -> None:
    """At the head, in the list of days, in the month of the commune and of the territory."""
    Box.objects.update(last_seen_at=clock.now() - timedelta(hours=2))
    today = clock.now().date()
    FlowCount.objects.create(
        collectivite_id=beaune.id, day=today, kind="ip", value="45.155.204.9", direction="in", count=31,
        last_at=clock.now(),
    )  # fmt: skip
    client = portal_client(beaune.agent_membership)
    told = months.told(beaune.agent, today, today)
    assert [(one.level["label"], one.attempts) for one in told.lines] == [
        (weather_words.level("watch")["label"], 31)
    ]
    assert told.reasons and told.figures["flows_in"] == 31
    assert text(client.get("/meteo/")).count(str(weather_words.level("watch")["label"])) > 1
    found = months.by_collectivite(administrator, months.month_of(""))
    assert found[beaune.id][1] == (
        Level.STORM if (today - timedelta(days=1)).month == today.month else Level.WATCH
    )
    assert not WeatherDay.objects.filter(day=today).exists(), "reading writes nothing"


def test_the_sheet_names_each_figure_and_adds_none_up(beaune: Commune, territory: None) -> None:
    day = clock.now().date() - timedelta(days=1)
    page = text(portal_client(beaune.agent_membership).get(f"/meteo/mois/?mois={day:%Y-%m}"))
    for words in weather_words.FIGURES.values():
        assert str(words) in page
    assert "42 399 paquets" in page and "2 tentatives d’un afflux" in page
    assert "les additionner n’aurait pas de sens" in page
    assert str(4711 + 3) not in page.replace(" ", "")


@pytest.mark.parametrize("code", ["2026-13", "x", "2019-01", "2099-01", "2026-1", "2026-11-24", "٢٠٢٦-11"])
def test_what_is_no_kept_month_is_no_such_page(
    code: str, beaune: Commune, territory: None, administrator: Actor
) -> None:
    assert portal_client(beaune.agent_membership).get("/meteo/mois/", {"mois": code}).status_code == 404
    with on_listener("console"):
        answer = console_client(administrator.id).get("/meteo/mois/", {"mois": code})
        assert answer.status_code == 404


def test_a_month_before_the_enrolment_is_not_told_as_one_in_which_nothing_happened(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    this, before, *_rest, first = months.months()
    Collectivite.objects.filter(pk=beaune.id).update(enrolled_at=clock.now())
    Collectivite.objects.filter(pk=nuits.id).update(enrolled_at=clock.now() - timedelta(days=500))
    said = "Pas encore raccordée"
    own, other = portal_client(beaune.agent_membership), portal_client(nuits.agent_membership)
    page = text(own.get("/meteo/mois/", {"mois": before.code}))
    assert said in page and "Rien de particulier" not in page and "Le mois en chiffres" not in page
    page = text(own.get("/meteo/mois/", {"mois": this.code}))
    assert said not in page and "Le mois en chiffres" in page
    assert "Rien de particulier" in text(other.get("/meteo/mois/", {"mois": before.code}))
    page = text(own.get("/meteo/"))
    assert f"Raccordée en {this.name} : les mois d’avant n’ont pas de page." in page
    assert before.name.lower() not in page.lower() and "rien n’est connu" in page
    assert "raccordée" not in text(other.get("/meteo/")).lower()
    with on_listener("console"):
        console = console_client(administrator.id)
        page = text(console.get("/meteo/mois/", {"mois": before.code}))
        assert "1 collectivité n’était pas encore raccordée Beaune" in page and "Le mois en chiffres" in page
        assert "refusés par les boîtiers" in page and "par le boîtier" not in page
        assert "raccordé" not in text(console.get("/meteo/"))
        Collectivite.objects.filter(pk=nuits.id).update(enrolled_at=clock.now())
        page = text(console.get("/meteo/mois/", {"mois": first.code}))
        assert "Aucune collectivité n’était encore raccordée" in page and "Le mois en chiffres" not in page
        assert f"Personne n’était raccordé avant {this.name} : ces mois" in text(console.get("/meteo/"))


def test_days_that_are_known_are_told_though_the_enrolment_came_later(
    beaune: Commune, territory: None
) -> None:
    later = clock.now() + timedelta(days=40)
    Collectivite.objects.filter(pk=beaune.id).update(enrolled_at=later)
    day = clock.now().date() - timedelta(days=1)
    page = text(portal_client(beaune.agent_membership).get("/meteo/mois/", {"mois": f"{day:%Y-%m}"}))
    assert "Pas encore raccordée" not in page and "4711" in page.replace(" ", "")


def test_every_month_that_is_offered_opens(beaune: Commune) -> None:
    client = portal_client(beaune.agent_membership)
    offered = [one.code for one in months.months()]
    assert len(offered) >= 13 and len(set(offered)) == len(offered)
    assert {client.get("/meteo/mois/", {"mois": code}).status_code for code in offered} == {200}


def test_the_console_shows_every_commune_as_a_tile_and_why(
    territory: None, beaune: Commune, administrator: Actor
) -> None:
    actions.record_weather(
        {beaune.id: Weather(Level.STORM, ((Reason.SEVERE_INCIDENT, 1),))}, day=clock.now().date()
    )
    Box.objects.filter(serial="BF-0").update(last_seen_at=clock.now() - timedelta(hours=3))
    with on_listener("console"):
        client = console_client(administrator.id)
        page = text(client.get("/meteo/"))
        assert "Beaune : Vigilance" in page and "Nuits-Saint-Georges : Temps calme" in page
        assert "1 boîtier ne répond plus" in page
        day = clock.now().date() - timedelta(days=1)
        month = text(client.get("/meteo/mois/", {"mois": f"{day:%Y-%m}"}))
        assert "5 526" in month, "the sum of one figure over all communes"
        assert "4 711" in month and "815" in month


def test_the_month_of_the_territory_tells_where_something_was_and_counts_the_rest(
    territory: None, make_commune: Callable[..., Commune], administrator: Actor
) -> None:
    day = clock.now().date() - timedelta(days=1)
    calm = [make_commune(f"Calme-{number}", f"calme{number}.test").id for number in range(3)]
    actions.record_weather({one: Weather(Level.CALM, ()) for one in calm}, day=day)
    with on_listener("console"):
        answer = console_client(administrator.id).get("/meteo/mois/", {"mois": f"{day:%Y-%m}"})
    rows = re.findall(r'<th scope="row">(.*?)</th>', answer.content.decode())
    assert rows == ["Beaune", "Nuits-Saint-Georges"]
    page = text(answer)
    assert "3 collectivités : temps calme, rien d’arrêté" in page
    assert "Calme-0, Calme-1, Calme-2" in page


def test_the_trial_of_a_list_that_waits_is_told_as_a_trial(administrator: Actor, territory: None) -> None:
    source = FeedSource.objects.create(name="Essai", slug="essai", format="plain", weight="list", active=True)
    SourceTrial.objects.create(source=source, kind="domain", state="review", count=5)
    with on_listener("console"):
        text = console_client(administrator.id).get("/meteo/").content.decode()
    assert "1 mise à jour ou essai d’une liste attend un avis." in text
    assert "retenue" not in text


def test_the_method_is_published_without_an_account_and_with_the_boxs_own_numbers(client: object) -> None:
    from beffroi_box.facts import NAME_AGAIN_S
    from beffroi_box.tallies import ATTEMPT_S

    assert about.ATTEMPT_S == ATTEMPT_S == NAME_AGAIN_S
    answer = client.get("/comptage/")  # type: ignore[attr-defined]
    assert answer.status_code == 200
    assert "pendant 5 minutes" in text(answer) and "gardés 400 jours" in text(answer)


def test_every_reason_and_figure_has_words(beaune: Commune, territory: None) -> None:
    assert all(weather_words.reason(str(one), 2) != str(one) for one in Reason)
    territory_only = {Reason.COMMUNES_IN_STORM, Reason.SOME_IN_STORM, Reason.SOURCES_HELD, Reason.REVIEWS}
    assert set(weather_words.PAST) == set(Reason) - territory_only
    assert set(weather_words.FIGURES) | {"packets", "unnamed"} == set(FIGURES)


def test_flows_on_the_home_page_are_the_last_thirty_days(
    beaune: Commune, territory: None, shown_mail: object
) -> None:
    for back, count in ((0, 31), (29, 400), (30, 7000)):
        at = clock.now() - timedelta(days=back)
        FlowCount.objects.create(
            collectivite_id=beaune.id,
            day=at.date(),
            kind="ip",
            value="45.155.204.9",
            direction="in",
            count=count,
            last_at=at,
        )
    page = portal_client(beaune.agent_membership).get("/").content.decode()
    assert "<dd>431</dd>" in page


@pytest.mark.parametrize("reason", [Reason.COMMUNES_IN_STORM, Reason.SOME_IN_STORM])
def test_a_storm_somewhere_is_never_said_to_need_nothing(reason: Reason) -> None:
    assert weather_words.sentence(Weather(Level.STORM, ((reason, 1),))) == ""
    waiting = Weather(Level.STORM, ((reason, 1), (Reason.REVIEWS, 2)))
    assert weather_words.sentence(waiting) == "2 actions à mener."
    assert weather_words.sentence(Weather(Level.CALM, ())) == "Rien à faire."
