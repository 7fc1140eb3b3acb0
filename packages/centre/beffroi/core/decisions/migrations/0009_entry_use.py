import beffroi.core.fields
import beffroi.lib.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('decisions', '0008_shared_address'),
    ]

    operations = [
        migrations.AddField(
            model_name='neveragain',
            name='pending',
            field=models.BooleanField(default=False),
        ),
        migrations.AddField(
            model_name='neveragain',
            name='communes',
            field=models.IntegerField(default=0),
        ),
        migrations.CreateModel(
            name='EntryUse',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=16)),
                ('value', models.CharField(max_length=2048)),
                ('collectivite_id', models.CharField(max_length=40)),
                ('regular_days', models.IntegerField(default=0)),
                ('refused_days', models.IntegerField(default=0)),
                ('refused_at', models.DateTimeField(default=None, null=True)),
                ('last_at', models.DateTimeField(default=beffroi.lib.clock.now)),
            ],
            options={
                'db_table': 'entry_use',
                'constraints': [models.UniqueConstraint(fields=('kind', 'value', 'collectivite_id'), name='entry_use_once')],
            },
        ),
    ]
