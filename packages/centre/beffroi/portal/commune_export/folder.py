"""The folder of an export: each file is there whole or not at all, and what is there after a cut is not made again.

Purpose: an export may have 100 GB and take a night. What is done stands in a small database beside the files; given
         again, the command makes what is missing or changed. The list of sums comes last: a folder without it, or with
         the file ``INCOMPLETE``, is no export.
Process: a person's command. Memory does not grow with what is exported.
Hostile: names of files and folders: ``archives.names`` makes them what every system can write.
Fails:   DiskFull, FolderUnusable: nothing is lost, the same command goes on. What the disk lost after all is found by
         its length before the end (FilesLost), and made again.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import msgspec

from beffroi.drive.archives.names import alike
from beffroi.lib import durable
from beffroi.lib.errors import BeffroiError, Conflict
from beffroi.portal.commune_export.out import Out, paths

STATE, INCOMPLETE, MANIFEST = ".etat.sqlite", "INCOMPLET.txt", "manifest-sha256.txt"
README, SUMMARY = "LISEZ-MOI.txt", "export.json"
CHECK_BYTES, CHECK_FILES, CHECK_S = 1 << 30, 2000, 5.0
"""What was written is safe, and noted, after so much of it."""
_PAGE = 1000
_FULL, _GONE = (errno.ENOSPC, errno.EDQUOT), (errno.EIO, errno.EROFS, errno.ENODEV, errno.ESTALE)
_TABLES = """
CREATE TABLE IF NOT EXISTS about (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS file (
    path TEXT PRIMARY KEY, size_bytes INTEGER NOT NULL, sha256 TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS place (
    key TEXT PRIMARY KEY, folder TEXT NOT NULL, path TEXT NOT NULL, alike TEXT NOT NULL UNIQUE,
    mark TEXT NOT NULL, note TEXT NOT NULL, run INTEGER NOT NULL) WITHOUT ROWID;
"""
INCOMPLETE_TEXT = """\
Cet export n'est pas terminé : il manque des fichiers. Ne le remettez à personne tel quel.

La même commande, avec le même dossier, reprend là où elle s'est arrêtée.
Quand tout y est, ce fichier disparaît et manifest-sha256.txt donne l'empreinte de chaque fichier.
"""


class DiskFull(BeffroiError):
    """The disk of {} is full, and the export is not whole. Next: make room there, then give the same command again, or
    name a folder on a larger disk"""

    code = "export.disk_full"


class FolderUnusable(BeffroiError):
    """{} cannot take an export: {}."""

    code = "export.folder_unusable"


class FilesLost(Conflict):
    """{} files of the export are not on the disk as they were written. Next: give the same command again, it makes them
    anew; if it says so once more, take another disk"""

    code = "export.files_lost"


@dataclass(frozen=True)
class Finished:
    """``manifest_sha256``: of the list of sums, which proves the rest."""

    files: int
    size_bytes: int
    manifest_sha256: str


class ExportFolder:
    """``path``: a directory of ours, empty or with a part of this export. ``beside``: the centre's state; ``tick`` is
    called each few seconds while something is written, and may raise."""

    def __init__(self, path: Path, *, owner: str, beside: Path, tick: Callable[[], object]) -> None:
        self.path, self._tick = path, tick
        self._spares = path.stat().st_dev == beside.stat().st_dev
        self._since_s, self._bytes, self._files = time.monotonic(), 0, 0
        self._ticked_s = 0.0
        self.size_bytes = self.files = 0
        """That are there, of earlier runs too, and what is being written."""
        self._directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        try:
            self._require_ours()
            with self._told():
                self._db = self._open_state(owner)
                self.files, self.size_bytes = self._db.execute(
                    "SELECT COUNT(*), COALESCE(SUM(size_bytes), 0) FROM file"
                ).fetchone()
        except BaseException:
            os.close(self._directory)
            raise

    def close(self) -> None:
        """What was not safe yet is made again by the next run."""
        self._db.close()
        os.close(self._directory)

    def _require_ours(self) -> None:
        """Errors: FolderUnusable."""
        if (self.path / MANIFEST).exists() and not (self.path / STATE).exists():
            raise FolderUnusable(self.path, "a whole export is in it; name a new folder")
        if any(self.path.iterdir()) and not (self.path / STATE).exists():
            raise FolderUnusable(self.path, "something else is in it; name a new folder")

    def _open_state(self, owner: str) -> sqlite3.Connection:
        (self.path / STATE).touch(mode=0o600)
        state = sqlite3.connect(self.path / STATE, timeout=0, isolation_level=None)
        state.execute("PRAGMA locking_mode=EXCLUSIVE")
        state.execute("PRAGMA temp_store=MEMORY")
        state.execute("BEGIN EXCLUSIVE")
        for statement in _TABLES.split(";"):
            state.execute(statement)
        kept = dict(state.execute("SELECT name, value FROM about"))
        if kept.get("owner", owner) != owner:
            state.close()
            raise FolderUnusable(self.path, "the export of another collectivité is in it; name a new folder")
        self.run = int(kept.get("run", "0")) + 1
        about = {"owner": owner, "run": str(self.run)}
        state.executemany("INSERT OR REPLACE INTO about VALUES (?, ?)", about.items())
        state.execute("COMMIT")
        state.execute("BEGIN EXCLUSIVE")
        if not (self.path / INCOMPLETE).exists():
            durable.write(self.path / INCOMPLETE, (INCOMPLETE_TEXT.encode(),), mode=0o600)
        return state

    # -- what stands beside the files --------------------------------------------------------------------------

    def told(self, name: str) -> str:
        row = self._run("SELECT value FROM about WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else ""

    def tell(self, name: str, value: str) -> None:
        self._run("INSERT OR REPLACE INTO about VALUES (?, ?)", (name, value))

    def done(self, key: str, mark: str, folder: str, name: str) -> dict[str, Any] | None:
        """The note of a file that is there as it should be; None for one that is to be made (``file``)."""
        row = self._run("SELECT folder, path, mark, note FROM place WHERE key = ?", (key,)).fetchone()
        if row is None or (row[0], row[2]) != (f"{folder}/{name}", mark):
            return None
        if self._run("SELECT 1 FROM file WHERE path = ?", (row[1],)).fetchone() is None:
            return None
        self._run("UPDATE place SET run = ? WHERE key = ?", (self.run, key))
        return cast("dict[str, Any]", msgspec.json.decode(row[3]))

    def notes(self, prefix: str) -> Iterator[tuple[str, str, dict[str, Any]]]:
        """(key, path, note) of what this run made or found, by key."""
        rows = self._run(
            "SELECT key, path, note FROM place WHERE key >= ? AND key < ? AND run = ? ORDER BY key",
            (prefix, prefix + "\U0010ffff", self.run),
        )
        return ((key, path, msgspec.json.decode(note)) for key, path, note in rows)

    def path_of(self, key: str) -> str:
        row = self._run("SELECT path FROM place WHERE key = ?", (key,)).fetchone()
        return str(row[0]) if row else ""

    def directory(self, key: str, folder: str, name: str) -> str:
        """Its path in the export, made; the same at each call as long as it is called so and lies there."""
        path = self._place(key, folder, name)
        with self._told():
            self._made(path)
        self._run("UPDATE place SET run = ? WHERE key = ?", (self.run, key))
        return path

    def look_again(self) -> None:
        """From now on counts as met what is met again."""
        self.run += 1
        self.tell("run", str(self.run))

    def retain(self, prefix: str) -> None:
        """What an earlier run made of something that cannot be read now stays."""
        self._run(
            "UPDATE place SET run = ? WHERE key >= ? AND key < ?", (self.run, prefix, prefix + "\U0010ffff")
        )

    def forget(self, prefix: str) -> None:
        """What was not met since this run began, or looked again. The files themselves go at the end."""
        self._run(
            "DELETE FROM file WHERE path IN (SELECT path FROM place WHERE key >= ? AND key < ? AND run < ?)",
            (prefix, prefix + "\U0010ffff", self.run),
        )
        self._run(
            "DELETE FROM place WHERE key >= ? AND key < ? AND run < ?",
            (prefix, prefix + "\U0010ffff", self.run),
        )

    def _place(self, key: str, folder: str, name: str) -> str:
        wanted = f"{folder}/{name}"
        row = self._run("SELECT folder, path FROM place WHERE key = ?", (key,)).fetchone()
        if row is not None and row[0] == wanted:
            return str(row[1])
        if row is not None:  # moved, or called otherwise: what was made of it goes
            self._drop(row[1])
            self._run("DELETE FROM place WHERE key = ?", (key,))
        for path in paths(folder, name, key):
            same = alike(path)
            if self._run("SELECT 1 FROM place WHERE alike = ?", (same,)).fetchone() is None:
                break
        self._run("INSERT INTO place VALUES (?, ?, ?, ?, '', '{}', 0)", (key, wanted, path, same))
        return path

    # -- files -------------------------------------------------------------------------------------------------

    @contextmanager
    def file(
        self,
        key: str,
        folder: str,
        name: str,
        *,
        mark: str = "",
        note: dict[str, Any] | None = None,
        mtime_s: int | None = None,
    ) -> Iterator[Out]:
        """A new file in the place of what was made of ``key``; there, and noted, once the block ends well. ``folder``:
        a path that ``directory`` gave, or one of ours; ``note``: filled by the block. Errors: DiskFull, FolderUnusable.
        """
        note = {} if note is None else note
        path = self._place(key, folder, name)
        self._drop(path)
        target = self.path / path
        draft = target.with_name(f".{hashlib.sha256(path.encode()).hexdigest()[:16]}.part")
        with self._told():
            self._made(str(Path(path).parent))
            flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW
            with os.fdopen(os.open(draft, flags, 0o600), "wb", buffering=0) as raw:
                out = Out(raw, self._spares, self._wrote)
                try:
                    yield out
                except BaseException:
                    draft.unlink(missing_ok=True)
                    raise
                if mtime_s is not None:
                    with suppress(OSError, OverflowError):  # a time that this file system does not know
                        os.utime(raw.fileno(), (mtime_s, mtime_s))
            draft.replace(target)
            self._run(
                "INSERT OR REPLACE INTO file VALUES (?, ?, ?)", (path, out.size_bytes, out.digest.hexdigest())
            )
            self._run(
                "UPDATE place SET mark = ?, note = ?, run = ? WHERE key = ?",
                (mark, msgspec.json.encode(note).decode(), self.run, key),
            )
        self.files, self._files, self._bytes = self.files + 1, self._files + 1, self._bytes + out.size_bytes
        late = time.monotonic() - self._since_s >= CHECK_S
        if late or self._bytes >= CHECK_BYTES or self._files >= CHECK_FILES:
            self.keep()

    def _drop(self, path: str) -> None:
        """A file that is about to be another one is first no file of the export, whatever happens in between."""
        if self._run("DELETE FROM file WHERE path = ?", (path,)).rowcount:
            self.keep()

    def _wrote(self, size_bytes: int) -> None:
        self.size_bytes += size_bytes
        if time.monotonic() - self._ticked_s >= CHECK_S:
            self._tick_now()

    def _tick_now(self) -> None:
        self._ticked_s = time.monotonic()
        self._tick()

    def keep(self) -> None:
        """All that was made is on the disk, and noted. Errors: DiskFull; those of ``tick``."""
        with self._told():
            # One call for thousands of small files; each flushed by itself would take a night more.
            if _LIBC.syncfs(self._directory):
                raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
            self._run("COMMIT")
            self._run("BEGIN EXCLUSIVE")
        self._since_s, self._bytes, self._files = time.monotonic(), 0, 0
        self._tick_now()

    def _made(self, folder: str) -> None:
        made = self.path
        for part in Path(folder).parts:
            made = made / part
            if not made.is_dir():
                made.mkdir(mode=0o700)

    def name_missing(self, lines: Iterable[str]) -> None:
        """For whoever has the folder: what was not read, while the export is not finished."""
        self.keep()
        said = INCOMPLETE_TEXT + "\nN'a pas pu être lu :\n" + "".join(f"  - {one}\n" for one in lines)
        with self._told():
            durable.write(self.path / INCOMPLETE, (said.encode("utf-8", "replace"),), mode=0o600)

    # -- the end -----------------------------------------------------------------------------------------------

    def finish(self, whole: Callable[[Finished], object]) -> Finished:
        """Nothing else is in it, each file is as long as it was written, and the sums are listed; then ``whole`` is
        called, and what says that it is incomplete goes. Errors: FilesLost, DiskFull; those of ``whole``."""
        self.keep()
        with self._told():
            self._remove_strays()
            lost = 0
            for path, size_bytes, _ in self._listed():
                with suppress(FileNotFoundError):
                    if (self.path / path).lstat().st_size == size_bytes:
                        continue
                self._run("DELETE FROM file WHERE path = ?", (path,))
                lost += 1
            if lost:
                self.keep()
                raise FilesLost(lost)
            files = total = 0
            digest = hashlib.sha256()

            def lines() -> Iterator[bytes]:
                nonlocal files, total
                for path, size_bytes, sha256 in self._listed():
                    line = f"{sha256}  {path}\n".encode()
                    files, total = files + 1, total + size_bytes
                    digest.update(line)
                    yield line

            durable.write(self.path / MANIFEST, lines(), mode=0o600)
            made = Finished(files, total, digest.hexdigest())
            whole(made)
            self.settle()
        return made

    def settle(self) -> None:
        """It is whole: nothing says otherwise any more."""
        (self.path / INCOMPLETE).unlink(missing_ok=True)
        self._run("COMMIT")
        self._db.close()
        (self.path / STATE).unlink()
        durable.sync_directory(self.path)

    def _listed(self) -> Iterator[tuple[str, int, str]]:
        """By path; in pages, for the caller changes the table."""
        after = ""
        while rows := self._run(
            "SELECT path, size_bytes, sha256 FROM file WHERE path > ? ORDER BY path LIMIT ?", (after, _PAGE)
        ).fetchall():
            yield from rows
            after = rows[-1][0]

    def _remove_strays(self) -> None:
        """Drafts that a kill left, and files of what was moved or deleted since an earlier run."""
        for place, _, names in self.path.walk():
            for name in names:
                path = (place / name).relative_to(self.path).as_posix()
                if path in (INCOMPLETE, STATE, f"{STATE}-journal"):
                    continue
                if self._run("SELECT 1 FROM file WHERE path = ?", (path,)).fetchone() is None:
                    (place / name).unlink()

    def _run(self, sql: str, parameters: tuple[object, ...] = ()) -> sqlite3.Cursor:
        with self._told():
            return self._db.execute(sql, parameters)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Of a full disk, one sentence. Errors: DiskFull, FolderUnusable."""
        try:
            yield
        except OSError as error:
            if error.errno in _FULL:
                raise DiskFull(self.path) from None
            if error.errno == errno.EFBIG:
                raise FolderUnusable(
                    self.path,
                    "its file system takes no file as large as one of these; use ext4, exFAT or NTFS",
                ) from None
            if error.errno in _GONE or str(error.filename or "").startswith(f"{self.path}/"):
                # Without the name of a file of the collectivité.
                raise FolderUnusable(self.path, error.strerror) from None
            raise
        except sqlite3.OperationalError as error:
            if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
                raise DiskFull(self.path) from None
            if error.sqlite_errorcode == sqlite3.SQLITE_BUSY:
                raise FolderUnusable(self.path, "another command is at it") from None
            raise FolderUnusable(self.path, f"its notes cannot be read or written ({error})") from None
        except sqlite3.DatabaseError:
            raise FolderUnusable(self.path, "its notes are damaged; name a new folder") from None


def _libc() -> ctypes.CDLL:
    found = ctypes.CDLL(None, use_errno=True)
    found.syncfs.argtypes = [ctypes.c_int]
    return found


_LIBC = _libc()
