import functools

from django.db import migrations, models

import beffroi.lib.clock
import beffroi.lib.ids


class Migration(migrations.Migration):

    dependencies = [
        ('boxes', '0012_machine'),
    ]

    operations = [
        migrations.CreateModel(
            name='OpeningRequest',
            fields=[
                ('id', models.CharField(default=functools.partial(beffroi.lib.ids.new_id, *('opr',), **{}), editable=False, max_length=40, primary_key=True, serialize=False)),
                ('collectivite_id', models.CharField(max_length=40)),
                ('machine', models.CharField(max_length=64)),
                ('protocol', models.CharField(max_length=8)),
                ('port', models.IntegerField()),
                ('sources', models.TextField()),
                ('purpose', models.CharField(max_length=300)),
                ('until', models.DateTimeField()),
                ('state', models.CharField(choices=[('asked', 'Asked'), ('accepted', 'Accepted'), ('declined', 'Declined'), ('withdrawn', 'Withdrawn'), ('ended', 'Ended')], default='asked', max_length=16)),
                ('asked_by', models.CharField(max_length=80)),
                ('asked_at', models.DateTimeField(default=beffroi.lib.clock.now)),
                ('decided_by', models.CharField(blank=True, default='', max_length=80)),
                ('decided_at', models.DateTimeField(default=None, null=True)),
                ('reason', models.CharField(blank=True, default='', max_length=300)),
                ('ended_by', models.CharField(blank=True, default='', max_length=80)),
                ('ended_at', models.DateTimeField(default=None, null=True)),
            ],
            options={
                'db_table': 'box_opening_request',
                'indexes': [models.Index(fields=['collectivite_id', '-asked_at'], name='box_opening_request_of'), models.Index(fields=['state', 'until'], name='box_opening_request_due')],
            },
        ),
    ]
