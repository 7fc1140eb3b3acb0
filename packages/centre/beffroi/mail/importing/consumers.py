"""What the process ``import`` does: an import that a person began or resumed is taken up at once, others when due.

Process: import (its own: an old provider that is slow keeps nobody else waiting).
"""

from __future__ import annotations

from beffroi.core.events import Event, consumer, periodic
from beffroi.mail.importing import actions, children

GROUP = "import"


@consumer(name="mail.import", kinds=(actions.CHANGED,), group=GROUP, atomic=False)
def follow(event: Event) -> None:
    children.step()


@periodic("mail.import", every_s=1.0, group=GROUP)
def tick() -> None:
    children.step()
