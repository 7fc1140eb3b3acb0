"""Run the tests: everything on SQLite, then what speaks to the database on a PostgreSQL of our own.

usage: ./beffroi test [--quick] [pytest's arguments]     --quick: no root, no engines, under two minutes
Process: root on a machine of its own; PostgreSQL runs as ``postgres`` in a temporary directory, on a socket only,
         and is gone afterwards. With arguments for pytest only one round on SQLite is run.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
QUICK = "not slow and not root and not netns and not browser and not corpus"
ON_POSTGRESQL = (
    "-m",
    "not netns",  # a boîtier among real packets: no database of the centre
    "tests/contract/test_core_planes_db.py",
    "tests/integration",
    "tests/faults/test_core_worker_killed.py",
    "tests/faults/test_stream_faults.py",
    "tests/scenarios/test_up_centre.py",
)
POSTGRESQL = Path("/usr/lib/postgresql/17/bin")


def pytest(*arguments: str, database: str = "") -> int:
    environment = dict(os.environ, PYTHONDONTWRITEBYTECODE="1")
    if database:
        environment["BEFFROI_TEST_DATABASE"] = database
    return subprocess.run(
        (sys.executable, "-m", "pytest", *arguments), cwd=ROOT, env=environment, check=False
    ).returncode


@contextlib.contextmanager
def postgresql() -> Iterator[str]:
    """A private cluster; yields its URL."""
    place = Path(tempfile.mkdtemp(prefix="bfpg-"))
    place.chmod(0o755)
    user = "postgres" if os.getuid() == 0 else pwd.getpwuid(os.getuid()).pw_name
    if os.getuid() == 0:
        shutil.chown(place, user, user)

    def run(*command: str) -> None:
        own = (
            ("setpriv", f"--reuid={user}", f"--regid={user}", "--init-groups", "--")
            if os.getuid() == 0
            else ()
        )
        environment = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
        subprocess.run((*own, *command), check=True, cwd="/", env=environment, stdout=subprocess.DEVNULL)

    data = str(place / "data")
    run(str(POSTGRESQL / "initdb"), "-D", data, "-A", "trust", "-U", "postgres", "--no-sync", "-E", "UTF8")
    # Speed: what these tests ask is not durability, and the machine is thrown away.
    options = f"-k {place} -c listen_addresses= -c fsync=off -c max_connections=100"
    run(str(POSTGRESQL / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(place / "log"), "start")
    # As in production, a role that row level security binds.
    role = "CREATE ROLE beffroi LOGIN CREATEDB"
    run(str(POSTGRESQL / "psql"), "-h", str(place), "-U", "postgres", "-d", "postgres", "-qc", role)
    try:
        yield f"postgresql:///postgres?host={place}&user=beffroi"
    finally:
        run(str(POSTGRESQL / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)


def main(arguments: Sequence[str]) -> int:
    given = list(arguments)
    if "--quick" in given:
        given.remove("--quick")
        return pytest("-q", "-m", QUICK, *given)
    if given:
        return pytest(*given)
    print("== tests on SQLite", flush=True)
    failed = pytest("-q")
    if not (POSTGRESQL / "initdb").exists():
        print("not run on this machine: tests on PostgreSQL (postgresql-17 is not installed)")
        return 1 if os.environ.get("BEFFROI_REQUIRE_ALL") == "1" else failed
    print("== tests on PostgreSQL", flush=True)
    with postgresql() as url:
        return pytest("-q", *ON_POSTGRESQL, database=url) or failed


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
