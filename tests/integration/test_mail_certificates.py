"""Certificates of the communes' names: a real pebble, the real front door, both processes' own code."""

from __future__ import annotations

import http.client
import http.server
import os
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from beffroi.lib import clock, durable
from beffroi.lib import config as config_module
from beffroi.lib.config import Config
from beffroi.mail.certificates import places, rules
from beffroi.mail.certificates.authority import Authority
from beffroi.mail.certificates.keeper import Keeper
from beffroi.supervise import acme, centre, certificates, children, front
from cryptography import x509

from tests import pebble
from tests.pebble import Pebble
from tests.waiting import PATIENCE_S, until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path(pebble.PROGRAM).exists(), reason="needs pebble"),
]
DAY_S = 86400


@pytest.fixture(scope="module")
def authority() -> Iterator[Pebble]:
    with pebble.running() as found:
        yield found


@pytest.fixture(scope="module")
def config(authority: Pebble) -> Iterator[Config]:
    """The front door runs, and knows no certificate of a commune."""
    state = Path(tempfile.mkdtemp(prefix="bfcert-"))
    lines = (
        "portal_port = 23150\nconsole_port = 23151\nbox_port = 23152\n"
        f'acme_port = {pebble.HTTP_PORT}\nacme_directory = "{authority.directory}"\n'
        f'acme_ca = "{authority.own_authority}"\nacme_email = "exploitant@beffroi.example"\n'
    )
    (state / "beffroi.toml").write_text(lines)
    (state / "run").mkdir()
    made = config_module.load(state)
    certificates.ensure(made)
    acme.prepare(made)
    front.write(made)
    with (state / "front.out").open("ab") as log:
        door = subprocess.Popen(
            ("haproxy", "-db", "-f", str(front.config_path(made))), stdout=log, stderr=log
        )
    try:

        def listens() -> bool:
            assert door.poll() is None, (state / "front.out").read_text()
            with socket.socket() as probe:
                return probe.connect_ex(("127.0.0.1", made.portal_port)) == 0

        until(listens, "the front door listens")
        yield made
    finally:
        door.terminate()
        door.wait(PATIENCE_S)
        shutil.rmtree(state, ignore_errors=True)


@pytest.fixture(autouse=True)
def alone(config: Config) -> None:
    """What a test before wanted is not wanted any more."""
    for kind in ("wanted", "orders", "keys"):
        for path in (places.folder(config.state) / kind).iterdir():
            path.unlink()


def want(config: Config, domain: str, *labels: str) -> None:
    """As ``sources`` does when the live check shows these names at our door."""
    names = [f"{label}.{domain}" for label in labels or rules.LABELS]
    places.write(places.folder(config.state) / "wanted" / domain, {"names": names})


def told(config: Config, domain: str) -> places.Told:
    found = places.told(config.state, domain)
    assert found is not None
    return found


def turn(config: Config) -> None:
    """Ask, have it issued, install."""
    keeper = Keeper(config.state)
    keeper.turn()
    Authority(config).step()
    keeper.turn()


def shown(config: Config, name: str, root: str) -> x509.Certificate:
    """What the front door shows for this name, proved with this authority."""
    context = ssl.create_default_context(cadata=root)
    with (
        socket.create_connection(("127.0.0.1", config.portal_port), PATIENCE_S) as raw,
        context.wrap_socket(raw, server_hostname=name) as tls,
    ):
        data = tls.getpeercert(binary_form=True)
    assert data is not None
    return x509.load_der_x509_certificate(data)


def test_a_certificate_comes_and_is_shown_without_ending_a_connection(
    authority: Pebble, config: Config
) -> None:
    context = ssl.create_default_context(cafile=str(config.state / "tls" / "ca.pem"))
    held = http.client.HTTPSConnection("localhost", config.portal_port, timeout=PATIENCE_S, context=context)
    held.connect()
    before = held.sock
    want(config, "beaune.example")
    turn(config)
    for label in rules.LABELS:
        leaf = shown(config, f"{label}.beaune.example", authority.root())
        assert int(leaf.not_valid_after_utc.timestamp()) == told(config, "beaune.example").not_after
    held.request("GET", "/", headers={"Host": "ailleurs.example"})
    assert held.getresponse().status == 421
    assert held.sock is before
    path = places.installed(config.state) / "beaune.example.pem"
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert not list((places.folder(config.state) / "keys").iterdir())
    assert not list((places.folder(config.state) / "orders").iterdir())
    shown(config, "localhost", (config.state / "tls" / "ca.pem").read_text())


