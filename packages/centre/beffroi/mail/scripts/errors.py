"""What may be wrong with a script."""

from __future__ import annotations

from beffroi.lib.errors import Conflict, Invalid


class ScriptInvalid(Invalid):
    """This script is not taken: {}"""

    code = "mail.script_invalid"

    def __init__(self, why: str, said: str = "") -> None:
        """``why``: a code (scripts.words); ``said``: the engine's own lines, of which a few go to the person."""
        super().__init__(why)
        self.why = why
        self.said = said


class ScriptActive(Conflict):
    """This script is in force; choose another, or none, before it is deleted."""

    code = "mail.script_active"


class ScriptNameTaken(Conflict):
    """This mailbox has a script of that name already."""

    code = "mail.script_name_taken"


class ScriptsFull(Conflict):
    """This mailbox has {} scripts already."""

    code = "mail.scripts_full"


class AccountHeld(Conflict):
    """This account is held as a precaution; its scripts cannot be changed until it is given back."""

    code = "mail.script_account_held"
