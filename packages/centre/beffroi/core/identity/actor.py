"""Who acts. Every action takes one, keyword-only; the collectivité comes from the credential, never from a request."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from beffroi.lib.errors import NotAllowed, NotFound

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

    @property
    def leads(self) -> str | None:
        """The collectivité whose référent this is; None for everybody else."""
        return self.collectivite_id if self.kind == "person" and self.role == "referent" else None

    def manages(self, collectivite_id: str) -> bool:
        """Whether they decide for a collectivité: its référent, and who sees all."""
        return self.sees_all or self.leads == collectivite_id

    def require_departement(self, what: str) -> None:
        """``what``: done for the whole département. Errors: NotAllowed."""
        if not self.sees_all:
            raise NotAllowed(what)

    def require_sees_all(self, what: str) -> None:
        """``what`` is not there for anybody else. Errors: NotFound, for absent and forbidden alike."""
        if not self.sees_all:
            raise NotFound(what)

    def require_administrator(self, what: str) -> None:
        """``what``: decided by a person of the Département, never by a rule. Errors: NotAllowed."""
        if self.kind != "administrator":
            raise NotAllowed(what)

    def may_see(self, collectivite_id: str | None) -> bool:
        """Whether rows of this collectivité exist for the actor. Rows of nobody are for those who see all."""
        return self.sees_all or (collectivite_id is not None and collectivite_id == self.collectivite_id)

    def require_sees(self, collectivite_id: str | None) -> None:
        """As ``may_see``. Errors: NotFound, for absent and forbidden alike."""
        if not self.may_see(collectivite_id):
            raise NotFound("collectivité")

    def visible[M: Model, R](self, rows: QuerySet[M, R], field: str = "collectivite_id") -> QuerySet[M, R]:
        """As ``may_see``, of many: the rows that exist for the actor. ``field``: where they name their collectivité."""
        return rows if self.sees_all else rows.filter(**{field: self.collectivite_id or ""})

    def led[M: Model, R](self, rows: QuerySet[M, R]) -> QuerySet[M, R]:
        """As ``visible``, of what is a référent's to see in a collectivité: none for its other people."""
        return rows if self.sees_all else rows.filter(collectivite_id=self.leads or "")

    def departement[M: Model, R](self, rows: QuerySet[M, R]) -> QuerySet[M, R]:
        """All for those who see all; for everyone else there are none."""
        return rows if self.sees_all else rows.none()
