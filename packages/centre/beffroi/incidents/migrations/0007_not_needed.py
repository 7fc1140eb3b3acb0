"""Why a date of the law did not have to be kept."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("incidents", "0006_malicious_file")]
    operations = [
        migrations.AddField(
            model_name="incidenttask",
            name="why",
            field=models.CharField(blank=True, default="", max_length=500),
        )
    ]
