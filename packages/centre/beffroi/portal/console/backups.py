"""Sauvegardes: how old they are, whether they are sound, and the restores of mails that were asked for."""

from __future__ import annotations

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_GET

from beffroi.core.communes import queries as communes
from beffroi.core.communes.models import Collectivite
from beffroi.core.identity.actor import Actor
from beffroi.lib import clock
from beffroi.mail.backup import fetched, queries, told
from beffroi.portal import drive_backup_words, restore_words
from beffroi.portal.pages import for_administrators, page

MAX_SHOWN = 100


@require_GET
@for_administrators
def backups(request: HttpRequest, actor: Actor) -> HttpResponse:
    rows = list(queries.visible(actor)[:MAX_SHOWN])
    known = queries.addresses(rows)
    names = dict(
        Collectivite.objects.filter(pk__in={one.collectivite_id for one in rows}).values_list("id", "name")
    )
    shown = [
        restore_words.restore(one, known.get(one.mailbox_id, ""))
        | {"commune": names.get(one.collectivite_id, "")}
        for one in rows
    ]
    state, now_s = told.read(settings.BEFFROI), clock.epoch_s()
    context = {
        "place": "mail",
        "backup": restore_words.backup(state, now_s),
        "database": restore_words.database(state, now_s),
        "drive_backup": drive_backup_words.backup(
            settings.BEFFROI,
            now_s=now_s,
            names=dict(communes.visible_collectivites(actor).values_list("id", "name")),
        ),
        "fetched_at": clock.moment(fetched.at(settings.BEFFROI)),
        "fetched_late": fetched.late(settings.BEFFROI, now=now_s),
        "rows": shown,
        "days": settings.BEFFROI.backup_keep_days,
    }
    return page(request, "console/backups.html", context)
