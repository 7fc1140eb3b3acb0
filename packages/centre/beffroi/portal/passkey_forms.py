"""Forms for keys (WebAuthn): as the only thing to sign in with, as a second factor, to confirm an action.

Purpose: over django-allauth's forms, which let in more: here the origin is the portal's own, a key that opens alone or
         confirms has asked its owner (PIN, finger, face) whatever the challenge asked for, tries are limited, and what
         is no credential at all has an answer.
Input:   hostile; JSON of the browser.
Fails:   closed.
Source:  W3C Web Authentication Level 3, 7.1 and 7.2. Counters are not compared (7.2.22): passkeys send zero.
"""

from __future__ import annotations

import struct
from typing import Any
from urllib.parse import urlsplit

from allauth.core import context
from allauth.mfa.models import Authenticator
from allauth.mfa.webauthn import forms as webauthn
from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils.translation import gettext as _
from fido2.webauthn import AuthenticationResponse, RegistrationResponse

from beffroi.core.events import outbox
from beffroi.core.identity import failures, limits
from beffroi.core.identity.second_factors import MAX_CREDENTIAL_CHARS, claimed_email
from beffroi.core.identity.sign_ins import client_address

MAX_NAME_CHARS = 60
MAX_KEYS = 10
_FAILURES, _WINDOW_S = 10, 60
_MALFORMED = (TypeError, ValueError, KeyError, IndexError, AttributeError, struct.error, RecursionError)


class CredentialField(forms.JSONField):
    """A JSON object of a size that a browser sends."""

    widget = forms.HiddenInput

    def to_python(self, value: Any) -> Any:
        """Errors: ValidationError."""
        try:
            found = super().to_python(value) if len(value or "") <= MAX_CREDENTIAL_CHARS else None
        except (ValidationError, RecursionError):
            found = None
        if not isinstance(found, dict) or "\x00" in str(found):
            raise refusal()
        return found


class _Assertion(forms.Form):
    """What the three forms that take a signature have in common."""

    owner_asked = False

    def clean_credential(self) -> Authenticator:
        try:
            answer = AuthenticationResponse.from_dict(self.cleaned_data["credential"]).response
            _same_origin(answer.client_data.origin)
            verified = answer.authenticator_data.is_user_verified()
            # Of signed data; that the signature fits, and whose it is, comes next.
            found: Authenticator = super().clean_credential()  # type: ignore[misc] # allauth's form is beside
        except _MALFORMED:
            raise refusal() from None
        except ValidationError as error:
            raise error if error.code == "too_many_login_attempts" else refusal() from None
        if self.owner_asked and not verified:
            refused = _(
                "Cette clé n’a demandé ni code PIN, ni empreinte, ni visage. Utilisez votre mot de passe ou un code."
            )
            raise ValidationError(refused)
        return found


class AuthenticateForm(_Assertion, webauthn.AuthenticateWebAuthnForm):  # type: ignore[misc] # allauth is untyped
    """A second factor, after the password: holding the key is enough."""

    credential = CredentialField()


class ReauthenticateForm(_Assertion, webauthn.ReauthenticateWebAuthnForm):  # type: ignore[misc] # the same
    """Confirms an action. A key left in its socket must not do so by anybody's touch."""

    credential = CredentialField()
    owner_asked = True


class LoginForm(_Assertion, webauthn.LoginWebAuthnForm):  # type: ignore[misc] # the same
    """The key alone: it has asked its owner, whatever the challenge asked for."""

    credential = CredentialField()
    owner_asked = True

    def full_clean(self) -> None:
        """Count failures per network, as for passwords: an account's own count would lock its owner out."""
        if not self.is_bound:
            return super().full_clean()
        address = client_address(context.request)
        network = limits.network_of(address)
        tried = limits.take("passkey", network, limit=_FAILURES, window_s=_WINDOW_S)
        if not tried:
            self._errors = forms.utils.ErrorDict()
            self.cleaned_data: dict[str, Any] = {}
            self.add_error(None, _("Trop d’essais à la suite. Attendez une minute, puis recommencez."))
            return None
        super().full_clean()
        if not self._errors:
            limits.give_back(tried)
        else:
            account = claimed_email(context.request.POST.get("credential", ""))
            failure = failures.payload(address=address, account=account, door="portal")
            if failure is not None:
                with transaction.atomic():
                    outbox.publish(failures.KIND, failure)
        return None


class AddForm(webauthn.AddWebAuthnForm):  # type: ignore[misc] # the same
    """``passwordless``: the key is to open alone; else it is a second factor."""

    name = forms.CharField(required=False, max_length=MAX_NAME_CHARS)
    passwordless = forms.BooleanField(required=False)
    credential = CredentialField()

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.initial["name"] = ""  # allauth proposes a name before anybody has chosen what the key is for

    def clean_name(self) -> str:
        number = self._present().count() + 1
        return self.cleaned_data["name"] or _("Clé d’accès %(number)s") % {"number": number}

    def clean(self) -> dict[str, Any]:
        if self._present().count() >= MAX_KEYS:
            raise ValidationError(
                _("Dix clés sont déjà enregistrées : retirez d’abord celles qui ne servent plus.")
            )
        try:
            credential = self.cleaned_data.get("credential")
            if credential:
                _same_origin(RegistrationResponse.from_dict(credential).response.client_data.origin)
            return dict(super().clean())
        except (*_MALFORMED, ValidationError):
            raise refusal() from None

    def _present(self) -> Any:
        return Authenticator.objects.filter(user=self.user, type=Authenticator.Type.WEBAUTHN)


class EditForm(webauthn.EditWebAuthnForm):  # type: ignore[misc] # the same
    name = forms.CharField(max_length=MAX_NAME_CHARS)


def _same_origin(origin: str) -> None:
    """The portal's own name and no name below it. Errors: ValueError."""
    if urlsplit(origin).hostname != settings.BEFFROI.portal_name:
        raise ValueError("origin")


def refusal() -> ValidationError:
    return ValidationError(_("Cette clé n’a pas été reconnue. Recommencez, ou utilisez votre mot de passe."))
