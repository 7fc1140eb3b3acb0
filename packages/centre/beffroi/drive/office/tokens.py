"""Who an editor acts for: the portal's grant for one file, as the editor shows it with each request.

Rule:    bound to person, collectivité, role, file, the share that leads to it where it is another collectivité's, and
         whether it may be written; by the same key and form as the grants of a browser
         (docs/decisions/0074-bytes-by-grant.md), whose paths it does not open, nor they its. It lives no longer than
         the session that asked for it.
         A file's name at the editor holds its collectivité: an editor takes two requests of one name for one document,
         and lets those people write in it together.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from beffroi.core.planes.sessions import Session, opened
from beffroi.core.planes.tokens import Grant, GrantRefused, make_grant, read_grant
from beffroi.drive import browsers
from beffroi.drive.who import ROLES, Role, Who

FILES = "/wopi/files"
TTL_S = 8 * 3600
"""A working day: an editor cannot ask for another one, and what was written since the last save would be lost. Whether
person and session are still what they were is asked at each request besides."""
_NAME = re.compile(r"(col_[0-9a-z]{1,40})-([0-9]{1,18})", re.ASCII)


def device_of(grant: Grant) -> str:
    """What somebody writes in the editor on a day is of one device: judged, and stopped, as their other ones. One that
    was stopped stays so, and the tokens of another day are of another device."""
    return browsers.device_of("office", grant.subject_id, grant.expires_at)


class File(NamedTuple):
    """What an editor calls a file. ``collectivite_id``: its owner."""

    collectivite_id: str
    node_id: int

    @property
    def path(self) -> str:
        return f"{FILES}/{self.collectivite_id}-{self.node_id}"


def file_of(name: str) -> File:
    """Errors: GrantRefused."""
    found = _NAME.fullmatch(name)
    if found is None:
        raise GrantRefused
    return File(found[1], int(found[2]))


class Holder(NamedTuple):
    """Whom a token names."""

    person_id: str
    collectivite_id: str
    role: Role
    session: Session


def holder(key: bytes, grant: Grant) -> Holder:
    """Errors: GrantRefused."""
    role, collectivite_id = ROLES.get(grant.role), grant.collectivite_id
    if role is None or collectivite_id is None:
        raise GrantRefused
    return Holder(grant.subject_id, collectivite_id, role, opened(key, grant.session))


def make(
    key: bytes,
    who: Who,
    file: File,
    *,
    may_write: bool,
    session: str,
    share_id: str = "",
    ttl_s: int = TTL_S,
) -> str:
    """``session``: sealed. ``share_id``: of a file of another collectivité."""
    return make_grant(
        key,
        subject_id=who.person_id,
        collectivite_id=who.collectivite_id,
        paths=(file.path, f"{file.path}/contents") if may_write else (file.path,),
        ttl_s=ttl_s,
        role=who.role,
        share_id=share_id,
        session=session,
    )


def read(key: bytes, text: str, file: File) -> Grant:
    """Errors: GrantRefused."""
    grant = read_grant(key, text, path=file.path)
    if not grant.share_id and grant.collectivite_id != file.collectivite_id:
        raise GrantRefused
    return grant


def may_write(grant: Grant, file: File) -> bool:
    return f"{file.path}/contents" in grant.paths
