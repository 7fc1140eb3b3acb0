"""What a source brings, from a real server through the real fetching process to the doors' lists, and what is held."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.decisions.models import Decision, IndicatorList
from beffroi.core.decisions.never_again import never_again
from beffroi.core.events.running import run_pending
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed, NotFound
from beffroi.watch.actions import take_in
from beffroi.watch.sources import actions, queries, store, updates
from beffroi.watch.sources.models import FeedSource, SourceUpdate
from beffroi_protocol.indicators import Indicator, Kind

from tests.conftest import Commune
from tests.publishing import (
    SYSTEM,
    Publisher,
    again,
    fetch_round,
    fetched,
    new_source,
)

pytest_plugins = ["tests.fixtures_sources"]
pytestmark = pytest.mark.usefixtures("database")


def addresses(first: int, count: int) -> str:
    return "".join(f"45.{n >> 16 & 255}.{n >> 8 & 255}.{n & 255}\n" for n in range(first, first + count))


def lists_in_force() -> dict[str, int]:
    return dict(IndicatorList.objects.values_list("name", "count"))


def test_a_list_is_fetched_and_published_by_kind_with_its_counts(
    sources_state: Path, publisher: Publisher
) -> None:
    page = "45.155.204.7\n45.155.204.0/28\nlure.example.net\nhttps://lure.example.org/paie\n???\ngithub.com\n"
    source = new_source(publisher.serve("/list", page, ETag='"1"'), name="Liste d’essai", ttl_s=7200)
    assert lists_in_force() == {}
    fetch_round(sources_state)
    assert lists_in_force() == dict.fromkeys(
        (f"source-liste-dessai-{kind}" for kind in ("ip", "cidr", "domain", "url")), 1
    )
    source.refresh_from_db()
    update = source.updates.get()
    assert (update.state, update.kept, update.new, update.invalid, update.protected) == (
        "applied",
        4,
        4,
        1,
        1,
    )
    assert update.examples[0][:2] == ["domain", "github.com"]
    assert (source.in_force, source.last_error, source.etag) == (4, "", '"1"')
    assert queries.state_of(source).state == "fresh"
    row = IndicatorList.objects.first()
    assert row is not None and row.expires_at is not None
    assert 7100 < (row.expires_at - clock.now()).total_seconds() <= 7200
    # Unchanged: the server says so, and what it named lives on.
    again(source)
    fetch_round(sources_state)
    assert publisher.asked[-1][1]["If-None-Match"] == '"1"'
    assert source.updates.count() == 1
    assert len(lists_in_force()) == 4


def test_what_a_source_names_no_longer_leaves_after_its_ttl(
    sources_state: Path, publisher: Publisher
) -> None:
    source = new_source(publisher.serve("/l", "45.1.1.1\n45.1.1.2\n"), ttl_s=3600, every_s=900)
    fetch_round(sources_state)
    publisher.serve("/l", "45.1.1.2\n")
    with clock.shifted(30 * 60):
        again(source)
        fetch_round(sources_state)
        assert lists_in_force() == {"source-essai-ip": 2}
    with clock.shifted(61 * 60):
        assert updates.sweep() == 1
        assert lists_in_force() == {"source-essai-ip": 1}
        # The source fails for long: its list stays until the TTL, and says so.
        publisher.pages.clear()
        again(source)
        fetch_round(sources_state)
        source.refresh_from_db()
        assert (source.last_error, source.last_error_detail, source.failures) == ("source.refused", "404", 1)
        assert lists_in_force() == {"source-essai-ip": 1}
        assert queries.state_of(source).state == "failing"
    with clock.shifted(91 * 60):
        updates.sweep()
        assert lists_in_force() == {}
    with clock.shifted(2 * 86400):
        assert [one.source.id for one in queries.alarms(SYSTEM)] == [source.id]
        assert queries.state_of(source).state == "late"


@pytest.mark.parametrize(
    ("then", "doubt"),
    [
        (addresses(0x010000, 700), "grew"),
        (addresses(0x010000, 20), "shrank"),
        ("# nothing today\n", "empty"),
        (addresses(0x010000, 300) + "1.1.1.1\n8.8.8.8\n9.9.9.9\nimpots.gouv.fr\nameli.fr\n", "protected"),
    ],
)
def test_an_update_that_behaves_differently_is_held_and_the_former_list_stays(
    sources_state: Path, publisher: Publisher, administrator: Actor, then: str, doubt: str
) -> None:
    source = new_source(publisher.serve("/l", addresses(0x010000, 300), ETag='"a"'))
    fetch_round(sources_state)
    assert lists_in_force() == {"source-essai-ip": 300}
    publisher.serve("/l", then, ETag='"b"')
    again(source)
    fetch_round(sources_state)
    held = source.updates.get(state="held")
    assert held.doubts == [doubt]
    assert lists_in_force() == {"source-essai-ip": 300}
    source.refresh_from_db()
    assert queries.state_of(source).state == "held"
    assert queries.held_count(SYSTEM) == 1
    with pytest.raises(Invalid):
        actions.answer_update(actor=administrator, update=held, accept=True, why=" ")
    actions.answer_update(actor=administrator, update=held, accept=True, why="Vu avec l’éditeur")
    run_pending("sources")
    held.refresh_from_db()
    assert (held.state, held.answered_by) == ("accepted", administrator.id)
    source.refresh_from_db()
    assert source.named == held.kept
    assert AuditEntry.objects.filter(verb="source:update_accepted", object_id=held.id).count() == 1
    with pytest.raises(Conflict):
        actions.answer_update(actor=administrator, update=held, accept=False, why="Trop tard")
    # What it named before and not now leaves with its TTL, not at once.
    assert lists_in_force() == {"source-essai-ip": max(300, held.kept)}


def test_an_update_that_a_clock_ahead_dated_counts_among_none_of_the_last_days() -> None:
    """It held each one after a list had grown, whatever a person accepted."""
    source = new_source("https://lists.example.org/list")
    ahead = clock.now() + timedelta(days=40)
    SourceUpdate.objects.create(source=source, state="applied", kept=300, at=ahead)
    SourceUpdate.objects.create(source=source, state="accepted", kept=700)
    assert updates._week(source) == 700


def test_one_name_of_a_member_holds_an_update_until_a_person_accepts_it(
    sources_state: Path, publisher: Publisher, administrator: Actor, make_commune: Callable[..., Commune]
) -> None:
    make_commune("Saulieu", "mairie-saulieu.fr")
    page = addresses(0x010000, 1000) + "www.mairie-saulieu.fr\n"
    source = new_source(publisher.serve("/list", page))
    fetch_round(sources_state)
    held = source.updates.get()
    assert (held.state, held.doubts, held.examples[0][1]) == ("held", ["protected"], "www.mairie-saulieu.fr")
    assert lists_in_force() == {}
    actions.answer_update(actor=administrator, update=held, accept=True, why="signalé au producteur")
    run_pending("sources")
    assert sum(lists_in_force().values()) == 1000
    source.refresh_from_db()
    again(source)
    fetch_round(sources_state)
    assert source.updates.order_by("-at")[0].state == "applied"


def test_a_list_that_grows_by_less_than_twice_at_each_poll_is_held(
    sources_state: Path, publisher: Publisher
) -> None:
    source = new_source(publisher.serve("/list", addresses(0x010000, 1000)))
    for count, state in ((1000, "applied"), (1900, "applied"), (3600, "held")):
        publisher.serve("/list", addresses(0x010000, count))
        source.refresh_from_db()
        again(source)
        fetch_round(sources_state)
        assert source.updates.order_by("-at")[0].state == state


def test_a_refused_update_changes_nothing_and_a_normal_one_takes_its_place(
    sources_state: Path, publisher: Publisher, administrator: Actor
) -> None:
    source = new_source(publisher.serve("/l", addresses(0x010000, 300)))
    fetch_round(sources_state)
    publisher.serve("/l", addresses(0x010000, 5000))
    again(source)
    fetch_round(sources_state)
    held = source.updates.get(state="held")
    actions.answer_update(actor=administrator, update=held, accept=False, why="Suspect")
    run_pending("sources")
    assert not store.held_file(sources_state, held.id).exists()
    assert lists_in_force() == {"source-essai-ip": 300}
    again(source)
    fetch_round(sources_state)
    second = source.updates.get(state="held")
    publisher.serve("/l", addresses(0x010000, 310))
    again(source)
    fetch_round(sources_state)
    second.refresh_from_db()
    assert second.state == "superseded"
    assert not store.held_file(sources_state, second.id).exists()
    assert lists_in_force() == {"source-essai-ip": 310}


def test_a_large_first_update_waits_for_a_person(sources_state: Path, publisher: Publisher) -> None:
    source = new_source(publisher.serve("/l", addresses(0x010000, 5001)))
    fetch_round(sources_state)
    assert source.updates.get().doubts == ["first_large"]
    assert lists_in_force() == {}


def test_evidence_supports_a_report_and_publishes_nothing(sources_state: Path, publisher: Publisher) -> None:
    page = "https://lure.example.org/paie\nlure.example.net\n45.1.1.1\n"
    source = new_source(publisher.serve("/l", page), weight="evidence")
    fetch_round(sources_state)
    assert lists_in_force() == {}
    assert queries.listed(Indicator(Kind.URL, "https://lure.example.org/paie")) == {"listed_url"}
    assert queries.listed(Indicator(Kind.URL, "https://lure.example.org/autre")) == set()
    assert queries.listed(Indicator(Kind.DOMAIN, "www.lure.example.net")) == {"listed_name"}
    assert queries.listed(Indicator(Kind.DOMAIN, "example.net")) == set()
    # Its weight changes: the doors enforce it, and it is no evidence any more. Then it only observes.
    actions.change_source(actor=SYSTEM, source=source, weight="list")
    run_pending("sources")
    assert len(lists_in_force()) == 3
    assert queries.listed(Indicator(Kind.DOMAIN, "lure.example.net")) == set()
    actions.change_source(actor=SYSTEM, source=source, weight="observe")
    run_pending("sources")
    assert lists_in_force() == {}
    source.refresh_from_db()
    assert source.in_force == 3


def test_what_the_departement_took_back_for_good_stays_in_the_list_and_does_not_hold_it(
    sources_state: Path, publisher: Publisher, administrator: Actor
) -> None:
    source = new_source(publisher.serve("/l", addresses(0x010000, 300)))
    fetch_round(sources_state)
    for value in addresses(0x010000, 10).split():
        never_again(actor=administrator, indicator=Indicator(Kind.IP, value), reason="Un fournisseur")
    again(source)
    fetch_round(sources_state)
    update = source.updates.latest("at")
    assert (update.state, update.kept, update.never, update.protected) == ("applied", 300, 10, 0)
    assert lists_in_force() == {"source-essai-ip": 300}, (
        "every door lets them pass; taken back, they are refused"
    )


def test_a_reported_link_on_a_list_of_evidence_is_decided_and_without_a_report_nothing_is(
    sources_state: Path, publisher: Publisher, beaune: Commune
) -> None:
    new_source(publisher.serve("/l", "https://lure.example.org/paie\n"), weight="evidence")
    fetch_round(sources_state)
    assert not Decision.objects.exists()
    for number, link in enumerate(("https://lure.example.org/autre", "https://lure.example.org/paie")):
        payload = {
            "collectivite_id": beaune.id,
            "person_id": beaune.agent.id,
            "door": "mail",
            "detector": "user_report",
            "indicators": [["url", link]],
            "evidence": {},
        }
        take_in(sighting_id=f"sig_{number:026d}", payload=payload, landing={})
    decided = Decision.objects.get(kind="url")
    assert (decided.value, decided.evidence["detectors"]) == ("https://lure.example.org/paie", ["listed_url"])


def test_an_answer_that_is_taken_twice_after_a_crash_changes_nothing(
    sources_state: Path, publisher: Publisher
) -> None:
    source = new_source(publisher.serve("/l", addresses(0x010000, 300)))
    updates.ask_due()
    fetched(sources_state)
    number = FeedSource.objects.get().asked
    kept = {path: path.read_bytes() for path in (sources_state / "sources" / "brought").glob("src_*")}
    assert updates.take_all() == 1
    entries = store.read(store.entries_file(sources_state, source.id))
    for path, data in kept.items():
        path.write_bytes(data)
    FeedSource.objects.filter(pk=source.pk).update(asked=number)
    assert updates.take_all() == 1
    assert store.read(store.entries_file(sources_state, source.id)).keys() == entries.keys()
    assert lists_in_force() == {"source-essai-ip": 300}
    assert [(one.state, one.new, one.gone) for one in source.updates.order_by("at")] == [
        ("applied", 300, 0),
        ("applied", 0, 0),
    ]


def test_a_clock_that_jumps_forward_takes_no_list_back(sources_state: Path, publisher: Publisher) -> None:
    source = new_source(publisher.serve("/l", "45.1.1.1\n45.1.1.2\n"), ttl_s=3600, every_s=900)
    fetch_round(sources_state)
    with clock.jumped(40 * 86400):
        updates.sweep()
        assert lists_in_force() == {"source-essai-ip": 2}
        publisher.serve("/l", "45.1.1.2\n")  # what it names no longer has its hour, too
        again(source)
        fetch_round(sources_state)
        assert lists_in_force() == {"source-essai-ip": 2}
    updates.sweep()
    assert lists_in_force() == {"source-essai-ip": 2}
    with clock.shifted(3700):
        updates.sweep()
        assert lists_in_force() == {}


def test_a_clock_that_was_ahead_keeps_no_source_from_its_turn(
    sources_state: Path, publisher: Publisher
) -> None:
    source = new_source(publisher.serve("/list", "45.155.204.7\n"))
    with clock.jumped(40 * 86400):
        fetch_round(sources_state)
    source.refresh_from_db()
    assert source.last_error == ""
    assert updates.ask_due() == 1
    with clock.jumped(-3600):  # its answer is lost, and the clock is set back once more
        updates.ask_due()
    source.refresh_from_db()
    assert (source.asked, source.last_error) == ("", "source.too_slow")


def test_stopping_a_source_takes_everything_back_at_once(sources_state: Path, publisher: Publisher) -> None:
    source = new_source(publisher.serve("/l", "45.1.1.1\n"))
    fetch_round(sources_state)
    with pytest.raises(Conflict):
        actions.remove_source(actor=SYSTEM, source=source)
    actions.stop_source(actor=SYSTEM, source=source)
    run_pending("sources")
    assert lists_in_force() == {}
    source.refresh_from_db()
    assert (source.in_force, source.named) == (0, 0)
    asked = len(publisher.asked)
    fetch_round(sources_state)
    assert len(publisher.asked) == asked
    actions.remove_source(actor=SYSTEM, source=source)
    assert not FeedSource.objects.exists()
    assert not SourceUpdate.objects.exists()


def test_a_file_that_an_operator_gives_takes_the_same_way(
    sources_state: Path, django_capture_on_commit_callbacks: Callable[..., AbstractContextManager[object]]
) -> None:
    source = new_source(
        name="Fichier", format="csv", options={"column": "host", "header": True, "delimiter": ";"}
    )
    pieces = [b"date;host\n2026-11-24;lure.exam", b"ple.net\n2026-11-24;b.example.net\n"]
    with django_capture_on_commit_callbacks(execute=True):
        actions.give_file(actor=SYSTEM, source=source, pieces=pieces, account="ada")
    assert updates.take_all() == 0
    fetched(sources_state)
    assert updates.take_all() == 1
    assert lists_in_force() == {"source-fichier-domain": 2}
    assert list((sources_state / "sources" / "ask").iterdir()) == []


def test_sources_are_the_departements_alone(
    sources_state: Path, publisher: Publisher, beaune: Commune
) -> None:
    source = new_source(publisher.serve("/l", "45.1.1.1\n"))
    assert not queries.visible_sources(beaune.referent).exists()
    with pytest.raises(NotFound):
        queries.access_source(beaune.referent, source.id)
    for word in (actions.start_source, actions.stop_source, actions.remove_source, actions.fetch_now):
        with pytest.raises(NotAllowed):
            word(actor=beaune.referent, source=source)
    with pytest.raises(NotAllowed):
        actions.give_file(actor=beaune.referent, source=source, pieces=[b"x"])


def test_a_source_that_cannot_be_handled_keeps_no_other_from_its_turn(
    sources_state: Path, publisher: Publisher, settings: Any
) -> None:
    broken = new_source(publisher.serve("/a", "45.1.1.1\n"), name="A", account="ada")
    FeedSource.objects.filter(pk=broken.pk).update(secret="of another installation")
    other = new_source(publisher.serve("/b", "45.1.1.2\n"), name="B")
    fetch_round(sources_state)
    broken.refresh_from_db()
    other.refresh_from_db()
    assert (broken.last_error, broken.last_error_detail) == ("source.unusable", "SecretUnreadable")
    assert (other.last_error, other.in_force) == ("", 1)
    settings.BEFFROI = replace(settings.BEFFROI, sources_ca="/nonexistent")
    again(other)
    fetch_round(sources_state)
    other.refresh_from_db()
    assert (other.last_error, other.last_error_detail) == ("source.unusable", "FileNotFoundError")
