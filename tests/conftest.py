"""What all tests share: a state directory of their own, the database, people and actors.

Database: SQLite in that directory; PostgreSQL where BEFFROI_TEST_DATABASE=postgresql://... names a server on which
databases may be made. ``database`` rolls everything back; ``committed`` commits, for whoever reads by another
connection or process (planes, threads), and empties the tables afterwards.
"""

from __future__ import annotations

import gc
import os
import secrets
import shutil
import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import hypothesis
import pytest

from tests import cell

gc.disable()  # until all tests are there: no cycle is among them, and a look at each costs as much as making it
if "PYTEST_XDIST_WORKER" in os.environ and cell.possible():
    cell.own_network()  # ports are the tests' own, and so they are each worker's own
STATE = Path(tempfile.mkdtemp(prefix="bft-"))  # short: a Unix socket's path has 107 bytes at most


def _write_state() -> None:
    for name in ("secrets", "db", "run/wake", "log", "projections", "feed", "lists", "doors", "journal"):
        (STATE / name).mkdir(parents=True, mode=0o700)
    for name in ("django.key", "door.token", "live.key", "drive-grant.key", "commune-master.key"):
        (STATE / "secrets" / name).write_text(secrets.token_hex(32))
    url = os.environ.get("BEFFROI_TEST_DATABASE", "")
    (STATE / "beffroi.toml").write_text(f'database_url = "{url}"\n' if url else "")


# Before anything of the centre is imported: its settings are read from here, never from a real installation.
_write_state()
os.environ["BEFFROI_STATE"] = str(STATE)
os.environ["DJANGO_SETTINGS_MODULE"] = "beffroi.settings.web"

import django  # noqa: E402

django.setup()

from beffroi.core.events import registry  # noqa: E402

# In the order of a process of the centre, whatever test files load first: ``run_pending`` runs them in it.
registry.consumers()

from allauth.mfa.totp.internal.auth import TOTP  # noqa: E402
from beffroi.core.communes import actions as communes  # noqa: E402
from beffroi.core.communes.models import Collectivite  # noqa: E402
from beffroi.core.identity import actions as identity  # noqa: E402
from beffroi.core.identity import sessions, totp  # noqa: E402
from beffroi.core.identity.actor import Actor  # noqa: E402
from beffroi.core.identity.administrators import NewAdministrator, create_administrator  # noqa: E402
from beffroi.core.identity.models import Membership, Person  # noqa: E402
from beffroi.core.planes import db as planes_db  # noqa: E402
from beffroi.lib import clock  # noqa: E402
from beffroi.lib.config import Config  # noqa: E402
from django.contrib.contenttypes.management import create_contenttypes  # noqa: E402
from django.db import connection  # noqa: E402
from django.db.models.signals import post_migrate  # noqa: E402
from django.test import Client  # noqa: E402

from tests import drive_plans, made_once, quick_restic  # noqa: E402

drive_plans.hold()
made_once.hold()
quick_restic.hold()
# No test fails because the machine is busy.
hypothesis.settings.register_profile(
    "busy", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)
hypothesis.settings.load_profile("busy")

# Django fills these tables again whenever a test with real commits has emptied them; nothing of ours asks them.
post_migrate.disconnect(create_contenttypes)
post_migrate.disconnect(dispatch_uid="django.contrib.auth.management.create_permissions")

if connection.vendor == "sqlite":  # a file, not memory: the planes open it by themselves
    connection.settings_dict["TEST"]["NAME"] = str(STATE / "db" / "beffroi.sqlite")

    @pytest.fixture(scope="session")
    def django_db_modify_db_settings_parallel_suffix() -> None:
        """Its name is the one that commands look for: each worker has its own directory, not its own name."""

else:

    def _empty(_style: object, tables: Iterable[str], **_how: bool) -> list[str]:
        """Statements for the tables that hold something: TRUNCATE makes files anew, of each table and each index."""
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT relname FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
                " AND relname = ANY(%s) AND pg_relation_size(oid) > 0",
                [list(tables)],
            )
            return [f"DELETE FROM {connection.ops.quote_name(name)}" for (name,) in cursor.fetchall()]

    connection.ops.sql_flush = _empty


