"""The elimination list and the report of a verification as a sheet to keep: a PDF/A, made by the process ``previews``.

Process: web. It writes the document; no program reads it here.
Hostile: names of files: text that XML can hold (``archives.names.shown``), as the template escapes it.
Fails:   closed: ``NotPrinted``; the page itself is made to be printed then.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

from django.conf import settings
from django.template.loader import render_to_string
from django.utils.translation import get_language, ngettext
from django.utils.translation import gettext as _

from beffroi.drive.archives import manifest, names
from beffroi.lib import clock
from beffroi.lib.errors import BeffroiError
from beffroi.portal import words
from beffroi.portal.counts import Count
from beffroi.portal.dates import date_format
from beffroi.previews import wire
from beffroi.previews.server import socket_path

PATIENCE_S = 50.0
"""Less than the front door waits for an answer."""
_turn = threading.BoundedSemaphore(1)


class NotPrinted(BeffroiError):
    """This sheet cannot be made now."""

    code = "drive.seal_not_printed"
    http_status = 503
    retryable = True


class Sheet(NamedTuple):
    """``facts``: (label, lines); ``lines``: (path, what is said of it)."""

    title: str
    folder: str
    commune: str
    sentences: Sequence[str]
    facts: Sequence[tuple[str, Sequence[str]]]
    lines_title: str
    lines: Sequence[tuple[str, str]]
    foot: str
    language: str


def may_be_made() -> bool:
    return bool(settings.BEFFROI.previews)


def elimination(context: dict[str, Any], listed: Sequence[manifest.Line]) -> Sheet:
    """``context``: of the seal's page, with its ``record``; ``listed``: the files that were sealed."""
    record = context["record"]
    days = sorted(one.mtime_s for one in listed)
    facts = [
        (_("Visa des Archives départementales"), [record["visa"], _day(record["on"]), record["visa_by"]]),
        (_("Demandée par"), [record["asked_by"] or "–"]),
        (_("Accordée par"), [record["granted_by"] or "–"]),
        (_("Détruit"), [_time(record["at"])]),
        (
            _("Dates extrêmes"),
            [f"{_day(clock.moment(days[0]))} – {_day(clock.moment(days[-1]))}" if days else "–"],
        ),
        (_("Fichiers"), [f"{Count(len(listed))} ({words.size(sum(one.size_bytes for one in listed))})"]),
    ]
    note = _(
        "Les sauvegardes du centre gardent encore des copies chiffrées jusqu’à leur propre terme. Une copie faite "
        "ailleurs dans le Coffre avant l’élimination n’est pas touchée."
    )
    title = ngettext("%(n)s fichier éliminé", "%(n)s fichiers éliminés", len(listed)) % {
        "n": Count(len(listed))
    }
    lines = [(one.path, f"{words.size(one.size_bytes)}, {_day(clock.moment(one.mtime_s))}") for one in listed]
    return _sheet(
        _("Bordereau d’élimination"), context, [context["seal"]["name"], note], facts, (title, lines)
    )


def verification(context: dict[str, Any], rows: Sequence[tuple[str, str]]) -> Sheet:
    """``context``: of the seal's page, with its ``check``; ``rows``: all that is not as it was."""
    check = context["check"]
    who = _("vérification régulière") if check["was_due"] else check["by"]
    facts = [(_("Vérifié"), [_time(check["at"]), *([who] if who else [])])]
    title = ngettext("%(n)s différence", "%(n)s différences", len(rows)) % {"n": Count(len(rows))}
    return _sheet(_("Rapport de vérification"), context, check["sentences"], facts, (title, rows))


def _sheet(
    title: str,
    context: dict[str, Any],
    sentences: Sequence[str],
    facts: Sequence[tuple[str, Sequence[str]]],
    listed: tuple[str, Sequence[tuple[str, str]]],
) -> Sheet:
    seal, rule = context["seal"], context["seal"]["rule"]
    kept = [rule["title"], rule["final"], rule["source"]] if rule else [_("aucune")]
    commune = context["commune"]["name"]
    codes = [
        f"{one.upper()} {context['commune'][one]}" for one in ("siren", "insee") if context["commune"][one]
    ]
    own = [
        (_("Collectivité"), [commune, *codes]),
        (_("Nom du dossier"), [seal["name"]]),
        (_("Règle de conservation"), kept),
        (_("Posé"), [_time(seal["begun"]), *([context["by"]] if context["by"] else [])]),
        (_("Jusqu’au"), [_day(seal["until"]) if seal["until"] else _("sans fin")]),
    ]
    if context.get("root"):
        own.append((_("Empreinte de l’ensemble"), [context["root"]]))
    foot = _("Sceau %(seal)s · document fait le %(day)s") % {"seal": seal["id"], "day": _time(clock.now())}
    return Sheet(
        names.shown(title),
        names.shown(seal["name"]),
        names.shown(commune),
        [names.shown(one) for one in sentences],
        [(label, [names.shown(one) for one in lines]) for label, lines in (*own, *facts)],
        listed[0],
        [(names.shown(path), names.shown(what)) for path, what in listed[1]],
        names.shown(foot),
        get_language() or "fr",
    )


def pdf(sheet: Sheet) -> bytes:
    """One at a time in this process. Errors: NotPrinted."""
    if not may_be_made() or not _turn.acquire(blocking=False):
        raise NotPrinted
    try:
        document = render_to_string("file/seal_sheet.fodt", {"sheet": sheet}).encode()
        if len(document) > wire.MAX_DOCUMENT_BYTES:
            raise NotPrinted
        return wire.ask(socket_path(settings.BEFFROI.state), wire.PRINTED, document, timeout_s=PATIENCE_S).pdf
    except (wire.NotShown, wire.Ended, OSError):
        raise NotPrinted from None
    finally:
        _turn.release()


def _day(at: Any) -> str:
    return date_format(at, "j F Y") if at else "–"


def _time(at: Any) -> str:
    return words.exact(at) if at else "–"
