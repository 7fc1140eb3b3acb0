"""Run the tests: everything on SQLite, then what speaks to the database on a PostgreSQL of our own.

usage: ./beffroi test [--quick] [pytest's arguments]     --quick: no root, no engines, under two minutes
Process: as root, in a place of its own (tests/cell.py); PostgreSQL runs as ``postgres`` in a temporary directory, on
         a socket only. With arguments for pytest only one round on SQLite is run, one test after the other.
Source:  docs/decisions/0020-tests-side-by-side.md
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
from functools import partial
from pathlib import Path

from tests import cell, corpus

ROOT = Path(__file__).resolve().parent.parent
# Most of the time is spent waiting: four workers keep two cores busy. A worker has whole files, since the tests of
# a file share what takes long to start; tests/conftest.py says which files are first.
SIDE_BY_SIDE = ("-n", "4", "--dist", "loadfile", "--no-loadscope-reorder")
QUICK = "not slow and not root and not netns and not browser and not corpus"
ON_POSTGRESQL = (
    "-m",
    "not netns and not browser",  # a boîtier among real packets, a page in Chromium: no question to the database
    "tests/contract",
    "tests/integration",
    "tests/faults/test_core_worker_killed.py",
    "tests/faults/test_stream_faults.py",
    "tests/faults/test_stream_relays.py",
    "tests/scenarios/test_up_centre.py",
)
SEEDS = "tests/simulation/test_simulation.py::test_fixed_seeds_hold"
POSTGRESQL = Path("/usr/lib/postgresql/17/bin")


def pytest(*arguments: str, database: str = "") -> int:
    environment = dict(os.environ)
    if database:
        environment["BEFFROI_TEST_DATABASE"] = database
    command = (sys.executable, "-m", "pytest", *arguments)
    return subprocess.run(command, cwd=ROOT, env=environment, check=False).returncode


def compile_tests() -> None:
    """Bytecode of all tests, with their asserts explained: else each of eight workers makes it for itself."""
    command = (sys.executable, "-m", "pytest", "-qq", "--collect-only")
    subprocess.run(command, cwd=ROOT, stdout=subprocess.DEVNULL, check=False)


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
    quick = "-c fsync=off -c full_page_writes=off -c autovacuum=off -c wal_level=minimal -c max_wal_senders=0"
    options = f"-k {place} -c listen_addresses= -c max_connections=100 {quick}"
    run(str(POSTGRESQL / "pg_ctl"), "-D", data, "-w", "-o", options, "-l", str(place / "log"), "start")
    # As in production, a role that row level security binds.
    role = "CREATE ROLE beffroi LOGIN CREATEDB"
    run(str(POSTGRESQL / "psql"), "-h", str(place), "-U", "postgres", "-d", "postgres", "-qc", role)
    try:
        yield f"postgresql:///postgres?host={place}&user=beffroi"
    finally:
        run(str(POSTGRESQL / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)


def main(arguments: Sequence[str], *, workers: Sequence[str] = SIDE_BY_SIDE) -> int:
    given = list(arguments)
    if given == ["--quick"]:
        return pytest("-q", "-m", QUICK, *workers)
    if "--quick" in given:
        given.remove("--quick")
        return pytest("-q", "-m", QUICK, *given)
    if given:
        return pytest(*given)
    compile_tests()
    print("== tests on SQLite", flush=True)
    failed = pytest("-q", *workers, "--deselect", SEEDS)
    if not (POSTGRESQL / "initdb").exists():
        print("not run on this machine: tests on PostgreSQL (postgresql-17 is not installed)")
        return 1 if os.environ.get("BEFFROI_REQUIRE_ALL") == "1" else failed
    print("== tests on PostgreSQL", flush=True)
    with postgresql() as url:
        failed = pytest("-q", *workers, *ON_POSTGRESQL, database=url) or failed
    print("== seeds of the simulation", flush=True)  # last: they take what time is left, and all processors
    return pytest("-q", "-o", "log_cli=true", "--log-cli-level=WARNING", SEEDS) or failed


def start(arguments: Sequence[str]) -> int:
    """Run the tests in a place of their own where this machine allows it."""
    if os.getuid() != 0:
        return main(arguments)
    if lacking := corpus.fetch():
        print(lacking, flush=True)
        if os.environ.get("BEFFROI_REQUIRE_ALL") == "1":
            return 1
    if not cell.possible():
        print(
            "one test after the other: this machine allows no namespaces, and engines would share their ports"
        )
        return main(arguments, workers=())
    # Files of a run that was asked for by name are left in /tmp for whoever asked.
    whole = not set(arguments) - {"--quick"} and not os.environ.get("BEFFROI_KEEP")
    return cell.run(partial(main, arguments), in_memory=whole)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
