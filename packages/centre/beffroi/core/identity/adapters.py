"""How the portal's sign-in (django-allauth) is bound to our people.

Nobody signs up, nobody changes an address by themselves: the Département or the référent creates accounts.
Secrets of second factors are encrypted at rest.
"""

from __future__ import annotations

import time
from typing import Any

from allauth.account import app_settings as account_settings
from allauth.account.adapter import DefaultAccountAdapter
from allauth.account.authentication import get_authentication_records
from allauth.account.internal.stagekit import clear_login
from allauth.core.exceptions import ImmediateHttpResponse
from allauth.mfa.adapter import DefaultMFAAdapter
from allauth.mfa.models import Authenticator
from allauth.mfa.utils import is_mfa_enabled
from allauth.mfa.webauthn.internal.flows import did_use_passwordless_login
from django.conf import settings
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse

from beffroi.core.events import outbox
from beffroi.core.identity import failures, limits
from beffroi.core.identity.secret_fields import decrypt_text, encrypt_text
from beffroi.core.identity.sign_ins import ended_last

_PROVED_KEY = "proved_by"


def _proved(user: Any) -> str:
    return f"{user.get_session_auth_hash()} {ended_last(user)}"


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth is untyped
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str | None) -> bool:
        # Only paths of this listener: an open redirect after sign-in is a gift to phishing.
        return bool(url) and str(url).startswith("/") and not str(url).startswith(("//", "/\\"))

    def is_reauthentication_required(self, *, app: str, **options: Any) -> bool:
        """None is for so long after a sign-in by a key alone, which showed all that a step-up by it shows, and which no
        false page relays, as it would a password and its code (docs/decisions/0197)."""
        since = time.time() - account_settings.REAUTHENTICATION_TIMEOUT
        for one in get_authentication_records(self.request, self.request.user):
            if one.get("passwordless") and one["at"] > since:
                return False
        return bool(super().is_reauthentication_required(app=app, **options))

    def get_reauthentication_methods(self, user: Any) -> list[dict[str, Any]]:
        """The key first for whoever signed in with it: they may not know their password by heart. Not the password for
        whoever signed in with it and a code: a false page that relayed both has it (docs/decisions/0220)."""
        found: list[dict[str, Any]] = super().get_reauthentication_methods(user)
        if user.is_authenticated and did_use_passwordless_login(self.request, user):
            found.sort(key=lambda one: one["id"] != "mfa_reauthenticate:webauthn")
        if user.is_authenticated and self._came_by_code(user):
            found = [one for one in found if one["id"] != "reauthenticate"]
        return found

    def _came_by_code(self, user: Any) -> bool:
        """And may come so again."""
        totp = Authenticator.Type.TOTP
        came_by = {one.get("type") for one in get_authentication_records(self.request, user)}
        return totp in came_by and is_mfa_enabled(user, types=[totp])

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Failures count for an account and a network, as everywhere (``limits``): else whoever knows an address locks
        its owner out. And not by the name that the request came under: it is the client's to spell."""
        network = limits.network_of(self.get_client_ip(request))
        return f"{network} {str(credentials.get('email', '')).lower()}"

    def pre_login(self, request: HttpRequest, user: Any, **told: Any) -> HttpResponse | None:
        """After the first step, which is the only one where no second factor is asked for."""
        request.session[_PROVED_KEY] = _proved(user)
        answer: HttpResponse | None = super().pre_login(request, user, **told)
        return answer

    def login(self, request: HttpRequest, user: Any) -> None:
        """After the last step. A password that was changed meanwhile, or whose sessions were ended, proves nothing any
        more: whoever has it would only need a code, for a quarter of an hour. Errors: ImmediateHttpResponse."""
        if request.session.pop(_PROVED_KEY, "") != _proved(user):
            clear_login(request)
            raise ImmediateHttpResponse(HttpResponseRedirect(reverse("account_login")))
        super().login(request, user)

    def authentication_failed(self, request: HttpRequest, **credentials: Any) -> None:
        """Whoever guesses is counted across doors; ``login_failed`` of the rate limits bounds how much is written."""
        super().authentication_failed(request, **credentials)
        found = failures.payload(
            address=self.get_client_ip(request), account=str(credentials.get("email", "")), door="portal"
        )
        if found is not None:
            with transaction.atomic():
                outbox.publish(failures.KIND, found)


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth is untyped
    def encrypt(self, text: str) -> str:
        return encrypt_text(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt_text(encrypted_text)

    def get_public_key_credential_rp_entity(self) -> dict[str, str]:
        # The name of the portal, not the one that the request came under: keys outlive detours.
        return {"id": settings.BEFFROI.portal_name, "name": f"Beffroi, {settings.BEFFROI.departement_name}"}
