from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('decisions', '0007_appeal_entry'),
    ]

    operations = [
        migrations.AddField(
            model_name='feedchannel',
            name='saved_version',
            field=models.BigIntegerField(db_default=0),
        ),
    ]
