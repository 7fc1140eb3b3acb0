"""Settings of one box: STATE/box.toml. One frozen object; unknown or mistyped keys are refused by name.

Process: read once at start, as root.
Fails:   a damaged file stops no start: the last good copy of it counts, and page and diagnosis say so.
"""

from __future__ import annotations

import ipaddress
import json
import tomllib
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from beffroi_box import modes
from beffroi_box.errors import ConfigInvalid, IdentityDamaged, NotEnrolled
from beffroi_box.found import read
from beffroi_box.lanprobe import INTERFACE, split_target
from beffroi_box.store import Store, read_checked, write_atomic, write_checked

DEFAULT_STATE = Path("/var/lib/beffroi-box")
GOOD = "box.good"
RUN = Path("/run/beffroi-box")
TOLD_DAYS, MOST_TOLD_DAYS = 7, 30


@dataclass(frozen=True)
class _Must:
    """What a value has to be; else no rules could be made of it, and the box would have none."""

    be: str
    fits: Callable[[Any], bool]


def _is_centre(text: str) -> bool:
    parts = urlsplit(text)
    return not text or (parts.scheme == "https" and bool(parts.hostname) and parts.port != 0)


def _is_address(text: str) -> bool:
    return "%" not in text and bool(ipaddress.ip_address(text))


def _is_forwarder(text: str) -> bool:
    address, at, port = text.partition("@")
    return _is_address(address) and (not at or 0 < int(port) < 65536)


def _is_target(text: str) -> bool:
    address, port = split_target(text) if text else ("192.0.2.1", 1)
    return _is_address(address) and 0 < port < 65536


_CENTRE = _Must("https://NAME or https://NAME:PORT", _is_centre)
_ADDRESSES = _Must("addresses", lambda found: all(map(_is_address, found)))
_FORWARDERS = _Must("ADDRESS or ADDRESS@PORT each", lambda found: all(map(_is_forwarder, found)))
_TARGET = _Must("ADDRESS:PORT", _is_target)
_MODE = _Must("router or bridge", lambda text: text in ("", "router", "bridge"))
_INTERFACE = _Must("the name of an interface", lambda text: bool(INTERFACE.fullmatch(text)))
_INTERFACES = _Must("names of interfaces", lambda found: all(map(INTERFACE.fullmatch, found)))
_OWN = _Must("the name of an interface", lambda text: not text or bool(INTERFACE.fullmatch(text)))
_PORT = _Must("1 to 65535", lambda number: 0 < number < 65536)
_GROUP = _Must("0 to 65535", lambda number: 0 <= number < 65536)
_SECONDS = _Must("1 or more", lambda number: number > 0)
_DAYS = _Must(f"0 to {MOST_TOLD_DAYS}", lambda number: 0 <= number <= MOST_TOLD_DAYS)


def _setting(default: Any, doc: str, must: _Must | None = None) -> Any:
    return field(default=default, metadata={"doc": doc, "must": must})


