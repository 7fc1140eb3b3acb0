"""The cache table of the rate limits (settings.CACHES), made here so that ``migrate`` is the only step."""

from django.core.management import call_command
from django.db import migrations


def create(apps, schema_editor):
    call_command("createcachetable", database=schema_editor.connection.alias, verbosity=0)


class Migration(migrations.Migration):
    dependencies = [("identity", "0001_initial")]
    operations = [migrations.RunPython(create, migrations.RunPython.noop)]
