"""Backups of the Coffre in words, for the console: how old they are, where they lie, what is wrong."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import ngettext

from beffroi.drive.backup import drills, work
from beffroi.drive.backup.drills import Drill
from beffroi.drive.backup.places import open_place
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.portal.counts import Count
from beffroi.portal.dates import date_format
from beffroi.portal.words import size


def backup(config: Config, *, now_s: int, names: Mapping[str, str]) -> dict[str, Any]:
    """What ``console/parts/drive_backup.html`` shows. ``names``: of the collectivités whose drills are said."""
    told = work.read_state(config)
    try:
        place = str(open_place(config))
    except BeffroiError:  # a setting that says nothing: ``problem`` is said by status
        place = ""
    return {
        "told": told,
        "at": clock.moment(told.done_s),
        "place": place,
        "shares_disk": bool(work.advice(config)),
        "problem": work.problem(config, now_s=now_s),
        "drills": _drills(
            {name: one for key, one in drills.read(config).items() if (name := names.get(key))}
        ),
    }


def _drills(known: Mapping[str, Drill]) -> list[str]:
    """By name of collectivité: a sentence on what could be read, then one for each where something could not."""
    well = [one for one in known.values() if one.is_well]
    said = []
    if well:
        told: dict[str, object] = {
            "n": Count(len(well)),
            "files": Count(sum(one.files for one in well)),
            "size": size(sum(one.size_bytes for one in well)),
            "longest": _time(max(one.took_s for one in well)),
        }
        words = ngettext(
            "%(n)s Coffre relu, rien ne manque : %(files)s fichiers et versions, %(size)s en %(longest)s.",
            "%(n)s Coffres relus, rien ne manque : %(files)s fichiers et versions, %(size)s, %(longest)s au plus.",
            len(well),
        )
        said.append(words % told)
    for name, one in sorted(known.items()):
        told = {"name": name, "code": one.code, "n": Count(one.lost), "at": date_format(_at(one), "j F")}
        if one.code:
            said.append(_("%(name)s, le %(at)s : interrompu (%(code)s), à refaire un jour après.") % told)
        elif one.lost:
            words = ngettext(
                "%(name)s, le %(at)s : %(n)s morceau de fichier manque dans la sauvegarde.",
                "%(name)s, le %(at)s : %(n)s morceaux de fichiers manquent dans la sauvegarde.",
                one.lost,
            )
            said.append(words % told)
    return said


def _at(one: Drill) -> datetime:
    return timezone.localtime(clock.moment(one.at_s))


def _time(seconds: int) -> str:
    return (
        _("%(n)s s") % {"n": Count(seconds)}
        if seconds < 120
        else _("%(n)s min") % {"n": Count(round(seconds / 60))}
    )
