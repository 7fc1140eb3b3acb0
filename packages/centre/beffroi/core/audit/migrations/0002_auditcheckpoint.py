"""Signed checkpoints of the audit chain."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [
        migrations.CreateModel(
            name="AuditCheckpoint",
            fields=[
                ("position", models.BigIntegerField(primary_key=True, serialize=False)),
                ("hash", models.CharField(max_length=64)),
                ("count", models.BigIntegerField()),
                ("at", models.DateTimeField()),
                ("signature", models.CharField(max_length=100)),
            ],
            options={"db_table": "audit_checkpoint"},
        )
    ]
