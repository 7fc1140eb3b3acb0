"""What a commune chose for its mail domain, its DKIM keys, and what DNS answered each day."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class MailDomain(models.Model):
    """Choices for a domain (``records.Choices``); a domain without a row has the first ones.

    ``also_sends``: SPF mechanisms, separated by spaces. ``declared_*``: what its page of Service-Public says.
    ``published_at``: when we last wrote its zone ourselves.
    """

    class Dmarc(models.TextChoices):
        NONE = "none"
        QUARANTINE = "quarantine"
        REJECT = "reject"

    class Sts(models.TextChoices):
        NONE = "none"
        TESTING = "testing"
        ENFORCE = "enforce"

    domain_id = reference(primary_key=True)
    collectivite_id = reference(db_index=True)
    dmarc = models.CharField(max_length=16, choices=Dmarc, default=Dmarc.NONE)
    sts = models.CharField(max_length=16, choices=Sts, default=Sts.TESTING)
    also_sends = models.CharField(max_length=400, default="", blank=True)
    old_mx = models.CharField(max_length=253, default="", blank=True)
    declared_site = models.CharField(max_length=254, default="", blank=True)
    declared_address = models.CharField(max_length=254, default="", blank=True)
    published_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_domain"


class DkimKey(models.Model):
    """``wrapped``: the private key (PEM), wrapped by the collectivité's key; erased when it signs no more.

    ``gone_at``: from then on DNS need not show it, and its selector is free for the next key.
    """

    class State(models.TextChoices):
        NEXT = "next"
        ACTIVE = "active"
        RETIRED = "retired"

    id = id_field("dkm")
    domain_id = reference(db_index=True)
    collectivite_id = reference(db_index=True)
    selector = models.CharField(max_length=32)
    state = models.CharField(max_length=16, choices=State)
    public_key = models.CharField(max_length=600)
    wrapped = models.TextField()
    created_at = models.DateTimeField(default=clock.now)
    activated_at = models.DateTimeField(null=True, default=None)
    retired_at = models.DateTimeField(null=True, default=None)
    gone_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_dkim_key"
        constraints = (
            models.UniqueConstraint(
                fields=["domain_id", "selector"], condition=models.Q(gone_at=None), name="mail_dkim_selector"
            ),
            models.UniqueConstraint(
                fields=["domain_id"], condition=models.Q(state="active"), name="mail_dkim_one_active"
            ),
        )


class DomainCheck(models.Model):
    """The last check of a domain on one day (UTC). ``items``: item -> [state, seen]; ``lost``: items that were well in
    an earlier check and are not since; ``scores``: name -> share in percent."""

    domain_id = reference()
    collectivite_id = reference(db_index=True)
    day = models.DateField(db_index=True)
    checked_at = models.DateTimeField(default=clock.now)
    items = models.JSONField(default=dict)
    lost = models.JSONField(default=list)
    scores = models.JSONField(default=dict)

    class Meta:
        db_table = "mail_domain_check"
        constraints = (models.UniqueConstraint(fields=["domain_id", "day"], name="mail_domain_check_once"),)
