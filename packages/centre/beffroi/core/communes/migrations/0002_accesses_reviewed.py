from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('communes', '0001_initial'),
    ]

    operations = [
        migrations.AddField(
            model_name='collectivite',
            name='accesses_reviewed_at',
            field=models.DateTimeField(default=None, null=True),
        ),
    ]
