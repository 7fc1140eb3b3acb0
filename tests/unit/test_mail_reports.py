"""Reports of other servers, as they come and as attackers would send them; and what follows from them."""

from __future__ import annotations

import gzip
import io
import json
import zipfile
from datetime import date, timedelta

import pytest
from beffroi.mail.reports import intake, opening, rules, tlsrpt, values
from beffroi.mail.reports.rules import Kind, Source

from tests import reports_samples as samples
from tests.reports_samples import BREVO, GOOD, LIST, SPAMMER

NOW_S = 1_795_000_000
BEGIN_S = NOW_S - 2 * 86400
SERVICE: samples.Row = (BREVO, 200, False, False, "brevo.test", "brevo.test", "")
FORWARD: samples.Row = (LIST, 3, False, False, "", "list.test", "mailing_list")
STRANGER: samples.Row = (SPAMMER, 900, False, False, "", "", "")
ROWS = (GOOD, SERVICE, FORWARD, STRANGER)
PROVED = "spf=pass; dkim=pass; dmarc=pass"


def read(mail: bytes) -> values.Read:
    return intake.read(mail, now_s=NOW_S)


@pytest.mark.parametrize(
    ("mail", "org"),
    [
        (
            samples.mail(samples.zipped(samples.google(ROWS, begin_s=BEGIN_S)), "application/zip"),
            "google.com",
        ),
        (
            samples.mail(
                samples.packed(samples.microsoft(ROWS, begin_s=BEGIN_S)), "application/gzip", alone=False
            ),
            "Outlook.com",
        ),
        (
            samples.mail(
                samples.packed(samples.google(ROWS, begin_s=BEGIN_S)), "application/octet-stream", alone=False
            ),
            "google.com",
        ),
        (samples.mail(samples.prefixed(ROWS, begin_s=BEGIN_S), "text/xml", alone=False), "google.com"),
    ],
    ids=["google-zip", "microsoft-gzip", "yahoo-octets", "prefixed-plain"],
)
def test_a_report_is_read_in_each_form_that_is_met(mail: bytes, org: str) -> None:
    found = read(mail)
    assert found.code == ""
    [report] = found.dmarc
    assert (report.org, report.domain, report.policy) == (org, "beaune.test", "none")
    assert report.begin_s == BEGIN_S
    assert [(one.address, one.messages, one.dkim, one.spf) for one in report.rows] == [
        (row[0], row[1], row[2], row[3]) for row in ROWS
    ]
    assert [one.dkim_domain for one in report.rows] == ["beaune.test", "brevo.test", "", ""]
    assert report.rows[2].reason == "mailing_list"


def test_a_signature_that_failed_proves_nothing() -> None:
    text = samples.google([GOOD], begin_s=BEGIN_S)
    text = text.replace(
        b"<domain>beaune.test</domain><result>pass</result><selector>",
        b"<domain>beaune.test</domain><result>fail</result><selector>",
    )
    [report] = read(samples.mail(text, "text/xml")).dmarc
    assert report.rows[0].dkim_domain == ""
    assert report.rows[0].spf_domain == "beaune.test"


def test_a_tls_report_is_read_for_each_of_its_domains() -> None:
    text = samples.tls(begin_s=BEGIN_S, domains=("beaune.test", "nuits.test"))
    found = read(samples.mail(samples.packed(text), "application/tlsrpt+gzip", alone=False))
    assert [(one.domain, one.good, one.failed, one.policy) for one in found.tls] == [
        ("beaune.test", 120, 3, "sts"),
        ("nuits.test", 120, 3, "sts"),
    ]
    assert found.tls[0].failures[0].kind == "certificate-expired"


@pytest.mark.parametrize(
    ("auth", "sender", "proved"),
    [
        (PROVED, "a@google.com", True),
        ("spf=pass; dkim=none; dmarc=none", "a@google.com", True),
        ("spf=pass; dkim=pass; dmarc=fail", "a@google.com", False),
        ("spf=fail; dkim=pass; dmarc=none", "a@google.com", False),
        ("", "a@google.com", False),
    ],
)
def test_who_reports_is_believed_only_when_the_mail_door_saw_it_proved(
    auth: str, sender: str, proved: bool
) -> None:
    mail = samples.mail(samples.google([GOOD], begin_s=BEGIN_S), "text/xml", sender=sender, auth=auth)
    found = read(mail)
    assert (found.reporter, found.authentic) == ("google.com", proved)


def test_two_stamps_or_two_senders_prove_nothing() -> None:
    mail = samples.mail(samples.google([GOOD], begin_s=BEGIN_S), "text/xml", auth=PROVED)
    assert not read(b"X-Beffroi-Auth: spf=pass; dmarc=pass\n" + mail).authentic
    assert not read(mail.replace(b"From: ", b"From: x@evil.test, ", 1)).authentic


def _bomb() -> bytes:
    return gzip.compress(b"<feedback>" + b" " * (opening.MAX_TEXT_BYTES + 1))


def _many_members() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for n in range(opening.MAX_MEMBERS + 1):
            archive.writestr(f"{n}.xml", "<feedback/>")
    return out.getvalue()


def _in_another() -> bytes:
    return samples.zipped(samples.zipped(b"<feedback/>"), "inner.zip")


