"""Django settings of ``web``: the agents' portal. See ``base``.

Input: hostile; every request comes through the front, which sets X-Forwarded-For and X-Beffroi-Listener.
"""

from __future__ import annotations

from beffroi.settings.base import *  # noqa: F403
from beffroi.settings.base import derived_key

SECRET_KEY = derived_key("web")
ROOT_URLCONF = "beffroi.portal.urls_web"
LISTENER = "portal"
SESSION_COOKIE_NAME = "__Host-beffroi_session"
CSRF_COOKIE_NAME = "__Host-beffroi_csrf"
# Only the front's TLS listener sets this header, after it removed any that came from outside.
SECURE_PROXY_SSL_HEADER = ("HTTP_X_BEFFROI_LISTENER", "portal")
LOGIN_URL = "/connexion/"
LOGIN_REDIRECT_URL = "/"

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.csp.ContentSecurityPolicyMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "beffroi.core.identity.middleware.MembershipMiddleware",
    "beffroi.portal.pages.ErrorPages",
]

# Attachments of the webmail stay in memory: a temporary file would lie on the disk in clear. The front lets no more in.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
FILE_UPLOAD_MAX_MEMORY_SIZE = 24 * 1024 * 1024
