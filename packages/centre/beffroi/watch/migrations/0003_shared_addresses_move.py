from django.db import migrations


class Migration(migrations.Migration):
    """They are of ``core.decisions`` now; the worker finds them again within hours."""

    dependencies = [
        ('watch', '0002_shared_address'),
    ]

    operations = [
        migrations.DeleteModel(name='SharedAddress'),
    ]
