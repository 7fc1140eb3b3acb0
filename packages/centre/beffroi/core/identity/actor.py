"""Who acts. Every action takes one, keyword-only; the collectivité comes from the credential, never from a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from django.db.models import Model, QuerySet

ActorKind = Literal["person", "administrator", "box", "system", "door"]


@dataclass(frozen=True)
class Actor:
    """``collectivite_id`` is None for those who act for the whole département."""

    kind: ActorKind
    id: str
    collectivite_id: str | None = None
    role: str = ""

    @classmethod
    def system(cls, name: str) -> Actor:
        """A process or rule of the centre, by name."""
        return cls("system", name)

    @property
    def sees_all(self) -> bool:
        """True for the Département's administrators and the centre itself."""
        return self.kind in ("administrator", "system")

    def may_see(self, collectivite_id: str | None) -> bool:
        """Whether rows of this collectivité exist for the actor. Rows of nobody are for those who see all."""
        return self.sees_all or (collectivite_id is not None and collectivite_id == self.collectivite_id)

    def visible[M: Model, R](self, rows: QuerySet[M, R], field: str = "collectivite_id") -> QuerySet[M, R]:
        """As ``may_see``, of many: the rows that exist for the actor. ``field``: where they name their collectivité."""
        return rows if self.sees_all else rows.filter(**{field: self.collectivite_id or ""})

    def led[M: Model, R](self, rows: QuerySet[M, R]) -> QuerySet[M, R]:
        """As ``visible``, of what is a référent's to see in a collectivité: none for its other people."""
        return self.visible(rows) if self.sees_all or self.role == "referent" else rows.none()

    def departement[M: Model, R](self, rows: QuerySet[M, R]) -> QuerySet[M, R]:
        """All for those who see all; for everyone else there are none."""
        return rows if self.sees_all else rows.none()
