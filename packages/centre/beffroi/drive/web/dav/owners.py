"""Whose a node is, as sync clients tell it: "shared with you by ...", and a sign beside what is another's.

Rule:    of what a colleague shares it is who shares it, by the names that shares are told by (``sync.sharing``); of the
         collectivité's folder and of what another collectivité shares it is a collectivité; all else is the person's.
Source:  docs/internals/drive-http.md, "Properties".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

from beffroi.drive.people import Named, People
from beffroi.drive.places import COMMON_NAME, Place
from beffroi.drive.store.writing import Reading
from beffroi.drive.views import View


class Owner(NamedTuple):
    """``id``: a login, or the identifier of a collectivité, which is nobody's login. ``name``: as it is shown."""

    id: str
    name: str


NOBODY = Owner("", "")
"""Who shares it belongs here no more."""


@dataclass(frozen=True)
class Owners:
    people: People
    named: Named

    def seen_by(self, view: View, reading: Reading) -> Callable[[Place], Owner]:
        """``reading``: of the view's metadata. People and shares are read once, where something is another's."""
        who = view.who
        own, common = Owner(who.login, who.display_name), Owner(who.collectivite_id, COMMON_NAME)

        @cache
        def other(collectivite_id: str) -> Owner:
            return Owner(collectivite_id, self.named(collectivite_id) or "Une autre collectivité")

        @cache
        def shared() -> Mapping[tuple[str, ...], Owner]:
            colleagues = {
                one.person_id: Owner(one.login, one.display_name) for one in self.people(who.collectivite_id)
            }
            return {
                one.path: colleagues.get(one.share.created_by, NOBODY) for one in view.mounts_here(reading)
            }

        def owner(place: Place) -> Owner:
            if place.owner != who.collectivite_id:
                return other(place.owner)
            if place.rights.is_shared:
                return shared().get(place.path[:2], NOBODY)
            return common if place.path[:1] == (COMMON_NAME,) else own

        return owner
