from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = (("decisions", "0010_saved_version"),)
    operations = (
        migrations.AddIndex(
            model_name="decision", index=models.Index(fields=["value"], name="decision_value")
        ),
    )
