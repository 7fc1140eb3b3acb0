"""`./beffroi` itself: every verb of its help is one that it hands over, and what is named is the caller's."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.waiting import PATIENCE_S

COMMAND = Path(__file__).parents[2] / "beffroi"
WITHOUT_INSTALLING = (
    set(re.findall(r"^#   \./beffroi ([a-z]+)", COMMAND.read_text("utf-8"), re.MULTILINE)) | {"stop", "code"}
) - {"up", "test", "lab", "bench", "box"}


def said(place: Path, *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (COMMAND, *words),
        cwd=place,
        env={name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=False,
    )


@pytest.mark.parametrize("verb", sorted(WITHOUT_INSTALLING))
def test_a_verb_of_the_help_is_handed_over(verb: str, tmp_path: Path) -> None:
    if verb == "remove" and os.geteuid() != 0:
        pytest.skip("is for root")
    one = said(tmp_path, verb, "--help")
    assert one.returncode == 0, one.stderr
    assert one.stdout.startswith(f"usage: beffroi {verb}")


def test_a_relative_directory_is_the_callers(tmp_path: Path) -> None:
    one = said(tmp_path, "status", "--state", "here")
    assert f"{tmp_path / 'here'} holds no centre yet." in one.stderr


def test_sources_without_a_word_is_asked_for_one_and_no_process(tmp_path: Path) -> None:
    one = said(tmp_path, "sources")
    assert one.returncode == 2 and one.stderr.startswith("usage: beffroi sources"), one.stderr


COPIES = """
source <(sed '/^verb=/,$d' "$0")
here=$1 opt=$2 home=$2/src
copy_home
"""


@pytest.mark.parametrize("cut_before_environment", [True, False])
def test_a_copy_of_the_code_that_was_cut_off_leaves_no_former_file_and_keeps_the_environment(
    tmp_path: Path, cut_before_environment: bool
) -> None:
    here, opt = tmp_path / "checkout", tmp_path / "opt"
    for path, text in (
        (here / "packages/a.py", "now"),
        (opt / "src/packages/a.py", "before"),
        (opt / "src.new/packages/a.py", "cut"),
        (opt / "src.new/packages/gone.py", "cut"),
        (opt / ("src" if cut_before_environment else "src.new") / ".venv/stamp", "kept"),
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    argv = ("bash", "-c", COPIES, COMMAND, here, opt)
    done = subprocess.run(argv, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = {str(one.relative_to(opt)): one.read_text() for one in opt.rglob("*") if one.is_file()}
    assert found == {"src/packages/a.py": "now", "src/.venv/stamp": "kept"}


@pytest.mark.parametrize(
    "words",
    [
        ("database", "backup", "list"),
        ("database", "restore", "--yes"),
        ("status",),
        ("status", "--accounts"),
        ("stop",),
        ("code", "a@b.fr"),
        ("audit", "verify"),
        ("audit", "prune", "--by-term", "--yes"),
        ("check", "backup"),
        ("lists", "show"),
        ("decision", "show", "dec_1"),
        ("keys", "status"),
        ("keys", "new"),
        ("keys", "install", "/etc/hosts"),
        ("box", "release", "show"),
        ("retention", "run"),
        ("events", "show"),
        ("administrator", "list"),
        ("person", "export", "a@b.fr", "x.json"),
        ("commune", "export", "x", "x", "--reason", "x", "--by", "x"),
        ("mail", "backup", "now"),
        ("mail", "restore", "a@b.fr"),
        ("mail", "unscanned", "show"),
        ("drive", "quota"),
        ("drive", "backup", "now"),
        ("scan", "--rules"),
        ("sources", "show"),
    ],
    ids=" ".join,
)
def test_a_directory_without_a_centre_is_said_and_nothing_is_made_there(
    words: tuple[str, ...], tmp_path: Path
) -> None:
    one = said(tmp_path, *words, "--state", tmp_path / "autre")
    assert one.returncode == 1 and one.stdout == ""
    assert one.stderr.startswith(f"beffroi: {tmp_path}/autre holds no centre yet. Next: ")
    assert not (tmp_path / "autre").exists()


@pytest.mark.root
@pytest.mark.parametrize(
    "words",
    [
        ("keys", "status"),
        ("keys", "new"),
        ("database", "backup", "now"),
        ("retention", "show"),
        ("person", "export", "a@b.fr", "x.json"),
    ],
    ids=" ".join,
)
def test_who_may_not_read_a_centre_is_told_how_to_be_allowed(words: tuple[str, ...], tmp_path: Path) -> None:
    state = tmp_path / "centre"
    for name in ("secrets", "db"):
        (state / name).mkdir(parents=True, mode=0o700)
    (state / "beffroi.toml").write_text('user = "nobody"\n')
    (state / "db" / "beffroi.sqlite").touch()
    state.chmod(0o755)
    tmp_path.chmod(0o777)
    for above in tmp_path.parents:
        if above.is_relative_to("/tmp") and above != Path("/tmp"):
            above.chmod(0o755)
    one = subprocess.run(
        (sys.executable, "-P", "-m", "beffroi.cli", *words, "--state", state),
        user=65534,
        group=65534,
        extra_groups=(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert one.returncode == 1 and "Traceback" not in one.stderr
    assert f"Next: sudo ./beffroi {words[0]}" in one.stderr
    assert f"--state {state}" in one.stderr, "else the next command speaks of another centre"
    assert not (tmp_path / "x.json").exists()
