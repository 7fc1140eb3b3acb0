"""Django settings of ``console``: the Département's administrators, on a listener of their own. See ``base``.

The console knows nothing of persons' accounts: its sessions are signed with another key, live in another
cookie, and name a row of the administrators' own table.
"""

from __future__ import annotations

from beffroi.settings.base import *  # noqa: F403
from beffroi.settings.base import derived_key

SECRET_KEY = derived_key("console")
ROOT_URLCONF = "beffroi.portal.urls_console"
LISTENER = "console"
SESSION_COOKIE_NAME = "__Host-beffroi_console_session"
SESSION_COOKIE_SAMESITE = "Strict"
SESSION_COOKIE_AGE = 4 * 3600
CSRF_COOKIE_NAME = "__Host-beffroi_console_csrf"
SECURE_PROXY_SSL_HEADER = ("HTTP_X_BEFFROI_LISTENER", "console")
LOGIN_URL = "/connexion/"
AUTHENTICATION_BACKENDS = []

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",  # its models are here, to reset a person's second factor
    "django_htmx.middleware.HtmxMiddleware",
    "beffroi.core.identity.middleware.AdministratorMiddleware",
    "beffroi.portal.pages.ErrorPages",
]
