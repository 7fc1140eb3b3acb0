"""People, their memberships, app passwords; and, in a table of their own, the Département's administrators.

The account password opens the portal only, never IMAP, SMTP or DAV: those take app passwords, which are 128
random bits, so that a fast hash protects them.
"""

from __future__ import annotations

from typing import ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.db import models

from beffroi.core.communes.models import Collectivite
from beffroi.core.fields import id_field
from beffroi.lib import clock


class PersonManager(BaseUserManager["Person"]):
    pass


class Person(AbstractBaseUser):
    id = id_field("per")
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200)
    is_active = models.BooleanField(default=True)
    totp_last_step = models.BigIntegerField(default=0)  # time step of the last code that opened
    sessions_from = models.DateTimeField(null=True, default=None)  # sessions that began before are over
    password_given_at = models.DateTimeField(null=True, default=None)  # by the Département; None: one's own
    created_at = models.DateTimeField(default=clock.now)
    erased_at = models.DateTimeField(null=True, default=None)  # name and address are gone (``erasure``)

    USERNAME_FIELD = "email"
    EMAIL_FIELD = "email"
    REQUIRED_FIELDS: ClassVar[list[str]] = ["name"]
    objects: ClassVar[PersonManager] = PersonManager()

    class Meta:
        db_table = "person"

    def __str__(self) -> str:
        return self.id  # AbstractBaseUser says the address, and logs hold none


class Membership(models.Model):
    class Role(models.TextChoices):
        AGENT = "agent"
        ELU = "elu"
        REFERENT = "referent"
        DPO = "dpo"

    id = id_field("mem")
    person = models.ForeignKey(Person, models.CASCADE, related_name="memberships")
    collectivite = models.ForeignKey(Collectivite, models.CASCADE, related_name="memberships")
    role = models.CharField(max_length=16, choices=Role)
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "membership"
        constraints = (
            models.UniqueConstraint(
                fields=["person", "collectivite", "role"],
                condition=models.Q(until=None),
                name="membership_current",
            ),
        )


class AppPassword(models.Model):
    class ProtocolSet(models.TextChoices):
        IMAP = "imap"
        SMTP = "smtp"
        DAV = "dav"
        MAIL = "imap,smtp"
        MAIL_AND_SCRIPTS = "imap,smtp,sieve"

    id = id_field("apw")
    membership = models.ForeignKey(Membership, models.CASCADE, related_name="app_passwords")
    protocol_set = models.CharField(max_length=32, choices=ProtocolSet)
    sha256 = models.CharField(max_length=64, unique=True)
    label = models.CharField(max_length=100, blank=True)
    created_at = models.DateTimeField(default=clock.now)
    last_used_at = models.DateTimeField(null=True, default=None)
    revoked_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "app_password"


class DeviceLink(models.Model):
    """A one-time link that a phone opens to fetch its settings. Its app password is made then, so none waits here.

    ``sha256``: of the link's secret part. One of ``used_at`` and ``ended_at`` at most is set.
    """

    id = id_field("dvl")
    membership = models.ForeignKey(Membership, models.CASCADE, related_name="device_links")
    kind = models.CharField(max_length=16)
    label = models.CharField(max_length=100)
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)
    app_password_id = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        db_table = "device_link"


class LoginFlow(models.Model):
    """What a person answered a program that asks for files. Its app password is made when it comes for it.

    ``network``: of the program. ``membership`` with ``granted_at``: who let it in; none: it was refused.
    """

    id = id_field("lgf")
    poll_sha256 = models.CharField(max_length=64, unique=True)
    page_sha256 = models.CharField(max_length=64, unique=True)
    program = models.CharField(max_length=100, blank=True)
    network = models.CharField(max_length=64)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    membership = models.ForeignKey(
        Membership, models.CASCADE, null=True, default=None, related_name="login_flows"
    )
    granted_at = models.DateTimeField(null=True, default=None)
    used_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "login_flow"


class PaperCode(models.Model):
    """What works once, and is handed over on paper. One of ``used_at`` and ``ended_at`` at most is set."""

    collectivite_id = models.CharField(max_length=40)
    made_by = models.CharField(max_length=40)
    sha256 = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        abstract = True


class RescueCode(PaperCode):
    """A second factor for once, that a référent hands to a person who lost theirs; the password is still asked for."""

    id = id_field("rsc")
    person = models.ForeignKey(Person, models.CASCADE, related_name="rescue_codes")

    class Meta:
        db_table = "rescue_code"


class ActivationCode(PaperCode):
    """Opens an account that nobody came to yet, once: its person chooses the password then. On the printed sheet."""

    id = id_field("act")
    person = models.ForeignKey(Person, models.CASCADE, related_name="activation_codes")

    class Meta:
        db_table = "activation_code"


class MembershipOffer(models.Model):
    """A question to whoever signs in with this address: whether they join. ``refused_at``: their last no."""

    id = id_field("mof")
    collectivite_id = models.CharField(max_length=40, db_index=True)
    email = models.EmailField(max_length=254, db_index=True)
    role = models.CharField(max_length=16, choices=Membership.Role)
    made_by = models.CharField(max_length=40)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, default=None)
    refused_at = models.DateTimeField(null=True, default=None)
    ended_at = models.DateTimeField(null=True, default=None)

    class Meta:
        db_table = "membership_offer"


class SignIn(models.Model):
    """Successful sign-ins of one person at one door from one address on one day (UTC). Erased after 30 days.

    ``door``: portal, imap, smtp or dav. All rows but the portal's are written by mailgate in plain SQL: these columns
    are a contract with mail/gate/sign_ins.py.
    """

    person_id = models.CharField(max_length=40)
    collectivite_id = models.CharField(max_length=40)
    door = models.CharField(max_length=16)
    address = models.CharField(max_length=45)
    day = models.DateField(db_index=True)
    count = models.BigIntegerField(default=1)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        db_table = "sign_in"
        indexes = (models.Index(fields=["address"], name="sign_in_address"),)
        constraints = (
            models.UniqueConstraint(
                fields=["person_id", "collectivite_id", "door", "address", "day"], name="sign_in_once"
            ),
        )


class Administrator(models.Model):
    id = id_field("adm")
    email = models.EmailField(max_length=254, unique=True)
    name = models.CharField(max_length=200)
    password = models.CharField(max_length=200)
    totp_secret = models.TextField()  # encrypted with settings.FIELD_KEY
    totp_last_step = models.BigIntegerField(default=0)
    is_active = models.BooleanField(default=True)
    session_version = models.IntegerField(default=1)
    created_at = models.DateTimeField(default=clock.now)
    closed_at = models.DateTimeField(null=True, default=None)
    erased_at = models.DateTimeField(null=True, default=None)  # name and address are gone

    class Meta:
        db_table = "administrator"
