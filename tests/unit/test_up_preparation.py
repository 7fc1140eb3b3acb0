"""Secrets, certificates, front door and checks of a new centre, each on a state directory of its own."""

from __future__ import annotations

import contextlib
import http.client
import shutil
import socket
import ssl
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from beffroi.core.identity import actions as identity
from beffroi.lib import clock
from beffroi.lib.config import Config, SettingInvalid
from beffroi.supervise import certificates, checks, demo, front, preparation, secret_files
from beffroi_protocol.signing import TrustStore, public_bytes, unb64
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.x509.verification import PolicyBuilder, Store

from tests.waiting import PATIENCE_S, until_it_listens


@pytest.fixture
def new(tmp_path: Path) -> Config:
    return Config(state=tmp_path / "state", portal_name="portail.test", mail_name="mx.centre.test")


@pytest.fixture
def taken() -> Iterator[int]:
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen(1)
        yield holder.getsockname()[1]


def free_ports(config: Config) -> Config:
    """The same configuration on ports that nobody holds now."""
    names = [name for name in vars(config) if name.endswith("_port")]
    holders = [socket.create_server(("127.0.0.1", 0)) for _ in names]
    ports = [holder.getsockname()[1] for holder in holders]
    for holder in holders:
        holder.close()
    return replace(config, **dict(zip(names, ports, strict=True)))


def test_every_secret_is_readable_by_its_owner_alone(new: Config) -> None:
    made = secret_files.generate(new)
    assert {"django.key", "feed.key", "feed-root.key", "door.token"} <= set(made)
    assert stat.S_IMODE(new.secrets.stat().st_mode) == 0o700
    for path in new.secrets.iterdir():
        expected = 0o644 if path.name in ("feed-root.pub", "audit.pub") else 0o600
        assert stat.S_IMODE(path.stat().st_mode) == expected, path.name


def test_a_new_key_of_the_audit_log_leaves_the_former_one_trusted(new: Config) -> None:
    secret_files.generate(new)
    public = new.secrets / "audit.pub"
    (first,) = public.read_text().split()
    assert secret_files.generate(new) == []
    assert public.read_text().split() == [first]
    (new.secrets / "audit.key").unlink()
    secret_files.generate(new)
    second, former = public.read_text().split()
    assert former == first != second


def test_a_second_start_changes_no_secret(new: Config) -> None:
    secret_files.generate(new)
    before = {path.name: path.read_bytes() for path in new.secrets.iterdir()}
    assert secret_files.generate(new) == []
    assert {path.name: path.read_bytes() for path in new.secrets.iterdir()} == before


def test_a_secret_is_never_written_through_a_symbolic_link(new: Config, tmp_path: Path) -> None:
    new.secrets.mkdir(parents=True)
    victim = tmp_path / "victim"
    victim.write_text("intact")
    (new.secrets / "doveadm.key.new").symlink_to(victim)
    secret_files.write_file(
        new.secrets / "doveadm.key", b"x", mode=0o600, owner=secret_files.supervisor_owner()
    )
    assert victim.read_text() == "intact"


def test_the_feed_key_is_delegated_by_the_root_and_renewed_in_time(new: Config) -> None:
    secret_files.generate(new)
    assert secret_files.renew_delegation(new) == ""
    first = new.secret(secret_files.DELEGATION)
    trust = TrustStore(unb64(new.secret(secret_files.ROOT_PUBLIC).decode()))
    delegation = trust.add_delegation(first)
    feed = Ed25519PrivateKey.from_private_bytes(unb64(new.secret(secret_files.FEED_KEY).decode()))
    assert unb64(delegation.public_key) == public_bytes(feed)
    secret_files.renew_delegation(new)
    assert new.secret(secret_files.DELEGATION) == first
    with clock.shifted(secret_files.DELEGATION_LIFE_S - secret_files.RENEW_BEFORE_S + 60):
        secret_files.renew_delegation(new)
    assert trust.add_delegation(new.secret(secret_files.DELEGATION)).serial == delegation.serial + 1


