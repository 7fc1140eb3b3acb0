"""Django settings that every process of the centre shares; ``web`` and ``console`` add their listener.

Purpose: one place where STATE/beffroi.toml becomes Django's settings.
Process: web, console, worker, remediation; unprivileged.
Fails:   closed. Without STATE/secrets/django.key (a linter, the documentation build) the key is random, so
         nothing that is signed outlives the process.
Source:  https://docs.djangoproject.com/en/6.0/ref/settings/ ; design: ARCHITECTURE.md.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
from typing import Any

from django.utils.csp import CSP

from beffroi.lib.clock import PLACE
from beffroi.lib.config import SettingInvalid, load
from beffroi.settings.database import database_settings

BEFFROI = load()


def _root_key() -> bytes:
    try:
        return BEFFROI.secret("django.key")
    except SettingInvalid:
        if (BEFFROI.secrets / "django.key").exists():
            raise  # unreadable here: a random key would only show as sessions that get lost
        return secrets.token_hex(32).encode()


def derived_key(purpose: str) -> str:
    """A key of its own for each purpose, so that what one process signs says nothing to another."""
    return hmac.new(_ROOT_KEY, purpose.encode(), hashlib.sha256).hexdigest()


_ROOT_KEY = _root_key()
SECRET_KEY = derived_key("worker")
FIELD_KEY = derived_key("fields")
"""Encrypts second-factor secrets at rest; the same in all processes."""
HELD_LINK_KEY = derived_key("held-link")
"""Signs the links of digests: the worker makes them, web reads them."""
CENTRE_MAIL_KEY = derived_key("centre-mail")
"""Seals the centre's own mails: the worker writes them, web says that they are ours."""

DEBUG = False
ALLOWED_HOSTS: list[str] = ["*"]  # the front accepts only its own names; nothing here builds a link from Host
USE_TZ = True
TIME_ZONE = PLACE.key
LANGUAGE_CODE = "fr"
LANGUAGES = [("fr", "Français"), ("en", "English")]
FORMAT_MODULE_PATH = ["beffroi.portal.formats"]
USE_I18N = True
USE_THOUSAND_SEPARATOR = True  # where people read; for machines templates write stringformat:'d'
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
AUTH_USER_MODEL = "identity.Person"


INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.humanize",
    "django.contrib.staticfiles",
    "beffroi.portal",  # before allauth, whose templates it replaces
    "allauth",
    "allauth.account",
    "allauth.mfa",
    "django_htmx",
    "beffroi.core.communes",
    "beffroi.core.identity",
    "beffroi.core.audit",
    "beffroi.core.events",
    "beffroi.core.decisions",
    "beffroi.core.approvals",
    "beffroi.core.retention",
    "beffroi.mail",
    "beffroi.mail.apps.ImportingConfig",
    "beffroi.mail.apps.DomainsConfig",
    "beffroi.mail.apps.ReportsConfig",
    "beffroi.mail.apps.ProbeConfig",
    "beffroi.mail.apps.SendingConfig",
    "beffroi.mail.apps.PeopleConfig",
    "beffroi.mail.apps.AliasesConfig",
    "beffroi.mail.apps.FiltersConfig",
    "beffroi.mail.apps.ScriptsConfig",
    "beffroi.mail.apps.SafetyConfig",
    "beffroi.mail.apps.BackupConfig",
    "beffroi.mail.apps.ClosingConfig",
    "beffroi.watch",
    "beffroi.watch.sources",
    "beffroi.watch.weather",
    "beffroi.boxes",
    "beffroi.incidents",
    "beffroi.drive",
    "beffroi.leaving",
]

DATABASES: dict[str, dict[str, Any]] = {"default": database_settings(BEFFROI.database)}

CACHES = {
    # Rate limits must hold across the processes of web; the table is made by identity's first migration. From so many
    # entries on each new one takes those away that are over.
    "default": {
        "BACKEND": "beffroi.core.identity.shared_cache.SharedCache",
        "LOCATION": "django_cache",
        "OPTIONS": {"MAX_ENTRIES": 100_000},
    }
}

# Worker and remediation serve nothing; allauth refuses to start without its middleware.
MIDDLEWARE = ["allauth.account.middleware.AccountMiddleware"]

