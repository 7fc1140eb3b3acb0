"""What a report tells of a message: attachments, age and spread of its names, the sending host. On the database."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from beffroi.core.decisions import actions as decisions
from beffroi.core.decisions.models import Decision
from beffroi.core.events.models import OutboxEvent
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.ids import new_id
from beffroi.mail import actions, prevalence, queries
from beffroi.mail.gate.facts import Facts, Link, observations
from beffroi.mail.models import Mailbox, MailDelivery, MailMessage, MailObservation, MailRecipient
from beffroi.watch.detectors import from_mail
from beffroi_protocol.indicators import Indicator, Kind
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.conftest import Commune

HOST = "91.240.118.66"
pytestmark = pytest.mark.usefixtures("database")


def box(commune: Commune) -> Mailbox:
    made, _ = Mailbox.objects.get_or_create(
        address=f"agent@{commune.domain}",
        defaults={"collectivite_id": commune.id, "person_id": commune.agent.id, "crypt_key": "x"},
    )
    return made


def arrive(
    mailbox: Mailbox,
    *,
    at: datetime | None = None,
    sender: str = "paie@amende-regler.com",
    link: str = "https://c1.payer-ici.com/x",
    client: str = HOST,
    helo: str = "mail.amende-regler.com",
    verdict: dict[str, Any] | None = None,
) -> str:
    """A message as mailgate and the journal record it, now unless ``at`` is given."""
    made, at = new_id("msg"), at or clock.now()
    host = link.split("/")[2]
    facts = Facts(1, made, sender=sender, visible_from=sender, client_ip=client, urls=[Link(link, host)])
    MailMessage.objects.create(
        id=made,
        received_at=at,
        message_id=made,
        message_id_hash="",
        sender=sender,
        client_ip=client,
        helo=helo,
        verdict=json.dumps({"auth": {"spf": "none"}, "attachment_types": ["exe"]} | (verdict or {})),
    )
    for seen in observations(facts):
        MailObservation.objects.create(
            message_id=made, kind=seen.indicator.kind, value=seen.indicator.value, role=seen.role
        )
    MailRecipient.objects.create(message_id=made, address=mailbox.address)
    MailDelivery.objects.create(
        message_id=made,
        mailbox_id=mailbox.id,
        collectivite_id=mailbox.collectivite_id,
        folder="INBOX",
        delivered_at=at,
    )
    return made


def told(commune: Commune, message_id: str) -> tuple[dict[str, Any], list[list[str]]]:
    actions.report_phishing(actor=commune.agent, mailbox=box(commune), beffroi_id=message_id)
    row = OutboxEvent.objects.filter(kind="sighting:reported").order_by("-id")[0]
    payload = json.loads(row.payload)
    return payload["evidence"], payload["indicators"]


@pytest.fixture
def dijon(make_commune: Callable[..., Commune]) -> Commune:
    return make_commune("Dijon", "dijon.test", insee="21231")


@pytest.fixture
def experienced(beaune: Commune) -> None:
    """A centre that has watched mail for a month."""
    old = clock.now() - timedelta(days=30)
    arrive(box(beaune), at=old, sender="info@ancien-fournisseur.com", link="https://www.ancien-site.com/")


@pytest.mark.usefixtures("experienced")
def test_new_sender_and_new_link_in_three_communes_within_an_hour_are_told(
    beaune: Commune, nuits: Commune, dijon: Commune
) -> None:
    first = arrive(box(beaune), link="https://c1.payer-ici.com/a")
    arrive(box(nuits), at=clock.now() + timedelta(minutes=20), link="https://c2.payer-ici.com/a")
    arrive(box(dijon), at=clock.now() + timedelta(minutes=40), link="https://c3.payer-ici.com/a")
    evidence, _ = told(beaune, first)
    assert (evidence["sender_age_s"], evidence["sender_communes"]) == (0, 3)
    assert (evidence["link_age_s"], evidence["link_communes"], evidence["url_communes"]) == (0, 3, 1)
    assert {"new_sender_burst", "new_link_burst", "executable_attachment"} <= from_mail(evidence)


def test_files_and_pages_that_mail_had_long_before_are_told_as_such(beaune: Commune, nuits: Commune) -> None:
    """A lure brings along the logo and the legal notice of the one whom it imitates."""
    logo, fake = "a" * 64, "b" * 64
    notice, trap = "https://www.banque-exemple.com/mentions", "https://www.payer-ici.com/"
    made = {}
    for days, file, link in ((30, logo, notice), (6, fake, trap), (0, logo, notice), (0, fake, trap)):
        made[days, file] = arrive(box(beaune), at=clock.now() - timedelta(days=days), link=link)
        MailObservation.objects.create(
            message_id=made[days, file], kind="sha256", value=file, role="attachment"
        )
    assert set(told(beaune, made[0, logo])[0]["known_before"]) == {
        logo,
        notice,
        "www.banque-exemple.com",
        "banque-exemple.com",
        "paie@amende-regler.com",
    }
    assert told(beaune, made[0, fake])[0]["known_before"] == ["paie@amende-regler.com"]
    assert told(beaune, made[30, logo])[0]["known_before"] == []


def blocked(kind: Kind, value: str) -> Decision:
    """For all, for an hour."""
    return decisions.activate(
        actor=Actor.system("tests"),
        indicator=Indicator(kind, value),
        action="block",
        reason="phishing",
        evidence={},
        rule="test",
        ttl_s=3600,
    )


@pytest.mark.usefixtures("experienced")
def test_a_lure_that_comes_again_after_its_block_is_no_old_acquaintance(
    beaune: Commune, administrator: Actor
) -> None:
    """It was in mail long before: as a lure. What a person took back is told as any other page of old."""
    trap, spared = "https://stockage.exemple.net/paye.html", "https://stockage.exemple.net/notice.html"
    for link in (trap, spared):
        arrive(box(beaune), at=clock.now() - timedelta(days=20), link=link)
    assert trap in told(beaune, arrive(box(beaune), link=trap))[0]["known_before"]
    decided = [blocked(Kind.URL, link) for link in (trap, spared)]
    decisions.revoke(actor=administrator, decision=decided[1], reason="tests")
    with clock.shifted(2 * 3600):
        decisions.expire_due()
        again, of_old = (told(beaune, arrive(box(beaune), link=link))[0] for link in (trap, spared))
    assert trap not in again["known_before"] and again["decided_before"] is True
    assert "decided_before" in from_mail(again)
    assert spared in of_old["known_before"] and of_old["decided_before"] is False
    assert "decided_before" not in from_mail(of_old)


def arrive_with_text(mailbox: Mailbox, text: str, sender: str, *, proved: bool = True, days: int = 0) -> str:
    verdict = {"proved_senders": [sender] if proved else []}
    at = clock.now() - timedelta(days=days)
    made = arrive(mailbox, at=at, sender=sender, verdict=verdict)
    MailObservation.objects.create(message_id=made, kind="sketch", value=text, role="text")
    return made


@pytest.mark.usefixtures("experienced")
@pytest.mark.parametrize(
    ("author", "before", "proved", "spared"),
    [
        ("prefet@prefecture.exemple.net", "autre@prefecture.exemple.net", True, True),
        ("prefet@prefecture.exemple.net", "autre@prefecture.exemple.net", False, False),
        ("prefet@prefecture.exemple.net", "", True, False),
        ("maire@gmail.com", "maire@gmail.com", True, True),
        ("maire@gmail.com", "autre@gmail.com", True, False),
    ],
    ids=["a correspondent", "forged", "a stranger", "a provider's customer", "another customer"],
)
def test_words_that_a_correspondent_wrote_first_are_not_the_lure_s_that_copies_them(
    beaune: Commune, nuits: Commune, *, author: str, before: str, proved: bool, spared: bool
) -> None:
    """Today's circular of the préfecture, and an hour later the same with another link, by somebody else."""
    text = "0123456789abcdef" * 16
    if before:
        arrive(box(nuits), at=clock.now() - timedelta(days=20), sender=before)
    arrive_with_text(box(nuits), text, author, proved=proved)
    copy = arrive_with_text(box(beaune), text, "prefet@prefecture-france.com")
    evidence, indicators = told(beaune, copy)
    assert ["sketch", text] in indicators
    assert (text in evidence["known_before"]) is spared


