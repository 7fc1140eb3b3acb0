"""The parts of mail that are applications of their own, each with its tables and migrations."""

from __future__ import annotations

from django.apps import AppConfig


class ImportingConfig(AppConfig):
    name = "beffroi.mail.importing"
    label = "mail_import"


class DomainsConfig(AppConfig):
    name = "beffroi.mail.domains"
    label = "mail_domains"


class ReportsConfig(AppConfig):
    name = "beffroi.mail.reports"
    label = "mail_reports"


class ProbeConfig(AppConfig):
    name = "beffroi.mail.probe"
    label = "mail_probe"


class SendingConfig(AppConfig):
    name = "beffroi.mail.sending"
    label = "mail_sending"


class PeopleConfig(AppConfig):
    name = "beffroi.mail.people"
    label = "mail_people"


class AliasesConfig(AppConfig):
    name = "beffroi.mail.aliases"
    label = "mail_aliases"


class FiltersConfig(AppConfig):
    name = "beffroi.mail.filters"
    label = "mail_filters"


class ScriptsConfig(AppConfig):
    name = "beffroi.mail.scripts"
    label = "mail_scripts"


class SafetyConfig(AppConfig):
    name = "beffroi.mail.safety"
    label = "mail_safety"


class BackupConfig(AppConfig):
    name = "beffroi.mail.backup"
    label = "mail_backup"


class ClosingConfig(AppConfig):
    name = "beffroi.mail.closing"
    label = "mail_closing"
