"""The properties that WebDAV and sync clients ask for: one table, each with where it applies and what it says.

Rule:    a list of names becomes one template for each kind of node (``template``), so that a listing of a hundred
         thousand entries is one ``%`` an entry.
Source:  RFC 4918, section 15; RFC 4331 (quota); docs/internals/drive-http.md, "Properties".
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import formatdate
from functools import lru_cache
from hashlib import sha256
from typing import NamedTuple
from xml.sax.saxutils import escape

from beffroi.drive.store import tags
from beffroi.drive.store.favourites import Star
from beffroi.drive.store.locks import Lock
from beffroi.drive.store.model import NO_LIMIT
from beffroi.drive.store.names import content_type
from beffroi.drive.store.seals import Reach
from beffroi.drive.store.tags import Tag
from beffroi.drive.views import Place
from beffroi.drive.web.dav import xml
from beffroi.drive.web.dav.owners import NOBODY, Owner
from beffroi.drive.web.dav.xml import DAV, NC, OC, OCS, Name
from beffroi.drive.who import Who

UNLIMITED = -3
"""What sync clients take for "no limit"; explorers would read it as an enormous number, and are told nothing."""
MAX_DEAD_BYTES = 8 * 1024
"""Of one node. They are no part of a quota, and a listing holds those of all its entries."""
_LIVE_PHOTO = f"{{{NC}}}metadata-files-live-photo"


class Kind(NamedTuple):
    """What decides which properties a node has."""

    is_folder: bool
    is_root: bool
    has_sha1: bool
    hides_room: bool


class Shown(NamedTuple):
    """A node as it is answered for. ``locks``: those that reach it, with the href of what each was taken on.

    ``room``: (used, limit) in bytes of its root; ``seal``: how one reaches it; ``owner``: whose it is; all
    read only where they are asked for.
    """

    place: Place
    setting: Setting
    locks: Sequence[tuple[Lock, str]] = ()
    room: tuple[int, int] = (0, NO_LIMIT)
    seal: Reach = ""
    owner: Owner = NOBODY


@dataclass(frozen=True)
class Setting:
    """What is one for all nodes of an answer. ``home``: the person's collectivité; ``owner``: whose metadata answer.

    ``fingerprint``: changes when data come back from a backup, so that clients keep what is newer with them.
    ``is_desktop``: Nextcloud's program for computers asks.
    ``starred``: stars, ``shared``: kinds of shares by nodes, ``tagged``: inner XML of tags by nodes; all read only
    where they are asked for.
    """

    home: str
    owner: str
    fingerprint: str
    now_s: int
    is_for_explorers: bool = False
    is_desktop: bool = False
    starred: frozenset[Star] = frozenset()
    shared: Mapping[int, frozenset[str]] = field(default_factory=dict)
    tagged: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Property:
    """``value``: the inner XML. ``where``: which kinds have it. ``in_all``: part of an answer to ``allprop``."""

    value: Callable[[Shown], object]
    where: Callable[[Kind], bool] = field(default=lambda kind: True)
    in_all: bool = False


def etag(place: Place) -> str:
    """With its quotes; strong."""
    return f'"{place.etag:x}"'


@lru_cache(1024)
def instance(collectivite_id: str) -> str:
    """Part of all file identifiers of a collectivité: starts with a letter, as clients split it off."""
    return "bf" + sha256(collectivite_id.encode()).hexdigest()[:10]


def file_id(node_id: int, instance: str) -> str:
    return f"{node_id:08d}{instance}"


def number(place: Place, home: str) -> int:
    """``oc:fileid``: one for each node that a person sees, also of other collectivités, whose counters are theirs."""
    return place.node.id + shift(place.owner, home)


def shift(owner: str, home: str) -> int:
    """What is added to the numbers of another collectivité's nodes."""
    return 0 if owner == home else int(instance(owner)[2:7], 16) + 1 << 40


def permissions(place: Place, seal: Reach = "", *, is_desktop: bool = False) -> str:
    """Letters of sync clients: S somebody shares it, R share, G read, D delete, N rename, V move, W write, C and K make
    files and folders. To delete what is shared is to leave it. Never M (mounted): the desktop's window takes it for an
    external storage, which it leaves out until its person has found it in the settings.

    The desktop hears C and K of every folder, and is refused where nothing can be made: without them it deletes what
    came into the folder on the computer and was not sent before its person could only read there, before it was sealed,
    or before the share ended."""
    mount, shared = place.rights.is_mount, place.rights.is_shared
    write = place.rights.may_write and seal != "inside"
    if place.node.is_folder:
        inner = "CK" if write or is_desktop else ""
    else:
        inner = "W" if write else ""
    moved = "DN" if mount and shared else "DNV" if write and not mount and seal != "above" else ""
    given = "R" if write and place.rights.may_share else ""
    first = "S" if shared else given
    return f"{first}G{moved}{inner}"