@pytest.mark.usefixtures("experienced")
def test_words_are_known_before_as_a_page_is(beaune: Commune, nuits: Commune) -> None:
    text = "0123456789abcdef" * 16
    arrive_with_text(box(nuits), text, "a@nouveau-site.com", days=8)
    assert text in told(beaune, arrive_with_text(box(beaune), text, "b@autre-site.com"))[0]["known_before"]
    fresh = "fedcba9876543210" * 16
    arrive_with_text(box(nuits), fresh, "a@tout-nouveau.com", days=6)
    assert (
        fresh not in told(beaune, arrive_with_text(box(beaune), fresh, "b@autre-site.com"))[0]["known_before"]
    )


@pytest.mark.usefixtures("experienced")
def test_words_that_came_in_lures_alone_are_no_old_acquaintance(
    beaune: Commune, nuits: Commune, administrator: Actor
) -> None:
    """Their sites were blocked, one after the other; the words were never reported by themselves."""
    text = "0123456789abcdef" * 16
    arrive_with_text(box(nuits), text, "a@nouveau-site.com", days=10)
    evidence, _ = told(beaune, arrive_with_text(box(beaune), text, "b@autre-site.com"))
    assert text in evidence["known_before"] and evidence["decided_before"] is False
    decision = blocked(Kind.SENDER, "a@nouveau-site.com")
    evidence, _ = told(beaune, arrive_with_text(box(beaune), text, "c@encore-un-site.com"))
    assert text not in evidence["known_before"] and evidence["decided_before"] is True
    decisions.revoke(actor=administrator, decision=decision, reason="tests")
    evidence, _ = told(beaune, arrive_with_text(box(beaune), text, "d@encore-un-site.com"))
    assert text in evidence["known_before"] and evidence["decided_before"] is False


