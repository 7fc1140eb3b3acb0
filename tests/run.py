"""Run the tests: everything on SQLite, what speaks to the database on a PostgreSQL of our own, many seeds.

usage: ./beffroi test [--quick] [pytest's arguments]     --quick: no root, no engines, no pages; under two minutes
Process: as root, in a place of its own (tests/cell.py), the three rounds beside one another: each line says of which
         it is. PostgreSQL runs as ``postgres`` in a temporary directory, on a socket only. With arguments for pytest
         only one round on SQLite is run, one test after the other.
Source:  docs/decisions/0020-tests-side-by-side.md, docs/decisions/0123-a-few-failed-tests-are-asked-again-alone.md
"""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from tests import cell, corpus

ROOT = Path(__file__).resolve().parent.parent
# A worker has whole files, since the tests of a file share what takes long to start; tests/conftest.py says which
# files are first.
BY_FILE = ("--dist", "loadfile", "--no-loadscope-reorder")
WORKER_BYTES = 3 << 29
"""Of memory: a worker at its end, the engines of a file, temporary files."""
MOST_AGAIN = 3
"""So many tests that failed in a round are asked again: on a machine with all its processors busy some thousands of
tests of real engines meet the one that waits too short once in some runs. More are no accident."""
QUICK = ("-m", "not slow and not root and not netns and not browser and not corpus")
QUICK_FILES = ("tests/unit", "tests/contract")
"""Two minutes of one processor; with those of ``tests/integration`` that need nothing, either, fifteen."""
ON_POSTGRESQL = (
    "-m",
    "not netns and not browser",  # a boîtier among real packets, a page in Chromium: no question to the database
    "--ignore=tests/contract/test_drive_objects.py",
    "--ignore=tests/contract/test_protocol_compatibility.py",
    "--ignore=tests/integration/test_stream_large.py",  # its size is one of files and followers
    # Refused before anything is asked; that each page opens, and that another's does not, is asked here, too.
    *(
        f"--deselect=tests/integration/{test}"
        for test in (
            "test_portal_refusals.py::test_a_stranger_is_asked_to_sign_in",
            "test_portal_refusals.py::test_an_administrators_cookie_opens_nothing_on_the_portal",
            "test_console_refusals.py::test_an_agents_cookie_and_none_open_nothing_on_the_console",
        )
    ),
    "tests/contract",
    "tests/integration",
    "tests/faults/test_core_worker_killed.py",
    "tests/faults/test_database_backup_faults.py",
    "tests/faults/test_stream_faults.py",
    "tests/faults/test_stream_relays.py",
    "tests/scenarios/test_up_centre.py",
    "tests/scenarios/test_up_database_restore.py",
)
SEEDS = "tests/simulation/test_simulation.py::test_fixed_seeds_hold"
ON_SQLITE = ("--deselect", SEEDS)
POSTGRESQL = Path("/usr/lib/postgresql/17/bin")


def side_by_side(share: float) -> tuple[str, ...]:
    """Options for so large a share of the workers. Tests wait more than they compute, so a processor has four."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    workers = min(4 * (os.process_cpu_count() or 1), memory // WORKER_BYTES)
    return ("-n", str(max(2, round(share * workers))), *BY_FILE)


def begin(*arguments: str, settings: Mapping[str, str] | None = None, **how: Any) -> subprocess.Popen[str]:
    """Pytest in a process of its own; ``settings``: of its environment; ``how``: of ``subprocess.Popen``.

    At the lowest priority, where what our programs run at a low one gets as much as the rest: else a child that a test
    waits for has a tenth of the share of each of twenty processes beside it, which is minutes for seconds.
    """
    environment = os.environ | (settings or {})
    command = ("nice", "-n", "19", sys.executable, "-m", "pytest", *arguments)
    return subprocess.Popen(command, cwd=ROOT, env=environment, text=True, **how)


def pytest(*arguments: str) -> int:
    return begin(*arguments).wait()


def compile_tests() -> None:
    """Bytecode of all tests, with their asserts explained, and of what they start: else each worker and each of these
    processes makes it for itself."""
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    for command in (
        ("compileall", "-q", "tests", "bench", "lab", "packages"),
        ("pytest", "-qq", "--collect-only"),
    ):
        subprocess.run(
            (sys.executable, "-m", *command),
            cwd=ROOT,
            env=environment,
            stdout=subprocess.DEVNULL,
            check=False,
        )


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
    # As in production, a role that row level security binds; and one of its rights that may make no database.
    role = "CREATE ROLE beffroi LOGIN CREATEDB; CREATE ROLE beffroi_plain LOGIN IN ROLE beffroi"
    run(str(POSTGRESQL / "psql"), "-h", str(place), "-U", "postgres", "-d", "postgres", "-qc", role)
    try:
        yield f"postgresql:///postgres?host={place}&user=beffroi"
    finally:
        run(str(POSTGRESQL / "pg_ctl"), "-D", data, "-w", "-m", "immediate", "stop")
        shutil.rmtree(place, ignore_errors=True)


def begin_seeds(settings: Mapping[str, str], **how: Any) -> subprocess.Popen[str]:
    """They ask nobody and wait for nothing: they get what processor time the other rounds leave."""
    running = begin("-q", "-o", "log_cli=true", "--log-cli-level=WARNING", SEEDS, settings=settings, **how)
    os.sched_setscheduler(running.pid, os.SCHED_IDLE, os.sched_param(0))
    return running


type Starts = Callable[..., subprocess.Popen[str]]


@dataclass
class Round:
    """What one round runs, and what came of it. ``refused``: the lines of pytest's summary that name a test and why it
    failed. ``record``: a directory for pytest's, of what failed. ``code``: as pytest ended, 1 where tests failed."""

    name: str
    selection: tuple[str, ...]
    record: str
    database: str = ""
    refused: list[str] = field(default_factory=list)
    code: int = 0

    def begin(self, *options: str, **how: Any) -> subprocess.Popen[str]:
        record = ("-o", f"cache_dir={self.record}")
        settings = {"BEFFROI_TEST_DATABASE": self.database} if self.database else {}
        return begin("-q", *record, *options, *self.selection, settings=settings, **how)

    def begin_again(self, **how: Any) -> subprocess.Popen[str]:
        """With the tests that failed alone; where none was recorded, as when a worker broke off, it fails, too."""
        return self.begin("-n", "1", "--last-failed", "--last-failed-no-failures", "none", **how)


