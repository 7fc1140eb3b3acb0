"""What is done with the database for a backup or a restore, as the Python user and never as root.

Purpose: ``take`` writes a picture and what is true today; ``prove`` reads a picture (stdin) as a restore would;
         ``load`` puts one in the place of the database; ``undo`` takes that back; ``forget`` removes what was replaced
         long ago.
Process: ``python -m beffroi.mail.backup.database.hands VERB ...``, children of backup and of a person's command. Of the
         centre's secrets it can read those that every Python process may: the database's password, no master key.
Hostile: a Python process that was taken over has the same user: there is nothing here to gain.
Fails:   closed; status 1 and one sentence.
Source:  docs/decisions/0135-backup-of-the-database.md.
"""

from __future__ import annotations

import os
import shutil
import sys
import tarfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

import msgspec

from beffroi.core.planes import feed_mark
from beffroi.lib import clock, durable, json_file
from beffroi.lib.config import DATABASE_PASSWORD, Config, load
from beffroi.lib.errors import BeffroiError
from beffroi.mail.backup.database import form
from beffroi.mail.backup.database.form import About, Engine, OtherEngine, PictureDamaged, Proved, Rows, Today
from beffroi.mail.backup.database.on_sqlite import Sqlite
from beffroi.mail.backup.database.tables import FILES

REPLACED_KEPT_S = 7 * 86400
ERASED = "erased"
FOLDERS = (*FILES, ERASED, "db", "feed")
"""In STATE, what a restore puts something into."""


def folder(config: Config) -> Path:
    """Where the Python user and the keeper meet."""
    return config.state / "backup-rows"


def engine(config: Config) -> Engine:
    """Errors: SettingInvalid."""
    if not config.database_url:
        return Sqlite(Path(config.database.removeprefix("sqlite:///")))
    from beffroi.mail.backup.database.on_postgresql import Postgresql  # noqa: PLC0415 - where there is a server

    has_password = (config.secrets / DATABASE_PASSWORD).exists()
    return Postgresql(config.database_url, config.secret(DATABASE_PASSWORD).decode() if has_password else "")


def take(config: Config) -> About:
    """Errors: OSError, those of the engine."""
    with _work(config) as made:
        about, rows = engine(config).take(made)
        for name in FILES:  # after the rows that name them
            _link(config.state / name, made / name)
        (made / form.ABOUT).write_bytes(msgspec.json.encode(about))
        with tarfile.open(folder(config) / form.PICTURE, "w") as archive:
            archive.add(made, ".", filter=_without_times)
    today = Today(rows, erased=sorted(one.name for one in (config.state / ERASED).glob("[!.]*")))
    json_file.write(folder(config) / form.TODAY, today)
    return about


def _without_times(one: tarfile.TarInfo) -> tarfile.TarInfo:
    """What did not change is the same piece in the next picture."""
    one.mtime = 0
    return one


@contextmanager
def opened(config: Config, picture: IO[bytes]) -> Iterator[tuple[Path, About, Engine]]:
    """A picture as a directory, gone afterwards. Errors: OSError, OtherEngine, PictureDamaged."""
    with _work(config) as place:
        try:
            with tarfile.open(fileobj=picture, mode="r|") as archive:
                archive.extractall(place, filter="data")
        except tarfile.TarError as error:
            raise PictureDamaged(error) from None
        about, present = form.read_about(place), engine(config)
        if about.engine != present.name:
            raise OtherEngine(about.engine, present.name)
        yield place, about, present


@contextmanager
def _work(config: Config) -> Iterator[Path]:
    """An empty directory; what a killed child left goes."""
    place = folder(config) / "work"
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(mode=0o700)
    try:
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def bring(config: Config, picture: IO[bytes], beside: Today, event: dict[str, object]) -> str:
    """Errors: OSError, OtherEngine, those of the engine."""
    with opened(config, picture) as (source, about, present):
        # All that is only added comes first: cut before the last step, nothing was changed.
        for name in FILES:
            _fill(source / name, config.state / name)
        for name in beside.erased:
            (config.state / ERASED / Path(name).name).touch(mode=0o600)
        durable.sync_directory(config.state / ERASED)
        feed_mark.leap(config.state / "feed", about.epoch)
        return present.load(source, about, _overlaid(beside.rows, present.rows()), event)


def _overlaid(beside: Rows, present: Rows) -> Rows:
    """What the database in place says is newer than what lies beside the store, where it says anything."""
    return {name: beside.get(name, {}) | present.get(name, {}) for name in {*beside, *present}}


def _link(source: Path, target: Path) -> None:
    target.mkdir(mode=0o700)
    for one in source.iterdir() if source.is_dir() else ():
        if not one.is_file() or one.is_symlink() or one.name.startswith("."):
            continue
        try:
            (target / one.name).hardlink_to(one)
        except FileNotFoundError:
            continue  # gone meanwhile
        except OSError:
            shutil.copyfile(one, target / one.name)  # a disk of its own


def _fill(source: Path, target: Path) -> None:
    for one in source.iterdir() if source.is_dir() else ():
        if not (target / one.name).exists():
            durable.write(target / one.name, (one.read_bytes(),), mode=0o600)


def main(arguments: Sequence[str]) -> int:
    config, verb, answer = load(), arguments[0], b""
    try:
        if verb == "take":
            answer = msgspec.json.encode(take(config))
        elif verb == "prove":
            with opened(config, sys.stdin.buffer) as (source, about, present):
                answer = msgspec.json.encode(Proved(about, present.prove(source, about)))
        elif verb == "load":
            event = msgspec.json.decode(arguments[1], type=dict)
            beside = form.read_today(folder(config) / form.TODAY)
            answer = bring(config, sys.stdin.buffer, beside, event).encode()
        elif verb == "undo":
            feed_mark.leap(config.state / "feed", 0)
            answer = engine(config).undo(msgspec.json.decode(arguments[1], type=dict)).encode()
        elif verb == "forget":
            before = datetime.fromtimestamp(clock.epoch_s() - REPLACED_KEPT_S, UTC)
            answer = str(engine(config).forget(form.moment_name(before))).encode()
    except (OSError, BeffroiError) as error:
        said = (
            f"{error.filename}: {error.strerror}"
            if isinstance(error, OSError) and error.filename
            else str(error)
        )
        sys.stderr.write(" ".join(said.split()) + "\n")
        return 1
    sys.stdout.buffer.write(answer)
    return 0


if __name__ == "__main__":
    os.umask(0o077)
    sys.exit(main(sys.argv[1:]))
