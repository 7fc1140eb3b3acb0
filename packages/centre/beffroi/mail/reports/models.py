"""Reports of other servers about our domains, and what people said of who sends in our name."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class DmarcReport(models.Model):
    """One aggregate report. ``once``: hash of who brought which report of whom, so that none counts twice and no
    forged one takes a true one's place; ``authentic``: SPF or DKIM proved ``reporter``, the domain that sent it."""

    id = id_field("dmr")
    domain_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    once = models.CharField(max_length=64, unique=True)
    org = models.CharField(max_length=200)
    reporter = models.CharField(max_length=253)
    authentic = models.BooleanField()
    policy = models.CharField(max_length=16)
    begin_at = models.DateTimeField()
    end_at = models.DateTimeField(db_index=True)
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_dmarc_report"


class DmarcRow(models.Model):
    """``messages`` from one address that went alike (``values.Row``). ``operator``: whose address it seems to be, as
    ``operators`` names it."""

    report = models.ForeignKey(DmarcReport, on_delete=models.CASCADE, related_name="rows")
    domain_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    address = models.GenericIPAddressField()
    operator = models.CharField(max_length=253)
    messages = models.BigIntegerField()
    dkim = models.BooleanField()
    spf = models.BooleanField()
    disposition = models.CharField(max_length=16)
    dkim_domain = models.CharField(max_length=253, default="", blank=True)
    spf_domain = models.CharField(max_length=253, default="", blank=True)
    reason = models.CharField(max_length=40, default="", blank=True)

    class Meta:
        db_table = "mail_dmarc_row"


class SourceWord(models.Model):
    """What a person said of an operator that sends in the domain's name; and since when it alarms (``alarm_at``),
    until somebody says something."""

    class Word(models.TextChoices):
        OURS = "ours"
        NOT_OURS = "not_ours"

    domain_id = reference()
    collectivite_id = reference(db_index=True)
    operator = models.CharField(max_length=253)
    word = models.CharField(max_length=16, choices=Word, default="", blank=True)
    said_by = reference(default="", blank=True)
    said_at = models.DateTimeField(null=True, default=None)
    alarm_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_source_word"
        constraints = (
            models.UniqueConstraint(fields=["domain_id", "operator"], name="mail_source_word_once"),
        )


class TlsReport(models.Model):
    """One domain of one TLS report (``values.Tls``). ``failures``: [kind, messages, mx] each."""

    id = id_field("tlr")
    domain_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    once = models.CharField(max_length=64, unique=True)
    org = models.CharField(max_length=200)
    reporter = models.CharField(max_length=253)
    authentic = models.BooleanField()
    policy = models.CharField(max_length=20)
    good = models.BigIntegerField()
    failed = models.BigIntegerField()
    failures = models.JSONField(default=list)
    begin_at = models.DateTimeField()
    end_at = models.DateTimeField(db_index=True)
    received_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_tls_report"


class Complaint(models.Model):
    """A recipient's word against one mail of a mailbox of ours, told by ``reporter`` (a provider's feedback loop).

    ``once``: hash of who brought which complaint; ``mail_hash``: of the Message-ID of the mail, as in MailMessage. Who
    complained is not kept.
    """

    id = id_field("cpl")
    collectivite_id = reference(db_index=True)
    mailbox_id = reference()
    once = models.CharField(max_length=64, unique=True)
    mail_hash = models.CharField(max_length=64)
    kind = models.CharField(max_length=10)
    reporter = models.CharField(max_length=253)
    authentic = models.BooleanField()
    received_at = models.DateTimeField(default=clock.now, db_index=True)

    class Meta:
        db_table = "mail_complaint"
        indexes = (models.Index(fields=["mailbox_id", "received_at"], name="mail_complaint_mailbox"),)


class ReportRefusal(models.Model):
    """How many mails to the reports' address gave no report on one day (UTC), by code. Of no collectivité."""

    day = models.DateField(db_index=True)
    code = models.CharField(max_length=40)
    count = models.IntegerField(default=0)

    class Meta:
        db_table = "mail_report_refusal"
        constraints = (models.UniqueConstraint(fields=["day", "code"], name="mail_report_refusal_once"),)
