"""How the portal's sign-in (django-allauth) is bound to our people.

Nobody signs up, nobody changes an address by themselves: the Département or the référent creates accounts.
Secrets of second factors are encrypted at rest.
"""

from __future__ import annotations

from allauth.account.adapter import DefaultAccountAdapter
from allauth.mfa.adapter import DefaultMFAAdapter
from django.http import HttpRequest

from beffroi.core.identity.secret_fields import decrypt_text, encrypt_text


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth is untyped
    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_safe_url(self, url: str | None) -> bool:
        # Only paths of this listener: an open redirect after sign-in is a gift to phishing.
        return bool(url) and str(url).startswith("/") and not str(url).startswith(("//", "/\\"))


class MfaAdapter(DefaultMFAAdapter):  # type: ignore[misc] # allauth is untyped
    def encrypt(self, text: str) -> str:
        return encrypt_text(text)

    def decrypt(self, encrypted_text: str) -> str:
        return decrypt_text(encrypted_text)
