"""What is never blocked again was left out of the lists before; now every door is told of it."""

import json
from typing import Any

from django.db import migrations


def say_again(apps: Any, _editor: Any) -> None:
    outbox = apps.get_model("events", "OutboxEvent")
    for row in apps.get_model("decisions", "NeverAgain").objects.filter(revoked_at=None).order_by("id"):
        until = int(row.until.timestamp()) if row.until else 0
        payload = {"never_again_id": row.id, "kind": row.kind, "value": row.value, "until": until}
        outbox.objects.create(kind="never_again:set", payload=json.dumps(payload, ensure_ascii=False))


class Migration(migrations.Migration):
    dependencies = [("decisions", "0005_list_growth"), ("events", "0001_initial")]
    operations = [migrations.RunPython(say_again, migrations.RunPython.noop)]