ENTITIES = b"""<?xml version="1.0"?><!DOCTYPE feedback [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;">]>
<feedback><report_metadata><org_name>&b;</org_name></report_metadata></feedback>"""
OUTSIDE = b"""<?xml version="1.0"?><!DOCTYPE feedback [<!ENTITY x SYSTEM "file:///etc/passwd">]>
<feedback><report_metadata><org_name>&x;</org_name></report_metadata></feedback>"""
DEEP = b"<feedback>" + b"<a>" * 100
HOSTILE = {
    "bomb": (_bomb(), "application/gzip", "report.too_big"),
    "zip bomb": (samples.zipped(b" " * (opening.MAX_TEXT_BYTES + 1)), "application/zip", "report.too_big"),
    "members": (_many_members(), "application/zip", "report.too_many"),
    "nested": (_in_another(), "application/zip", "report.none"),
    "entities": (ENTITIES, "text/xml", "report.declared"),
    "outside": (OUTSIDE, "text/xml", "report.declared"),
    "deep": (DEEP, "text/xml", "report.too_many"),
    "deep json": (b'{"a":' * 5000, "application/json", "report.unreadable"),
    "cut": (
        samples.packed(samples.google([GOOD], begin_s=BEGIN_S))[:-20],
        "application/gzip",
        "report.unreadable",
    ),
    "not ours": (b"<html><body>hello</body></html>", "text/xml", "report.unreadable"),
    "future": (samples.google([GOOD], begin_s=NOW_S + 9 * 86400), "text/xml", "report.unreadable"),
    "rows": (samples.google([GOOD] * (values.MAX_ROWS + 1), begin_s=BEGIN_S), "text/xml", "report.too_many"),
    "picture": (b"\x89PNG....", "image/png", "report.none"),
    "encoding": (b'<?xml version="1.0" encoding="nonsense"?><feedback/>', "text/xml", "report.unreadable"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_report_is_refused_with_a_code(name: str) -> None:
    body, kind, code = HOSTILE[name]
    assert read(samples.mail(body, kind, alone=False)).code == code


def test_a_mail_that_is_too_large_is_not_parsed() -> None:
    assert read(b"x" * (opening.MAX_MAIL_BYTES + 1)).code == "report.too_big"


def test_rows_that_say_nothing_usable_are_skipped() -> None:
    bad: samples.Row = ("999.1.1.1", 4, True, True, "", "", "")
    none: samples.Row = (SPAMMER, 0, False, False, "", "", "")
    zone: samples.Row = ("fe80::1%eth0", 4, True, True, "", "", "")
    [report] = read(samples.mail(samples.google([GOOD, bad, none, zone], begin_s=BEGIN_S), "text/xml")).dmarc
    assert len(report.rows) == 1


def test_a_reporters_name_has_no_signs_that_nobody_sees() -> None:
    odd = samples.google([GOOD], begin_s=BEGIN_S).replace(
        b"google.com<", "a&#x85;\u202egro.&#127;b<".encode()
    )
    [report] = read(samples.mail(odd, "text/xml")).dmarc
    assert report.org == "a gro.b"
    tls = samples.tls(begin_s=BEGIN_S)
    name = json.loads(tls)["organization-name"]
    [first, *_] = tlsrpt.read(
        tls.replace(name.encode(), b"a\\u0000b\\u202ec", 1), now_s=BEGIN_S + samples.DAY_S
    )
    assert first.org == "abc"


DAYS = [date(2026, 11, 1) + timedelta(days=n) for n in range(rules.CLEAN_REPORTED_DAYS)]
US = Source("@", True, 40, 40)


@pytest.mark.parametrize(
    ("source", "kind"),
    [
        (US, Kind.OURS),
        (Source("@", True, 40, 39), Kind.BROKEN),
        (Source("orange.fr", False, 5, 5), Kind.PASSES),
        (Source("list.test", False, 5, 0, proved=5, excused=5), Kind.FORWARDED),
        (Source("brevo.test", False, 200, 0, proved=200), Kind.SERVICE),
        (Source("45.155.204.0/24", False, 900, 0), Kind.STRANGER),
    ],
)
def test_a_source_is_what_its_mails_show(source: Source, kind: Kind) -> None:
    assert source.kind is kind


@pytest.mark.parametrize(
    ("policy", "sources", "days", "code"),
    [
        ("reject", [US], DAYS, "last"),
        ("none", [US], DAYS[1:], "quiet"),
        ("none", [Source("@", True, 3, 3)], DAYS, "quiet"),
        ("none", [US, Source("brevo.test", False, 9, 0, proved=9)], DAYS, "open"),
        ("none", [US, Source("brevo.test", False, 9, 0, proved=9, word="ours")], DAYS, "open"),
        ("none", [US, Source("brevo.test", False, 9, 0, proved=9, word="not_ours")], DAYS, "ready"),
        ("none", [US, Source("list.test", False, 5, 0, excused=5)], DAYS, "ready"),
        ("quarantine", [US], DAYS, "ready"),
        ("quarantine", [US, Source("@", True, 40, 30)], DAYS, "open"),
    ],
)
def test_a_policy_becomes_stricter_only_when_every_source_is_settled(
    policy: str, sources: list[Source], days: list[date], code: str
) -> None:
    found = rules.advice(policy, sources, days)
    assert found.code == code
    if code == "ready":
        assert found.to == rules.NEXT[policy]


def test_only_a_new_source_of_many_mails_that_do_not_pass_alarms() -> None:
    much = Source("x.test", False, 80, 0)
    assert rules.sudden(much, known_before=False)
    assert not rules.sudden(much, known_before=True)
    assert not rules.sudden(Source("x.test", False, 80, 0, word="not_ours"), known_before=False)
    assert not rules.sudden(Source("x.test", False, 80, 80), known_before=False)
    assert not rules.sudden(Source("x.test", False, 9, 0), known_before=False)
