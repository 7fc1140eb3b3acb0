"""A mail server's TLS as hellos find it: real OpenSSL servers behind a few lines of SMTP, well and badly set."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from beffroi.mail.domains import hellos, meeting
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from tests.certificates import self_signed
from tests.waiting import PATIENCE_S

NAME = "mx.example"
Version = ssl.TLSVersion


def made(folder: Path, *kind: str) -> Path:
    self_signed(folder / "two.pem", folder / "one.pem", NAME, kind=kind)
    (folder / "both.pem").write_text((folder / "one.pem").read_text() + (folder / "two.pem").read_text())
    return folder / "both.pem"


@pytest.fixture(scope="module")
def pem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("hellos"), "rsa:2048")


def context(pem: Path, ciphers: str, low: ssl.TLSVersion = Version.TLSv1_2) -> ssl.SSLContext:
    found = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    found.load_cert_chain(pem)
    found.set_ciphers(ciphers)
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        found.minimum_version = low
    return found


@contextmanager
def smtp(
    after: Callable[[socket.socket], object], *, address: str = "127.0.0.1", port: int = 0
) -> Iterator[int]:
    """A server that says EHLO and STARTTLS, and leaves the line to ``after``; its port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, port), family=family) as listening:

        def serve() -> None:
            while True:
                try:
                    line, _ = listening.accept()
                except OSError:
                    return
                with line:
                    line.settimeout(10)
                    line.sendall(b"220 mx ESMTP\r\n")
                    for answer in (b"250-mx\r\n250 STARTTLS\r\n", b"220 go\r\n"):
                        line.recv(1024)
                        line.sendall(answer)
                    try:
                        after(line)
                    except OSError:
                        continue  # the check hangs up after the hello

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listening.getsockname()[1]
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(PATIENCE_S)


def wrong(after: Callable[[socket.socket], object]) -> dict[str, tuple[str, str]]:
    with smtp(after) as port:
        found = hellos.look("127.0.0.1", port, NAME, budget_s=20)
    assert [one.item for one in found] and {one.item for one in found} == set(hellos.ITEMS)
    return {one.item: (one.code, one.seen) for one in found if one.state != "ok"}


def secured(made: ssl.SSLContext) -> Callable[[socket.socket], object]:
    return lambda line: made.wrap_socket(line, server_side=True)


def test_a_server_with_good_suites_alone_has_no_fault(pem: Path) -> None:
    assert wrong(secured(context(pem, "ECDHE+AESGCM"))) == {}


def test_one_that_speaks_only_tls_13_has_none_of_the_faults_of_12(pem: Path) -> None:
    assert wrong(secured(context(pem, "ECDHE+AESGCM", Version.TLSv1_3))) == {}


def test_old_versions_that_are_accepted_are_named(pem: Path) -> None:
    found = wrong(secured(context(pem, "ECDHE+AESGCM:ECDHE+AES:@SECLEVEL=0", Version.TLSv1)))
    assert found == {"tls_versions": ("old", "TLSv1.0, TLSv1.1")}
    found = wrong(secured(context(pem, "ECDHE+AESGCM:ECDHE+AES:@SECLEVEL=0", Version.TLSv1_1)))
    assert found == {"tls_versions": ("old", "TLSv1.1")}


@pytest.mark.parametrize(
    ("ciphers", "family"),
    [
        ("ECDHE+AESGCM:kRSA", "RSA"),
        ("ECDHE+AESGCM:aNULL:@SECLEVEL=0", "anonyme"),
        ("NULL-SHA256:@SECLEVEL=0", "NULL"),
    ],
)
def test_a_weak_suite_that_is_accepted_is_named(pem: Path, ciphers: str, family: str) -> None:
    code, seen = wrong(secured(context(pem, ciphers)))["tls_suites"]
    assert code == "weak" and seen.startswith(family)


def test_a_server_that_lets_the_client_choose_is_found_and_one_with_lesser_suites_alone_is_not(
    pem: Path,
) -> None:
    free = context(pem, "ECDHE+AESGCM:ECDHE-RSA-AES128-SHA256")
    free.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    assert wrong(secured(free)) == {"tls_order": ("client", "")}
    free.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    assert wrong(secured(free)) == {}
    assert wrong(secured(context(pem, "ECDHE-RSA-AES128-SHA256"))) == {}


