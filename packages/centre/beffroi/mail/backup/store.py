"""The store of backups: one restic repository, and the files that it is made from.

Purpose: snapshots of every mailbox, encrypted with STATE/secrets/backup.key over what Dovecot encrypted already; what
         is equal lies there once.
Process: backup alone (root): repository and key are root's, and no other process of ours opens either.
Hostile: whoever can write to the store's disk: restic authenticates everything that it reads.
Fails:   StoreFull, StoreFailed: one sentence; the snapshots that are there stay. A run that was killed leaves nothing
         that a later one must repair.
Source:  docs/decisions/0047-backup-of-mail.md; restic.readthedocs.io.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import IO, Any

from beffroi.lib import clock, durable
from beffroi.lib.config import Config, SettingInvalid
from beffroi.lib.errors import BeffroiError, Unavailable
from beffroi.mail.backup import staging

KEY = "backup.key"
HOST = "beffroi"
STREAM = "picture.tar"
TIMEOUT_S = 6 * 3600.0
LOOK_S, FULL_S = 10.0, 60.0
"""How often a run is looked at that takes long, and how long one that adds may find the disk full: restic was seen to
hang there, and tries for a quarter of an hour what it does not take for a full disk."""
RESTIC = ("/usr/bin/nice", "/usr/bin/restic", "--json", "--retry-lock", "2m")
"""A run waits for one of before, whose keeper was killed and which ends by itself."""
_FULL = ("no space left on device", "disk quota exceeded")
A_DAY, MOST_APART = timedelta(days=1), timedelta(days=4)
"""``MOST_APART``: two snapshots lie no further apart, a day by ``backup_every_h``, though some between them failed."""
PACK_BYTES = 16 * 1024**2
"""What restic writes at once."""


class StoreFull(Unavailable):
    """The disk of the backups is full ({}); the backups before are kept. Make room there or name another directory
    in backup_path; the next try follows by itself."""

    code = "backup.store_full"


class StoreFailed(Unavailable):
    """The store of backups {} cannot be used: {}"""

    code = "backup.store_failed"


class StoreAway(StoreFailed):
    """{} holds no backups any more: is its disk mounted? Where it is lost, they begin anew after: rm {}"""

    code = "backup.store_away"


class NotInBackup(BeffroiError):
    """No backup holds this mailbox as of that moment. Next: ./beffroi mail backup list"""

    code = "backup.not_there"
    http_status = 404


@dataclass(frozen=True)
class Snapshot:
    """``at``: UTC, when it began; ``size_bytes``: of what was backed up; ``added_bytes``: what it took in the store;
    ``path``: where it lay then, on the machine of then."""

    id: str
    at: datetime
    size_bytes: int
    added_bytes: int
    path: str
    tags: tuple[str, ...] = ()


@dataclass(frozen=True)
class Checked:
    """``damaged``: files of the store, relative to it, that do not hold any more what was written."""

    whole: bool
    damaged: tuple[str, ...]


def root(config: Config) -> Path:
    """Where backups lie: the setting, or STATE/backup. Errors: SettingInvalid."""
    if config.backup_path and not Path(config.backup_path).is_absolute():
        raise SettingInvalid("backup_path", config.state / "beffroi.toml", "must be an absolute path")
    return Path(config.backup_path) if config.backup_path else config.state / "backup"


class Store:
    """``host``: of whose snapshots; the data of all lie together."""

    def __init__(self, config: Config, *, host: str = HOST) -> None:
        self._config = config
        self._host = host
        self.path = root(config) / "repository"
        self._cache = config.state / "backup-work" / "cache"

    def prepare(self) -> None:
        """Make the repository where there never was one: an empty directory may be one where a disk is not mounted.
        Errors: StoreAway, StoreFull, StoreFailed."""
        folder, mark = root(self._config), staging.work(self._config) / "made-in"
        is_there = (self.path / "config").exists()
        is_known = mark.exists() and mark.read_text("utf-8") == str(folder)
        if is_known and not is_there:
            raise StoreAway(folder, mark)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.chmod(0o700)
            mark.parent.mkdir(mode=0o711, exist_ok=True)
        except OSError as error:
            raise StoreFailed(folder, error.strerror) from None
        if not is_there:
            self._run("init")
        if not is_known:
            with suppress(OSError):  # of the centre's own disk, which may be full
                durable.write(mark, (str(folder).encode(),), mode=0o600)
        self.unlock()

    def unlock(self) -> None:
        """A killed run leaves its lock; only those of dead processes go, and of other machines those of half an hour
        ago. Errors: StoreFailed."""
        if (self.path / "config").exists():
            self._run("unlock")

    def save(self, folder: Path, *, keep_days: int) -> Snapshot:
        """One more snapshot of this directory; old ones go, one a day stays for ``keep_days``.

        Errors: StoreFull, StoreFailed.
        """
        # Links have a change time of their own each time; size, time and number of the file tell what is new.
        return self._save((str(folder),), keep_days=keep_days, prune=True)

    def save_stream(self, source: IO[bytes], *, keep_days: int, tags: Sequence[str]) -> Snapshot:
        """The same of what an open file holds, as one file ``STREAM``: nothing is opened by name. What nothing needs
        any more goes with the next ``save``.

        Errors: StoreFull, StoreFailed.
        """
        words = ("--tag", ",".join(tags), "--stdin", "--stdin-filename", STREAM)
        return self._save(words, keep_days=keep_days, prune=False, stdin=source)

    def _save(
        self, words: Sequence[str], *, keep_days: int, prune: bool, stdin: IO[bytes] | None = None
    ) -> Snapshot:
        common = ("--host", self._host)
        read = ("--ignore-ctime", "--read-concurrency", "1") if stdin is None else ()
        lines = self._run("backup", *common, *read, *words, stdin=stdin)
        summary = next(one for one in reversed(lines) if one.get("message_type") == "summary")
        there = self.snapshots()
        made = next(one for one in there if one.id == summary["snapshot_id"])
        if _follows(made, there):
            keep = ("--keep-within", "2d", "--keep-within-daily", f"{keep_days}d")
            self._run("forget", *common, "--group-by", "host", *keep, *(("--prune",) if prune else ()))
        return made

    def counted_to_s(self) -> int:
        """To when terms of what lies beside the snapshots are counted, epoch seconds: the newest one of a day ago, so
        that a clock which ran ahead since ends none. Errors: StoreFailed."""
        now = clock.now()
        before = (one.at for one in self.snapshots() if one.at <= now - A_DAY)
        return int(max(before, default=now).timestamp())

    def snapshots(self) -> list[Snapshot]:
        """Oldest first. Errors: StoreFailed."""
        if not (self.path / "config").exists():
            return []
        (found,) = self._run("snapshots", "--host", self._host) or [[]]
        return sorted((_snapshot(one) for one in found), key=lambda one: one.at)

    def size_bytes(self) -> int:
        """What the store takes on its disk."""
        return sum(one.stat().st_size for one in self.path.rglob("*") if one.is_file())

    def bring(self, snapshot: Snapshot, name: str, target: Path) -> None:
        """Put what ``name`` was at this snapshot, below the folder that was saved, into the new directory ``target``.

        Errors: NotInBackup, StoreFull, StoreFailed.
        """
        try:
            self._run("restore", f"{snapshot.id}:{snapshot.path}/{name}", "--target", str(target))
        except StoreFailed as error:
            if ": not found" in str(error):
                raise NotInBackup from None
            raise

    @contextmanager
    def stream(self, snapshot: Snapshot) -> Iterator[IO[bytes]]:
        """What ``save_stream`` took. Errors: StoreFailed, when the block has read all that there was."""
        with tempfile.TemporaryFile() as said:
            with self._started(
                "dump", snapshot.id, f"/{STREAM}", stdout=subprocess.PIPE, stderr=said
            ) as process:
                assert process.stdout is not None
                yield process.stdout
                process.stdout.read()  # what the reader did not need
            if process.returncode:
                said.seek(0)
                text = said.read().decode("utf-8", "replace")
                raise StoreFailed(self.path, (_said(_lines(text)) or text.strip())[:300])

    def check(self, *, share: int = 1) -> Checked:
        """Read one ``share``-th of the store (all of it: 1) and compare with its hashes. Errors: StoreFailed."""
        part = "100%" if share == 1 else f"{100 / share:.4f}%"
        lines = self._run("check", "--read-data-subset", part, accept=(0, 1))
        told: dict[str, Any] = next((x for x in reversed(lines) if x.get("message_type") == "summary"), {})
        packs = [f"data/{one[:2]}/{one}" for one in told.get("broken_packs") or ()]
        if not told:
            raise StoreFailed(self.path, _said(lines) or "the check ended without a word")
        return Checked(not told["num_errors"], tuple(sorted(packs)))

    def _run(self, *words: str, accept: tuple[int, ...] = (0,), stdin: IO[bytes] | None = None) -> list[Any]:
        """The JSON lines that restic wrote."""
        pipes = {"stdin": stdin, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        try:
            with self._started(*words, text=True, errors="replace", **pipes) as process:
                done = self._ended(process, adds=words[0] == "backup")
        except (OSError, subprocess.TimeoutExpired) as error:
            raise StoreFailed(self.path, getattr(error, "strerror", None) or "restic took too long") from None
        lines = [*_lines(done.stdout), *_lines(done.stderr)]
        if done.returncode in accept:
            return lines
        said = _said(lines) or done.stderr.strip().splitlines()[-1:] or f"status {done.returncode}"
        text = said if isinstance(said, str) else said[0]
        # Of two writes that are under way, the one that is heard may say only that the other ended it.
        if self._is_full() or any(word in (done.stdout + done.stderr).lower() for word in _FULL):
            raise StoreFull(root(self._config))
        raise StoreFailed(self.path, text[:300])

    def _started(self, *words: str, **how: Any) -> subprocess.Popen[Any]:
        environment = {
            "PATH": "/usr/bin:/bin",
            "HOME": str(self._cache),
            "RESTIC_CACHE_DIR": str(self._cache),
            "RESTIC_PASSWORD_FILE": str(self._config.secrets / KEY),
            "TMPDIR": str(self._cache),
            "GOMAXPROCS": str(max(1, (os.cpu_count() or 2) // 2)),
        }
        return subprocess.Popen((*RESTIC, "-r", str(self.path), *words), cwd="/", env=environment, **how)

    def _ended(self, process: subprocess.Popen[str], *, adds: bool) -> subprocess.CompletedProcess[str]:
        """Errors: StoreFull, TimeoutExpired; then it was killed."""
        end_s = clock.steady_s() + TIMEOUT_S
        full_since_s: float | None = None
        try:
            while True:
                try:
                    said, errors = process.communicate(timeout=LOOK_S)
                    return subprocess.CompletedProcess(process.args, process.returncode, said, errors)
                except subprocess.TimeoutExpired:
                    now_s = clock.steady_s()
                    if now_s > end_s:
                        raise
                    full_since_s = (full_since_s or now_s) if adds and self._is_full() else None
                    if full_since_s is not None and now_s - full_since_s >= FULL_S:
                        raise StoreFull(root(self._config)) from None
        except BaseException:
            process.kill()
            raise

    def _is_full(self) -> bool:
        try:
            return shutil.disk_usage(root(self._config)).free < PACK_BYTES
        except OSError:
            return False


def _follows(made: Snapshot, there: Sequence[Snapshot]) -> bool:
    """Whether days passed as this snapshot says: restic counts terms from it, and under a clock that stands years ahead
    all others would be past theirs. Such a clock is believed after a day; so is a machine that was off."""
    before = [one.at for one in there if one.at <= made.at - A_DAY]
    return not before or max(before) > made.at - MOST_APART


def _lines(text: str) -> list[Any]:
    found = []
    for line in text.splitlines():
        try:
            found.append(json.loads(line))
        except ValueError:
            continue
    return found


def _said(lines: list[Any]) -> str:
    ends = (one for one in lines if isinstance(one, dict) and one.get("message_type") == "exit_error")
    return next((str(one["message"]) for one in ends), "")


def _snapshot(told: dict[str, Any]) -> Snapshot:
    counted = told.get("summary", {})
    # Nanoseconds and the zone as "Z": more digits than Python takes.
    at = datetime.fromisoformat(told["time"][:19] + "+00:00").astimezone(UTC)
    return Snapshot(
        told["id"],
        at,
        counted.get("total_bytes_processed", 0),
        counted.get("data_added_packed", 0),
        told["paths"][0],
        tuple(told.get("tags") or ()),
    )
