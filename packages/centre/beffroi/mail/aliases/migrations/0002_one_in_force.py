from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('mail_aliases', '0001_initial'),
    ]

    operations = [
        migrations.AlterField(
            model_name='alias',
            name='address',
            field=models.CharField(db_index=True, max_length=254),
        ),
        migrations.AddConstraint(
            model_name='alias',
            constraint=models.UniqueConstraint(condition=models.Q(('ended_at', None)), fields=('address',), name='mail_alias_current'),
        ),
    ]
