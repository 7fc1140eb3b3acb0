"""How long sessions, links for phones, codes of people, sign-ins and the names of closed accounts are kept, those of
administrators too."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import Exists, OuterRef, Q, QuerySet

from beffroi.core.identity import administrators, erasure
from beffroi.core.identity.models import (
    ActivationCode,
    Administrator,
    DeviceLink,
    LoginFlow,
    Membership,
    MembershipOffer,
    Person,
    RescueCode,
    SignIn,
)
from beffroi.core.identity.rescue import KEEP_DAYS as RESCUE_DAYS
from beffroi.core.identity.sign_ins import KEEP_DAYS
from beffroi.core.retention.registry import Before, BeforeDay, Category, category

KEEP_LINKS_DAYS = 1
"""After they are over."""
KEEP_FLOWS_DAYS = 1
"""The same, for requests of programs."""
KEEP_ACTIVATION_DAYS = 0
"""The same, from the end of the seven days."""
KEEP_OFFERS_DAYS = 0
"""The same, from the end of the thirty days."""

sign_ins = BeforeDay(SignIn)
activation_codes = Before(ActivationCode, "expires_at")
"""Used or not; the audit log says who made one, and when it opened."""
membership_offers = Before(MembershipOffer, "expires_at")
_administrators = Before(Administrator, "closed_at", Q(is_active=False, erased_at=None))


def closed_accounts(cutoff: datetime) -> QuerySet[Person]:
    """Without a membership since then: present ones have no end, or a later one."""
    member = Membership.objects.filter(Q(until=None) | Q(until__gte=cutoff), person=OuterRef("pk"))
    past = Person.objects.filter(is_active=False, erased_at=None, created_at__lt=cutoff)
    return past.exclude(Exists(member))


def _erase_administrators(ids: list[Any]) -> int:
    return sum(administrators.erase_closed(one) for one in Administrator.objects.filter(pk__in=ids))


def _erase_accounts(ids: list[Any]) -> int:
    return sum(erasure.erase(person) for person in Person.objects.filter(pk__in=ids))


category(Category("sessions", 50, 0, Before(Session, "expire_date")))
category(Category("device_links", 53, KEEP_LINKS_DAYS, Before(DeviceLink, "expires_at")))
category(Category("login_flows", 162, KEEP_FLOWS_DAYS, Before(LoginFlow, "expires_at")))
category(Category("rescue_codes", 54, RESCUE_DAYS, Before(RescueCode, "created_at")))
category(Category("activation_codes", 160, KEEP_ACTIVATION_DAYS, activation_codes))
category(Category("membership_offers", 161, KEEP_OFFERS_DAYS, membership_offers))
category(Category("sign_ins", 51, KEEP_DAYS, sign_ins))
category(
    Category(
        "closed_accounts",
        52,
        "retention_accounts_days",
        closed_accounts,
        _erase_accounts,
        held_as="person",
        batch=20,
    )
)
category(
    Category(
        "closed_administrators",
        163,
        "retention_accounts_days",
        _administrators,
        _erase_administrators,
        batch=20,
    )
)
