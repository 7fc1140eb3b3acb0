"""The patterns of rspamd, compiled once for a machine.

Purpose: what rspamd compiles at its own start stays in its memory, 150 MB of it; what lies in files, all its processes
         hold in common. Compiling takes twenty seconds of a processor, so each state directory gets a copy.
Process: the supervisor, as root, before it starts rspamd; the compiler runs as ``_rspamd`` in a directory of its own,
         and what it made is then root's: a rspamd that was taken over writes only its own copy.
Fails:   open: what is missing rspamd compiles by itself.
Source:  docs/decisions/0051-compiled-once-for-a-machine.md; docs/internals/mail-engines.md.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

from beffroi.lib.locks import opened_lock
from beffroi.mail.engines.layout import Owner

CACHE = Path("/var/cache/beffroi/rspamd")
_COMPILE_S = 240.0


def fill(home: Path, owner: Owner) -> None:
    """Give the rspamd of ``home`` what it lacks. Errors: OSError (a full disk)."""
    for made in _compiled(home, owner).glob("*.hsmp"):
        copy = home / "db" / made.name
        if not copy.exists():
            partial = copy.with_suffix(".partial")
            shutil.copyfile(made, partial)
            os.chown(partial, owner.uid, owner.gid)
            partial.rename(copy)


def variables(home: Path, *, db: Path | None = None) -> tuple[str, ...]:
    """Where rspamd and its tools find their files, as arguments."""
    folders = {"LOCAL_CONFDIR": home / "etc", "DBDIR": db or home / "db", "RUNDIR": home / "run"}
    return tuple(f"--var={name}={path}" for name, path in folders.items())


def _compiled(home: Path, owner: Owner) -> Path:
    """The directory of this version of the package; filled now if nobody did it before."""
    CACHE.mkdir(parents=True, exist_ok=True)
    ready = CACHE / str(Path("/usr/bin/rspamd").stat().st_mtime_ns)
    with opened_lock(CACHE / "lock") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # two state directories on one machine
        if not ready.exists():
            for old in CACHE.iterdir():
                if old.is_dir():
                    shutil.rmtree(old)
            made = Path(tempfile.mkdtemp(dir=CACHE))
            try:
                _compile(home, made, owner)
            except subprocess.TimeoutExpired:
                return made  # a part; the next start tries again
            made.rename(ready)
    return ready


def _compile(home: Path, made: Path, owner: Owner) -> None:
    """Errors: subprocess.TimeoutExpired."""
    os.chown(made, owner.uid, owner.gid)
    subprocess.run(
        ["/usr/bin/rspamadm", *variables(home, db=made), "mime", "-c", "/etc/rspamd/rspamd.conf", "urls", "/dev/null"],
        user=owner.uid, group=owner.gid, extra_groups=[], cwd=home, timeout=_COMPILE_S, check=False,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip  # its message is no mail, so it ends with an error after its work
    for path in (made, *made.iterdir()):
        os.chown(path, 0, 0)
    made.chmod(0o755)
