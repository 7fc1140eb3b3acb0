import beffroi.lib.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sources', '0003_sourcetrial'),
    ]

    operations = [
        migrations.AddField(
            model_name='sourcetrial',
            name='tried_s',
            field=models.FloatField(default=0.0),
        ),
        migrations.AddField(
            model_name='sourcetrial',
            name='looked_at',
            field=models.DateTimeField(default=beffroi.lib.clock.now),
        ),
    ]
