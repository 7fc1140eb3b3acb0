"""How long reports of other servers are kept."""

from __future__ import annotations

from django.db.models import Q

from beffroi.core.retention.registry import Before, BeforeDay, Category, category
from beffroi.mail.reports.models import Complaint, DmarcReport, DmarcRow, ReportRefusal, TlsReport

KEPT_DAYS = 180
"""Half a year of who sends in a commune's name; addresses of servers, seldom of persons."""

rows = Before(DmarcRow, "report__end_at")
reports = Before(DmarcReport, "end_at", Q(rows=None))
complaints = Before(Complaint, "received_at")

category(Category("complaints", 126, KEPT_DAYS, complaints))
category(Category("dmarc_rows", 100, KEPT_DAYS, rows, batch=500))
category(Category("dmarc_reports", 101, KEPT_DAYS, reports))
category(Category("tls_reports", 102, KEPT_DAYS, Before(TlsReport, "end_at")))
category(Category("report_refusals", 103, KEPT_DAYS, BeforeDay(ReportRefusal)))