def test_a_delegation_by_a_clock_that_was_ahead_is_replaced(new: Config) -> None:
    secret_files.generate(new)
    with clock.shifted(86400):
        preparation.keep_up(new)
    early = new.secret(secret_files.DELEGATION)
    preparation.keep_up(new)
    trust = TrustStore(unb64(new.secret(secret_files.ROOT_PUBLIC).decode()))
    trust.add_delegation(early)
    found = trust.add_delegation(new.secret(secret_files.DELEGATION))
    assert found.not_before < clock.epoch_s() and found.serial == 2


def test_a_clock_that_jumps_meanwhile_renews_nothing(new: Config) -> None:
    secret_files.generate(new)
    preparation.keep_up(new)
    first = new.secret(secret_files.DELEGATION)
    with clock.jumped(365 * 86400):
        preparation.keep_up(new)
    assert new.secret(secret_files.DELEGATION) == first


@pytest.mark.parametrize("name", ["feed.key", "audit.key", "door.token", "feed-delegation.line"])
def test_a_secret_without_content_stops_the_start(new: Config, name: str) -> None:
    secret_files.generate(new)
    preparation.keep_up(new)
    (new.secrets / name).write_bytes(b"\n")
    with pytest.raises(secret_files.SecretUnusable, match=name):
        secret_files.generate(new)
        preparation.keep_up(new)
    assert (new.secrets / name).read_bytes() == b"\n"


def test_a_master_key_that_is_lost_is_not_replaced_by_another_one(new: Config) -> None:
    secret_files.generate(new)
    master = new.secrets / secret_files.MASTER_KEY
    master.unlink()
    (new.state / "mailboxes").mkdir()
    secret_files.generate(new)  # nothing was encrypted: a first start that was cut off
    (new.state / "mailboxes" / "mbx_1").mkdir()
    master.unlink()
    with pytest.raises(secret_files.SecretUnusable, match="is missing"):
        secret_files.generate(new)
    assert not master.exists()


def test_a_first_start_that_was_cut_after_the_root_key_is_made_whole(new: Config) -> None:
    secret_files.generate(new)
    public = (new.secrets / secret_files.ROOT_PUBLIC).read_bytes()
    (new.secrets / secret_files.ROOT_PUBLIC).unlink()
    assert secret_files.generate(new) == [secret_files.ROOT_PUBLIC]
    assert (new.secrets / secret_files.ROOT_PUBLIC).read_bytes() == public


def test_without_the_root_key_a_person_is_told_and_nothing_breaks(new: Config) -> None:
    secret_files.generate(new)
    secret_files.renew_delegation(new)
    (new.secrets / secret_files.ROOT_KEY).unlink()
    assert secret_files.generate(new) == []
    with clock.shifted(secret_files.DELEGATION_LIFE_S - 86400):
        assert "1 more days" in secret_files.renew_delegation(new) or "0 more days" in (
            secret_files.renew_delegation(new)
        )


def test_certificates_of_a_clock_that_was_ahead_are_made_anew(new: Config) -> None:
    with clock.shifted(3 * 86400):
        certificates.ensure(new)
        early = (new.state / "tls" / "ca.pem").read_bytes()
        assert certificates.ensure(new) == []
    assert certificates.ensure(new) == ["portal.pem", "mail.pem"]
    assert (new.state / "tls" / "ca.pem").read_bytes() != early
    assert certificates.ensure(new) == []


def test_certificates_verify_against_the_centres_own_authority(new: Config) -> None:
    assert certificates.ensure(new) == ["portal.pem", "mail.pem"]
    tls = new.state / "tls"
    store = Store([x509.load_pem_x509_certificate((tls / "ca.pem").read_bytes())])
    for name, file in (
        ("portail.test", "portal.pem"),
        ("localhost", "portal.pem"),
        ("mx.centre.test", "mail.pem"),
    ):
        leaf = x509.load_pem_x509_certificate((tls / file).read_bytes())
        PolicyBuilder().store(store).build_server_verifier(x509.DNSName(name)).verify(leaf, [])
    for secret in ("ca.key", "portal.pem", "mail.key"):
        assert stat.S_IMODE((tls / secret).stat().st_mode) == 0o600
    assert certificates.ensure(new) == []


