"""What may be wrong with what a person set."""

from __future__ import annotations

from beffroi.lib.errors import BeffroiError, Conflict, Invalid


class SettingRefused(Invalid):
    """The field {} of this mailbox's settings cannot be used: {}"""

    code = "mail.setting_refused"

    def __init__(self, field_name: str, why: str) -> None:
        super().__init__(field_name, why)
        self.field_name = field_name
        self.why = why


class TooManyFilters(Conflict):
    """This mailbox has {} filters already."""

    code = "mail.too_many_filters"


class ScriptRefused(BeffroiError):
    """The script of the mailbox {} does not compile"""

    code = "mail.script_refused"
