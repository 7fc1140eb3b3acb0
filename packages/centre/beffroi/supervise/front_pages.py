"""Pages of the front door itself: what a person reads where no plane answers, or none is to be asked; and what a sync
client does.

Purpose: HAProxy's rules and files. Without them a browser shows HAProxy's own words, in English.
Source:  docs.haproxy.org/3.0/configuration.html (http-error).
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from pathlib import Path

from beffroi.lib.config import Config

RETRY_AFTER_S = 60
_AWAY = (
    "Le service ne répond pas pour le moment",
    """<p>Attendez une minute, puis rechargez cette page. Ce qui était enregistré n’est pas perdu ; si vous veniez \
d’envoyer quelque chose, regardez ensuite si c’est arrivé.</p>
<p class="note">Si cette page revient, prévenez le Département, ou la mairie qui vous a donné un lien.</p>
<p class="note" lang="en">The service does not answer at the moment. Wait a minute and reload this page.</p>""",
)
_WORDS: Mapping[int, tuple[str, str]] = {
    408: (
        "L’envoi n’est pas arrivé en entier",
        """<p>Votre ligne est très lente, ou elle a été coupée : rien n’a été enregistré. Revenez à la page \
précédente, où ce que vous avez écrit est resté, puis recommencez.</p>
<p class="note" lang="en">Your line is slow or was cut: nothing was kept. Go back and send it again.</p>""",
    ),
    413: (
        "C’est trop lourd pour un seul envoi",
        """<p>Rien n’a été enregistré : ce que vous envoyez dépasse 30 Mo. Revenez à la page précédente, puis \
envoyez moins de fichiers à la fois, ou passez par le Coffre : il prend de gros fichiers et donne un lien.</p>
<p class="note" lang="en">What you send has more than 30 MB: nothing was kept. Send fewer files at once.</p>""",
    ),
    429: (
        "Trop de demandes à la fois",
        """<p>Beaucoup de demandes arrivent de votre réseau. Attendez une minute, puis recommencez. Rien n’est perdu \
et votre compte n’est pas bloqué.</p>
<p><a href="/">Réessayer</a></p>
<p class="note">Si cette page revient alors que vous n’êtes que quelques-uns à travailler, prévenez votre référent : \
un appareil de la mairie envoie peut-être des demandes sans fin.</p>
<p class="note" lang="en">Too many requests come from your network. Wait a minute and try again.</p>""",
    ),
    502: _AWAY,
    503: _AWAY,
    504: _AWAY,
}
_AWAY_FOR_CLIENTS = """<?xml version="1.0" encoding="utf-8"?>
<d:error xmlns:d="DAV:" xmlns:s="http://sabredav.org/ns"><s:exception>Sabre\\DAV\\Exception\\ServiceUnavailable\
</s:exception><s:message>Le service ne répond pas pour le moment\u00a0; réessayez bientôt.</s:message></d:error>
"""
"""By these words a sync client ends its round, as where the drive says them itself. By others it asks for each file
that is left, one a second, and lets each that was refused wait, up to a day."""


def files(config: Config) -> dict[Path, bytes]:
    """What HAProxy reads at its start, once."""
    pages = {_path(config, status): _page(status) for status in _WORDS}
    return pages | {_for_clients(config): _away_answer()}


def client_rules(config: Config) -> list[str]:
    """For a backend that programs ask for files."""
    return [f"errorfile {status} {_for_clients(config)}" for status in (502, 503)]


def rules(config: Config) -> list[str]:
    """For a listener that people's browsers ask."""
    style = _frame().partition("<style>")[2].partition("</style>")[0].encode()
    digest = base64.b64encode(hashlib.sha256(style).digest()).decode()
    policy = f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; frame-ancestors 'self'"
    return [
        f"http-error status {status} content-type text/html;charset=utf-8 file {_path(config, status)}"
        f"{f' hdr Retry-After {RETRY_AFTER_S}' if status == 429 else ''} hdr Cache-Control no-store"
        f' hdr X-Content-Type-Options nosniff hdr Content-Security-Policy "{policy}"'
        for status in _WORDS
    ]


def _away_answer() -> bytes:
    """What was under way when the drive ended is no other matter than what comes after: a 502 would be. Only as a whole
    answer may it have another status than its own."""
    body = _AWAY_FOR_CLIENTS.encode()
    head = (
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/xml;charset=utf-8",
        f"Content-Length: {len(body)}",
        f"Retry-After: {RETRY_AFTER_S}",
        "Cache-Control: no-store",
    )
    return "".join(f"{line}\r\n" for line in (*head, "")).encode() + body


def _page(status: int) -> bytes:
    title, words = _WORDS[status]
    return _frame().replace("@title", title).replace("@words", words).encode()


def _frame() -> str:
    return (Path(__file__).parent / "front_page.html").read_text("utf-8")


def _path(config: Config, status: int) -> Path:
    return config.state / "haproxy" / f"{status}.html"


def _for_clients(config: Config) -> Path:
    return config.state / "haproxy" / "503.http"