def share_permissions(place: Place, seal: Reach) -> int:
    """What this person could give others, in the numbers of shares: 1 read, 2, 4 and 8 write, 16 share. Without 16, iOS
    lets nobody share."""
    letters = permissions(place, seal)
    write = "W" in letters or "C" in letters
    return 1 | (14 if write and place.node.is_folder else 2 if write else 0) | (16 if "R" in letters else 0)


@lru_cache(65_536)
def http_date(epoch_s: int) -> str:
    return formatdate(epoch_s, usegmt=True)


def iso_date(epoch_s: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s))


def _folder(kind: Kind) -> bool:
    return kind.is_folder


def _has_preview(shown: Shown) -> str:
    """Of own pictures and films: iOS shows no others among its media. Where there is no thumbnail, phones draw a sign
    (``sync.thumbnails``). The film of a live photo is shown with its picture."""
    node = shown.place.node
    if shown.place.owner != shown.setting.home or node.is_folder or not node.size_bytes:
        return "false"
    kind = content_type(node.name).partition("/")[0]
    return flag(kind == "image" or (kind == "video" and _LIVE_PHOTO not in node.properties))


def _file(kind: Kind) -> bool:
    return not kind.is_folder


def _quota_available(shown: Shown) -> int:
    used, limit = shown.room
    return UNLIMITED if limit == NO_LIMIT else max(0, limit - used)


def active_lock(lock: Lock, href: str, now_s: int) -> str:
    """``href``: of what it was taken on, quoted as ``Target.href`` does."""
    scope, depth = "shared" if lock.is_shared else "exclusive", "infinity" if lock.is_deep else "0"
    return (
        f"<d:activelock><d:locktype><d:write/></d:locktype><d:lockscope><d:{scope}/></d:lockscope>"
        f"<d:depth>{depth}</d:depth>{lock.owner}<d:timeout>Second-{max(0, lock.expires_s - now_s)}</d:timeout>"
        f"<d:locktoken><d:href>{escape(lock.token)}</d:href></d:locktoken>"
        f"<d:lockroot><d:href>{href}</d:href></d:lockroot></d:activelock>"
    )


_LOCK_ENTRIES = "".join(
    f"<d:lockentry><d:lockscope><d:{scope}/></d:lockscope><d:locktype><d:write/></d:locktype></d:lockentry>"
    for scope in ("exclusive", "shared")
)


def share_types(shown: Shown) -> str:
    """How the person's own things are shared; of what others share nothing is told."""
    kinds = shown.setting.shared.get(shown.place.node.id, frozenset())
    if shown.place.rights.is_shared:
        return ""
    types = sorted({_SHARE_TYPES[kind] for kind in kinds})
    return "".join(f"<oc:share-type>{one}</oc:share-type>" for one in types)


def flag(value: object) -> str:
    """As sync clients read it."""
    return "true" if value else "false"


def system_tags(who: Who, found: Sequence[Tag]) -> str:
    """As phones read it; the names need escaping, the values of attributes are ours."""
    return "".join(
        f'<nc:system-tag oc:id="{one.id}" oc:can-assign="{flag(tags.may_assign(who, one))}"'
        f' oc:user-assignable="{flag(one.is_assignable)}" oc:user-visible="{flag(one.is_visible)}">'
        f"{escape(one.name)}</nc:system-tag>"
        for one in found
    )


