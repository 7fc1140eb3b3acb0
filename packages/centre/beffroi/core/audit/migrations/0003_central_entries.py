"""The Département's own entries, by what they say: few among all, and read in the journal of every commune."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_auditcheckpoint")]
    operations = [
        migrations.AddIndex(
            model_name="auditentry",
            index=models.Index(
                fields=["verb", "id"],
                condition=models.Q(collectivite_id=None),
                name="audit_entry_central",
            ),
        )
    ]
