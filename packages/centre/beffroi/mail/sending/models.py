"""Accounts that sent too much or look taken over: what was refused, and whether a person has to give them back."""

from __future__ import annotations

from datetime import timedelta

from django.db import models

from beffroi.core.fields import id_field, reference
from beffroi.lib import clock


class SendingAlarm(models.Model):
    """One account over its limit, until somebody closes it. ``limit``: a field of ``gate.sending.Limits``, or
    "takeover", "complaints" or "unknown".

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


class ChosenPartner(models.Model):
    """A domain with which mail passes encrypted or not at all, in both directions. Of all communes together."""

    domain = models.CharField(max_length=253, primary_key=True)
    chosen_by = reference()
    chosen_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_chosen_partner"


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


class Warming(models.Model):
    """How far the warm-up of one exit is (``engines.pools``). ``step``: its day, from 0, counting those on which mail
    left by it; ``day``: when that one began (UTC); ``paused_by``: "" where refusals of ``provider`` did it."""

    exit = models.CharField(max_length=12, primary_key=True)
    step = models.IntegerField(default=0)
    day = models.DateField()
    began_at = models.DateTimeField(default=clock.now)
    paused_at = models.DateTimeField(null=True, default=None)
    paused_by = reference(default="", blank=True)
    provider = models.CharField(max_length=16, default="", blank=True)

    class Meta:
        db_table = "mail_warming"


class LaneDay(models.Model):
    """What one provider answered one exit on one day (UTC): recipients it took, and refused for the sake of who sends.
    ``exit``: "" for the first; ``provider``: "" for all domains that are no slow provider's."""

    exit = models.CharField(max_length=12)
    provider = models.CharField(max_length=16)
    day = models.DateField(db_index=True)
    sent = models.BigIntegerField(default=0)
    refused = models.BigIntegerField(default=0)

    class Meta:
        db_table = "mail_lane_day"
        constraints = (
            models.UniqueConstraint(fields=["exit", "provider", "day"], name="mail_lane_day_once"),
        )


class RefusedDay(models.Model):
    """Recipients of one mailbox that other servers refused for good on one day (UTC); nobody's address."""

    mailbox_id = reference()
    collectivite_id = reference()
    day = models.DateField(db_index=True)
    count = models.IntegerField(default=0)

    class Meta:
        db_table = "mail_refused_day"
        constraints = (models.UniqueConstraint(fields=["mailbox_id", "day"], name="mail_refused_day_once"),)


class AnsweredSlot(models.Model):
    """What other servers answered for the recipients of one mailbox within ``SLOT`` from ``at`` on: taken or refused
    for good, and of these unknown to their server. Numbers; kept for a day."""

    SLOT = timedelta(minutes=5)
    """Divides an hour."""

    mailbox_id = reference()
    at = models.DateTimeField(db_index=True)
    answered = models.IntegerField(default=0)
    unknown = models.IntegerField(default=0)

    class Meta:
        db_table = "mail_answered_slot"
        constraints = (models.UniqueConstraint(fields=["mailbox_id", "at"], name="mail_answered_slot_once"),)


class Doubted(models.Model):
    """A mailbox whose mail leaves by the address of doubtful senders, until ``ended_at``. ``reasons``: as in ``doubt``,
    with spaces between; ``spared_until``: an administrator's word that it is well."""

    mailbox_id = reference(primary_key=True)
    collectivite_id = reference(db_index=True)
    reasons = models.CharField(max_length=80)
    since_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True, default=None)
    spared_until = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "mail_doubted"


class AddressName(models.Model):
    """Whether the name of one sending address leads to it and back (``reputation.name_state``)."""

    address = models.GenericIPAddressField(primary_key=True)
    helo = models.CharField(max_length=253)
    state = models.CharField(max_length=12)
    since_at = models.DateTimeField(default=clock.now)
    checked_at = models.DateTimeField(default=clock.now)

    class Meta:
        db_table = "mail_address_name"
