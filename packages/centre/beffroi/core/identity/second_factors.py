"""What a person signs in with besides the password: keys (WebAuthn), an application's codes, recovery codes.

Input:   hostile where it says so: what a browser says of a key is a claim until the signature fits.
At rest: of a key its public half and an identifier, which open nothing and are not encrypted; secrets of codes are.
Audit:   each means added, removed or renewed is an entry, in the transaction of the change where the change has one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from allauth.account.utils import url_str_to_user_pk
from allauth.mfa.models import Authenticator
from django.core.exceptions import ValidationError
from django.db import transaction
from django.http import HttpRequest
from fido2.utils import websafe_decode

from beffroi.core.audit import actions as audit
from beffroi.core.identity.actor import Actor
from beffroi.core.identity.models import Person

MAX_CREDENTIAL_CHARS = 32_000
"""Of the JSON that a browser sends for one key."""


@dataclass(frozen=True)
class Factors:
    """``keys``: oldest first; ``codes_left``: recovery codes that were not used, None where there are none."""

    keys: list[Authenticator]
    application: bool
    codes_left: int | None

    @property
    def any(self) -> bool:
        return bool(self.keys) or self.application


def of(person_id: str) -> Factors:
    rows = list(Authenticator.objects.filter(user_id=person_id).order_by("created_at", "pk"))
    codes = [one for one in rows if one.type == Authenticator.Type.RECOVERY_CODES]
    return Factors(
        keys=[one for one in rows if one.type == Authenticator.Type.WEBAUTHN],
        application=any(one.type == Authenticator.Type.TOTP for one in rows),
        codes_left=len(codes[0].wrap().get_unused_codes()) if codes else None,
    )


def claimed_email(credential: str) -> str:
    """Whose key the browser says it used, before anything is proved; "" when it says nothing that we know."""
    if len(credential) > MAX_CREDENTIAL_CHARS:
        return ""
    try:
        handle = json.loads(credential)["response"]["userHandle"]
        person_id = str(url_str_to_user_pk(websafe_decode(handle).decode()))
    except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, ValidationError):
        return ""
    if "\x00" in person_id:
        return ""
    return Person.objects.filter(pk=person_id).values_list("email", flat=True).first() or ""


def on_added(sender: object, **told: Any) -> None:
    _record("identity:second_factor:added", **told)


def on_removed(sender: object, **told: Any) -> None:
    _record("identity:second_factor:removed", **told)


def on_reset(sender: object, **told: Any) -> None:
    _record("identity:recovery_codes:renewed", **told)


@transaction.atomic
def _record(
    verb: str, *, request: HttpRequest, user: Person, authenticator: Authenticator, **_: object
) -> None:
    actor: Actor = getattr(request, "actor", None) or Actor("person", user.pk)
    audit.record(
        actor, verb, user.pk, collectivite_id=actor.collectivite_id, details={"type": str(authenticator.type)}
    )