def below(name: str, number: int) -> dict[str, Any]:
    """A mail of one of several who write below a name; a check spoke for them."""
    sender = f"offre_{number}@ecole{number}.{name}"
    return {"sender": sender, "verdict": {"proved_senders": [sender]}}


def told_names(commune: Commune, message: str) -> set[str]:
    found = {value for kind, value, *_ in told(commune, message)[1] if kind == "domain"}
    return found - {"c1.payer-ici.com"}


@pytest.mark.usefixtures("experienced")
def test_the_name_below_which_several_new_senders_write_is_told(beaune: Commune, nuits: Commune) -> None:
    """Whoever registered it writes as whomever they like: another address in each mail."""
    name = "primes-energie.shop"
    for number in (1, 2):
        assert told_names(beaune, arrive(box(beaune), **below(name, number))) == set()
    assert told_names(beaune, arrive(box(beaune), **below(name, 2))) == set(), "two, of whom one wrote twice"
    assert told_names(beaune, arrive(box(beaune), **below(name, 3))) == {name}
    assert told_names(beaune, arrive(box(beaune), **below(name, 4) | {"verdict": {}})) == set(), (
        "no check spoke: whoever is imitated"
    )
    for kept in ("gmail.com", nuits.domain, "impots.gouv.fr"):
        last = [arrive(box(beaune), **below(kept, number)) for number in range(4)][-1]
        assert told_names(beaune, last) == set(), "never blocked by a name"
    with clock.shifted(10 * 86400):
        assert told_names(beaune, arrive(box(beaune), **below(name, 5))) == set(), "mail knows it by now"


@pytest.mark.usefixtures("experienced")
def test_a_newsletter_of_which_each_copy_has_an_envelope_of_its_own_is_of_one_sender(beaune: Commune) -> None:
    for number in range(5):
        message = arrive(box(beaune), **below("nouvelle-lettre.fr", number))
        MailObservation.objects.create(
            message_id=message, kind="sender", value="info@nouvelle-lettre.fr", role="sender"
        )
    assert told_names(beaune, message) == set()


@pytest.mark.usefixtures("experienced")
def test_the_name_of_an_envelope_that_is_not_the_senders_is_not_told(beaune: Commune) -> None:
    """It may be a service's, by which others write."""
    for number in range(5):
        message = arrive(box(beaune), **below("envois-en-nombre.com", number))
        MailObservation.objects.create(
            message_id=message, kind="sender", value=f"x{number}@association.org", role="sender"
        )
    assert told_names(beaune, message) == set()


def test_a_centre_in_its_first_week_takes_no_sender_for_new(beaune: Commune) -> None:
    last = [arrive(box(beaune), **below("primes-energie.shop", number)) for number in range(4)][-1]
    assert told_names(beaune, last) == set()


def test_a_file_in_an_archive_is_told_and_holds_the_archive_once_it_is_decided(beaune: Commune) -> None:
    archive, inside = hashlib.sha256(b"archive").hexdigest(), "c" * 64
    message = arrive(box(beaune), verdict={"qr_codes": ["https://pay.example.com/"]})
    for value, role in ((archive, "attachment"), (inside, "carried")):
        MailObservation.objects.create(message_id=message, kind="sha256", value=value, role=role)
    evidence, indicators = told(beaune, message)
    assert {("sha256", archive), ("sha256", inside)} <= {(kind, value) for kind, value, *_ in indicators}
    assert "qr_code" in from_mail(evidence)
    assert not queries.holds_file(beaune.agent, message, b"archive")
    blocked(Kind.SHA256, inside)
    assert queries.holds_file(beaune.agent, message, b"archive")


