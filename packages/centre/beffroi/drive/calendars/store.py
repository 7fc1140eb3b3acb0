"""Radicale as a library: one application and one storage for each collectivité, with our own sign-in and rights.

Purpose: who signed in (``app``) is handed to Radicale as a login of its own making: the person's identifier, with the
         role in the place of a password; what they may do follows from path and role alone.
Process: calendars.
Hostile: bodies and names of items; Radicale parses XML by defusedxml, and vobject reads iCalendar and vCard.
Limits:  an item has ``MAX_ITEM_BYTES``, a rule ``MAX_OCCURRENCES``.
Fails:   closed: a request that no sign-in came before has no rights; a path that is nobody's has none.
Source:  radicale.rights, radicale.auth (their docstrings are the contract of plug-ins); docs/decisions/0068.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from radicale import config as radicale_config
from radicale.auth import AuthContext, BaseAuth
from radicale.rights import BaseRights
from radicale.storage import BaseStorage

from beffroi.drive.calendars import (
    components,
    effort,
    expanding,
    floating,
    homes,
    lenient,
    programs,
    single_dates,
    values,
    zones,
)
from beffroi.drive.calendars.counted import Storage
from beffroi.drive.calendars.programs import Application
from beffroi.drive.store.keys import KeysErased, is_erased
from beffroi.lib.config import Config

MAX_ITEM_BYTES = 2 * 1024 * 1024
MAX_OCCURRENCES = 10_000
type Grown = Callable[[str, str, int], object]
"""(collectivité, whose home, bytes more): ``Fullness.grown``."""
WHO_KEY = "beffroi.who"
"""Of the WSGI environment: (person, role). Nothing that comes over HTTP can set it."""


@dataclass(frozen=True)
class Store:
    """The calendars and address books of one collectivité."""

    application: Application
    storage: BaseStorage


class Auth(BaseAuth):
    """Takes over who signed in; asks nobody for a password."""

    def get_external_login(self, environ: Any) -> tuple[str, str]:
        person_id, role = environ[WHO_KEY]
        return person_id, role

    def _login_ext_with_groups(self, login: str, password: str, context: AuthContext) -> tuple[str, set[str]]:
        return login, {password}


class Rights(BaseRights):
    """R, W: folders; r, w: calendars and address books, and what is in them; d, o: not deleted, not replaced as a
    whole; l: its name and colour stay."""

    def __init__(self, *settings: Any) -> None:
        super().__init__(*settings)
        self._moving = threading.local()

    @contextmanager
    def moving(self, user_groups: set[str]) -> Iterator[None]:
        """Radicale asks what may be done where an entry is moved to as if whoever moves it had no role."""
        self._moving.groups = user_groups
        try:
            yield
        finally:
            del self._moving.groups

    def authorization(self, user: str, user_groups: set[str], path: str) -> str:
        parts = [part for part in path.split("/") if part]
        if not parts:
            return "R"
        if parts[0] != user or len(parts) > 2:
            return ""
        if len(parts) == 1:
            return "RW"
        if not homes.is_shared(parts[1]):
            return "rw"
        return shared_rights(user_groups or getattr(self._moving, "groups", set()))


def shared_rights(roles: set[str]) -> str:
    if roles.intersection(homes.WRITERS):
        return "rwdol"
    return "r" if roles.intersection(homes.READERS) else ""


class Stores:
    """Each made when it is first asked for, and kept: an application holds no file open."""

    def __init__(self, config: Config, grown: Grown) -> None:
        zones.install()
        floating.install()
        components.install()
        programs.install()
        effort.install()
        lenient.install()
        values.install()
        single_dates.install()
        expanding.install()
        self._config, self._grown = config, grown
        self._lock = threading.Lock()
        self._made: dict[str, Store] = {}

    def of(self, collectivite_id: str) -> Store:
        with self._lock:
            found = self._made.get(collectivite_id)
            if found is None:
                found = self._made[collectivite_id] = self._make(collectivite_id)
            return found

    def home(self, collectivite_id: str, person_id: str) -> Store:
        """The store in which this person has a home by now. Errors: OSError, KeysErased."""
        if is_erased(homes.folder(self._config, collectivite_id).parent):
            raise KeysErased(collectivite_id)
        found = self.of(collectivite_id)
        root = homes.folder(self._config, collectivite_id) / homes.ROOT
        place = root / person_id
        if not _is_furnished(place, homes.links(root)):
            with found.storage.acquire_lock("w", person_id):
                _furnish(found.storage, person_id)
                links = homes.links(root)
                for name in _links(place) - links.keys():
                    (place / name).unlink()
                for name in links.keys() - _links(place):
                    (place / name).symlink_to(links[name], target_is_directory=True)
                _sync(str(place))
        return found

    def _make(self, collectivite_id: str) -> Store:
        place = homes.folder(self._config, collectivite_id)
        # The drive's own folder of this collectivité.
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        place.mkdir(mode=0o700, exist_ok=True)
        settings = radicale_config.load()
        settings.update(
            {
                "server": {
                    "max_resource_size": str(MAX_ITEM_BYTES),
                    "max_vevent_rrule_occurrence": str(MAX_OCCURRENCES),
                    # app.py looks at names; Thunderbird and KDE call an entry by its UID, which has ":" in it.
                    "validate_path_value": "none",
                },
                "auth": {"type": Auth, "delay": "0"},
                "rights": {"type": Rights},
                "storage": {
                    "type": Storage,
                    "filesystem_folder": str(place),
                    "_filesystem_fsync": "True",
                    "strict_preconditions": "False",
                },
                "web": {"type": "none"},
                # What Radicale logs names items and quotes what it cannot read: content stays out of logs.
                "logging": {"level": "critical"},
            },
            "beffroi",
            privileged=True,
        )
        application = Application(settings)
        storage = application._storage
        assert isinstance(storage, Storage)
        storage.told = partial(self._grown, collectivite_id)
        return Store(application, storage)


def _is_furnished(place: Path, links: Mapping[str, str]) -> bool:
    """Links are the last things that are made of a new home, and nobody may delete them; rooms come and go. One's own
    calendar and address book may be deleted, by a phone: they are there again, empty."""
    own = all((place / one).is_dir() for one in (homes.AGENDA, homes.CONTACTS))
    return own and _links(place) == links.keys()


def _links(place: Path) -> set[str]:
    with os.scandir(place) as found:
        return {one.name for one in found if one.is_symlink()}


def _furnish(storage: BaseStorage, person_id: str) -> None:
    """Make what is missing of the shared collections and of a home, under the lock for writing."""
    for path, props in (
        (f"/{homes.SHARED_HOME}/", None),
        (f"/{homes.SHARED_HOME}/{homes.AGENDA}/", {"tag": "VCALENDAR", "D:displayname": "Mairie"}),
        (
            f"/{homes.SHARED_HOME}/{homes.CONTACTS}/",
            {"tag": "VADDRESSBOOK", "D:displayname": "Contacts de la mairie"},
        ),
        (f"/{person_id}/", None),
        (f"/{person_id}/{homes.AGENDA}/", {"tag": "VCALENDAR", "D:displayname": "Mon agenda"}),
        (f"/{person_id}/{homes.CONTACTS}/", {"tag": "VADDRESSBOOK", "D:displayname": "Mes contacts"}),
    ):
        if next(iter(storage.discover(path)), None) is None:
            storage.create_collection(path, props=props)


def _sync(place: str) -> None:
    descriptor = os.open(place, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
