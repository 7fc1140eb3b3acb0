"""A lure of which every copy holds another file or picture, and no link: what stays the same is who sends it."""

from __future__ import annotations

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.watch import actions
from beffroi.watch.models import Campaign

from tests.fixtures_watch import URL, Report, active, names, report

__all__ = ["names", "report"]
SENDER = "comptabilite@factures-urgentes.com"
PROVED = {"attachment_types": ["exe"], "dmarc": "pass", "proved_senders": [SENDER]}


def copy(number: int) -> list[list[str]]:
    """Each with bytes of its own."""
    return [["sha256", f"{number:064x}"], ["sender", SENDER]]


def test_copies_with_a_file_of_their_own_are_one_campaign_by_their_new_sender(report: Report) -> None:
    report("col_a", "per_1", indicators=copy(1), evidence=PROVED)
    assert not active()
    report("col_b", "per_2", indicators=copy(2), evidence=PROVED)
    assert Campaign.objects.count() == 1
    assert active() == {("sender", SENDER)}


@pytest.mark.parametrize(
    ("evidence", "sender"),
    [
        ({"proved_senders": []}, SENDER),
        ({"known_before": [SENDER]}, SENDER),
        ({"proved_senders": ["maire@impots.gouv.fr"]}, "maire@impots.gouv.fr"),
        ({"proved_senders": ["noreply@wetransfer.com"]}, "noreply@wetransfer.com"),
        ({"attachment_types": ["pdf"]}, SENDER),
    ],
    ids=["forged", "known for long", "protected", "a service's", "no machine evidence"],
)
def test_a_sender_who_may_be_imitated_or_is_known_for_long_joins_or_is_spared(
    report: Report, evidence: dict[str, object], sender: str
) -> None:
    for number in (1, 2):
        said = [["sha256", f"{number:064x}"], ["sender", sender]]
        report(f"col_{number}", f"per_{number}", indicators=said, evidence=PROVED | evidence)
    assert not active()


def test_a_sender_of_whom_a_person_found_a_mail_harmless_hides_no_later_one(
    report: Report, administrator: Actor
) -> None:
    report("col_a", "per_1", indicators=copy(1), evidence=PROVED)
    actions.dismiss_campaign(actor=administrator, campaign=Campaign.objects.get())
    report("col_b", "per_2", indicators=copy(2), evidence=PROVED)
    assert sorted(Campaign.objects.values_list("state", flat=True)) == ["dismissed", "open"]
    assert not active()


def test_a_lure_by_a_service_that_town_halls_work_with_is_blocked_by_its_page_alone(report: Report) -> None:
    page, sender = "https://www.swisstransfer.com/d/0b1c", "noreply@swisstransfer.com"
    said = [["url", page], ["domain", "www.swisstransfer.com"], ["sender", sender]]
    for number in (1, 2):
        evidence = PROVED | {"proved_senders": [sender]}
        report(f"col_{number}", f"per_{number}", indicators=said, evidence=evidence)
    assert active() == {("url", page)}


NAME = "primes-energie.shop"


def below(number: int) -> tuple[list[list[str]], dict[str, object]]:
    """What is told of a mail of a sender who writes below a name of their own, as somebody else each time."""
    sender = f"offre_{number}@ecole{number}.{NAME}"
    page = f"https://t.co/{number:06x}"
    said = [["domain", NAME], ["url", page], ["domain", "t.co"], ["sender", sender]]
    evidence: dict[str, object] = {**PROVED, "proved_senders": [sender]}
    return said, evidence


def test_a_name_registered_for_senders_falls_whoever_they_write_as(report: Report) -> None:
    for number in (1, 2):
        said, evidence = below(number)
        report(f"col_{number}", f"per_{number}", indicators=said, evidence=evidence)
    assert Campaign.objects.count() == 1
    assert active() == {("domain", NAME)}, "each page and each sender was seen by one alone"


def test_one_commune_says_nothing_for_all_of_such_a_name(report: Report) -> None:
    for number in (1, 2):
        said, evidence = below(number)
        report("col_a", "per_1", indicators=said, evidence=evidence)
    assert not active()


def test_of_a_lure_that_was_blocked_before_two_reports_are_enough(report: Report) -> None:
    said = [["url", "https://docs.google.com/forms/d/e/1FAIpQ"], ["domain", "docs.google.com"]]
    evidence: dict[str, object] = {"spf": "pass", "dkim": "pass", "dmarc": "pass"}
    for number in (1, 2):
        report(f"col_{number}", f"per_{number}", indicators=said, evidence=evidence)
    assert not active(), "no machine speaks"
    for number in (3, 4):
        more = evidence | {"decided_before": True}
        report(f"col_{number}", f"per_{number}", indicators=said, evidence=more)
    assert active() == {("url", said[0][1])}


def test_what_comes_again_after_its_block_is_blocked_for_longer(report: Report, administrator: Actor) -> None:
    def again(days: int, *people: str) -> dict[str, int]:
        """Two reports after so many days; the lives of what is in force then, in days."""
        with clock.shifted(days * 86400):
            decisions.expire_due()
            for one in people:
                report(f"col_{one}", f"per_{one}", indicators=[["url", URL]])
            held = Decision.objects.filter(state="active")
            return {
                d.kind: (d.expires_at - d.activated_at).days for d in held if d.expires_at and d.activated_at
            }

    assert again(0, "a", "b") == {"domain": 7, "url": 7, "ip": 0}
    assert again(20, "c", "d") == {"domain": 28, "url": 28, "ip": 0}
    assert again(80, "e", "f") == {"domain": 90, "url": 90, "ip": 0}
    with clock.shifted(81 * 86400):
        actions.undo_campaign(actor=administrator, campaign=Campaign.objects.latest("id"))
    assert again(200, "g", "h") == {"domain": 7, "url": 7, "ip": 0}, "a person took it back"
