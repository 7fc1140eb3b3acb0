"""Who stands behind a request to the drive, as the credential says it; nothing of it comes from the request."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

Role = Literal["agent", "elu", "referent", "dpo"]
ROLES: dict[str, Role] = {role: role for role in get_args(Role)}
WRITERS = ("agent", "referent")
"""Roles that write where a collectivité as a whole may: in its own folder, and in what another one shares with it."""


@dataclass(frozen=True)
class Who:
    """``login``: what clients use as the name of the user in paths. ``app_password_id``: the device, "" for the
    portal's grant."""

    person_id: str
    membership_id: str
    collectivite_id: str
    role: Role
    login: str
    display_name: str
    app_password_id: str


type Standing = Callable[[str, str], Sequence[Who]]
"""What a person is in a collectivité now (``standing``); blocking. Errors: Unavailable."""


class SignIn(Protocol):
    def check(self, login: str, password: str, *, address: str) -> Who | None:
        """None for everything that is no living app password of this person for files. ``address``: the client's."""

    def holder(self, app_password_id: str) -> Who | None:
        """None for one that does not live any more."""
