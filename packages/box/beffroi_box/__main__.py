"""beffroi-box: keygen, enrol, label, network, page, inspect, boot, run, status, rules, resolver-config.

Process: root, in the box's network namespace.
"""

from __future__ import annotations

import argparse
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
from beffroi_protocol.enrolment_code import read_code
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import Policy
from beffroi_protocol.signing import b64, fingerprint, public_bytes

from beffroi_box import AGENT_VERSION, labels, status
from beffroi_box.agent import Agent
from beffroi_box.authority import keep_authority
from beffroi_box.client import Centre
from beffroi_box.clock import correct, plausible, set_machine
from beffroi_box.config import DEFAULT_STATE, RUN, BoxConfig, keep_good, keep_setting, load
from beffroi_box.enforce import site_of
from beffroi_box.enrol import enrol, recover, serial_of
from beffroi_box.errors import BoxError, CentreRefused, CentreUnreachable, IdentityDamaged, KeyUnreadable
from beffroi_box.firstboot import FirstBoot, guard, is_enrolled
from beffroi_box.inspector import Inspector
from beffroi_box.inspectrules import NATIVE
from beffroi_box.label import label_svg
from beffroi_box.network import Network
from beffroi_box.page import serve_page
from beffroi_box.relay import Relaying
from beffroi_box.resolver import (
    bulk_file,
    dnsdist_configuration,
    dnsdist_environment,
    observed_file,
    own_files,
    prepare,
    unbound_configuration,
    unbound_file,
    write_names,
)
from beffroi_box.ruleset import ruleset
from beffroi_box.store import Store, user_id, write_atomic

STALE_STATUS_S = 30
RECOVER_EVERY_S = 30.0


def _say(text: str) -> None:
    print(text, flush=True)  # noqa: T201 - this is the command line


def keygen(arguments: argparse.Namespace) -> int:
    store = Store(arguments.state)
    store.prepare()
    public = public_bytes(store.key())
    serial = arguments.serial or serial_of(public)
    if arguments.json:
        facts = {"serial": serial, "fingerprint": fingerprint(public), "public_key": b64(public)}
        _say(msgspec.json.encode(facts).decode())
    else:
        _say(f"Serial:      {serial}\nFingerprint: {fingerprint(public)}")
    return 0


def enrol_box(arguments: argparse.Namespace) -> int:
    store = Store(arguments.state)
    store.prepare()
    config = load(arguments.state)
    if config.settings_trouble:
        _say(config.settings_trouble)
        return 2
    if arguments.centre and arguments.centre.rstrip("/") != config.centre:
        keep_setting(arguments.state, "centre", arguments.centre.rstrip("/"))
        config = load(arguments.state)
    if arguments.ca:
        write_atomic(arguments.state / "ca.pem", Path(arguments.ca).read_bytes())
        config = load(arguments.state)
    if not config.centre:
        _say("No centre is known: give --centre https://NAME:PORT")
        return 2
    code = read_code(arguments.code)
    serial = arguments.serial or serial_of(public_bytes(store.key()))
    identity = enrol(config, store, code, serial=serial, wait_s=arguments.wait, say=_say)
    _say(f"Enrolled as {identity.box_id} for {identity.collectivite_name} ({identity.collectivite_id}).")
    return 0


def boot(arguments: argparse.Namespace) -> int:
    config = _started(load(arguments.state))
    if not is_enrolled(Store(arguments.state)):
        guard(config)
        return 0
    try:
        agent = Agent(config)
    except (IdentityDamaged, KeyUnreadable) as error:
        logging.error("%s; what was refused stays refused meanwhile", error)
        agent = Agent(config, nameless=True)
    agent.boot()
    agent.boot_lists()
    return 0


def run(arguments: argparse.Namespace) -> int:
    config = load(arguments.state)
    store = Store(arguments.state)
    store.prepare()
    if not is_enrolled(store):
        FirstBoot(arguments.state).run()
        config = load(arguments.state)
    while _identity_is_damaged(store):
        try:
            recover(config, store)
        except (CentreUnreachable, CentreRefused) as error:
            logging.error("the damaged identity cannot be asked again yet: %s", error)
            time.sleep(RECOVER_EVERY_S)
    store.forget_asked()
    Agent(_started(config)).run()
    return 0


