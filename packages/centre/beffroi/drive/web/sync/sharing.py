"""Shares as sync clients make and show them (OCS): with people, groups and roles of the collectivité.

Rule:    ``drive.sharing`` decides; here its words become those of the protocol. What clients cannot say (another
         collectivité, a link, an answer) is done in the portal, and the capabilities tell none of it.
Hostile: queries, forms and paths.
Source:  docs/internals/drive-sync.md; Nextcloud's developer manual, "OCS Share API", "Sharee API".
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

from beffroi.drive.people import People
from beffroi.drive.projections import Member
from beffroi.drive.sharing import Reached, Record, Sharing
from beffroi.drive.store import groups, names, shares
from beffroi.drive.store.model import AbsentNode
from beffroi.drive.store.names import content_type
from beffroi.drive.store.shares import NEVER, Share, Wish
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import Mount, Place
from beffroi.drive.web.dav.call import Call
from beffroi.drive.web.sync.share_fields import (
    DOWNLOADS,
    READ,
    UPDATE,
    WRITES,
    expires_s,
    is_true,
    most,
    refuse_more,
    rights,
)  # fmt: skip
from beffroi.lib.errors import BeffroiError, Invalid
from beffroi.lib.ids import is_id

API = "/apps/files_sharing/api/v1/"
USER, GROUP = 0, 1
_ELSEWHERE = ("3", "4", "6", "9")
"""Kinds of shares: a link, a mail, somebody or a group of another server."""
MOST_SHAREES = 50
ROLES: Mapping[str, str] = {
    "agent": "Tous les agents",
    "elu": "Tous les élus",
    "referent": "Les référents",
    "dpo": "Le délégué à la protection des données",
}
CAPABILITIES: dict[str, Any] = {
    "api_enabled": True,
    "resharing": False,
    "group_sharing": True,
    "default_permissions": READ,
    "public": {"enabled": False},
    "user": {"send_mail": False, "expire_date": {"enabled": True}},
    "group": {"enabled": True, "expire_date": {"enabled": True}},
    "federation": {"outgoing": False, "incoming": False},
    "sharebymail": {"enabled": False},
    "sharee": {"query_lookup_default": False, "always_show_unique": True},
}


class MadeInPortal(BeffroiError):
    """A link, or a share with another collectivité, is made in the portal."""

    code = "drive.share_in_portal"
    http_status = 403


class UnknownCall(BeffroiError):
    """This call is not known here."""

    code = "drive.unknown_call"
    http_status = 404


@dataclass(frozen=True)
class Shares:
    people: People
    record: Record

    async def answer(self, call: Call, path: str, fields: Mapping[str, str]) -> Any:
        """What the call gives. Errors: UnknownCall, those of ``drive.sharing``."""
        desk = _Desk(call, Sharing(call.home, call.act, self.record), self.people(call.who.collectivite_id))
        steps = path.removeprefix(API).split("/")
        match call.request.method, steps:
            case "GET", ["shares"]:
                return await asyncio.to_thread(desk.listed, fields)
            case "POST", ["shares"]:
                return await asyncio.to_thread(desk.made, fields)
            case "GET", ["shares", "pending"] | ["deletedshares"] | ["remote_shares"] | [
                "remote_shares",
                "pending",
            ]:
                return []
            case "GET", ["shares", "inherited"]:
                return await asyncio.to_thread(desk.inherited, fields)
            case "GET", ["shares", share]:
                return [await asyncio.to_thread(desk.one, share)]
            case "PUT", ["shares", share]:
                return await asyncio.to_thread(desk.changed, share, fields)
            case "DELETE", ["shares", share]:
                return await asyncio.to_thread(desk.ended, share)
            case "GET", ["sharees"]:
                return await asyncio.to_thread(desk.sharees, fields)
            case "GET", ["sharees_recommended"]:
                return _sharees(([], []), ([], []))
        raise UnknownCall


def number(share: Share) -> int:
    """Clients take the identifier for a number: Android ends where it has more than 31 bits, iOS takes 0 for none."""
    return int.from_bytes(blake2b(share.id.encode(), digest_size=8).digest()) % (2**31 - 1) + 1


@dataclass(frozen=True)
class _Desk:
    call: Call
    sharing: Sharing
    people: Sequence[Member]

    def listed(self, fields: Mapping[str, str]) -> list[dict[str, Any]]:
        view = self.call.home
        with view.database.reading() as reading:
            if is_true(fields, "shared_with_me"):
                mine = [one for one in view.mounts(reading) if one.owner == view.collectivite_id]
                if fields.get("path"):
                    mine = [one for one in mine if one.path == tuple(names.path(fields["path"]))]
                return [self._received(reading, one) for one in mine]
            found = [one for one in self._made(reading) if _is_said(one)]
            if "path" in fields:
                place = self._place(reading, fields["path"])
                if place is None:
                    return []
                if is_true(fields, "subfiles"):
                    inside = {one.node.id for one in view.children(reading, place)}
                    found = [one for one in found if one.node in inside]
                elif place.rights.may_share:
                    found = [one.share for one in self._reached(reading, place) if one.node == place.node]
                else:
                    found = [one for one in found if one.node == place.node.id]
            return self._all(reading, found)

    def inherited(self, fields: Mapping[str, str]) -> list[dict[str, Any]]:
        with self.call.home.database.reading() as reading:
            place = self._place(reading, fields.get("path", ""))
            if place is None or not place.rights.may_share:
                return []
            reached = self._reached(reading, place)
            return self._all(reading, [one.share for one in reached if one.node != place.node])

    def one(self, share: str) -> dict[str, Any]:
        with self.call.home.database.reading() as reading:
            found = self._find(reading, share)
            if isinstance(found, Mount):
                return self._received(reading, found)
            return self._item(reading, found)

    def made(self, fields: Mapping[str, str]) -> dict[str, Any]:
        with self.call.home.database.reading() as reading:
            place = self.call.home.place(reading, names.path(fields.get("path", "")))
        kind, target = self._target(fields)
        refuse_more(fields)
        wish = Wish(kind, target, rights(fields, READ, place.node), expires_s=expires_s(fields, NEVER))
        share = self.sharing.make(place.node.id, wish, lambda wished: True)
        with self.call.home.database.reading() as reading:
            return self._item(reading, share)

    def changed(self, share: str, fields: Mapping[str, str]) -> dict[str, Any]:
        with self.call.home.database.reading() as reading:
            found = self._find(reading, share)
            if isinstance(found, Mount):
                raise AbsentNode("share")  # a receiver changes nothing of it
            refuse_more(fields)
            node = self.call.home.at(reading, found.node).node
        before = READ | WRITES if found.rights == "write" else READ
        changed = self.sharing.change(
            found.id,
            rights=rights(fields, before, node),
            expires_s=expires_s(fields, found.expires_s),
        )
        with self.call.home.database.reading() as reading:
            return self._item(reading, changed)

    def ended(self, share: str) -> list[Any]:
        """By its maker it ends; a receiver leaves it."""
        with self.call.home.database.reading() as reading:
            found = self._find(reading, share)
        if isinstance(found, Mount):
            self.sharing.leave(found.share.id)
        else:
            self.sharing.end(found.id)
        return []

    def sharees(self, fields: Mapping[str, str]) -> dict[str, Any]:
        asked = fields.get("search", "").strip().casefold()
        others = [one for one in self.people if one.person_id != self.call.who.person_id]
        found = [one for one in others if asked in one.display_name.casefold() or asked in one.login]
        exact = [one for one in found if asked in (one.login, one.display_name.casefold())]
        rest = [one for one in found if one not in exact][: most(fields, MOST_SHAREES)]
        with self.call.home.database.reading() as reading:
            sets = [*groups.names(reading).items(), *ROLES.items()]
        named = [one for one in sets if asked in one[1].casefold() or asked == one[0]]
        same = [one for one in named if asked in (one[0], one[1].casefold())]
        others_named = [one for one in named if one not in same][: most(fields, MOST_SHAREES)]
        return _sharees((exact, same), (rest, others_named))

    # -- inside ----------------------------------------------------------------------------------------------

    def _place(self, reading: Reading, path: str) -> Place | None:
        """None in what another collectivité shares: nothing there is shared from here. Errors: AbsentNode."""
        found = names.path(path)
        there = self.call.home.towards(reading, found)
        return self.call.home.place(reading, found) if there is self.call.home else None

    def _made(self, reading: Reading) -> list[Share]:
        return shares.made_by(reading, self.call.who.person_id, now_s=self.call.act.now_s)

    def _reached(self, reading: Reading, place: Place) -> list[Reached]:
        return [one for one in self.sharing.reached(reading, place) if _is_said(one.share)]

    def _find(self, reading: Reading, text: str) -> Share | Mount:
        """One that this person may change, or one that they received. Errors: AbsentNode."""
        opened = shares.all_open(reading, now_s=self.call.act.now_s)
        found = [one for one in opened if str(number(one)) == text and _is_said(one)]
        if len(found) != 1:
            raise AbsentNode("share")  # two may have one number by chance: neither is taken for the other
        try:
            return self.sharing.access(reading, found[0].id)
        except AbsentNode:
            mounts = self.call.home.mounts_here(reading)
            mount = next((one for one in mounts if one.share.id == found[0].id), None)
            if mount is None:
                raise
            return mount

    def _all(self, reading: Reading, found: Iterable[Share]) -> list[dict[str, Any]]:
        out = []
        for one in found:
            try:
                out.append(self._item(reading, one))
            except AbsentNode:
                continue  # it lies in the trash
        return out

    def _item(self, reading: Reading, share: Share) -> dict[str, Any]:
        """Errors: AbsentNode."""
        return self._said(reading, share, self.call.home.at(reading, share.node))

    def _received(self, reading: Reading, mount: Mount) -> dict[str, Any]:
        return self._said(reading, mount.share, mount.place)

    def _said(self, reading: Reading, share: Share, place: Place) -> dict[str, Any]:
        node = place.node
        people = {one.person_id: one for one in self.people}
        maker = people.get(share.created_by)
        target = people.get(share.target) if share.kind == "person" else None
        permissions = READ if share.rights == "read" else 15 if node.is_folder else READ | UPDATE
        mine = share.created_by == self.call.who.person_id
        words = target.display_name if target else {**ROLES, **groups.names(reading)}.get(share.target, "")
        path = "/" + "/".join(place.path)
        return {
            "id": str(number(share)),
            "share_type": USER if share.kind == "person" else GROUP,
            "uid_owner": maker.login if maker else "",
            "displayname_owner": maker.display_name if maker else "",
            "permissions": permissions,
            "can_edit": mine,
            "can_delete": True,
            "stime": share.created_s,
            "parent": None,
            "expiration": None
            if share.expires_s == NEVER
            else datetime.fromtimestamp(share.expires_s, UTC).strftime("%Y-%m-%d 00:00:00"),
            "token": None,
            "uid_file_owner": maker.login if maker else "",
            "note": "",
            "label": "",
            "displayname_file_owner": maker.display_name if maker else "",
            "path": path,
            "item_type": "folder" if node.is_folder else "file",
            "item_permissions": permissions,
            "mimetype": "httpd/unix-directory" if node.is_folder else content_type(node.name),
            "has_preview": False,
            "storage_id": "home::" + self.call.who.login,
            "storage": 1,
            "item_source": node.id,
            "file_source": node.id,
            "file_parent": 0 if place.rights.is_mount else node.parent,
            "file_target": path,
            "item_size": node.size_bytes,
            "item_mtime": node.mtime_s,
            "share_with": target.login if target else share.target,
            "share_with_displayname": words,
            "share_with_displayname_unique": target.login if target else "",
            "status": [],
            "mail_send": 0,
            "hide_download": 0,
            "attributes": DOWNLOADS,
        }

    def _target(self, fields: Mapping[str, str]) -> tuple[shares.Kind, str]:
        """Errors: Invalid, MadeInPortal."""
        kind, target = fields.get("shareType", ""), fields.get("shareWith", "").strip()
        if kind == str(USER):
            for one in self.people:
                if one.login == target.lower():
                    return "person", one.person_id
        if kind == str(GROUP) and target in ROLES:
            return "role", target
        if kind == str(GROUP) and is_id(target, "grp"):
            return "group", target  # whether it is one of the collectivité, the share's own change knows
        if kind in _ELSEWHERE:
            raise MadeInPortal
        raise Invalid("with whom")


def _is_said(share: Share) -> bool:
    """Whether clients have words for it."""
    return share.kind not in ("link", "collectivite")


type _Found = tuple[Sequence[Member], Sequence[tuple[str, str]]]
"""People; groups and roles as (what a client sends back, words)."""


def _sharees(exact: _Found, others: _Found) -> dict[str, Any]:
    def user(one: Member) -> dict[str, Any]:
        return {
            "label": one.display_name,
            "shareWithDisplayNameUnique": one.login,
            "subline": "",
            "icon": "icon-user",
            "status": [],
            "value": {"shareType": USER, "shareWith": one.login},
        }

    def said(found: _Found) -> dict[str, Any]:
        people, sets = found
        return {
            "users": [user(one) for one in people],
            "groups": [
                {"label": words, "value": {"shareType": GROUP, "shareWith": name}} for name, words in sets
            ],
            **{kind: [] for kind in _KINDS_ELSEWHERE},
        }

    return {"exact": said(exact), **said(others), "lookupEnabled": False}


_KINDS_ELSEWHERE = ("remotes", "remote_groups", "emails", "circles", "rooms", "lookup")
