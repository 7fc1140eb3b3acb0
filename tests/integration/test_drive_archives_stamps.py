"""Time stamps with openssl on the other side: it answers our request, we check its answer, it checks what we keep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from beffroi.drive.archives import stamps
from cryptography import x509

from tests.waiting import PATIENCE_S

CONFIGURATION = """\
[req]
distinguished_name = dn
[dn]
[ca]
basicConstraints = critical,CA:TRUE
keyUsage = critical,keyCertSign,cRLSign
subjectKeyIdentifier = hash
[leaf]
basicConstraints = critical,CA:FALSE
keyUsage = critical,digitalSignature
extendedKeyUsage = critical,timeStamping
subjectKeyIdentifier = hash
authorityKeyIdentifier = keyid
[tsa]
default_tsa = one
[one]
serial = serial
signer_digest = {digest}
default_policy = 1.2.3.4.1
digests = sha256,sha512
accuracy = secs:1
ordering = yes
tsa_name = yes
ess_cert_id_alg = {ess}
"""
NONCE = 0xFEDC_BA98_7654_3210


def openssl(place: Path, *arguments: str, well: bool = True) -> str:
    done = subprocess.run(
        ("openssl", *arguments),
        cwd=place,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        stdin=subprocess.DEVNULL,
        check=False,
    )
    assert (done.returncode == 0) == well, done.stderr
    return done.stdout


def an_authority(place: Path, key: tuple[str, ...], digest: str, ess: str) -> None:
    (place / "tsa.cnf").write_text(CONFIGURATION.format(digest=digest, ess=ess))
    (place / "serial").write_text("01\n")
    new = ("req", "-config", "tsa.cnf", "-nodes", *key)
    openssl(
        place,
        *new,
        "-x509",
        "-keyout",
        "ca.key",
        "-out",
        "ca.pem",
        "-subj",
        "/CN=Racine",
        "-extensions",
        "ca",
    )
    openssl(place, *new, "-keyout", "tsa.key", "-out", "tsa.csr", "-subj", "/O=Essai/CN=Horodatage")
    issue = ("x509", "-req", "-in", "tsa.csr", "-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial")
    openssl(place, *issue, "-out", "tsa.pem", "-extfile", "tsa.cnf", "-extensions", "leaf")


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # serials below 1
@pytest.mark.parametrize(
    ("key", "digest", "ess"),
    [
        (("-newkey", "rsa:2048"), "sha256", "sha256"),
        (("-newkey", "rsa:2048"), "sha512", "sha1"),
        (("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"), "sha384", "sha512"),
    ],
)
def test_a_stamp_of_openssl_is_valid_here_and_there(
    tmp_path: Path, key: tuple[str, ...], digest: str, ess: str
) -> None:
    an_authority(tmp_path, key, digest, ess)
    data = "beffroi/seal/1\nété\n".encode()
    (tmp_path / "sceau.txt").write_bytes(data)
    (tmp_path / "query").write_bytes(stamps.request(data, NONCE))
    shown = openssl(tmp_path, "ts", "-query", "-in", "query", "-text")
    assert "Nonce: 0xFEDCBA9876543210" in shown
    assert "Certificate required: yes" in shown
    reply = (
        "ts",
        "-reply",
        "-config",
        "tsa.cnf",
        "-queryfile",
        "query",
        "-signer",
        "tsa.pem",
        "-inkey",
        "tsa.key",
    )
    openssl(tmp_path, *reply, "-out", "sceau.tsr")
    response = (tmp_path / "sceau.tsr").read_bytes()
    root = x509.load_pem_x509_certificate((tmp_path / "ca.pem").read_bytes())

    stamp = stamps.verify(response, data, [root], nonce=NONCE)
    assert (stamp.authority, stamp.policy, stamp.serial) == ("Horodatage", "1.2.3.4.1", 2)
    check = ("ts", "-verify", "-data", "sceau.txt", "-in", "sceau.tsr", "-CAfile", "ca.pem")
    openssl(tmp_path, *check)

    for place in range(len(response)):
        damaged = bytearray(response)
        damaged[place] ^= 4
        try:
            stamps.verify(bytes(damaged), data, [root])
        except stamps.StampInvalid:
            continue
        (tmp_path / "damaged.tsr").write_bytes(damaged)
        openssl(tmp_path, *check[:5], "damaged.tsr", *check[6:])  # what is valid here is valid there

    later = ("-attime", str(int(stamp.at.timestamp()) + 3650 * 86400))
    openssl(tmp_path, *check, *later, well=False)
    assert stamps.verify(response, data, [root]) == stamp, "its certificate may have ended since"
    openssl(tmp_path, *check, "-attime", str(int(stamp.at.timestamp())))

    for others, nonce in ((data + b"x", NONCE), (data, 1)):
        with pytest.raises(stamps.StampInvalid):
            stamps.verify(response, others, [root], nonce=nonce)
    (tmp_path / "sceau.txt").write_bytes(data + b"x")
    openssl(tmp_path, *check, well=False)
