"""Reports about a seeded domain, for servers that show pages."""

from __future__ import annotations

from tests import reports_samples as samples
from tests.reports_samples import BREVO, DAY_S, GOOD, LIST, SPAMMER

PROVED = "spf=pass; dkim=pass; dmarc=pass"


def seed(domain_id: str) -> None:
    """Three weeks with a service that nobody spoke of, a sudden stranger, a list, and failures of encryption."""
    from beffroi.core.communes.models import Domain
    from beffroi.lib import clock
    from beffroi.mail.domains.asking import Asker
    from beffroi.mail.reports import consumers, intake

    name = Domain.objects.get(pk=domain_id).name
    today_s = clock.epoch_s() // DAY_S * DAY_S
    service: samples.Row = (BREVO, 61, False, False, "brevo.example", "brevo.example", "")
    passed_on: samples.Row = (LIST, 4, False, False, "", "listes.example", "mailing_list")
    signed: samples.Row = ("203.0.113.80", 12, True, False, name, "orange.example", "")
    stranger: samples.Row = (SPAMMER, 412, False, False, "", "", "")
    for day in range(21, 0, -1):
        rows = [
            GOOD,
            passed_on,
            signed,
            *([service] if day % 7 == 0 else []),
            *([stranger] if day < 3 else []),
        ]
        text = samples.google(rows, begin_s=today_s - day * DAY_S, domain=name, number=str(day))
        mail = samples.mail(samples.zipped(text), "application/zip", auth=PROVED)
        consumers.take(intake.read(mail, now_s=clock.epoch()), asker=Asker("127.0.0.1", 9, 0.0))
    told = samples.tls(begin_s=today_s - DAY_S, domains=[name])
    mail = samples.mail(told, "application/tlsrpt+json", auth=PROVED, alone=False)
    consumers.take(intake.read(mail, now_s=clock.epoch()), asker=Asker("127.0.0.1", 9, 0.0))
    from beffroi.mail.probe import actions as probe
    from beffroi.mail.probe.paths import Result

    for code in ("", "late", "late"):
        probe.keep([Result("incoming", "", 840), Result("submission", code, 45_000 if code else 910)])
    from beffroi.mail.sending import actions as sending

    left = [
        ("a.example", "proved", 340),
        ("b.example", "encrypted", 1210),
        ("notaire-clair.example", "clear", 3),
    ]
    sending.note_listing(address="192.0.2.25", zone="zen.example.org", state="listed")
    sending.note_listing(address="192.0.2.25", zone="bl.example.net", state="refused")
    sending.count_left(before=0, after=1, rows=left)
    bare = samples.mail(b"\x89PNG", "image/png", alone=False)
    consumers.take(intake.read(bare, now_s=clock.epoch()), asker=Asker("127.0.0.1", 9, 0.0))