def test_the_authority_has_no_power_over_other_names(new: Config) -> None:
    certificates.ensure(new)
    authority = x509.load_pem_x509_certificate((new.state / "tls" / "ca.pem").read_bytes())
    constraints = authority.extensions.get_extension_for_class(x509.NameConstraints)
    permitted = [str(name.value) for name in constraints.value.permitted_subtrees or ()]
    assert constraints.critical
    assert "portail.test" in permitted
    assert not any("impots" in name for name in permitted)


def test_a_certificate_is_renewed_before_its_end_and_for_new_names(new: Config) -> None:
    certificates.ensure(new)
    with clock.shifted(
        (certificates.LEAF_LIFE - certificates.RENEW_BEFORE + timedelta(days=1)).total_seconds()
    ):
        assert certificates.ensure(new) == ["portal.pem", "mail.pem"]
    renamed = replace(new, console_name="console.test")
    assert certificates.ensure(renamed) == ["portal.pem", "mail.pem"]


def test_a_renamed_centre_gets_an_authority_that_covers_the_new_name(new: Config) -> None:
    certificates.ensure(new)
    renamed = replace(new, portal_name="autre.test")
    certificates.ensure(renamed)
    tls = new.state / "tls"
    store = Store([x509.load_pem_x509_certificate((tls / "ca.pem").read_bytes())])
    leaf = x509.load_pem_x509_certificate((tls / "portal.pem").read_bytes())
    PolicyBuilder().store(store).build_server_verifier(x509.DNSName("autre.test")).verify(leaf, [])


