"""Archives are brought into a mailbox of the real Dovecot."""

from __future__ import annotations

import io
import subprocess
import sys
import zipfile
from pathlib import Path

from beffroi.mail.importing import bringing, queries
from beffroi.mail.importing.models import ImportJob

from tests import old_provider
from tests.conftest import Commune
from tests.fixtures_import import State, office, provider, running_provider
from tests.mail_post import Post, needs_engines

__all__ = ["office", "provider", "running_provider"]
pytest_plugins = ["tests.fixtures_mail"]
pytestmark = needs_engines


def test_an_archive_is_brought_by_the_command_line_once(
    office: Post, beaune: Commune, tmp_path: Path
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    file = tmp_path / "vieux.mbox"
    file.write_bytes(
        b"".join(
            b"From x Tue Jan  1 10:00:00 2019\n" + old_provider.generated("x", number) + b"\n"
            for number in range(250)
        )
    )
    argv = (sys.executable, "-m", "beffroi.cli", "mail", "import", box.address, str(file))
    argv += ("--folder", "Vieux/2019", "--state", str(office.config.state))
    told = [subprocess.run(argv, capture_output=True, text=True, check=True).stdout for _ in range(2)]
    assert "250 mails copied, 0 were there already, 0 could not" in told[0]
    assert "0 mails copied, 250 were there already" in told[1]
    assert office.count(box, "Vieux/2019") == 250
    assert set(ImportJob.objects.values_list("state", "username")) == {(State.DONE, "vieux.mbox")}
    other = subprocess.run(
        (*argv[:5], "nobody@beaune.test", *argv[6:]), capture_output=True, text=True, check=False
    )
    assert other.returncode == 1 and "No open mailbox" in other.stderr


def test_a_folder_that_was_only_above_another_one_takes_mails_too(office: Post, beaune: Commune) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for number, folder in enumerate(("A/B", "A", "")):
            made.writestr(f"{folder}/{number}.eml", old_provider.generated("x", number))
    file.seek(0)
    bringing.bring(mailbox=box, file=file, name="vieux.zip", folder="Reprise", account="root")
    assert [office.count(box, one) for one in ("Reprise", "Reprise/A", "Reprise/A/B")] == [1, 1, 1]


def test_files_of_an_archive_that_are_no_mails_are_counted_and_some_are_named(
    office: Post, beaune: Commune
) -> None:
    box = office.mailbox(beaune, beaune.agent, "agent")
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        made.writestr("1.eml", old_provider.generated("x", 1))
        for number in range(12):
            made.writestr(f"{number}\x1b[2J.pst", b"!BDN")
    file.seek(0)
    job = bringing.bring(mailbox=box, file=file, name="vieux.zip", folder="Reprise", account="root")
    told = queries.progress(job)
    assert (job.state, told.copied, told.failed) == (State.DONE, 1, 0)
    assert job.passed_over == 12
    assert job.passed_names.splitlines() == [f"{number}\ufffd[2J.pst" for number in range(bringing.NAMES)]
