"""The contents that an incident is about; those of before were about one each, which their subject named."""

import django.db.models.deletion
from django.db import migrations, models
from django.db.models import Max
from django.db.models.functions import Length


def of_subjects(apps, schema_editor):
    Incident, IncidentFile, IncidentEntry, Encounter = (
        apps.get_model("incidents", name) for name in ("Incident", "IncidentFile", "IncidentEntry", "Encounter")
    )
    entries = IncidentEntry.objects.filter(code="file_released").order_by()
    released = dict(entries.values_list("incident").annotate(Max("at")))
    over = Encounter.objects.filter(door="file", remediated=0)
    let_go = {(one.decision_id, one.collectivite_id): one.last_at for one in over.iterator()}
    found = Incident.objects.filter(kind="malicious_file").annotate(length=Length("subject")).filter(length=64)
    IncidentFile.objects.bulk_create(
        [
            IncidentFile(
                incident=one,
                collectivite_id=one.collectivite_id,
                sha256=one.subject,
                at=one.occurred_at,
                count=1,
                finding="" if one.decision_id else "malware",
                decision_id=one.decision_id,
                released_at=released.get(one.id),
                undone_at=one.closed_at
                if one.close_reason == "decision_undone"
                else let_go.get((one.decision_id, one.collectivite_id)),
            )
            for one in found.iterator()
        ],
        batch_size=500,
    )


class Migration(migrations.Migration):
    dependencies = [("incidents", "0008_data_lost")]

    operations = [
        migrations.CreateModel(
            name="IncidentFile",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("collectivite_id", models.CharField(max_length=40)),
                ("sha256", models.CharField(max_length=64)),
                ("at", models.DateTimeField()),
                ("count", models.BigIntegerField(default=0)),
                ("finding", models.CharField(blank=True, default="", max_length=20)),
                ("names", models.CharField(blank=True, default="", max_length=200)),
                ("released_at", models.DateTimeField(default=None, null=True)),
                ("decision_id", models.CharField(blank=True, db_index=True, default="", max_length=40)),
                ("undone_at", models.DateTimeField(default=None, null=True)),
                (
                    "incident",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="files",
                        to="incidents.incident",
                    ),
                ),
            ],
            options={
                "db_table": "incident_file",
                "indexes": [models.Index(fields=["collectivite_id", "sha256"], name="incident_file_of")],
                "constraints": [
                    models.UniqueConstraint(fields=("incident", "sha256"), name="incident_file_once")
                ],
            },
        ),
        migrations.RunPython(of_subjects, migrations.RunPython.noop),
    ]
