from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('decisions', '0009_entry_use'),
    ]

    operations = [
        migrations.AddField(
            model_name='feedchannel',
            name='saved_version',
            field=models.BigIntegerField(db_default=0),
        ),
    ]
