import beffroi.lib.clock
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sources', '0002_feedsource_threat'),
    ]

    operations = [
        migrations.CreateModel(
            name='SourceTrial',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=16)),
                ('state', models.CharField(choices=[('observing', 'Observing'), ('review', 'Review'), ('refused', 'Refused'), ('passed', 'Passed')], default='observing', max_length=16)),
                ('since', models.DateTimeField(default=beffroi.lib.clock.now)),
                ('count', models.IntegerField(default=0)),
                ('used', models.IntegerField(default=0)),
                ('answered_at', models.DateTimeField(default=None, null=True)),
                ('answered_by', models.CharField(blank=True, default='', max_length=80)),
                ('why', models.CharField(blank=True, default='', max_length=300)),
                ('source', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='trials', to='sources.feedsource')),
            ],
            options={
                'db_table': 'feed_source_trial',
                'constraints': [models.UniqueConstraint(fields=('source', 'kind'), name='feed_source_trial_once')],
            },
        ),
    ]
