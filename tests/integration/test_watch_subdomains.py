"""A lure with a name of its own for each reader, all below one that somebody registered for it."""

from __future__ import annotations

import pytest
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.watch import actions
from beffroi.watch.models import Campaign

from tests.fixtures_watch import FAIL, Report, active, names, report

__all__ = ["names", "report"]
OWNED = "suivi-amende.com"


def link(host: str) -> list[list[str]]:
    return [["url", f"https://{host}/payer"]]


def blocked() -> set[str]:
    return {value for kind, value in active() if kind == "domain"}


def test_names_made_for_each_reader_are_one_campaign_and_what_they_stand_below_is_blocked(
    report: Report,
) -> None:
    report("col_a", "per_1", indicators=link(f"x7f3.{OWNED}"))
    assert not active()
    report("col_b", "per_2", indicators=link(f"k2q9.{OWNED}"))
    assert Campaign.objects.count() == 1
    assert blocked() == {OWNED}
    # A later one makes it last longer.
    Decision.objects.filter(value=OWNED).update(expires_at=Decision.objects.get(value=OWNED).proposed_at)
    report("col_c", "per_3", indicators=link(f"w1.a.{OWNED}"))
    assert blocked() == {OWNED}
    assert Campaign.objects.count() == 1


@pytest.mark.parametrize(
    ("hosts", "evidence", "expected"),
    [
        # The same place in both, another name beside it or not: it falls, and not what it stands below.
        ((f"a.{OWNED}", f"a.{OWNED}"), {}, {f"a.{OWNED}"}),
        ((f"a.{OWNED}", f"a.{OWNED}", f"b.{OWNED}"), {}, {f"a.{OWNED}"}),
        # Mail has known it for long: a provider of newsletters, or a site that somebody broke into.
        ((f"a.{OWNED}", f"b.{OWNED}"), {"known_before": [OWNED]}, set()),
        # In its first week a centre knows no provider.
        ((f"a.{OWNED}", f"b.{OWNED}"), {"learning": True}, set()),
        # Below a public suffix, or a platform, each name is somebody else's.
        (("a.asso.fr", "b.asso.fr"), {}, set()),
        (("a.blogspot.com", "b.blogspot.com"), {}, set()),
        (("a.azurewebsites.net", "b.azurewebsites.net"), {}, set()),
        # Links of newsletters: a name for each customer.
        (("a.mjt.lu", "b.mjt.lu"), {}, set()),
        (("a.sendibt2.com", "b.sendibt2.com"), {}, set()),
        (("a.gouv.fr", "b.gouv.fr"), {}, set()),
        # Nothing that a machine found.
        ((f"a.{OWNED}", f"b.{OWNED}"), {"spf": "pass", "dmarc": "none"}, set()),
    ],
)
def test_what_names_stand_below_is_blocked_for_names_of_two_communes_alone(
    report: Report, hosts: tuple[str, ...], evidence: dict[str, object], expected: set[str]
) -> None:
    for number, host in enumerate(hosts):
        report(f"col_{number}", f"per_{number}", indicators=link(host), evidence=FAIL | evidence)
    assert blocked() == expected


def test_one_commune_or_one_person_blocks_nothing_by_many_names(report: Report) -> None:
    for number in range(4):
        report("col_a", f"per_{number}", indicators=link(f"a{number}.{OWNED}"))
        report(f"col_{number}", "per_0", indicators=link(f"b{number}.{OWNED}"))
        if number == 0:
            assert not blocked()
    assert blocked() <= {OWNED}


def test_what_was_undone_is_not_blocked_again_by_further_names(report: Report, administrator: Actor) -> None:
    report("col_a", "per_1", indicators=link(f"a.{OWNED}"))
    report("col_b", "per_2", indicators=link(f"b.{OWNED}"))
    assert blocked() == {OWNED}
    actions.undo_campaign(actor=administrator, campaign=Campaign.objects.get())
    for number in range(3):
        report(f"col_{number}", f"per_{number}", indicators=link(f"c{number}.{OWNED}"))
    assert not blocked()


def test_a_name_that_a_person_found_harmless_spares_what_it_stands_below(
    report: Report, administrator: Actor
) -> None:
    report("col_a", "per_1", indicators=link(f"www.{OWNED}"))
    actions.dismiss_campaign(actor=administrator, campaign=Campaign.objects.get())
    for number in range(3):
        report(f"col_{number}", f"per_{number}", indicators=link(f"c{number}.{OWNED}"))
    assert not blocked()
