from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mail_sending', '0004_pools_of_addresses'),
    ]

    operations = [
        migrations.CreateModel(
            name='AnsweredSlot',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('mailbox_id', models.CharField(max_length=40)),
                ('at', models.DateTimeField(db_index=True)),
                ('answered', models.IntegerField(default=0)),
                ('unknown', models.IntegerField(default=0)),
            ],
            options={
                'db_table': 'mail_answered_slot',
                'constraints': [models.UniqueConstraint(fields=('mailbox_id', 'at'), name='mail_answered_slot_once')],
            },
        ),
    ]
