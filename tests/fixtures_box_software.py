"""Packages of the software of a box for the real dpkg, in a root of its own."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from beffroi_box.software import Plan, Shelf
from beffroi_box.update import Installer


def package(place: Path, version: str, *, name: str = "beffroi-box", broken: bool = False) -> bytes:
    tree = place / f"{name}-{version}"
    (tree / "DEBIAN").mkdir(parents=True)
    (tree / "usr/lib/beffroi-box").mkdir(parents=True)
    (tree / "etc").mkdir()
    (tree / "usr/lib/beffroi-box/version").write_text(version)
    (tree / "usr/lib/beffroi-box/link").symlink_to("version")
    (tree / f"usr/lib/beffroi-box/only-{version}").write_text("x")
    (tree / "etc/beffroi-box.conf").write_text(f"from {version}\n")
    (tree / "DEBIAN/conffiles").write_text("/etc/beffroi-box.conf\n")
    depends = "Depends: a-package-that-is-not-there\n" if broken else ""
    (tree / "DEBIAN/control").write_text(
        f"Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Tests <t@example.org>\n"
        f"{depends}Description: the software of a box\n of the tests\n"
    )
    out = place / f"{name}-{version}.deb"
    subprocess.run(
        ["dpkg-deb", "--build", "--root-owner-group", str(tree), str(out)], check=True, capture_output=True
    )
    return out.read_bytes()


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A dpkg database of its own with version 1.0 installed."""
    made = tmp_path / "root"
    for name in ("var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers", "var/log"):
        (made / name).mkdir(parents=True)
    (made / "var/lib/dpkg/status").touch()
    (made / "var/lib/dpkg/available").touch()
    (tmp_path / "1.0.deb").write_bytes(package(tmp_path, "1.0"))
    subprocess.run(
        ["dpkg", f"--root={made}", "--install", str(tmp_path / "1.0.deb")], check=True, capture_output=True
    )
    assert installed(made) == "1.0"
    return made


@pytest.fixture
def state(tmp_path: Path) -> Path:
    made = tmp_path / "state"
    (made / "software").mkdir(parents=True)
    (made / "spool").mkdir()
    return made


def installed(root: Path) -> str:
    listed = subprocess.run(
        ["dpkg-query", f"--admindir={root}/var/lib/dpkg", "-W", "-f", "${Version} ${db:Status-Status}", "beffroi-box"],
        capture_output=True, text=True, check=True,
    ).stdout.split()  # fmt: skip
    on_disk = (root / "usr/lib/beffroi-box/version").read_text()
    assert listed == [on_disk, "installed"]
    return on_disk


def planned(state: Path, content: bytes, number: int, version: str) -> Shelf:
    shelf = Shelf(state)
    shelf.next.write_bytes(content)
    shelf.save_plan(Plan(number, version))
    return shelf


def installer(state: Path, root: Path, healthy: Callable[[], bool]) -> Installer:
    return Installer(state, root=root, healthy=lambda _: healthy(), health_s=0.3)