def all_rounds(*, beside: bool) -> int:
    """Every test; ``beside``: the rounds at the same time, else one after the other, and so are their tests."""
    compile_tests()
    of_sqlite, of_postgresql = (side_by_side(0.6), side_by_side(0.4)) if beside else ((), ())
    with contextlib.ExitStack() as places:
        record = places.enter_context(tempfile.TemporaryDirectory(prefix="bfrecord-"))
        sqlite = Round("SQLite", ON_SQLITE, f"{record}/sqlite")
        postgres = Round("PostgreSQL", ON_POSTGRESQL, f"{record}/postgresql")
        seeds = Round("seeds", (), "")
        rounds: list[tuple[Round, Starts]] = [(sqlite, partial(sqlite.begin, *of_sqlite))]
        if (POSTGRESQL / "initdb").exists():
            postgres.database = places.enter_context(postgresql())
            rounds.append((postgres, partial(postgres.begin, *of_postgresql)))
        else:
            print("not run on this machine: tests on PostgreSQL (postgresql-17 is not installed)")
            postgres.code = int(os.environ.get("BEFFROI_REQUIRE_ALL") == "1")
        others = Path(record, "others")
        others.touch()
        rounds.append((seeds, partial(begin_seeds, {"BEFFROI_SEEDS_WHILE": str(others)} if beside else {})))
        listeners = [threading.Thread(target=listen, args=one) for one in rounds]
        for one in listeners:
            one.start()
            if not beside:
                one.join()
        *of_others, of_seeds = listeners
        for one in of_others:
            one.join()
        others.unlink()
        of_seeds.join()
        shaky = [line for one in (sqlite, postgres) for line in passed_alone(one)]
    every = (sqlite, postgres, seeds)
    # Once more, since the rounds' lines are among one another.
    print(*(f"{one.name}: {line}" for one in every for line in one.refused), sep="", end="")
    for line in shaky:
        print(f"== passed alone afterwards, look at it: {line}", end="")
    failed = [one.name for one in every if one.code]
    print(f"== failed: {', '.join(failed)}" if failed else "== all rounds passed", flush=True)
    return bool(failed)


def listen(which: Round, start: Starts) -> None:
    """Start a round and say what it says, line by line, until it has ended; what failed is kept in it."""
    began = time.monotonic()
    running = start(stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert running.stdout is not None
    for line in running.stdout:
        print(f"{which.name}: {line}", end="", flush=True)
        if line.startswith(("FAILED ", "ERROR ")):
            which.refused.append(line)
    which.code = running.wait()
    print(f"== {which.name}: {time.monotonic() - began:.0f} s", flush=True)


def passed_alone(which: Round) -> list[str]:
    """Ask a few tests that failed once more, with nothing beside them. Return the lines that named them, where all of
    them passed: the round has not failed then."""
    if which.code != 1 or not 0 < len(which.refused) <= MOST_AGAIN:
        return []
    before, which.refused = which.refused, []
    listen(which, which.begin_again)
    if which.code:
        which.refused = before
        return []
    return [f"{which.name}: {line}" for line in before]


def main(arguments: Sequence[str], *, beside: bool = True) -> int:
    given = list(arguments)
    if given == ["--quick"]:
        return pytest("-q", *QUICK, *(side_by_side(0.5) if beside else ()), *QUICK_FILES)
    if "--quick" in given:
        given.remove("--quick")
        return pytest("-q", *QUICK, *given)
    if given:
        return pytest(*given)
    return all_rounds(beside=beside)


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
        return main(arguments, beside=False)
    # Files of a run that was asked for by name are left in /tmp for whoever asked.
    whole = not set(arguments) - {"--quick"} and not os.environ.get("BEFFROI_KEEP")
    return cell.run(partial(main, arguments), in_memory=whole)


if __name__ == "__main__":
    sys.exit(start(sys.argv[1:]))