@dataclass(frozen=True)
class BoxConfig:
    state: Path = field(default=DEFAULT_STATE, metadata={"doc": "State directory."})
    centre: str = _setting(
        "", "Address of the centre: https://NAME:PORT (NAME as in its certificate).", _CENTRE
    )
    ca: str = _setting(
        "", "File with the centre's certificate authority; empty: STATE/ca.pem if present, else the system's."
    )
    centre_addresses: tuple[str, ...] = _setting(
        (), "Addresses of the centre, tried before DNS (a box may start without any resolver).", _ADDRESSES
    )
    wan: str = _setting("wan", "Interface towards the internet.", _INTERFACE)
    lan: str = _setting("lan", "Interface towards the town hall.", _INTERFACE)
    mode: str = _setting(
        "", "router or bridge; empty: as the policy says. `beffroi-box network` finds it out.", _MODE
    )
    wanted_mode: str = _setting(
        "", "Mode that `beffroi-box network` tries first; empty: by what is plugged where.", _MODE
    )
    ports: tuple[str, ...] = _setting(
        (), "Ethernet ports of which `beffroi-box network` may choose; empty: all cards.", _INTERFACES
    )
    management: str = _setting(
        "", "Bridge mode: interface with the box's own address (br0); empty: lan.", _OWN
    )
    masquerade: bool = _setting(False, "Router mode: hide the LAN's private IPv4 addresses behind the box.")
    resolver: bool = _setting(True, "Refuse listed names by the box's dnsdist.")
    run: str = _setting(
        "",
        "Directory of the urgent names and of dnsdist's socket, best on a memory disk; empty: /run/beffroi-box for the "
        "default STATE, else STATE/names.",
    )
    resolver_port: int = _setting(53, "Port of the box's resolver, target of the DNS redirect.", _PORT)
    recursor_port: int = _setting(5335, "Loopback port of Unbound, behind dnsdist.", _PORT)
    resolver_forward: tuple[str, ...] = _setting(
        (), "Resolvers to ask, ADDRESS or ADDRESS@PORT; empty: the root servers.", _FORWARDERS
    )
    resolver_dnssec: bool = _setting(True, "Validate DNSSEC.")
    resolver_user: str = _setting("unbound", "System user of Unbound; empty: no change of user.")
    dnsdist_user: str = _setting("_dnsdist", "System user of dnsdist; empty: no change of user.")
    inspection_engine: str = _setting("/usr/bin/suricata", "Suricata 7, the optional inspection engine.")
    inspection_user: str = _setting(
        "_beffroi-inspect", "System user of the inspection engine; empty: no change of user."
    )
    nflog_group: int = _setting(5, "Group of the kernel's log of blocked packets.", _GROUP)
    page_port: int = _setting(80, "Port of the box's own page, for the LAN.", _PORT)
    page_user: str = _setting(
        "_beffroi-page", "System user of the page; empty: root's own, no change of user."
    )
    relay_user: str = _setting(
        "_beffroi-relay", "System user of the relay for copiers; empty: root's own, no change of user."
    )
    heartbeat_s: int = _setting(20, "Pause between two heartbeats of the centre, in seconds.", _SECONDS)
    probe_grace_s: int = _setting(
        10, "Time in which a new policy must prove that the centre is reached.", _SECONDS
    )
    told_days: int = _setting(
        TOLD_DAYS,
        "Days that what the centre took is kept, for one restored from a backup; 0: not kept; 30 at most.",
        _DAYS,
    )
    lan_probe: str = _setting(
        "",
        "ADDRESS:PORT on the internet that the LAN must reach after a new policy; empty: the centre.",
        _TARGET,
    )

    settings_trouble: str = ""
    network_trouble: str = ""
    """Why box.toml and network.toml were not used, no settings; "" when all is well."""

    @property
    def own_interface(self) -> str:
        """Where the LAN finds the box itself."""
        return self.management or self.lan

    @property
    def run_directory(self) -> Path:
        """The units of an appliance know theirs, whatever its settings have become."""
        return Path(self.run) if self.run else RUN if self.state == DEFAULT_STATE else self.state / "names"

    @property
    def ca_file(self) -> Path | None:
        if self.ca:
            return Path(self.ca)
        kept = self.state / "ca.pem"
        return kept if kept.exists() else None

    @property
    def centre_host(self) -> str:
        return urlsplit(self.centre).hostname or ""

    @property
    def centre_port(self) -> int:
        return urlsplit(self.centre).port or 443

    @property
    def read_timeout_s(self) -> float:
        """More than two heartbeats, so that one lost heartbeat is no alarm."""
        return 2.5 * self.heartbeat_s