_SHARE_TYPES = {"person": 0, "group": 1, "role": 1, "link": 3, "collectivite": 6}
FAVOURITE: Name = (OC, "favorite")
OWNER_ID: Name = (OC, "owner-id")
OWNER_NAME: Name = (OC, "owner-display-name")
PERMISSIONS: Name = (OC, "permissions")
SHARE_PERMISSIONS: Name = (OCS, "share-permissions")
SHARE_TYPES: Name = (OC, "share-types")
TAGS: Name = (NC, "system-tags")
PROPERTIES: Mapping[Name, Property] = {
    (DAV, "resourcetype"): Property(
        lambda s: "<d:collection/>" if s.place.node.is_folder else "", in_all=True
    ),
    (DAV, "getlastmodified"): Property(lambda s: http_date(s.place.node.mtime_s), in_all=True),
    (DAV, "creationdate"): Property(lambda s: iso_date(s.place.node.created_s), in_all=True),
    (DAV, "getcontentlength"): Property(lambda s: s.place.node.size_bytes, _file, in_all=True),
    (DAV, "getcontenttype"): Property(lambda s: content_type(s.place.node.name), _file, in_all=True),
    (DAV, "getetag"): Property(lambda s: f"&quot;{s.place.etag:x}&quot;", in_all=True),
    (DAV, "displayname"): Property(
        lambda s: escape(s.place.path[-1]) if s.place.path else "Coffre", in_all=True
    ),
    (DAV, "supportedlock"): Property(lambda s: _LOCK_ENTRIES, in_all=True),
    (DAV, "lockdiscovery"): Property(
        lambda s: "".join(active_lock(one, href, s.setting.now_s) for one, href in s.locks), in_all=True
    ),
    (DAV, "quota-used-bytes"): Property(lambda s: s.room[0], _folder),
    (DAV, "quota-available-bytes"): Property(
        _quota_available, lambda kind: kind.is_folder and not kind.hides_room
    ),
    (OC, "id"): Property(lambda s: file_id(s.place.node.id, instance(s.place.owner))),
    (OC, "fileid"): Property(lambda s: number(s.place, s.setting.home)),
    OWNER_ID: Property(lambda s: escape(s.owner.id)),
    OWNER_NAME: Property(lambda s: escape(s.owner.name)),
    PERMISSIONS: Property(lambda s: permissions(s.place, s.seal, is_desktop=s.setting.is_desktop)),
    SHARE_PERMISSIONS: Property(lambda s: share_permissions(s.place, s.seal)),
    (OC, "size"): Property(lambda s: s.place.node.size_bytes),
    (OC, "checksums"): Property(
        lambda s: f"<oc:checksum>SHA1:{s.place.node.sha1}</oc:checksum>", lambda kind: kind.has_sha1
    ),
    (OC, "data-fingerprint"): Property(lambda s: escape(s.setting.fingerprint), lambda kind: kind.is_root),
    SHARE_TYPES: Property(share_types),
    FAVOURITE: Property(lambda s: int((s.place.owner, s.place.node.id) in s.setting.starred)),
    TAGS: Property(
        lambda s: s.setting.tagged.get(s.place.node.id, "") if s.place.owner == s.setting.owner else ""
    ),
    (NC, "is-encrypted"): Property(lambda s: 0, _folder),
    (NC, "has-preview"): Property(_has_preview),
    (NC, "is-mount-root"): Property(lambda s: flag(s.place.rights.is_mount and s.place.path)),
    (NC, "creation_time"): Property(lambda s: s.place.node.created_s),
    (NC, "upload_time"): Property(lambda s: s.place.node.created_s),
}
ALL = tuple(name for name, one in PROPERTIES.items() if one.in_all)
BY_OWNER, BY_SEAL = {OWNER_ID, OWNER_NAME}, {PERMISSIONS, SHARE_PERMISSIONS}
LOCKS, QUOTA = (DAV, "lockdiscovery"), {(DAV, "quota-used-bytes"), (DAV, "quota-available-bytes")}


class Template(NamedTuple):
    """``text``: XML with a ``%s`` for each of ``values``. ``absent``: names that such a node does not have."""

    text: str
    values: tuple[Callable[[Shown], object], ...]
    absent: tuple[Name, ...]


@lru_cache(64)
def template(names: tuple[Name, ...], kind: Kind) -> Template:
    text, values, absent = [], [], []
    for name in names:
        found = PROPERTIES.get(name)
        if found is None or not found.where(kind):
            absent.append(name)
            continue
        empty = xml.empty(name)
        tag = empty[1:-2]
        text.append(f"<{tag}>%s</{tag}>")
        values.append(found.value)
    return Template("".join(text), tuple(values), tuple(absent))


def kind_of(shown: Shown) -> Kind:
    node = shown.place.node
    hides_room = shown.setting.is_for_explorers and shown.room[1] == NO_LIMIT
    return Kind(bool(node.is_folder), not shown.place.path, bool(node.sha1), hides_room)


def dead(properties: str) -> dict[Name, str]:
    """The properties that clients set, as XML, by their names."""
    if not properties:
        return {}
    kept: dict[str, str] = json.loads(properties)
    return {_name(key): value for key, value in kept.items()}


def packed(properties: Mapping[Name, str]) -> str:
    """What ``dead`` reads."""
    if not properties:
        return ""
    return json.dumps({f"{{{space}}}{local}": value for (space, local), value in properties.items()})


def _name(key: str) -> Name:
    space, _, local = key[1:].rpartition("}")
    return space, local


def render(shown: Shown, names: tuple[Name, ...], *, is_all: bool = False) -> tuple[str, str]:
    """Of a node on which clients set some: (XML of the properties that it has, XML of the names that it has not)."""
    live = template(names, kind_of(shown))
    found = live.text % tuple([value(shown) for value in live.values])
    own = dead(shown.place.node.properties)
    if is_all:
        return found + "".join(value for name, value in own.items() if name not in PROPERTIES), ""
    found += "".join(own[name] for name in live.absent if name in own)
    return found, "".join(xml.empty(name) for name in live.absent if name not in own)


def all_names(shown: Shown) -> str:
    """For ``propname``."""
    kind = kind_of(shown)
    live = [name for name, one in PROPERTIES.items() if one.where(kind)]
    return "".join(map(xml.empty, [*live, *dead(shown.place.node.properties)]))
