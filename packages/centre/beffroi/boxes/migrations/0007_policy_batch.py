from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("boxes", "0006_flow_value")]

    operations = [
        migrations.AddField(
            model_name="boxpolicy",
            name="batch",
            field=models.CharField(blank=True, default="", max_length=40),
        ),
    ]