pytest_plugins = ["tests.plugin_requirements", "tests.fixtures_events"]
# A plugin of some files and a module of others: whichever is first, its asserts are explained.
pytest.register_assert_rewrite("tests.fixtures_drive_store", "tests.fixtures_projections")
# Row level security is PostgreSQL's; there is nothing of it to test on SQLite.
collect_ignore = ["integration/test_core_row_security.py"] if connection.vendor == "sqlite" else []

PASSWORD = "correct horse battery"


def pytest_configure(config: pytest.Config) -> None:
    for named in config.args:
        if any(Path(named.partition("::")[0]).match(ignored) for ignored in collect_ignore):
            raise pytest.UsageError(f"{named}: PostgreSQL's; name a server in BEFFROI_TEST_DATABASE")


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_setupnodes() -> None:
    """No worker begins with the settings of this process: each has a state directory of its own."""
    del os.environ["BEFFROI_STATE"], os.environ["DJANGO_SETTINGS_MODULE"]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Side by side, the files that take minutes begin first, and no worker is left with one at the end."""
    # Pytest-django makes the database for who names it, and ``opened`` asks for it as it runs.
    for item in items:
        if "opened" in getattr(item, "fixturenames", ()) and not item.get_closest_marker("django_db"):
            item.add_marker(pytest.mark.django_db(transaction=_commits(item.fixturenames)))  # type: ignore[attr-defined]
    if connection.vendor == "postgresql":
        items[:] = [item for item in items if _asks_the_database(item)]
    if hasattr(config, "workerinput"):
        engines, slow = (
            {item.path for item in items if any(map(item.get_closest_marker, names))}
            for names in (("netns", "root"), ("slow",))
        )
        items.sort(key=lambda item: (item.path not in engines, item.path not in slow))


def pytest_collection_finish() -> None:
    """From now on only what tests make is looked through, not half a million objects that stay as they are."""
    gc.freeze()
    gc.enable()


_UMASK = os.umask(0o022)
os.umask(_UMASK)


def pytest_runtest_setup() -> None:
    """One that set the clock back leaves no other the hour in which its return is not believed; nor does one that ran a
    command of ours here leave its umask."""
    clock._pace = clock.Pace()
    os.umask(_UMASK)


def _asks_the_database(item: pytest.Item) -> bool:
    """Of the tests of one process; those that start a centre or plane of their own tell it where the database is."""
    if "contract" in item.path.parts:  # what is asked of every store; SQLite's part is the other round's
        return "sqlite" not in getattr(getattr(item, "callspec", None), "params", {}).values()
    if "integration" not in item.path.parts or item.get_closest_marker("django_db"):
        return True
    asking = {"db", "transactional_db", "opened", "live_server"}
    return not asking.isdisjoint(getattr(item, "fixturenames", ()))


def pytest_unconfigure() -> None:
    shutil.rmtree(STATE, ignore_errors=True)


@pytest.fixture(scope="module", autouse=True)
def _state_as_before() -> Iterator[None]:
    """What a file of tests leaves in the state directory no other file finds: pages say what they read there. Set up
    before all else of the file, it comes last, when the file's processes are gone."""
    made_once.begin_file()
    before = set(STATE.rglob("*"))
    yield
    for path in sorted(set(STATE.rglob("*")) - before, reverse=True):  # what is in a directory before itself
        if path.parent == STATE / "db":
            continue  # the database's own, which stays open
        if path.is_dir() and not path.is_symlink():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)


@pytest.fixture(scope="session")
def state() -> Path:
    """The state directory of this run of the tests."""
    return STATE


@pytest.fixture(scope="session")
def config() -> Config:
    """The centre's configuration of this run of the tests."""
    from django.conf import settings

    found: Config = settings.BEFFROI
    return found


@pytest.fixture
def database(db: None) -> str:
    """The relational database, rolled back after the test; its URL."""
    from django.core.cache import cache

    cache.clear()
    return database_url()


@pytest.fixture
def committed(transactional_db: None) -> str:
    """The relational database with real commits, emptied after the test; its URL."""
    from django.core.cache import cache

    cache.clear()
    return database_url()


