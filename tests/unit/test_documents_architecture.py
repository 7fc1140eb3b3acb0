"""ARCHITECTURE.md says of each process once what it may and does, as the supervisor and the units start it."""

from __future__ import annotations

import re
import tomllib
from itertools import pairwise
from pathlib import Path

from beffroi.lib.config import Config
from beffroi.supervise import centre

ROOT = Path(__file__).resolve().parents[2]
TEXT = ROOT / "ARCHITECTURE.md"
PRIVILEGES = {"NET_ADMIN", "NET_RAW", "NET_BIND_SERVICE", "SYS_ADMIN", "SYS_TIME"}


def tables() -> list[list[tuple[str, str]]]:
    """(process, user) of the rows of each table, its head first."""
    found: list[list[tuple[str, str]]] = []
    is_inside = False
    for line in TEXT.read_text().splitlines():
        if not line.startswith("|"):
            is_inside = False
            continue
        if not is_inside:
            found.append([])
        is_inside = True
        _, name, user, *_ = (cell.strip() for cell in line.split("|"))
        found[-1].append((name, user))
    return found


def processes(nth: int) -> dict[str, str]:
    """User of each process; 0: the centre's, 1: the boîtier's."""
    rows = [rows[2:] for rows in tables() if rows[0][0] == "process"][nth]
    assert len({name for name, _ in rows}) == len(rows)
    return dict(rows)


def test_each_process_of_the_centre_has_the_row_and_the_user_that_the_supervisor_gives_it() -> None:
    config = Config(
        user="USER",
        acme_directory="https://acme.example.net/directory",
        stream_relays=1,
        box_fronts=1,
        clamd="/run/clamd",
    )
    told = processes(0)
    started = {re.sub(r"-1$", "-N", one.name): one for one in centre.processes(config)}
    assert told.keys() == started.keys()
    for name, one in started.items():
        assert re.match(one.user or "root|as front|_rspamd", told[name]), name
        assert not one.group or one.group in re.split(r"[, ]+", told[name]), name


def test_each_process_of_the_boitier_has_the_row_user_and_privileges_of_its_unit() -> None:
    told = processes(1)
    for path in (ROOT / "deploy" / "deb" / "units").glob("*.service"):
        unit = path.read_text()
        name = path.stem.removeprefix("beffroi-box").removeprefix("-") or "agent"
        if name == "update-resume":
            continue  # asks systemd for the transient unit of *update*
        user = re.search(r"^User=(.*)$", unit, re.MULTILINE)
        assert told[name].startswith(user[1] if user else "root"), name
        bounds = re.search(r"^CapabilityBoundingSet=(.*)$", unit, re.MULTILINE)
        assert bounds is not None, name
        given = {one.removeprefix("CAP_") for one in bounds[1].split()} & PRIVILEGES
        assert set(re.findall(r"[A-Z]+_[A-Z_]+", told[name].replace("CAP_", ""))) == given, name


def test_the_table_of_units_names_their_capabilities() -> None:
    text = (ROOT / "docs" / "internals" / "box.md").read_text()
    rows = dict(re.findall(r"^\| `beffroi-box(?:-([a-z-]+))?` \| [^|]+ \| ([^|]+) \|", text, re.MULTILINE))
    for path in (ROOT / "deploy" / "deb" / "units").glob("*.service"):
        bounds = re.search(r"^CapabilityBoundingSet=(.*)$", path.read_text(), re.MULTILINE)
        assert bounds is not None, path.name
        told = rows[path.stem.removeprefix("beffroi-box").removeprefix("-")]
        named = set(re.findall(r"[a-z]+(?:_[a-z]+)*", re.sub(r"\([^)]*\)", "", told))) - {"none"}
        assert named == {one.removeprefix("CAP_").lower() for one in bounds[1].split()}, path.name


def test_each_directory_of_the_state_is_named() -> None:
    sources = (ROOT / "packages" / "centre" / "beffroi").rglob("*.py")
    used = {one for path in sources for one in re.findall(r"\bstate / \"([\w.-]+)\"", path.read_text())}
    told = set(re.findall(r"`([\w.-]+?)/?`", TEXT.read_text().partition("## State")[2]))
    assert len(used) > 20 and used <= told, used - told


def test_the_directions_name_each_layer_in_its_order() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(one["layers"] for one in contracts if one["type"] == "layers")
    text = TEXT.read_text().partition("## Directions")[2].partition("\n## ")[0]
    places = [
        [text.index(name.strip().removeprefix("beffroi.")) for name in one.split(":")] for one in layers
    ]
    assert all(max(above) < min(below) for above, below in pairwise(places))
