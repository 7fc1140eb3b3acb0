from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mail_domains', '0001_domains'),
    ]

    operations = [
        migrations.AddField(
            model_name='maildomain',
            name='declared_address',
            field=models.CharField(blank=True, default='', max_length=254),
        ),
        migrations.AddField(
            model_name='maildomain',
            name='declared_site',
            field=models.CharField(blank=True, default='', max_length=254),
        ),
    ]