@pytest.mark.front
@pytest.mark.parametrize("listen", ["127.0.0.1", "*", "::1"])
def test_haproxy_finds_no_fault_in_its_configuration(
    new: Config, listen: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    short = Path(tempfile.mkdtemp(prefix="bfp-"))  # the path of a socket has few bytes
    request.addfinalizer(lambda: shutil.rmtree(short, ignore_errors=True))
    wanted = free_ports(replace(new, state=short, listen=listen, hsts_s=3600))
    certificates.ensure(wanted)
    front.write(wanted)
    path = tmp_path / "haproxy.cfg"
    path.write_text(front.configuration(wanted, drop_privileges=False))
    checked = subprocess.run(
        ("haproxy", "-c", "-f", str(path)), capture_output=True, text=True, check=False, timeout=PATIENCE_S
    )
    assert checked.returncode == 0, checked.stderr
    assert "WARNING" not in checked.stderr


@pytest.mark.parametrize("console", ["127.0.0.1", "192.0.2.7", "::1"])
def test_the_console_listens_where_it_is_told_to_and_on_loopback_else(new: Config, console: str) -> None:
    """Whatever pages and mail listen on, as here on everything."""
    wanted = replace(new, listen="*")
    assert wanted.console_listen == "127.0.0.1"
    text = front.configuration(replace(wanted, console_listen=console), drop_privileges=False)
    bound = f"[{console}]" if ":" in console else console
    assert _bound(text, wanted.console_port) == [bound]
    assert _bound(text, wanted.portal_port) == ["0.0.0.0", "[::]"]


def _bound(text: str, port: int) -> list[str]:
    """The addresses of a port in haproxy's configuration."""
    binds = [line.split()[1] for line in text.splitlines() if line.strip().startswith("bind ")]
    return [host for host, _, number in (one.rpartition(":") for one in binds) if number == str(port)]


@pytest.mark.front
def test_the_front_waits_for_the_last_word_of_the_drive(
    new: Config, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """Of a long upload that is joined, or a folder that goes to another commune."""
    short = Path(tempfile.mkdtemp(prefix="bfp-"))
    request.addfinalizer(lambda: shutil.rmtree(short, ignore_errors=True))
    wanted = free_ports(replace(new, state=short, listen="127.0.0.1"))
    certificates.ensure(wanted)
    front.write(wanted)
    wanted.run.mkdir(exist_ok=True)
    path = tmp_path / "haproxy.cfg"
    text = front.configuration(wanted, drop_privileges=False)
    path.write_text(text.replace("timeout server 60s", "timeout server 500ms"))
    with socket.socket(socket.AF_UNIX) as drive, ThreadPoolExecutor(1) as threads:
        drive.bind(str(wanted.run / "drive.sock"))
        drive.listen()
        threads.submit(_answer_late, drive)
        process = subprocess.Popen(("haproxy", "-db", "-f", str(path)), stderr=subprocess.DEVNULL)
        request.addfinalizer(process.kill)
        until_it_listens(wanted.portal_port, process)
        line = http.client.HTTPSConnection(
            "127.0.0.1", wanted.portal_port, timeout=PATIENCE_S, context=ssl._create_unverified_context()
        )
        with contextlib.closing(line):
            line.request("MOVE", "/dav/film.mp4", headers={"Host": wanted.portal_name})
            assert line.getresponse().status == 201


@pytest.mark.front
@pytest.mark.parametrize(
    ("path", "status", "advice"),
    [
        ("/coffre/", 503, "Attendez une minute, puis rechargez cette page."),
        ("/coffre/octets/7", 503, "Attendez une minute, puis rechargez cette page."),
        ("/courrier/", 413, "envoyez moins de fichiers à la fois"),
    ],
)
def test_what_the_front_says_itself_is_a_page_in_french(
    new: Config, request: pytest.FixtureRequest, path: str, status: int, advice: str
) -> None:
    """Where no plane answers, as after a fault or while one starts again."""
    short = Path(tempfile.mkdtemp(prefix="bfp-"))
    request.addfinalizer(lambda: shutil.rmtree(short, ignore_errors=True))
    wanted = free_ports(replace(new, state=short, listen="127.0.0.1"))
    certificates.ensure(wanted)
    front.write(wanted)
    (short / "haproxy.cfg").write_text(front.configuration(wanted, drop_privileges=False))
    argv = ("haproxy", "-db", "-f", str(short / "haproxy.cfg"))
    process = subprocess.Popen(argv, stderr=subprocess.DEVNULL)
    request.addfinalizer(process.kill)
    until_it_listens(wanted.portal_port, process)
    line = http.client.HTTPSConnection(
        "127.0.0.1", wanted.portal_port, timeout=PATIENCE_S, context=ssl._create_unverified_context()
    )
    with contextlib.closing(line):
        length = "40000000" if status == 413 else "0"
        line.request("GET", path, headers={"Host": wanted.portal_name, "Content-Length": length})
        answer = line.getresponse()
        page = answer.read().decode()
    assert answer.status == status
    assert advice in page and '<html lang="fr">' in page
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]


def _answer_late(drive: socket.socket) -> None:
    line, _ = drive.accept()
    with line:
        line.recv(4096)
        time.sleep(2)  # longer than everybody else may take
        line.sendall(b"HTTP/1.1 201 Created\r\nContent-Length: 0\r\n\r\n")


def test_the_front_removes_every_header_that_planes_trust(new: Config) -> None:
    text = front.configuration(new, drop_privileges=False)
    assert text.count("del-header X-Forwarded-For") == 3
    assert text.count("del-header X-Beffroi-Token") == 3
    assert text.count("set-header X-Forwarded-For %[src]") == 3


@pytest.mark.parametrize(
    "place", ["/srv/my centre", '/srv/a"b', "/srv/a#b", "/srv/a$b", "/srv/a\nb", "/srv/" + "é" * 30, __file__]
)
def test_a_place_that_engines_cannot_read_or_bind_in_is_refused_before_anything_is_made(place: str) -> None:
    with pytest.raises(checks.PlaceUnusable):
        checks.check_place(Path(place))


def test_a_place_that_system_users_cannot_enter_is_refused() -> None:
    with tempfile.TemporaryDirectory(prefix="bfp-") as closed:
        with pytest.raises(checks.PlaceUnusable, match=f"cannot enter {closed}"):
            checks.check_place(Path(closed, "state"))
        Path(closed).chmod(0o711)
        checks.check_place(Path(closed, "state"))


@pytest.mark.parametrize("place", ["/var/lib/beffroi", "/srv/données/centre-2", "/tmp/a%b"])
def test_other_places_are_taken(place: str) -> None:
    checks.check_place(Path(place))


@pytest.mark.parametrize("name", ["", "a b", "exémple.fr", "-a.fr", "a..fr", "a.fr\n", "x" * 64 + ".fr"])
def test_a_name_that_no_certificate_holds_is_named_with_its_setting(new: Config, name: str) -> None:
    checks.check_names(new)
    with pytest.raises(SettingInvalid, match="Setting console_name"):
        checks.check_names(replace(new, console_name=name))


def test_a_taken_port_is_named_with_its_setting_and_its_program(new: Config, taken: int) -> None:
    wanted = replace(free_ports(new), smtp_port=taken)
    with pytest.raises(checks.PortTaken) as caught:
        checks.check_ports(wanted)
    assert str(taken) in str(caught.value)
    assert "smtp_port" in str(caught.value)
    assert "process" in str(caught.value)


def test_free_ports_pass_and_one_port_for_two_services_does_not(new: Config) -> None:
    wanted = free_ports(new)
    checks.check_ports(wanted)
    with pytest.raises(checks.PortTwice):
        checks.check_ports(replace(wanted, imap_port=wanted.smtp_port))


def test_a_full_disk_is_said_before_anything_is_written(new: Config) -> None:
    with pytest.raises(checks.DiskFull) as caught:
        checks.check_disk(new, needed_bytes=1 << 60)
    assert "MB free" in str(caught.value)
    assert not new.state.exists()


def test_a_seed_file_with_a_fault_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "seed.toml"
    path.write_text('[[communes]]\ninsee = "21584"\n')
    with pytest.raises(demo.SeedInvalid):
        demo.load_seed(path)


def test_a_seed_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "seed.toml"
    path.write_text(
        'administrator_email = "dsi@centre.fr"\n'
        'also = [{email = "a@x.fr", insee = "21023"}]\n'
        '[[communes]]\ninsee = "21584"\ndomain = "x.fr"\n'
        'people = [{email = "a@x.fr", name = "A", role = "agent"}]\n'
    )
    seed = demo.load_seed(path)
    assert seed.communes[0].people[0].email == "a@x.fr"
    assert seed.also == (("a@x.fr", "21023"),)
    assert seed.administrator_email == "dsi@centre.fr"


def test_passwords_of_the_demonstration_are_long_and_never_the_same() -> None:
    made = {identity.new_password() for _ in range(200)}
    assert len(made) == 200
    assert all(len(one) == 19 for one in made)


@pytest.mark.parametrize("name", ["run/wake", "sources/brought"])
def test_a_link_within_another_user_s_directory_is_not_followed(
    new: Config, tmp_path: Path, name: str
) -> None:
    own = replace(new, user="")
    preparation._directories(own)
    foreign = tmp_path / "foreign"
    foreign.mkdir(mode=0o700)
    (own.state / name).rmdir()
    (own.state / name).symlink_to(foreign)
    with pytest.raises(preparation.LinkedDirectory, match=name):
        preparation._directories(own)
    assert stat.S_IMODE(foreign.stat().st_mode) == 0o700


def test_a_directory_on_another_disk_may_be_linked(new: Config, tmp_path: Path) -> None:
    own = replace(new, user="")
    disk = tmp_path / "disk"
    disk.mkdir(mode=0o755)
    own.state.mkdir()
    (own.state / "lists").symlink_to(disk)
    preparation._directories(own)
    assert stat.S_IMODE(disk.stat().st_mode) == 0o700
