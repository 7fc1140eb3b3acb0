"""Reports on their way into the database, what pages show of them, and who may say what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from beffroi.core.audit.models import AuditEntry
from beffroi.core.communes.models import Domain
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid, NotAllowed
from beffroi.mail.domains.asking import Asker
from beffroi.mail.domains.models import MailDomain
from beffroi.mail.reports import actions, consumers, intake, operators, queries, retention, rules, values
from beffroi.mail.reports.models import DmarcReport, DmarcRow, ReportRefusal, SourceWord, TlsReport
from beffroi.mail.reports.values import Read

from tests import reports_samples as samples
from tests.conftest import Commune
from tests.fixtures_portal import console_client, no_door, on_listener, portal_client
from tests.reports_samples import BREVO, DAY_S, GOOD, OURS, SPAMMER

__all__ = ["no_door"]
pytestmark = pytest.mark.django_db
SERVICE: samples.Row = (BREVO, 60, False, False, "brevo.test", "brevo.test", "")
STRANGER: samples.Row = (SPAMMER, 90, False, False, "", "", "")
PROVED = "spf=pass; dkim=pass; dmarc=pass"


@pytest.fixture
def domain(beaune: Commune, settings: Any) -> Domain:
    settings.BEFFROI = replace(settings.BEFFROI, outgoing_addresses=OURS)
    return Domain.objects.get(name=beaune.domain)


def begin_s(days_ago: int) -> int:
    return clock.epoch_s() // DAY_S * DAY_S - days_ago * DAY_S


def bring(
    *rows: samples.Row, days_ago: int = 1, auth: str = PROVED, domain: str = "beaune.test", number: str = ""
) -> int:
    """One report as it comes by mail; DNS answers nothing."""
    text = samples.google(rows, begin_s=begin_s(days_ago), domain=domain, number=number or str(days_ago))
    found = intake.read(samples.mail(text, "text/xml", auth=auth), now_s=clock.epoch())
    assert found.code == ""
    return consumers.take(found, asker=Asker("127.0.0.1", 9, 0.0))


def bring_clean_days() -> None:
    for day in range(1, rules.CLEAN_REPORTED_DAYS + 1):
        bring(GOOD, days_ago=day)


def text(answer: Any) -> str:
    return answer.content.decode()


def test_a_report_counts_once_and_groups_its_sources_by_who_they_are(domain: Domain) -> None:
    assert bring(GOOD, SERVICE, STRANGER) == 1
    assert bring(GOOD, SERVICE, STRANGER) == 0
    assert [(one.operator, one.messages, one.unaligned) for one in queries.sources(domain.id, days=7)] == [
        ("45.155.204.0/24", 90, 90),
        ("brevo.test", 60, 60),
        (operators.OURS, 40, 0),
    ]


def test_a_forged_report_takes_no_true_ones_place_and_counts_nothing(domain: Domain) -> None:
    bring(STRANGER, auth="spf=fail; dkim=none; dmarc=fail", number="1")
    assert queries.sources(domain.id, days=7) == []
    assert bring(GOOD, number="1") == 1
    assert [one.operator for one in queries.sources(domain.id, days=7)] == [operators.OURS]


def test_a_report_about_a_domain_that_is_not_ours_is_refused_and_counted(
    domain: Domain, administrator: Actor, beaune: Commune
) -> None:
    assert bring(GOOD, domain="ailleurs.test") == 0
    assert not DmarcReport.objects.exists()
    assert queries.refusals(administrator) == [("report.other_domain", 1)]
    assert queries.refusals(beaune.referent) == []


def test_a_report_about_a_name_below_ours_is_about_ours(domain: Domain) -> None:
    assert bring(GOOD, domain="lettre.beaune.test") == 1
    assert DmarcReport.objects.get().domain_id == domain.id


@pytest.mark.parametrize("address", ["not an address", "fe80::1%eth0", "2001:0db8::1"])
def test_what_another_process_wrote_is_judged_again(domain: Domain, address: str) -> None:
    row = values.Row(address, 4, True, True, "none", "beaune.test")
    report = values.Dmarc("o", "1", "beaune.test", begin_s(2), begin_s(1), "none", (row,))
    found = Read("google.com", True, "", (report,))
    assert consumers.take(found, asker=Asker("127.0.0.1", 9, 0.0)) == 0
    assert ReportRefusal.objects.get().code == "report.unreadable"
    consumers.take(Read(code="anything <at> all"), asker=Asker("127.0.0.1", 9, 0.0))
    assert ReportRefusal.objects.filter(code="report.refused").exists()


def test_waiting_results_are_taken_in_and_deleted_a_link_is_not_followed(
    domain: Domain, tmp_path: Path, settings: Any
) -> None:
    settings.BEFFROI = replace(settings.BEFFROI, state=tmp_path)
    folder = values.read_folder(tmp_path)
    folder.mkdir(parents=True)
    secret = tmp_path / "secret"
    secret.write_text("{}")
    (folder / "1.json").symlink_to(secret)
    (folder / "2.json").write_text("no JSON")
    (folder / "3.json").write_text('{"reporter":"a\\u0000b"}')
    consumers.take_waiting()
    assert list(folder.iterdir()) == []
    assert secret.exists()
    assert ReportRefusal.objects.get().count == 3


def test_a_new_source_of_many_mails_alarms_once_and_a_word_ends_it(
    domain: Domain, beaune: Commune, administrator: Actor
) -> None:
    bring(GOOD, days_ago=20)
    bring(GOOD, SERVICE, days_ago=2)
    bring(GOOD, SERVICE, days_ago=1)
    [alarm] = queries.alarms(administrator)
    assert alarm.operator == "brevo.test"
    assert list(AuditEntry.objects.values_list("verb", flat=True)).count("mail:source:sudden") == 1
    with on_listener("console"):
        client = console_client(administrator.id)
        assert "1 expéditeur nouveau écrit au nom d’un domaine" in text(client.get("/"))
        assert "1 expéditeur nouveau à examiner" in text(client.get("/domaines/"))
    actions.say(actor=beaune.referent, domain=domain, operator="brevo.test", word="ours")
    assert not queries.alarms(administrator)


def test_in_a_domains_first_week_everything_is_new_and_nothing_alarms(
    domain: Domain, administrator: Actor
) -> None:
    bring(GOOD, STRANGER)
    assert not queries.alarms(administrator)


def test_a_clean_domain_becomes_stricter_by_a_button_and_never_by_itself(
    domain: Domain, administrator: Actor
) -> None:
    bring_clean_days()
    assert not MailDomain.objects.exists()
    with on_listener("console"):
        client = console_client(administrator.id)
        path = f"/domaines/{domain.id}/envois/"
        assert "Passer à\xa0: classer les faux en indésirables" in text(client.get(path))
        assert client.post(path, {"act": "tighten"}).status_code == 302
        assert MailDomain.objects.get().dmarc == "quarantine"
        # The reports met "none": what is not in DNS yet was not tried.
        answer = client.post(path, {"act": "tighten"})
        assert answer.status_code == 409
        assert "Trop peu de rapports" in text(answer)
        assert client.post(path, {"act": "x"}).status_code == 400


def test_an_open_source_stands_in_the_way_until_somebody_says_what_it_is(
    domain: Domain, beaune: Commune, administrator: Actor
) -> None:
    bring_clean_days()
    bring(SERVICE, number="another")
    with pytest.raises(Conflict):
        actions.tighten(actor=administrator, domain=domain)
    client = portal_client(beaune.referent_membership)
    path = f"/domaines/{domain.id}/envois/"
    page = text(client.get(path))
    assert "brevo.test" in page
    assert "C’est nous" in page
    assert "tighten" not in page, "the Département changes records"
    assert client.post(path, {"act": "not_ours", "operator": "brevo.test"}).status_code == 302
    assert queries.advice(domain).code == "ready"
    assert "Demandez au Département" in text(client.get(path))
    assert client.post(path, {"act": "unsay", "operator": "brevo.test"}).status_code == 302
    assert queries.advice(domain).code == "open"
    assert client.post(path, {"act": "ours", "operator": "unknown.test"}).status_code == 400
    assert client.post(path, {"act": "tighten"}).status_code == 400


def test_nobody_of_another_commune_sees_or_says_anything(
    domain: Domain, beaune: Commune, nuits: Commune
) -> None:
    bring(GOOD, STRANGER)
    path = f"/domaines/{domain.id}/envois/"
    assert portal_client(nuits.referent_membership).get(path).status_code == 404
    post = {"act": "ours", "operator": "45.155.204.0/24"}
    assert portal_client(nuits.referent_membership).post(path, post).status_code == 404
    assert portal_client(beaune.agent_membership).get(path).status_code == 404
    for actor in (nuits.referent, beaune.agent):
        with pytest.raises(NotAllowed):
            actions.say(actor=actor, domain=domain, operator="45.155.204.0/24", word="ours")
    assert not queries.alarms(nuits.referent)
    assert not SourceWord.objects.exists()


def test_our_own_servers_need_no_word(domain: Domain, administrator: Actor) -> None:
    bring(GOOD)
    with pytest.raises(Invalid):
        actions.say(actor=administrator, domain=domain, operator=operators.OURS, word="not_ours")


def test_failures_of_encryption_are_shown_for_each_who_met_them(domain: Domain, administrator: Actor) -> None:
    mail = samples.mail(
        samples.packed(samples.tls(begin_s=begin_s(1))), "application/tlsrpt+gzip", auth=PROVED, alone=False
    )
    found = intake.read(mail, now_s=clock.epoch())
    asker = Asker("127.0.0.1", 9, 0.0)
    assert (consumers.take(found, asker=asker), consumers.take(found, asker=asker)) == (1, 0)
    with on_listener("console"):
        page = text(console_client(administrator.id).get(f"/domaines/{domain.id}/envois/"))
    assert TlsReport.objects.get().failed == 3
    assert "le certificat est périmé" in page


def test_a_domain_without_reports_says_when_the_first_comes(domain: Domain, administrator: Actor) -> None:
    with on_listener("console"):
        page = text(console_client(administrator.id).get(f"/domaines/{domain.id}/envois/"))
    assert "Aucun rapport encore" in page


def test_reports_go_when_their_time_is_over(domain: Domain) -> None:
    bring(GOOD, STRANGER)
    with clock.shifted((retention.KEPT_DAYS + 2) * 86400):
        cutoff = clock.now()
    for due in (retention.rows, retention.reports):
        due(cutoff).delete()
    assert not DmarcRow.objects.exists()
    assert not DmarcReport.objects.exists()
