"""Whose a recipient or a sign-in is: domain -> collectivité, from the routes' projection.

Process: mailgate; any thread.
Fails:   closed: where nobody is known to own a domain, no local exception counts.
Source:  mail/projections.py (the writer).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from beffroi.mail.gate.projected import Projected, opened


class Owners:
    """Some hundred rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._projected = Projected(path, "owners of domains", _owners)
        self._owners: dict[str, str] = {}

    def of(self, addresses: Iterable[str]) -> frozenset[str]:
        """Return the collectivités of these mail addresses; empty when one address belongs to nobody here: an
        exception must not open what also goes elsewhere."""
        owners = self.current()
        found = {owners.get(address.lower().rpartition("@")[2], "") for address in addresses}
        return frozenset() if "" in found else frozenset(found)

    def known(self, addresses: Iterable[str]) -> frozenset[str]:
        """The collectivités among the owners of these addresses, whoever else gets the mail."""
        owners = self.current()
        return frozenset(owners.get(one.lower().rpartition("@")[2], "") for one in addresses) - {""}

    def current(self) -> dict[str, str]:
        """Domain -> collectivité; as it was last while it cannot be read. Not to be changed."""
        found = self._projected.current()
        if found is not None:
            self._owners = found
        return self._owners


def _owners(path: Path) -> dict[str, str]:
    with opened(path) as routes:
        return dict(routes.execute("SELECT domain, collectivite_id FROM owner"))