def _started(config: BoxConfig) -> BoxConfig:
    if config.settings_trouble:
        logging.error("%s; the box starts with the last settings that it knows", config.settings_trouble)
    else:
        try:
            keep_good(config.state)
        except OSError as error:
            logging.error("the settings have no copy: %s", error.strerror)
    try:
        keep_authority(config)
    except OSError as error:
        logging.error("the centre's authority has no copy: %s", error.strerror)
    if config.network_trouble:
        logging.error(
            "%s; the box starts as %s, internet at %s",
            config.network_trouble,
            config.mode or "box.toml says",
            config.wan,
        )
    return config


def _identity_is_damaged(store: Store) -> bool:
    try:
        store.identity()
    except IdentityDamaged:
        return True
    return False


def show_machines(state: Path) -> int:
    """Say which machine each label of the last 30 days means. For who is on the spot: root only, as the file is."""
    machines = labels.read(state)
    for label_, one in sorted(machines.items(), key=lambda pair: -pair[1].at):
        when = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(one.at))
        _say(f"{label_}  {one.address:39}  {one.mac or '-':17}  {one.name or '-'}  {when}")
    if not machines:
        _say("No machine was named in an alarm of the last 30 days.")
    return 0


def set_clock(arguments: argparse.Namespace) -> int:
    """A unit of its own does this: only its process may set the clock."""
    off_s = correct(load(arguments.state), set_machine)
    if off_s:
        _say(f"The clock was off by {off_s} s.")
    return 0


def show_status(arguments: argparse.Namespace) -> int:
    if arguments.machines:
        return show_machines(arguments.state)
    report = status.read(arguments.state)
    if report is None:
        _say("The agent has not run yet. Start it: beffroi-box run")
        return 1
    if arguments.json:
        _say(msgspec.json.encode(report).decode())
    else:
        for name in report.__struct_fields__:
            _say(f"{name:16} {getattr(report, name)}")
    alive = abs(time.time() - report.written_at) < STALE_STATUS_S
    return 0 if alive and report.connected and not report.disk_trouble and not report.stale else 1


def label(arguments: argparse.Namespace) -> int:
    """Print the label of this box as SVG."""
    store = Store(arguments.state)
    store.prepare()
    public = public_bytes(store.key())
    serial = arguments.serial or serial_of(public)
    sys.stdout.write(label_svg(serial, fingerprint(public)))
    return 0


def network(arguments: argparse.Namespace) -> int:
    """Choose and prove a mode, then watch the cables; ``--once``: choose and end, 0 when it is proved."""
    Store(arguments.state).prepare()
    chosen = Network(arguments.state)
    if not arguments.once:
        chosen.run(threading.Event())
    chosen.step()
    _say(msgspec.json.encode(chosen.found).decode())
    return 0 if chosen.found.proved else 1


def page(arguments: argparse.Namespace) -> int:
    """Serve the box's page; any user that may use the socket of the agent."""
    serve_page(arguments.socket, arguments.port)
    return 0


def inspect(arguments: argparse.Namespace) -> int:
    """Keep the inspection engine; its own user, who may use the agent's socket and write to the directory."""
    Inspector(arguments.socket, arguments.directory).run()
    return 0


def relay(arguments: argparse.Namespace) -> int:
    """Take mail of the LAN's copiers; its own user, who may use the agent's socket and write to the directory."""
    Relaying(arguments.socket, arguments.directory).run()
    return 0


def show_rules(arguments: argparse.Namespace) -> int:
    """The rules for the last good policy, or for the safe default."""
    config = load(arguments.state)
    message = Store(arguments.state).policy()
    centre = Centre(config).addresses() if config.centre else ()
    site = replace(site_of(config, centre), queue=NATIVE)
    sys.stdout.write(ruleset(message.policy if message else Policy(), site))
    return 0


