"""The time step of a person's last one-time code, so that a code opens once whatever restarts in between."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("identity", "0002_cache_table")]
    operations = [
        migrations.AddField(
            model_name="person", name="totp_last_step", field=models.BigIntegerField(default=0)
        )
    ]
