"""`check backup`: whether the Coffre would come back from its backups if this machine were lost now.

Process: the person's own; root becomes the Python user first. Reads the place of backups; changes nothing there.
Output:  a line for each thing, then what is wrong with the next step. Status 0 when nothing is, else 1.
"""

from __future__ import annotations

from beffroi.cli.entering import enter_centre
from beffroi.cli.mail_backup import local
from beffroi.drive.backup import drills, vault, work
from beffroi.drive.backup.drills import Drill
from beffroi.drive.backup.places import Place, open_place
from beffroi.drive.backup.vault import Vault
from beffroi.drive.store.commune import opened
from beffroi.drive.store.keys import Keys, KeysMissing
from beffroi.lib import clock
from beffroi.lib.config import Config
from beffroi.lib.errors import BeffroiError
from beffroi.lib.gigabytes import GB


def main(config: Config) -> int:
    """Errors: SettingInvalid, UserMissing."""
    enter_centre(config)
    place = open_place(config)
    print(f"Backups of the Coffre lie in {place}.")
    with opened(config) as communes:
        owners = communes.ids()
    for owner, one in sorted(drills.read(config).items()):
        print(f"{local(one.at_s)}  {owner}  drill: {_drilled(one)}")
    wrong = [
        one
        for one in (work.problem(config, now_s=clock.epoch_s()), drills.problem(config), work.advice(config))
        if one
    ]
    for owner in owners:
        try:
            said = _said(place, Vault(place, Keys(config, owner)))
        except KeysMissing:
            continue  # calendars alone: nothing is sealed yet
        except BeffroiError as error:
            said = f"{error}"
        if said:
            wrong.append(f"{owner}: {said}")
    print("\n".join(wrong) or f"{len(owners)} collectivités would come back.")
    if wrong:
        print("What to do: docs/runbooks/restore-drive.md")
    return 1 if wrong else 0


def _drilled(one: Drill) -> str:
    if one.code:
        return f"broke off ({one.code})"
    return (
        f"of the backup of {local(one.picture_s)} {one.files} files, {one.size_bytes / GB:.2f} GB read in"
        f" {one.took_s} s, {one.lost} pieces lacking"
    )


def _said(place: Place, found: Vault) -> str:
    """ "" where all that was backed up is whole. Errors: those of the keys, StoreUnavailable."""
    made = found.pictures()
    if not made or place.read(vault.keys_path(found.owner)) is None:
        return "nothing of it is backed up. Next: ./beffroi drive backup now"
    print(f"{local(made[-1].at_s)}  {found.owner}")
    broken = found.broken({one.name for one in place.objects.list(found.owner)})
    return f"these moments cannot come back: {', '.join(broken)}" if broken else ""
