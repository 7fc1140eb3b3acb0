import beffroi.lib.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('decisions', '0007_appeal_entry'),
    ]

    operations = [
        migrations.CreateModel(
            name='SharedAddress',
            fields=[
                ('address', models.CharField(max_length=45, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=255)),
                ('seen_at', models.DateTimeField(default=beffroi.lib.clock.now)),
            ],
            options={
                'db_table': 'shared_address',
            },
        ),
    ]