def resolver_config(arguments: argparse.Namespace) -> int:
    """Write the configurations of Unbound and dnsdist, and empty files of names where there are none."""
    config = load(arguments.state)
    store = Store(arguments.state)
    store.prepare()
    prepare(config)
    dated = plausible(store.time_floor())
    written = {
        unbound_file(config): unbound_configuration(config, dated=dated),
        config.state / "names" / "dnsdist.conf": dnsdist_configuration(config),
        config.state / "names" / "dnsdist.env": dnsdist_environment(config),
    }
    for path, text in written.items():
        try:
            write_atomic(path, text.encode(), mode=0o644)
        except OSError as error:
            if not path.exists():
                raise
            logging.error("%s stays as it was: %s", path, error.strerror)
        _say(str(path))
    for path in (*own_files(config), bulk_file(config), observed_file(config)):
        if not path.exists():
            write_names(path, ())
    owner, own = user_id(config.resolver_user), config.state / "resolver"
    if owner not in (-1, own.lstat().st_uid):
        os.chown(own, owner, -1, follow_symlinks=False)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="beffroi-box", description="The agent of a Beffroi boîtier.")
    parser.add_argument("--state", type=Path, default=DEFAULT_STATE, help="state directory")
    parser.add_argument("--version", action="version", version=AGENT_VERSION)
    commands = parser.add_subparsers(dest="command", required=True)

    def command(name: str, action: Callable[[argparse.Namespace], int], text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text)
        sub.set_defaults(action=action)
        return sub

    sub = command("keygen", keygen, "make the box's key and print serial and fingerprint for the label")
    sub.add_argument("--serial", default="")
    sub.add_argument("--json", action="store_true")
    sub = command("enrol", enrol_box, "enrol this box with a code of the Département")
    sub.add_argument("code")
    sub.add_argument("--centre", default="", help="https://NAME:PORT; kept in box.toml")
    sub.add_argument("--ca", default="", help="certificate authority of the centre; kept as STATE/ca.pem")
    sub.add_argument("--serial", default="")
    sub.add_argument("--wait", type=float, default=1200.0, help="seconds to wait for the confirmation")
    sub = command("label", label, "print the label with serial and fingerprint, as SVG")
    sub.add_argument("--serial", default="")
    sub = command(
        "network", network, "find out what is plugged where, choose router or bridge, prove it, watch"
    )
    sub.add_argument("--once", action="store_true")
    sub = command("page", page, "serve the box's own page to the LAN")
    sub.add_argument("--socket", type=Path, default=RUN / "page.sock", help="of the agent")
    sub.add_argument("--port", type=int, default=80)
    sub = command("inspect", inspect, "keep the inspection engine (Suricata) as the agent orders")
    sub.add_argument("--socket", type=Path, default=RUN / "inspection.sock", help="of the agent")
    sub.add_argument("--directory", type=Path, default=Path("/run/beffroi-box-inspection"), help="its own")
    sub = command("relay", relay, "take mail of copiers on the LAN, as the policy asks")
    sub.add_argument("--socket", type=Path, default=RUN / "relay.sock", help="of the agent")
    sub.add_argument("--directory", type=Path, default=Path("/var/lib/beffroi-box-relay"), help="its own")
    command("boot", boot, "load the last rules and deny entries into the kernel, before the network is up")
    command("run", run, "follow the feed and enforce it")
    command("set-clock", set_clock, "set this machine's clock to the signed time that the agent has")
    sub = command("status", show_status, "say how the box is; exit 0 when it is connected and current")
    sub.add_argument("--json", action="store_true")
    sub.add_argument("--machines", action="store_true", help="say which machines alarms of 30 days name")
    command("rules", show_rules, "print the nftables rules")
    command(
        "resolver-config",
        resolver_config,
        "write the configurations of Unbound and dnsdist and print their paths",
    )
    return parser


def main() -> int:
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    arguments = _parser().parse_args()
    arguments.state = arguments.state.resolve()  # no link is followed from here on
    os.umask(0o077)
    try:
        code: int = arguments.action(arguments)
    except (BoxError, ProtocolError, OSError) as error:
        sys.stderr.write(f"beffroi-box: {error}\n")
        return 1
    return code


if __name__ == "__main__":
    sys.exit(main())