def test_what_stands_in_codes_of_a_mail_is_told_to_who_got_it(beaune: Commune, nuits: Commune) -> None:
    message = arrive(box(beaune), verdict={"qr_codes": ["https://pay.example.com/"]})
    assert queries.in_codes(box(beaune), message) == ["https://pay.example.com/"]
    assert queries.in_codes(box(nuits), message) == []


@pytest.mark.usefixtures("experienced")
def test_known_sender_and_slow_spread_are_no_burst(beaune: Commune, nuits: Commune, dijon: Commune) -> None:
    known = {"sender": "autre@ancien-fournisseur.com", "link": "https://www.ancien-site.com/page"}
    for commune in (nuits, dijon):
        arrive(box(commune), **known)  # type: ignore[arg-type]
    evidence, _ = told(beaune, arrive(box(beaune), **known))  # type: ignore[arg-type]
    assert 30 * 86400 <= evidence["sender_age_s"] < 31 * 86400 and evidence["sender_communes"] == 3
    assert not {"new_sender_burst", "new_link_burst"} & from_mail(evidence)
    first = arrive(box(beaune), sender="x@lent.com")
    for hours, commune in ((2, nuits), (4, dijon)):
        arrive(box(commune), at=clock.now() + timedelta(hours=hours), sender="x@lent.com")
    assert told(beaune, first)[0]["sender_communes"] == 1


@pytest.mark.usefixtures("experienced")
def test_a_name_that_was_only_shown_before_is_new_all_the_same(beaune: Commune) -> None:
    """Its owner may have shown it in an innocent mail weeks ahead."""
    shown = arrive(box(beaune), at=clock.now() - timedelta(days=20), sender="x@ailleurs.com")
    MailObservation.objects.filter(message_id=shown, role__startswith="link").update(role="shown")
    evidence, _ = told(beaune, arrive(box(beaune)))
    assert (evidence["link_age_s"], evidence["learning"]) == (0, False)


def test_young_centre_calls_nothing_new(beaune: Commune, nuits: Commune, dijon: Commune) -> None:
    made = [arrive(box(c)) for c in (beaune, nuits, dijon)]
    evidence, _ = told(beaune, made[0])
    assert evidence["sender_communes"] == 3
    assert "sender_age_s" not in evidence
    assert evidence["learning"] is True
    assert not {"new_sender_burst", "new_link_burst"} & from_mail(evidence)


@pytest.mark.usefixtures("experienced")
def test_members_and_protected_names_are_not_counted(beaune: Commune, nuits: Commune) -> None:
    message = arrive(box(nuits), sender=f"maire@{beaune.domain}", link="https://www.impots.gouv.fr/x")
    evidence, _ = told(nuits, message)
    assert not {"sender_age_s", "sender_communes", "link_age_s", "link_communes"} & evidence.keys()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({}, True),
        ({"verdict": {"auth": {"spf": "pass"}}}, True),
        ({"verdict": {"signed_in": True}}, False),
        ({"verdict": {"rescan": True}}, False),
        ({"sender": "x@gmail.com", "verdict": {"auth": {"spf": "pass"}}}, False),
        ({"sender": "x@gmail.com", "verdict": {"auth": {"spf": "fail"}}}, True),
        ({"helo": "mo512.mail-out.ovh.net", "verdict": {"auth": {"spf": "pass"}}}, False),
        ({"helo": "mail.boulangerie.asso.fr", "verdict": {"auth": {"spf": "pass"}}}, True),
        ({"client": ""}, False),
    ],
)
def test_sending_host_is_named_unless_it_looks_shared(
    beaune: Commune, changes: dict[str, Any], named: bool
) -> None:
    _, indicators = told(beaune, arrive(box(beaune), **changes))
    assert (["ip", HOST, "client"] in indicators) is named


def test_host_that_sends_for_many_is_not_named(beaune: Commune) -> None:
    for domain in ("un.com", "deux.com", "mail.deux.com"):
        last = arrive(box(beaune), sender=f"x@{domain}")
    assert ["ip", HOST, "client"] in told(beaune, last)[1]
    last = arrive(box(beaune), sender="x@trois.com")
    assert ["ip", HOST, "client"] not in told(beaune, last)[1]


@pytest.mark.usefixtures("experienced")
def test_queries_of_a_report_are_bounded_whatever_the_history(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prevalence, "ROWS", 5)
    message = MailMessage.objects.get(pk=arrive(box(beaune)))
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(
            connection,
        ) as seen:
            prevalence.evidence(message)
        counts.append(len(seen))
        for _ in range(20):
            arrive(box(beaune))
    assert counts[0] == counts[1] <= 30


