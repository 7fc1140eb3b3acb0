"""The tables that the stream process reads and writes, made by Django from the models themselves.

Purpose: the simulation runs the real SQL on the real columns, in memory, without 60 migrations a run.
Output:  the bytes of an empty SQLite database; made once a process tree (half a second), copied for each run.
"""

from __future__ import annotations

import os
import sqlite3
import tempfile
from functools import lru_cache
from pathlib import Path

_TABLES = frozenset(
    (
        "outbox", "inbox_fact", "decision", "local_exception", "never_again", "indicator_list", "feed_batch",
        "feed_channel", "publish_cursor", "audit_seal", "box", "box_ack", "box_policy", "box_told", "box_run",
        "collectivite",
    )
)  # fmt: skip


@lru_cache(maxsize=1)
def empty_database() -> bytes:
    from django.conf import settings

    if not settings.configured:
        with tempfile.TemporaryDirectory(prefix="bfsim-") as place:
            _set_up(Path(place))
    from django.apps import apps
    from django.db import connection

    # As text: the editor itself would open the configured database.
    editor = connection.SchemaEditorClass(connection, collect_sql=True, atomic=False)
    editor.deferred_sql = []
    for model in apps.get_models():
        if model._meta.db_table in _TABLES:
            editor.create_model(model)
    memory = sqlite3.connect(":memory:")
    memory.executescript(";\n".join(map(str, (*editor.collected_sql, *editor.deferred_sql))))
    data = memory.serialize()
    memory.close()
    return data


def _set_up(state: Path) -> None:
    """Django's settings read secrets from the state directory; outside of pytest there is none."""
    import django

    (state / "secrets").mkdir()
    for name in ("django.key", "door.token", "live.key", "commune-master.key"):
        (state / "secrets" / name).write_text("0" * 64)
    (state / "beffroi.toml").write_text("")
    os.environ["BEFFROI_STATE"] = str(state)
    os.environ["DJANGO_SETTINGS_MODULE"] = "beffroi.settings.web"
    django.setup()