def test_it_is_renewed_after_two_thirds_of_its_life_and_not_before(authority: Pebble, config: Config) -> None:
    want(config, "nuits.example", "mta-sts")
    turn(config)
    first = shown(config, "mta-sts.nuits.example", authority.root())
    with clock.shifted(59 * DAY_S):
        turn(config)
    assert shown(config, "mta-sts.nuits.example", authority.root()) == first
    with clock.shifted(65 * DAY_S):
        turn(config)
    second = shown(config, "mta-sts.nuits.example", authority.root())
    assert second.serial_number != first.serial_number
    assert second.public_key() != first.public_key()


def test_a_name_that_comes_to_us_later_is_added_at_once(authority: Pebble, config: Config) -> None:
    want(config, "dijon.example", "autoconfig")
    turn(config)
    want(config, "dijon.example", "autoconfig", "mta-sts")
    turn(config)
    assert told(config, "dijon.example").names == ("mta-sts.dijon.example", "autoconfig.dijon.example")
    shown(config, "mta-sts.dijon.example", authority.root())


def test_a_name_that_leads_elsewhere_is_refused_said_and_tried_again_later(
    authority: Pebble, config: Config
) -> None:
    authority.point("mta-sts.genlis.example", "127.0.0.9")
    want(config, "genlis.example", "mta-sts")
    turn(config)
    found = told(config, "genlis.example")
    assert (found.state, found.code, found.failures, found.not_after) == ("failed", "challenge", 1, 0)
    authority.point_back("mta-sts.genlis.example")
    turn(config)
    assert told(config, "genlis.example") == found, "not again within the hour"
    with clock.shifted(rules.FIRST_WAIT_S + 1):
        turn(config)
    assert told(config, "genlis.example").state == "ok"


def test_an_authority_that_is_away_is_said_and_the_certificate_in_force_stays(
    authority: Pebble, config: Config
) -> None:
    want(config, "auxonne.example", "mta-sts")
    turn(config)
    away = replace(config, acme_directory="https://localhost:22799/dir")
    with clock.shifted(70 * DAY_S):
        turn(away)
    found = told(config, "auxonne.example")
    assert (found.state, found.code) == ("failed", "silent")
    assert found.not_after > 0
    shown(config, "mta-sts.auxonne.example", authority.root())


def test_what_was_put_there_by_hand_is_never_replaced(config: Config) -> None:
    path = places.installed(config.state) / "seurre.example.pem"
    path.write_bytes((config.state / "tls" / "portal.pem").read_bytes())
    before = path.read_bytes()
    want(config, "seurre.example")
    turn(config)
    assert path.read_bytes() == before
    found = told(config, "seurre.example")
    assert found.state == "by_hand"
    assert found.not_after > 0


def test_a_renewal_that_the_disk_refused_twice_is_still_ours(
    authority: Pebble, config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    want(config, "pommard.example", "mta-sts")
    turn(config)
    first = told(config, "pommard.example")

    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    with clock.shifted(65 * DAY_S):
        keeper = Keeper(config.state)
        keeper.turn()
        Authority(config).step()
        monkeypatch.setattr(durable, "write", beside(durable.write, "pommard.example.pem", full))
        for _ in range(3):
            with pytest.raises(OSError, match="No space"):
                keeper.turn()
        monkeypatch.undo()
        keeper.turn()
    found = told(config, "pommard.example")
    assert (found.state, found.not_after > first.not_after) == ("ok", True)
    leaf = shown(config, "mta-sts.pommard.example", authority.root())
    assert int(leaf.not_valid_after_utc.timestamp()) == found.not_after


def beside(function: Callable[..., None], name: str, other: Callable[..., None]) -> Callable[..., None]:
    """``other`` for the file of this name, ``function`` for every other."""
    return lambda path, *rest, **more: (other if path.name == name else function)(path, *rest, **more)


def test_orders_that_nobody_wants_any_more_hold_no_others_back(config: Config) -> None:
    folder, keeper = places.folder(config.state), Keeper(config.state)
    left = [f"quitte{number}.example" for number in range(rules.MAX_OPEN)]
    for domain in left:
        want(config, domain, "mta-sts")
    keeper.turn()
    assert {path.name for path in (folder / "orders").iterdir()} == set(left)
    (places.installed(config.state) / f"{left[0]}.pem").write_bytes(
        (config.state / "tls" / "portal.pem").read_bytes()
    )
    for domain in left[1:]:
        (folder / "wanted" / domain).unlink()
    keeper.turn()
    want(config, "volnay.example", "mta-sts")
    keeper.turn()
    assert {path.name for path in (folder / "orders").iterdir()} == {"volnay.example"}
    assert {path.name for path in (folder / "keys").iterdir()} == {"volnay.example.key"}
    Authority(config).step()
    keeper.turn()
    assert told(config, "volnay.example").state == "ok"


def test_a_failure_under_a_clock_that_was_ahead_keeps_nothing_back(authority: Pebble, config: Config) -> None:
    authority.point("mta-sts.meursault.example", "127.0.0.9")
    want(config, "meursault.example", "mta-sts")
    with clock.jumped(1000 * DAY_S):
        turn(config)
    authority.point_back("mta-sts.meursault.example")
    assert told(config, "meursault.example").code == "challenge"
    turn(config)
    assert told(config, "meursault.example").state == "ok"


@pytest.mark.parametrize("directory", ["{}", "[]", '{"meta": 7}', '"x"'])
def test_a_directory_that_is_none_is_said_and_ends_nothing(config: Config, directory: str) -> None:
    class Odd(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(directory)))
            self.end_headers()
            self.wfile.write(directory.encode())

        def log_message(self, *_: object) -> None:
            """Silent."""

    server = http.server.HTTPServer(("127.0.0.1", 0), Odd)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    folder = places.folder(config.state)
    places.write(folder / "orders" / "savigny.example", {"number": directory, "csr": "x"})
    try:
        Authority(replace(config, acme_directory=f"http://127.0.0.1:{server.server_address[1]}/dir")).step()
    finally:
        server.shutdown()
        server.server_close()
    assert places.read(folder / "brought" / "savigny.example") == {"number": directory, "code": "odd"}


