from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('boxes', '0011_run'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='boxbypass', name='box_bypass_once'),
        migrations.AddField(
            model_name='boxbypass',
            name='machine',
            field=models.CharField(blank=True, default='', max_length=40),
        ),
        migrations.AddConstraint(
            model_name='boxbypass',
            constraint=models.UniqueConstraint(fields=('collectivite_id', 'kind', 'machine'), name='box_bypass_once'),
        ),
    ]
