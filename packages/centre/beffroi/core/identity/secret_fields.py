"""Encrypt short secrets before they reach the database (second factors); key: from STATE/secrets/django.key."""

from __future__ import annotations

import base64

from cryptography.fernet import Fernet, InvalidToken
from django.conf import settings

from beffroi.lib.errors import BeffroiError


class SecretUnreadable(BeffroiError):
    """A stored secret does not open with this installation's key; restore secrets/django.key."""

    code = "identity.secret_unreadable"


def encrypt_text(text: str) -> str:
    return _fernet().encrypt(text.encode()).decode()


def decrypt_text(token: str) -> str:
    """Errors: SecretUnreadable."""
    try:
        return _fernet().decrypt(token.encode()).decode()
    except InvalidToken:
        raise SecretUnreadable from None


def _fernet() -> Fernet:
    return Fernet(base64.urlsafe_b64encode(bytes.fromhex(settings.FIELD_KEY)))
