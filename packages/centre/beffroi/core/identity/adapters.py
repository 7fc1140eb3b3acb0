"""How the portal's sign-in (django-allauth) is bound to our people.

Nobody signs up, nobody changes an address by themselves: the Département or the référent creates accounts.
Secrets of second factors are encrypted at rest.
"""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.db import transaction
from django.http import HttpRequest

from beffroi.core.events import outbox
from beffroi.core.identity import failures
from beffroi.core.identity.secret_fields import decrypt_text, encrypt_text


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth is untyped
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str | None) -> bool:
        # Only paths of this listener: an open redirect after sign-in is a gift to phishing.
        return bool(url) and str(url).startswith("/") and not str(url).startswith(("//", "/\\"))

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