@pytest.mark.parametrize("brought", ["another's", "nonsense", "link"])
def test_what_was_not_asked_for_is_not_installed(config: Config, brought: str) -> None:
    domain = f"{brought.replace(chr(39), '')}.example"
    want(config, domain, "mta-sts")
    keeper = Keeper(config.state)
    keeper.turn()
    answer = places.folder(config.state) / "brought" / domain
    number = places.read(places.folder(config.state) / "orders" / domain)["number"]
    if brought == "another's":
        chain = (config.state / "tls" / "portal.pem").read_text().partition("-----BEGIN PRIVATE")[0]
        places.write(answer, {"number": number, "chain": chain})
    elif brought == "nonsense":
        places.write(answer, {"number": number, "chain": "x"})
    else:
        answer.symlink_to(config.state / "tls" / "portal.pem")
    with clock.shifted(rules.STALE_ORDER_S + 1):
        keeper.turn()
    assert told(config, domain).state == "failed"
    assert not (places.installed(config.state) / f"{domain}.pem").exists()


def test_names_that_nobody_may_ask_for_are_not_asked_for(config: Config) -> None:
    for name in ("localhost", "..", "A.example"):
        assert rules.names(name, {f"mta-sts.{name}"}) == ()
    assert rules.names("a.example", {"www.a.example", "mta-sts.b.example"}) == ()


@pytest.mark.root
@pytest.mark.skipif(os.geteuid() != 0, reason="the supervisor starts them as root")
def test_both_processes_do_it_with_the_rights_that_the_supervisor_leaves_them(
    authority: Pebble, config: Config
) -> None:
    """The one without a capability and a network, the other as a user that opens the account's key alone."""
    config.state.chmod(0o755)
    (config.state / "log").mkdir()
    authority.home.chmod(0o755)
    authority.own_authority.chmod(0o644)
    folder = places.folder(config.state)
    for path in (
        folder / "brought",
        *(folder / "brought").iterdir(),
        folder / "account",
        places.account_key(config.state),
    ):
        shutil.chown(path, "daemon", "daemon")
    rows = {one.name: one for one in centre.processes(config)}
    rows["acme"] = replace(rows["acme"], user="daemon")
    want(config, "beze.example", "mta-sts")
    started = [children.spawn(rows[name], config.state / "log" / name) for name in ("certificates", "acme")]
    try:

        def there() -> bool:
            logs = [(config.state / "log" / name).read_text() for name in ("certificates", "acme")]
            assert all(one.poll() is None for one in started), logs
            found = places.told(config.state, "beze.example")
            return found is not None and found.state == "ok"

        until(there, "it is there")
        until(
            lambda: shown_or_none(config, "mta-sts.beze.example", authority.root()), "the front door shows it"
        )
    finally:
        for one in started:
            one.terminate()
            one.wait(PATIENCE_S)


def shown_or_none(config: Config, name: str, root: str) -> x509.Certificate | None:
    try:
        return shown(config, name, root)
    except ssl.SSLError:
        return None


def test_port_80_answers_challenges_and_nothing_else(config: Config) -> None:
    thumbprint = places.thumbprint(config.state)

    def ask(path: str, method: str = "GET") -> tuple[int, bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", config.acme_port, timeout=PATIENCE_S)
        connection.request(method, path)
        answer = connection.getresponse()
        found = answer.status, answer.read()
        connection.close()
        return found

    assert ask("/.well-known/acme-challenge/token_1234") == (200, f"token_1234.{thumbprint}".encode())
    for path in (
        "/",
        "/.well-known/acme-challenge/",
        "/.well-known/acme-challenge/a%22b12345678",
        "/connexion/",
    ):
        assert ask(path)[0] == 404
    assert ask("/.well-known/acme-challenge/token_1234", "POST")[0] == 404
