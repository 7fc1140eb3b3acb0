"""Says something to the outbox, for processes without Django: one event, in a transaction of its own.

Process: drive, sentry, drive-keeper, filescan. Blocking.
Rule:    no name of a file and no content in a payload.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing

from beffroi.core.planes import outbox
from beffroi.core.planes.db import connect
from beffroi.lib.config import Config

type Tell = Callable[[str, str, Mapping[str, object]], object]
"""``tell`` with its settings: (kind of event, collectivité, payload). Errors: Unavailable."""


def tell(config: Config, kind: str, collectivite_id: str, payload: Mapping[str, object]) -> None:
    """Errors: Unavailable."""
    with closing(connect(config.database)) as database, database.transaction():
        outbox.publish(database, kind, dict(payload), run=config.run, collectivite_id=collectivite_id)