@pytest.fixture
def plane(committed: str) -> Iterator[planes_db.Database]:
    """The same database as a plane without Django sees it."""
    opened = planes_db.connect(committed)
    yield opened
    opened.close()


def database_url() -> str:
    """URL of the test database, for planes and child processes."""
    settings = connection.settings_dict
    if connection.vendor == "sqlite":
        return f"sqlite:///{settings['NAME']}"
    from urllib.parse import urlencode

    from psycopg.conninfo import conninfo_to_dict

    parts = conninfo_to_dict(os.environ["BEFFROI_TEST_DATABASE"]) | {"dbname": settings["NAME"]}
    return "postgresql://?" + urlencode({key: value for key, value in parts.items() if value is not None})


@dataclass(frozen=True)
class Commune:
    """A commune with one agent, one other agent and one référent."""

    collectivite: Collectivite
    domain: str
    agent: Actor
    agent_membership: Membership
    colleague: Actor
    colleague_membership: Membership
    referent: Actor
    referent_membership: Membership

    @property
    def id(self) -> str:
        return self.collectivite.id


@pytest.fixture
def system() -> Actor:
    return Actor.system("tests")


@pytest.fixture
def opened(request: pytest.FixtureRequest) -> str:
    """``committed`` for a test that asks for it or for ``plane``, else ``database``."""
    found: str = request.getfixturevalue("committed" if _commits(request.fixturenames) else "database")
    return found


def _commits(fixtures: Iterable[str]) -> bool:
    return not {"committed", "plane"}.isdisjoint(fixtures)


@pytest.fixture
def make_commune(opened: str, system: Actor) -> Callable[..., Commune]:
    """``make_commune("Beaune", "beaune.test")``."""
    return partial(commune, system)


def commune(system: Actor, name: str, domain: str, *, insee: str = "") -> Commune:
    collectivite = communes.create_collectivite(actor=system, kind="commune", name=name, insee=insee)
    communes.add_domain(actor=system, collectivite=collectivite, name=domain)
    members = [
        make_member(system, collectivite, f"{who}@{domain}", role)
        for who, role in (("agent", "agent"), ("collegue", "agent"), ("referent", "referent"))
    ]
    pairs = [part for member in members for part in (sessions.actor_of(member), member)]
    return Commune(collectivite, domain, *pairs)  # type: ignore[arg-type]


def with_totp(person: Person) -> str:
    """Codes are this person's second factor from now on: the secret."""
    secret = totp.new_secret()
    TOTP.activate(person, secret)
    return secret


def make_member(system: Actor, collectivite: Collectivite, email: str, role: str) -> Membership:
    person = identity.create_person(
        actor=system, email=email, name=email.partition("@")[0], password=PASSWORD
    )
    return identity.add_membership(actor=system, person=person, collectivite=collectivite, role=role)


@pytest.fixture
def beaune(make_commune: Callable[..., Commune]) -> Commune:
    return make_commune("Beaune", "beaune.test", insee="21054")


@pytest.fixture
def nuits(make_commune: Callable[..., Commune]) -> Commune:
    return make_commune("Nuits-Saint-Georges", "nuits.test", insee="21464")


@pytest.fixture
def new_administrator(opened: str, system: Actor) -> NewAdministrator:
    """The account of one administrator of the Département, and its second factor's secret."""
    return make_administrator(system)


def make_administrator(system: Actor) -> NewAdministrator:
    return create_administrator(actor=system, email="admin@cotedor.test", name="Ada", password=PASSWORD)


def code_of(one: NewAdministrator, later_s: int = 0) -> str:
    """Of their second factor now; each opens once."""
    from beffroi.core.identity import totp
    from beffroi.lib import clock

    return totp.code_at(one.totp_secret, clock.epoch() + later_s)


@pytest.fixture
def console(administrator: Actor) -> Iterator[Client]:
    """The console's pages, as an administrator has them open."""
    from tests.fixtures_portal import console_client, on_listener

    with on_listener("console"):
        yield console_client(administrator.id)


@pytest.fixture
def administrator(new_administrator: NewAdministrator) -> Actor:
    return Actor("administrator", new_administrator.record.id, None, "administrator")
