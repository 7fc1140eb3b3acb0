"""One export of a collectivité, from its first file to its list of sums.

Purpose: what a collectivité takes along when it leaves (RGPD articles 20 and 28.3.g), in forms that any program opens.
Process: a person's command, as the Python user.
Rule:    what is told to whoever waits, and in logs, are numbers; names stand in the export alone.
Fails:   whatever ends it leaves a folder that says that it is incomplete; the same call goes on. What cannot be read
         is in the way until ``leave_out`` is said: then the export names it, and says that it is not whole.
Source:  docs/decisions/0126-export-of-a-collectivite.md.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from django.conf import settings
from django.db.models import Sum
from django.utils import timezone

from beffroi.core.communes import exports
from beffroi.core.communes.models import Collectivite, CommuneExport
from beffroi.core.identity.actor import Actor
from beffroi.drive import departures
from beffroi.drive.store import room
from beffroi.lib import clock
from beffroi.lib.errors import Conflict, Invalid
from beffroi.lib.gigabytes import GB
from beffroi.mail.quota.models import MailboxRoom
from beffroi.portal.commune_export import coffre, mails, readme, rows
from beffroi.portal.commune_export.about import Work
from beffroi.portal.commune_export.folder import README, SUMMARY, ExportFolder, Finished

FORM = 1
SAY_S = 30.0


class NotAllRead(Conflict):
    """{} things could not be read, and the export is not finished; the file INCOMPLET.txt in it names them. Next: give
    the same command again; if they stay, with --leave-out it ends without them, and says that it is not whole"""

    code = "export.not_all_read"


def run(
    *,
    actor: Actor,
    collectivite: Collectivite,
    path: Path,
    reason: str,
    account: str,
    leave_out: bool = False,
    say: Callable[[str], object] = lambda line: None,
) -> tuple[Finished | None, CommuneExport]:
    """Begin, or go on with what is in ``path``; None: it was whole already. ``reason`` is that of the first call.

    Errors: NotAllowed, Invalid, ExportStopped, NotAllRead, DiskFull, FolderUnusable, FilesLost, those of the store.
    """
    if actor.kind == "administrator" and not reason.strip():
        raise Invalid("reason")
    row: CommuneExport | None = None
    said_s = time.monotonic()

    def tick() -> None:
        nonlocal said_s
        if row is not None:
            exports.progress(row.id, files=folder.files, size_bytes=folder.size_bytes)
        if time.monotonic() - said_s >= SAY_S:
            said_s = time.monotonic()
            say(f"{folder.files} files, {folder.size_bytes / GB:.2f} GB")

    folder = ExportFolder(path, owner=collectivite.id, beside=settings.BEFFROI.state, tick=tick)
    with closing(folder):
        if begun := folder.told("export"):
            row = exports.go_on(actor=actor, export_id=begun, account=account)
        else:
            row = exports.begin(actor=actor, collectivite=collectivite, reason=reason, account=account)
            folder.tell("export", row.id)
            folder.keep()
        if row.state == CommuneExport.State.DONE:
            folder.settle()
            return None, row
        work = Work(settings.BEFFROI, collectivite, folder, say)
        for part in (rows, coffre, mails):
            part.write(work)
        if work.missing and not leave_out:
            folder.name_missing(work.missing)
            raise NotAllRead(len(work.missing))
        return _finished(actor, work, row), row


def about_bytes(collectivite_id: str) -> int:
    """What an export takes at most, as far as it was counted last: what is left out counts too."""
    rooms = MailboxRoom.objects.filter(collectivite_id=collectivite_id)
    mail = rooms.aggregate(sum=Sum("used_bytes"))["sum"] or 0
    with departures.metadata(settings.BEFFROI, collectivite_id) as database:
        if database is None:
            return int(mail)
        with database.reading() as reading:
            return int(mail) + room.room(reading, room.WHOLE)[0]


def _finished(actor: Actor, work: Work, row: CommuneExport) -> Finished:
    ended = clock.now()
    about = readme.text(
        name=work.owner.name,
        reason=row.reason,
        begun=timezone.localtime(row.begun_at),
        ended=timezone.localtime(ended),
        coffre=work.folder.told("coffre"),
        counts=work.counts,
        missing=work.missing,
    )
    with work.folder.file("about:readme", "", README) as out:
        out.write(about.encode("utf-8", "replace"))
    with work.folder.file("about:summary", "", SUMMARY) as out:
        said = {
            "forme": FORM,
            "export": row.id,
            "collectivite": {"identifiant": work.owner.id, "nom": work.owner.name},
            "demande": row.reason,
            "commence_le": row.begun_at.isoformat(),
            "termine_le": ended.isoformat(),
            "nombres": work.counts,
            "manque": work.missing,
        }
        out.write(json.dumps(said, ensure_ascii=False, indent=1).encode("utf-8", "backslashreplace"))

    def whole(made: Finished) -> None:
        exports.done(
            actor=actor,
            export_id=row.id,
            files=made.files,
            size_bytes=made.size_bytes,
            missing=len(work.missing),
            manifest_sha256=made.manifest_sha256,
        )

    return work.folder.finish(whole)