@pytest.mark.parametrize(("bits", "well"), [(1024, False), (2048, True)])
def test_a_short_diffie_hellman_prime_is_measured(pem: Path, tmp_path: Path, bits: int, well: bool) -> None:
    own = context(pem, "ECDHE+AESGCM:DHE+AESGCM:@SECLEVEL=0")
    parameters = ("genpkey", "-genparam", "-algorithm", "DH", "-pkeyopt", "group:modp_2048", "-out", "dh.pem")
    if bits == 1024:
        parameters = ("dhparam", "-dsaparam", "-out", "dh.pem", "1024")
    subprocess.run(("openssl", *parameters), check=True, capture_output=True, cwd=tmp_path)
    own.load_dh_params(str(tmp_path / "dh.pem"))
    assert wrong(secured(own)) == ({} if well else {"tls_parameters": ("small", "DH 1024 bits")})


def test_a_weak_curve_that_is_accepted_is_found(pem: Path) -> None:
    own = context(pem, "ECDHE+AESGCM:@SECLEVEL=0")
    own.set_ecdh_curve("prime256v1")
    assert wrong(secured(own)) == {}
    own.set_ecdh_curve("secp192k1")
    assert "tls_parameters" in wrong(secured(own))


def test_a_server_that_hangs_up_refuses_and_one_that_says_nothing_is_not_known(pem: Path) -> None:
    assert wrong(lambda line: line.recv(4096)) == {}
    started = time.monotonic()
    with smtp(lambda line: threading.Event().wait(1)) as port:
        place = hellos.Place("127.0.0.1", port, NAME, started + 0.5)
        assert hellos.offer(place, hellos.TLS12, hellos.GOOD) is None
        assert hellos.look("127.0.0.1", port, NAME, budget_s=0)[0].state == "unknown"


@pytest.mark.parametrize(
    "garbage",
    [
        b"HTTP/1.1 400 Bad\r\n\r\n",
        b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",
        b"\x16\x03\x03\xff\xff" + bytes(70_000),
    ],
)
def test_an_answer_that_is_no_tls_agrees_to_nothing(garbage: bytes) -> None:
    def answer(line: socket.socket) -> None:
        line.recv(4096)
        line.sendall(garbage)

    with smtp(answer) as port:
        place = hellos.Place("127.0.0.1", port, NAME, time.monotonic() + 5)
        found = hellos.offer(place, hellos.TLS12, hellos.GOOD)
    assert found is None or not found.suite


@pytest.mark.parametrize(
    ("more", "code"), [(("-max_early_data", "16384", "-early_data"), "taken"), ((), "ok")]
)
def test_early_data_is_read_from_the_ticket(pem: Path, more: tuple[str, ...], code: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        own = free.getsockname()[1]
    argv = ("openssl", "s_server", "-accept", f"127.0.0.1:{own}", "-cert", str(pem), "-tls1_3", *more)
    server = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert server.stdout is not None
        for line in server.stdout:
            if line.startswith(b"ACCEPT"):
                break

        def pass_on(line: socket.socket) -> None:
            with socket.create_connection(("127.0.0.1", own), PATIENCE_S) as behind:
                back = threading.Thread(target=copy, args=(behind, line), daemon=True)
                back.start()
                copy(line, behind)
                back.join(PATIENCE_S)

        with smtp(pass_on) as port:
            assert meeting.early_data("127.0.0.1", port, NAME).code == code
    finally:
        server.kill()
        server.communicate(timeout=PATIENCE_S)


def copy(one: socket.socket, other: socket.socket) -> None:
    one.settimeout(2)
    try:
        while data := one.recv(4096):
            other.sendall(data)
        other.shutdown(socket.SHUT_WR)
    except OSError:
        other.close()


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        (("rsa:1024",), ("bad", "short")),
        (("rsa:2048",), ("ok", "ok")),
        (("rsa:2048", "-sha1"), ("bad", "signature")),
        (("ec", "-pkeyopt", "ec_paramgen_curve:P-256"), ("ok", "ok")),
        (("ed25519",), ("ok", "ok")),
    ],
)
def test_the_certificate_is_judged_by_its_key_and_signature(
    tmp_path: Path, kind: tuple[str, ...], expected: tuple[str, str]
) -> None:
    both = made(tmp_path, *kind)
    certificate = x509.load_pem_x509_certificate(both.read_bytes()).public_bytes(Encoding.DER)
    result = meeting.key(certificate)
    assert (result.state, result.code) == expected