PASSWORD_HASHERS = ["beffroi.core.identity.hashers.CappedArgon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]

ACCOUNT_ADAPTER = "beffroi.portal.sign_in_adapters.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"email"}
ACCOUNT_SIGNUP_FIELDS = ["email*", "password1*"]
ACCOUNT_USER_MODEL_USERNAME_FIELD = None
ACCOUNT_USER_MODEL_EMAIL_FIELD = "email"
ACCOUNT_EMAIL_VERIFICATION = "none"  # the Département creates accounts; nobody signs up
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_LOGOUT_ON_GET = False
ACCOUNT_REAUTHENTICATION_TIMEOUT = 300
ACCOUNT_PREVENT_ENUMERATION = True
# The front door's: a large house comes by one address, all of it at half past eight.
_SIGN_INS = f"{BEFFROI.portal_source_sign_ins}/m/ip"
ACCOUNT_RATE_LIMITS = {"login": _SIGN_INS, "login_failed": "10/m/ip,5/5m/key", "reauthenticate": "10/m/user"}
ALLAUTH_TRUSTED_PROXY_COUNT = 1
MFA_ADAPTER = "beffroi.portal.sign_in_adapters.MfaAdapter"
MFA_FORMS = {
    "authenticate": "beffroi.core.identity.forms.AuthenticateForm",
    "reauthenticate": "beffroi.core.identity.forms.ReauthenticateForm",
    "activate_totp": "beffroi.core.identity.forms.ActivateTOTPForm",
    "add_webauthn": "beffroi.portal.passkey_forms.AddForm",
    "edit_webauthn": "beffroi.portal.passkey_forms.EditForm",
    "login_webauthn": "beffroi.portal.passkey_forms.LoginForm",
    "authenticate_webauthn": "beffroi.portal.passkey_forms.AuthenticateForm",
    "reauthenticate_webauthn": "beffroi.portal.passkey_forms.ReauthenticateForm",
}
MFA_SUPPORTED_TYPES = ["totp", "recovery_codes", "webauthn"]
MFA_PASSKEY_LOGIN_ENABLED = True
MFA_RATE_LIMITS = {"webauthn_login": _SIGN_INS}
MFA_TOTP_ISSUER = "Beffroi"
MFA_TOTP_TOLERANCE = 1

SESSION_ENGINE = "django.contrib.sessions.backends.db"
SESSION_COOKIE_AGE = 12 * 3600
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SECURE = True
SESSION_COOKIE_SAMESITE = "Lax"
CSRF_COOKIE_HTTPONLY = True
CSRF_COOKIE_SECURE = True
# Strict would not come along with a link of another site: a new one is given then, and forms of other tabs end.
CSRF_COOKIE_SAMESITE = "Lax"
LANGUAGE_COOKIE_HTTPONLY = True
LANGUAGE_COOKIE_SECURE = True
LANGUAGE_COOKIE_SAMESITE = "Lax"
CSRF_FAILURE_VIEW = "beffroi.portal.pages.csrf_failure"

SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 0  # the front sets it where the certificate is public
X_FRAME_OPTIONS = "DENY"
SECURE_CSP = {
    "default-src": [CSP.NONE],
    "script-src": [CSP.SELF],
    "style-src": [CSP.SELF],
    "img-src": [CSP.SELF, "data:"],
    "font-src": [CSP.SELF],
    "connect-src": [CSP.SELF],
    "frame-src": [CSP.SELF],  # a mail's HTML, served sandboxed from its own address
    "manifest-src": [CSP.SELF],
    "form-action": [CSP.SELF],
    "base-uri": [CSP.NONE],
    "frame-ancestors": [CSP.NONE],
}
DATA_UPLOAD_MAX_MEMORY_SIZE = 1024 * 1024
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000  # an old mailbox that is brought over has up to 900 folders to tick

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]

STATIC_URL = "/static/"
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},  # no upload is stored by Django
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

EMAIL_BACKEND = "django.core.mail.backends.dummy.EmailBackend"

LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"line": {"()": "beffroi.lib.logged.Line"}},
    "filters": {"routes": {"()": "beffroi.lib.logged.Routes"}},
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line", "filters": ["routes"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        "django.server": {"level": "WARNING"},
        "django.request": {"level": "ERROR"},
        "fido2": {"level": "WARNING"},
    },
}
