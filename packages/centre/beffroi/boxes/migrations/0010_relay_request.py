import functools

from django.db import migrations, models

import beffroi.lib.clock
import beffroi.lib.ids


class Migration(migrations.Migration):

    dependencies = [
        ('boxes', '0009_relay'),
    ]

    operations = [
        migrations.CreateModel(
            name='RelayRequest',
            fields=[
                ('id', models.CharField(default=functools.partial(beffroi.lib.ids.new_id, *('rlr',), **{}), editable=False, max_length=40, primary_key=True, serialize=False)),
                ('collectivite_id', models.CharField(max_length=40)),
                ('sender', models.CharField(max_length=254)),
                ('purpose', models.CharField(max_length=300)),
                ('hour', models.IntegerField()),
                ('recipients', models.TextField(blank=True, default='')),
                ('state', models.CharField(choices=[('asked', 'Asked'), ('accepted', 'Accepted'), ('declined', 'Declined'), ('withdrawn', 'Withdrawn')], default='asked', max_length=16)),
                ('asked_by', models.CharField(max_length=80)),
                ('asked_at', models.DateTimeField(default=beffroi.lib.clock.now)),
                ('decided_by', models.CharField(blank=True, default='', max_length=80)),
                ('decided_at', models.DateTimeField(default=None, null=True)),
                ('reason', models.CharField(blank=True, default='', max_length=300)),
            ],
            options={
                'db_table': 'box_relay_request',
                'indexes': [models.Index(fields=['collectivite_id', '-asked_at'], name='box_relay_request_of')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('state', 'asked')), fields=('collectivite_id',), name='box_relay_request_once')],
            },
        ),
    ]