def test_what_a_link_s_name_stands_below_is_told_where_mail_knew_it(beaune: Commune) -> None:
    """A provider of newsletters makes a name for each customer."""
    arrive(box(beaune), at=clock.now() - timedelta(days=20), link="https://un.lettres-exemple.com/")
    known = told(beaune, arrive(box(beaune), link="https://deux.lettres-exemple.com/"))[0]["known_before"]
    assert known == ["lettres-exemple.com", "paie@amende-regler.com"]


@pytest.mark.usefixtures("experienced")
def test_a_lure_among_hundreds_of_links_is_reported_with_its_sender_and_file(beaune: Commune) -> None:
    """Decoys that stand before it in any order: well-known ones, and some that mail has known for long."""
    file, trap = "f" * 64, "zz.payer-ici.com"
    decoys = [f"www.impots.gouv.fr/{n}" for n in range(300)] + [
        f"www.ancien-site.com/{n}" for n in range(150)
    ]
    rows = [(Kind.URL, f"https://{one}", "link") for one in decoys]
    rows += [(Kind.DOMAIN, one.split("/")[0], "link") for one in decoys[::300]]
    rows += [(Kind.DOMAIN, f"{n}.aaa.gouv.fr", "link") for n in range(200)] + [
        (Kind.SHA256, file, "attachment")
    ]
    old = arrive(box(beaune), at=clock.now() - timedelta(days=20))
    for one in decoys[300:]:
        MailObservation.objects.create(message_id=old, kind=Kind.URL, value=f"https://{one}", role="link")
    made = arrive(box(beaune), link=f"https://{trap}/x")
    for kind, value, role in rows:
        MailObservation.objects.create(message_id=made, kind=kind, value=value, role=role)
    indicators = told(beaune, made)[1]
    assert len(indicators) <= 100
    assert ["sender", "paie@amende-regler.com"] in indicators
    assert ["sha256", file] in indicators
    assert ["domain", trap] in indicators
    assert ["url", f"https://{trap}/x"] in indicators


@pytest.mark.usefixtures("experienced")
def test_reports_of_a_lure_among_too_many_new_links_name_different_ones(beaune: Commune) -> None:
    """Nobody knows which it is: each report names some, none of them always the same."""
    named = []
    for _ in range(2):
        made = arrive(box(beaune))
        for n in range(300):
            MailObservation.objects.create(
                message_id=made, kind=Kind.URL, value=f"https://w{n}.leurre{n}.com/", role="link"
            )
        named.append({value for _, value, *_ in told(beaune, made)[1]})
    assert named[0] - named[1]


def test_which_sender_was_proved_is_told(beaune: Commune) -> None:
    proved = arrive(box(beaune), verdict={"proved_senders": ["paie@amende-regler.com"]})
    assert told(beaune, proved)[0]["proved_senders"] == ["paie@amende-regler.com"]
    assert told(beaune, arrive(box(beaune)))[0]["proved_senders"] == []


def test_evidence_names_nobody_and_no_content(beaune: Commune) -> None:
    evidence, _ = told(beaune, arrive(box(beaune)))
    assert beaune.agent.id not in json.dumps(evidence)
    assert beaune.domain not in json.dumps(evidence)


@pytest.mark.usefixtures("experienced")
def test_words_that_only_show_what_was_blocked_are_no_lure_s(beaune: Commune, nuits: Commune) -> None:
    """Who names a site, to warn of it or as whoever wrote it, does not lead there."""
    text = "0123456789abcdef" * 16
    warning = arrive_with_text(box(nuits), text, "a@prefecture.exemple.net", days=10)
    MailObservation.objects.create(message_id=warning, kind="domain", value="site-pirate.com", role="shown")
    blocked(Kind.DOMAIN, "site-pirate.com")
    evidence, _ = told(beaune, arrive_with_text(box(beaune), text, "b@autre-site.com"))
    assert text in evidence["known_before"] and evidence["decided_before"] is False


def test_what_a_report_tells_is_read_while_others_may_write(
    beaune: Commune, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of words that hundreds of mails have it took a third of a second."""
    outside, inside = len(connection.savepoint_ids), list[bool]()
    past = prevalence.past

    def reading(message: MailMessage, indicators: list[list[str]]) -> tuple[list[str], bool]:
        inside.append(len(connection.savepoint_ids) > outside)
        return past(message, indicators)

    monkeypatch.setattr(prevalence, "past", reading)
    assert told(beaune, arrive(box(beaune)))[1]
    assert inside[-1] is False
