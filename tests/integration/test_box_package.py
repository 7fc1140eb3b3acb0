"""The Debian package of the boîtier, built by the project's command and installed above this machine's own Debian."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.machine import Machine, build, changed

ROOT = Path(__file__).parents[2]
UNITS = ROOT / "deploy" / "deb" / "units"
MOST_EXPOSED = {
    "beffroi-box.service": 4.0,
    "beffroi-box-network.service": 4.0,
    "beffroi-box-boot.service": 3.0,
    "beffroi-box-inspect.service": 2.2,
}
"""Of systemd's 0 (safe) to 10: the three that write to the kernel, as root, and the one that copies a socket of its
child (pidfd_getfd); any other unit stays under 2."""


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("deb"))


def field(package: Path, name: str) -> str:
    argv = ["dpkg-deb", "--field", str(package), name]
    return subprocess.run(argv, capture_output=True, text=True, check=True).stdout.strip()


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Machine]:
    with Machine(tmp_path / "machine") as one:
        yield one


def test_the_same_input_gives_the_same_bytes(package: Path, tmp_path: Path) -> None:
    assert build(tmp_path).read_bytes() == package.read_bytes()


def test_the_package_asks_for_debian_packages_and_nothing_else(package: Path) -> None:
    names = {part.split()[0] for part in field(package, "Depends").split(",")}
    assert names >= {"python3", "python3-msgspec", "python3-cryptography", "nftables", "dnsdist", "unbound"}
    found = subprocess.run(["apt-cache", "show", *names], capture_output=True, text=True, check=True).stdout
    known = {line.split(": ")[1] for line in found.splitlines() if line.startswith("Package: ")}
    assert known >= names


@pytest.mark.parametrize("unit", sorted(path.name for path in UNITS.glob("*.service")))
def test_every_unit_is_sound_and_sandboxed(package: Path, tmp_path: Path, unit: str) -> None:
    subprocess.run(["dpkg-deb", "-x", package, tmp_path], check=True)
    file = tmp_path / "usr/lib/systemd/system" / unit
    limit = int(MOST_EXPOSED.get(unit, 2.0) * 10)
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=yes", f"--threshold={limit}", file],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-300:] + done.stderr
    assert "@COMMON@" not in file.read_text()


@pytest.mark.root
@pytest.mark.slow
def test_installed_it_runs_with_debians_python_and_purged_it_leaves_nothing(
    package: Path, machine: Machine
) -> None:
    machine.install(package)
    assert machine.run("beffroi-box --version").strip() == field(package, "Version")
    assert "Fingerprint" in machine.run("beffroi-box keygen")
    assert machine.run("stat -c %a /var/lib/beffroi-box/box.key").strip() == "600"
    for unit in (*UNITS.glob("*.service"), *UNITS.glob("*.socket"), *UNITS.glob("*.path")):
        machine.run(f"systemctl is-enabled {unit.name}")
    machine.run("systemd-analyze verify --man=no /usr/lib/systemd/system/beffroi-box*")
    machine.run("dpkg -r beffroi-box && test -e /var/lib/beffroi-box/box.key")
    machine.run("dpkg -P beffroi-box")
    assert machine.left() == []


@pytest.mark.root
@pytest.mark.slow
def test_an_upgrade_keeps_key_and_settings(package: Path, machine: Machine, tmp_path: Path) -> None:
    machine.install(package)
    before = machine.run("beffroi-box keygen; echo 'wan = \"uplink\"' >>/var/lib/beffroi-box/box.toml")
    machine.install(changed(package, tmp_path))
    assert machine.run("beffroi-box keygen") == before
    assert "uplink" in machine.run("cat /var/lib/beffroi-box/box.toml")
    machine.install(package)  # and back
    assert machine.run("beffroi-box keygen") == before


@pytest.mark.root
@pytest.mark.slow
def test_the_rules_are_loaded_before_the_network_by_the_first_unit(package: Path, machine: Machine) -> None:
    machine.install(package)
    text = machine.run("cat /usr/lib/systemd/system/beffroi-box-boot.service")
    assert "Before=network-pre.target" in text and "DefaultDependencies=no" in text
    # The same commands, as a new box runs them at its first start.
    commands = [
        line.removeprefix("ExecStart=") for line in text.splitlines() if line.startswith("ExecStart=")
    ]
    machine.run(
        "mkdir /run/beffroi-box && " + " && ".join(commands) + " && nft list ruleset | grep -q beffroi"
    )


CUT_OFF = """
from pathlib import Path
from beffroi_box.software import Shelf
from beffroi_box.update import Installer
state = Path("/var/lib/beffroi-box")
cut = Installer(state, healthy=lambda former: False)
cut._check()
cut._pack_present()
Shelf(state).raise_floor(5)
cut._dpkg("--install", str(Shelf(state).next))
"""
PLAN = """
from pathlib import Path
from beffroi_box.software import Plan, Shelf
Shelf(Path("/var/lib/beffroi-box")).save_plan(Plan(5, "9"))
"""
PYTHON = "PYTHONPATH=/usr/lib/beffroi-box /usr/bin/python3 -s -P -c"
RESUME = "/usr/lib/beffroi-box/update-resume /var/lib/beffroi-box"


def version_of(machine: Machine) -> str:
    return machine.run("dpkg-query -W -f '${Version} ${db:Status-Status}' beffroi-box").strip()


@pytest.mark.root
@pytest.mark.slow
@pytest.mark.parametrize(
    "edits",
    [
        {"update": ("HEALTH_S = 180.0", "HEALTH_S = 1.0")},
        {"__init__": ('"""', 'raise SystemExit("broken")\n"""')},
    ],
    ids=["the new agent does not start", "the new Python cannot even be loaded"],
)
def test_an_update_cut_off_by_the_power_with_a_dead_agent_is_taken_back_by_its_unit(
    package: Path, machine: Machine, tmp_path: Path, edits: dict[str, tuple[str, str]]
) -> None:
    machine.install(package)
    before = version_of(machine)
    key = machine.run("beffroi-box keygen")
    shelf = "/var/lib/beffroi-box/software"
    machine.run(f"mkdir -p -m 700 {shelf}")
    machine.run(RESUME)  # no plan: nothing happens
    shutil.copy(changed(package, tmp_path, **edits), machine.root / f"{shelf[1:]}/next.deb")
    machine.run(f"{PYTHON} '{PLAN}'")
    machine.run(f"{PYTHON} '{CUT_OFF}'")  # the power goes here
    assert version_of(machine).startswith("9.")
    machine.run(RESUME)
    assert version_of(machine) == before
    assert machine.run("beffroi-box keygen") == key
    if "update" in edits:
        # The former software reaches no centre here either: that proves nothing against the new one.
        assert '"outcome":"again"' in machine.run(f"cat {shelf}/plan")
        machine.run(RESUME)  # it is decided: nothing is installed again
        assert version_of(machine) == before


@pytest.mark.root
@pytest.mark.slow
def test_the_unit_that_ends_an_update_waits_for_a_plan_and_for_failures_of_the_agent(
    package: Path, machine: Machine
) -> None:
    machine.install(package)
    units = "/usr/lib/systemd/system"
    agent = machine.run(f"cat {units}/beffroi-box.service")
    assert "OnFailure=beffroi-box-update-resume.service" in agent
    assert "RestartMode=direct" not in agent  # it would hide the failures
    text = machine.run(f"cat {units}/beffroi-box-update-resume.service")
    assert "ConditionPathExists=/var/lib/beffroi-box/software/plan" in text
    assert "multi-user.target.wants" in machine.run(
        "find /etc/systemd/system -name beffroi-box-update-resume.service"
    )
