"""`drive quota | key | words | backup | restore`: room, keys, index of words and backups of the Coffre.

Process: the person's own; root becomes the Python user first. It opens metadata and objects beside the process drive.
Fails:   closed, one sentence. Given again, a restore that was cut does the same once more.
Source:  drive/quotas.py, drive/renewal.py, drive/backup.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

from beffroi.cli import amounts
from beffroi.cli.entering import in_centre
from beffroi.cli.mail_backup import local, moment_of
from beffroi.cli.options import parsed, with_verbs
from beffroi.core.identity.actor import Actor
from beffroi.lib import gigabytes
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError

if TYPE_CHECKING:
    from beffroi.core.communes.models import Collectivite
    from beffroi.drive.backup.work import Backups
    from beffroi.drive.store.commune import Communes

ACTOR = "drive-command"


class DriveUnavailable(BeffroiError):
    """The Coffre of {} cannot be looked at: {}. Nothing was changed. Next: ./beffroi status"""

    code = "cli.drive_unavailable"


class NoSuchCommune(BeffroiError):
    """No single collectivité has this name or code: {}. Next: ./beffroi drive quota"""

    code = "cli.drive_commune_unknown"


class RestoreNotConfirmed(BeffroiError):
    """Nothing was restored. Next: the same command with --yes, or answer y"""

    code = "cli.drive_restore_not_confirmed"


def main(arguments: Sequence[str]) -> int:
    options, config = parsed(_parser(), arguments)
    with in_centre(config, DriveUnavailable):
        from beffroi.drive.store.commune import opened  # noqa: PLC0415

        with opened(config) as communes:
            return run(config, communes, options)


def _parser() -> argparse.ArgumentParser:
    parser, verbs = with_verbs("beffroi drive")
    quota = verbs.add_parser("quota", help="room of the Coffre: taken, given, more of it")
    quota.add_argument("commune", nargs="?", metavar="COMMUNE", help="all collectivités when left out")
    change = quota.add_mutually_exclusive_group()
    change.add_argument("--gb", type=amounts.room, metavar="N", help="give this much room")
    change.add_argument("--usual", action="store_true", help="give the room of the setting again")
    key = verbs.add_parser("key", help="keys of files: how old, how far a replacement is")
    key.add_argument("commune", nargs="?", metavar="COMMUNE")
    key.add_argument("--replace", action="store_true", help="seal everything anew under a new key")
    index = verbs.add_parser("words", help="the index of a search: whether it is whole, how far it came")
    index.add_argument("commune", nargs="?", metavar="COMMUNE")
    index.add_argument("--rebuild", action="store_true", help="make it anew, while it is in use")
    backup = verbs.add_parser("backup", help="back up now; list the backups")
    backup.add_argument("what", choices=("now", "list"))
    backup.add_argument("commune", nargs="?", metavar="COMMUNE")
    restore = verbs.add_parser("restore", help="all files of a collectivité as in a backup")
    restore.add_argument("commune", metavar="COMMUNE")
    restore.add_argument(
        "--at", metavar="MOMENT", help="the newest up to then: 2026-11-25, '2026-11-25 14:30'"
    )
    restore.add_argument("--calendars", action="store_true", help="calendars and contacts, too")
    restore.add_argument("--yes", action="store_true", help="do not ask before")
    return parser


def run(config: Config, communes: Communes, options: argparse.Namespace) -> int:
    """Errors: NoSuchCommune, RestoreNotConfirmed, those of ``drive``."""

    actor = Actor.system(ACTOR)
    acts = {"quota": _quota, "key": _key, "words": _words, "backup": _backup, "restore": _restore}
    return acts[options.verb](config, communes, actor, options)


def _quota(config: Config, communes: Communes, actor: Actor, options: argparse.Namespace) -> int:
    from beffroi.drive import quotas  # noqa: PLC0415
    from beffroi.drive.store import room  # noqa: PLC0415

    if options.usual or options.gb is not None:
        chosen = _one(actor, options.commune)
        quotas.limit_collectivite(
            actor=actor,
            database=communes.metadata(chosen.id),
            collectivite_id=chosen.id,
            limit_bytes=None if options.usual else options.gb,
        )
    for one in _chosen(actor, options.commune, communes):
        with communes.metadata(one.id).reading() as reading:
            used, limit = room.room(reading, room.WHOLE)
            own = room.has_own_limit(reading, room.WHOLE)
            entries = room.use(reading, room.WHOLE).weight.entries
        full = "  FULL" if used >= limit else ""
        mark = "  (own limit)" if own else ""
        print(
            f"{used / gigabytes.GB:9.2f} of {gigabytes.written(limit)} GB, {entries} entries  {one.name}{mark}{full}"
        )
    return 0


def _key(config: Config, communes: Communes, actor: Actor, options: argparse.Namespace) -> int:
    from beffroi.drive import quotas  # noqa: PLC0415
    from beffroi.drive.store import resealing  # noqa: PLC0415
    from beffroi.drive.store.keys import Keys, KeysMissing  # noqa: PLC0415

    if options.replace:
        quotas.replace_key(actor=actor, keys=Keys(config, _one(actor, options.commune).id))
    for one in _chosen(actor, options.commune, communes):
        try:
            generations = Keys(config, one.id).generations()
        except KeysMissing:
            print(f"no file yet  {one.name}")
            continue
        with communes.metadata(one.id).reading() as reading:
            progress = resealing.read(reading)
        said = f"key {generations[-1].number} of {datetime.fromisoformat(generations[-1].made_at):%Y-%m-%d}"
        if len(generations) > 1:
            done = (
                f"{progress.phase}, {progress.done} of {progress.total}" if progress else "begins in a minute"
            )
            said += f", replaces {generations[0].number}: {done}"
        print(f"{said}  {one.name}")
    return 0


def _words(config: Config, communes: Communes, actor: Actor, options: argparse.Namespace) -> int:
    from beffroi.drive.web.sync import push  # noqa: PLC0415
    from beffroi.drive.words import index, whole  # noqa: PLC0415

    if options.rebuild:
        chosen = _one(actor, options.commune)
        communes.metadata(chosen.id).write(whole.ask)
        push.tell(config.run, chosen.id)
    for one in _chosen(actor, options.commune, communes):
        with communes.metadata(one.id).reading() as reading:
            way, left = whole.way(reading), index.left(reading)
            done, total = whole.counted(reading, way)
        said = "whole" if way is None else f"made anew: {done} of {total} files and folders"
        if left.waiting:
            said += f", {left.waiting} wait"
        if left.unread:
            said += f", {left.unread} documents wait for the process scan"
        print(f"{said}  {one.name}")
    return 0


def _backup(config: Config, communes: Communes, actor: Actor, options: argparse.Namespace) -> int:
    from beffroi.drive.backup.vault import Vault  # noqa: PLC0415
    from beffroi.drive.backup.work import Backups, advice  # noqa: PLC0415
    from beffroi.drive.store.keys import Keys  # noqa: PLC0415

    backups = Backups(config, communes)
    if options.what == "list":
        named = {one.id: one.name for one in _visible(actor)}
        owners = [_held(actor, backups, options.commune)[0]] if options.commune else backups.place.owners()
        found = [
            (picture, owner)
            for owner in owners
            for picture in Vault(backups.place, Keys(config, owner)).pictures()
        ]
        for picture, owner in found:
            size = f"{picture.metadata.size_bytes / gigabytes.GB:.3f} GB of metadata"
            print(f"{local(picture.at_s)}  {size}  {named.get(owner, owner)}")
        if not found:
            print(f"There is no backup in {backups.place}. Next: ./beffroi drive backup now")
        return 0
    if not options.commune:
        state = backups.round()
        print(f"{state.communes} collectivités are backed up in {backups.place}.")
        for failed in state.failed:
            print(f"not backed up: {failed}. Next: the error above that names it")
    else:
        one = _one(actor, options.commune)
        copied = backups.back_up(one.id).copied
        print(f"{one.name}: {copied.objects} objects, {copied.size_bytes / gigabytes.GB:.2f} GB new")
    if said := advice(config):
        print(said)
    return 1 if not options.commune and state.failed else 0


def _restore(config: Config, communes: Communes, actor: Actor, options: argparse.Namespace) -> int:
    from beffroi.drive import audited, deleted_again, leaving  # noqa: PLC0415
    from beffroi.drive.backup.work import Backups  # noqa: PLC0415

    backups = Backups(config, communes)
    owner, name = _held(actor, backups, options.commune)
    at_s = int(moment_of(options.at).timestamp()) if options.at else None
    question = f"All files of {name} become as they were{' then' if at_s else ''}. Restore them? [y/N] "
    if not (options.yes or (sys.stdin.isatty() and input(question).strip().lower() == "y")):
        raise RestoreNotConfirmed
    with audited.before(actor, "drive:restored", object_id=owner, collectivite_id=owner):
        done = backups.restore(owner, at_s=at_s, with_calendars=options.calendars)
        leaving.again(owner, as_of_s=done.picture.at_s)
        again = deleted_again.again(communes.metadata(owner), owner, as_of_s=done.picture.at_s)
    print(f"{name} is as of {local(done.picture.at_s)}; {done.objects} objects came back.")
    print("Devices send again what is newer with them.")
    if done.unsealed:
        print(
            f"{done.unsealed} folders were sealed after that: they are not any more. Their référent looks at them, and "
            "seals them again."
        )
    if done.uneliminated:
        print(
            f"{done.uneliminated} folders were eliminated after that: what was destroyed may be there again. Their "
            "référent looks at them, and has them eliminated again, with the same visa."
        )
    if again.deleted:
        print(f"{again.deleted} versions that people had deleted since are deleted again.")
    if again.stay:
        print(
            f"{again.stay} contents that people had deleted since are there again, as a file's present content or "
            "under a seal or lock: whose files they are looks at them (the audit log: drive:version:deleted)."
        )
    if name == owner:
        print(
            "This centre's database does not know it: nobody can sign in to it before that is restored, too."
        )
    if done.lost:
        print(f"{done.lost} objects are nowhere whole: STATE/drive/damages.json will name their files.")
    return 1 if done.lost else 0


def _held(actor: Actor, backups: Backups, text: str) -> tuple[str, str]:
    """(identifier, name); also of a collectivité that only the backup knows, by its identifier. Errors: NoSuchCommune,
    StoreUnavailable."""
    if text in backups.place.owners() and not any(one.id == text for one in _visible(actor)):
        return text, text
    one = _one(actor, text)
    return one.id, one.name


def _visible(actor: Actor) -> list[Collectivite]:
    from beffroi.core.communes import queries  # noqa: PLC0415

    return list(queries.visible_collectivites(actor))


def _chosen(actor: Actor, text: str | None, communes: Communes) -> list[Collectivite]:
    if text:
        return [_one(actor, text)]
    there = set(communes.ids())
    found = [one for one in _visible(actor) if one.id in there]
    if not found:
        print("No collectivité has a file in the Coffre yet.")
    return found


def _one(actor: Actor, text: str | None) -> Collectivite:
    """Errors: NoSuchCommune."""
    from beffroi.core.communes import queries  # noqa: PLC0415

    found = queries.named(actor, (text or "").strip()) if text else []
    if len(found) != 1:
        raise NoSuchCommune(text or "")
    return found[0]
