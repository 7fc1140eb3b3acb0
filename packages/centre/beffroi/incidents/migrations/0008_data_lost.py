from django.db import migrations, models

KINDS = (
    "command_server",
    "lure_visited",
    "link_clicked",
    "password_typed",
    "foreign_sign_in",
    "trap_touched",
    "leak",
    "suspect_machine",
    "listed_met",
    "malicious_file",
    "data_lost",
)


class Migration(migrations.Migration):
    dependencies = [("incidents", "0007_not_needed")]

    operations = [
        migrations.AlterField(
            model_name="incident",
            name="kind",
            field=models.CharField(choices=[(kind, kind) for kind in KINDS], max_length=32),
        ),
    ]