def load(state: Path) -> BoxConfig:
    """What ``beffroi-box network`` found out (network.toml) counts more than box.toml. A box comes up whatever is
    damaged, for nobody could mend it from afar else. For box.toml its last good copy counts; a person writes it again.
    For network.toml, which ``network`` writes again, network.json does, or box.toml."""
    own, settings_trouble = _own(state)
    own = _enrolled(state) | own
    path = state / "network.toml"
    network_trouble = ""
    try:
        config = build(state, own | _values(path), path)
    except ConfigInvalid as error:
        network_trouble = str(error)
        plan = read(state).plan
        config = build(state, own | (modes.settings(plan) if plan is not None else {}), path)
    return replace(config, settings_trouble=settings_trouble[:200], network_trouble=network_trouble[:200])


def keep_good(state: Path) -> None:
    """Make a copy of box.toml, which is whole. Errors: OSError."""
    path = state / "box.toml"
    text = path.read_bytes() if path.exists() else b""
    if read_checked(state / GOOD) != text:
        write_checked(state / GOOD, text)


def _own(state: Path) -> tuple[dict[str, Any], str]:
    """Return what box.toml says, or else its last good copy, and why it is not the file itself."""
    path = state / "box.toml"
    try:
        kept = tomllib.loads((read_checked(state / GOOD) or b"").decode())
        build(state, kept, path)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError, ConfigInvalid):
        # Of another version of this software.
        kept = {}
    try:
        own = _values(path)
        build(state, own, path)
        # A power cut leaves an empty file, too; a box that knew its centre is left without it by nobody.
        if kept and (not own or ("centre" in kept and "centre" not in own)):
            raise ConfigInvalid("centre" if own else "file", path, "it is not there any more")
    except ConfigInvalid as error:
        return kept, str(error)
    return own, ""


def _enrolled(state: Path) -> dict[str, Any]:
    """Where this box was enrolled: it is not without its centre because a file is."""
    try:
        return {"centre": Store(state).identity().centre}
    except (NotEnrolled, IdentityDamaged):
        return {}


def _values(path: Path) -> dict[str, Any]:
    """Errors: ConfigInvalid."""
    try:
        return tomllib.loads(path.read_text("utf-8")) if path.exists() else {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigInvalid("file", path, error) from None


_NO_SETTINGS = ("state", "settings_trouble", "network_trouble")


def build(state: Path, values: dict[str, Any], path: Path) -> BoxConfig:
    known = {f.name: f for f in fields(BoxConfig) if f.name not in _NO_SETTINGS}
    checked: dict[str, Any] = {}
    for name, value in values.items():
        if name not in known:
            raise ConfigInvalid(name, path, "no such setting")
        checked[name] = _checked(known[name], value, path)
    return BoxConfig(state=state, **checked)


def _checked(setting: Field[Any], value: object, path: Path) -> object:
    wanted = type(setting.default)
    if wanted is tuple:
        if not isinstance(value, list) or not all(isinstance(v, str) for v in value):
            raise ConfigInvalid(setting.name, path, "must be a list of strings")
        value = tuple(value)
    if type(value) is not wanted:
        raise ConfigInvalid(setting.name, path, f"must be {wanted.__name__}")
    must: _Must | None = setting.metadata["must"]
    if must is not None and not _fits(must, value):
        raise ConfigInvalid(setting.name, path, f"must be {must.be}")
    return value


def _fits(must: _Must, value: object) -> bool:
    try:
        return must.fits(value)
    except ValueError:  # no address, no number
        return False


def keep_setting(state: Path, name: str, value: str) -> None:
    """Write one setting into box.toml, and leave every other line as it is. Errors: OSError."""
    path = state / "box.toml"
    lines = path.read_text("utf-8").splitlines(keepends=True) if path.exists() else []
    kept = [line for line in lines if line.split("=")[0].strip() != name]
    write_atomic(path, (toml_text({name: value}) + "".join(kept)).encode())


def toml_text(values: dict[str, Any]) -> str:
    """Strings, numbers, booleans and lists of strings are written alike in JSON and TOML."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items())
