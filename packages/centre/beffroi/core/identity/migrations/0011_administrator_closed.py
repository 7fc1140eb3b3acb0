"""Since when an administrator's account is closed, and when its name was erased."""

from django.db import migrations, models

from beffroi.lib import clock


def begin_the_term(apps, schema_editor):
    """When those of before were closed is not known: their term begins now."""
    rows = apps.get_model("identity", "Administrator").objects.filter(is_active=False)
    rows.update(closed_at=clock.now())


class Migration(migrations.Migration):
    dependencies = [("identity", "0010_login_flow")]
    operations = [
        migrations.AddField(
            model_name="administrator",
            name="closed_at",
            field=models.DateTimeField(default=None, null=True),
        ),
        migrations.AddField(
            model_name="administrator",
            name="erased_at",
            field=models.DateTimeField(default=None, null=True),
        ),
        migrations.RunPython(begin_the_term, migrations.RunPython.noop),
    ]
