from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('watch', '0003_shared_addresses_move'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='campaignindicator',
            index=models.Index(fields=['resolved_from'], name='watch_indicator_led_from'),
        ),
    ]
