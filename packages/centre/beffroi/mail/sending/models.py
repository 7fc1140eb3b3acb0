"""Accounts that sent too much or look taken over: what was refused, and whether a person has to give them back."""

from __future__ import annotations

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class SendingAlarm(models.Model):
    """One account over its limit, until somebody closes it. ``limit``: a field of ``gate.sending.Limits``, or
    "takeover" or "complaints".

    ``contained_at``: since then its app passwords rest, its mail waits and it may not send.
    """

    id = id_field("sal")
    collectivite_id = reference(db_index=True)
    mailbox_id = reference()
    person_id = reference(default="", blank=True)
    limit = models.CharField(max_length=16)
    most = models.IntegerField()
    refused = models.IntegerField(default=0)
    began_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now)
    contained_at = models.DateTimeField(null=True, default=None)
    closed_at = models.DateTimeField(null=True, default=None)
    closed_by = reference(default="", blank=True)

    class Meta:
        db_table = "mail_sending_alarm"
        constraints = (
            models.UniqueConstraint(
                fields=["mailbox_id"],
                condition=models.Q(closed_at=None),
                name="mail_sending_alarm_open",
            ),
        )

    def __str__(self) -> str:
        return self.id


class PartnerTls(models.Model):
    """Recipients of one domain that mail left for on one day (UTC), by how it was protected (``left``). Of all
    communes together."""

    domain = models.CharField(max_length=253)
    day = models.DateField(db_index=True)
    how = models.CharField(max_length=10)
    count = models.BigIntegerField(default=0)

    class Meta:
        db_table = "mail_partner_tls"
        constraints = (
            models.UniqueConstraint(fields=["domain", "day", "how"], name="mail_partner_tls_once"),
        )

    def __str__(self) -> str:
        return f"{self.domain}:{self.day}:{self.how}"


class ChosenPartner(models.Model):
    """A domain with which mail passes encrypted or not at all, in both directions. Of all communes together."""

    domain = models.CharField(max_length=253, primary_key=True)
    chosen_by = reference()
    chosen_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_chosen_partner"

    def __str__(self) -> str:
        return self.domain


class AddressListing(models.Model):
    """What one block list said of one address of ours (``reputation``). ``since_at``: since when it says so."""

    address = models.GenericIPAddressField()
    zone = models.CharField(max_length=200)
    state = models.CharField(max_length=12)
    since_at = models.DateTimeField(default=clock.now)
    checked_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_address_listing"
        constraints = (models.UniqueConstraint(fields=["address", "zone"], name="mail_address_listing_once"),)

    def __str__(self) -> str:
        return f"{self.address}:{self.zone}"
