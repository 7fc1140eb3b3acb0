"""Which kinds of attached files each collectivité lets pass, from the routes' projection.

Process: mailgate; any thread.
Fails:   closed: without the file, or for a recipient whose collectivité is not known, nothing is let pass.
Source:  mail/projections.py (the writer).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from beffroi.mail.gate.projected import Projected, opened


class Policies:
    """Some rows, read again when the file has changed."""

    def __init__(self, path: Path) -> None:
        self._projected = Projected(path, "policies of attachments", _allowed)

    def allowed(self, communes: Iterable[str]) -> frozenset[str]:
        """What all of them let pass: one mail is one verdict, and the strictest of them holds it."""
        current = self._projected.current() or {}
        each = [current.get(one, frozenset()) for one in communes]
        return frozenset.intersection(*each) if each else frozenset()


def _allowed(path: Path) -> dict[str, frozenset[str]]:
    with opened(path) as routes:
        rows = routes.execute("SELECT collectivite_id, allowed FROM attachment_policy")
        return {commune: frozenset(text.split()) for commune, text in rows}
