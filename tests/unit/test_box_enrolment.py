"""The code of an enrolment: typed by people, checked against the centre's root key."""

from __future__ import annotations

from pathlib import Path

import pytest
from beffroi_box.config import BoxConfig
from beffroi_box.enrol import _accept
from beffroi_box.errors import EnrolRefused
from beffroi_box.store import Store
from beffroi_protocol.enrolment_code import CodeInvalid, WrongCentre, new_code, read_code
from beffroi_protocol.errors import ProtocolError
from beffroi_protocol.messages import EnrolAnswer, Policy, PolicyMessage
from beffroi_protocol.signing import Signer, b64, delegate, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NOW = 1_800_000_000
ROOT, FEED, STRANGER = (Ed25519PrivateKey.generate() for _ in range(3))


def test_the_check_of_a_code_fits_its_own_centre_only() -> None:
    code = read_code(new_code(public_bytes(ROOT)).text())
    code.require_root(public_bytes(ROOT))
    with pytest.raises(WrongCentre):
        code.require_root(public_bytes(STRANGER))


def test_a_code_is_read_as_people_type_it() -> None:
    code = new_code(public_bytes(ROOT))
    typed = code.text().lower().replace("-", " ").replace("0", "o").replace("1", "l")
    assert read_code(f"  {typed}\n") == code


@pytest.mark.parametrize("text", ["", "ABCD", "U" * 24, "é" * 24, "A" * 25])
def test_what_is_no_code_is_refused(text: str) -> None:
    with pytest.raises(CodeInvalid):
        read_code(text)


def test_the_secret_of_a_code_does_not_travel() -> None:
    code = new_code(public_bytes(ROOT))
    assert code.secret.hex() not in code.locator and len(code.locator) == 64


def test_one_wrong_letter_is_a_wrong_centre_not_an_enrolment() -> None:
    text = new_code(public_bytes(ROOT)).text()
    for at in (0, 10, 28):
        other = "0" if text[at] != "0" else "1"
        with pytest.raises(WrongCentre):
            read_code(text[:at] + other + text[at + 1 :]).require_root(public_bytes(ROOT))


def answer(*, box: str = "box_1", of: str = "col_1", root: Ed25519PrivateKey = ROOT) -> EnrolAnswer:
    line = delegate(root, public_bytes(FEED), serial=1, not_before=0, not_after=NOW * 2)
    policy = Signer(FEED).line(PolicyMessage(1, of, 1, NOW, Policy()))
    return EnrolAnswer(
        1, "active", box, "col_1", "Beaune", b64(public_bytes(ROOT)), (line.decode(),), policy.decode()
    )


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path)
    found.prepare()
    return found


def test_a_sound_answer_is_kept_with_a_policy_that_is_still_to_be_proved(store: Store) -> None:
    config = BoxConfig(state=store.state, centre="https://boitiers.cotedor.fr")
    identity = _accept(config, store, answer())
    assert store.identity() == identity and len(store.trust(identity).lines) == 1
    assert store.policy() is None and store.policy("policy-candidate") is not None


@pytest.mark.parametrize("bad", [answer(box=""), answer(of="col_2"), answer(root=STRANGER)])
def test_an_answer_that_does_not_hold_together_leaves_the_box_unenrolled(
    store: Store, bad: EnrolAnswer
) -> None:
    config = BoxConfig(state=store.state, centre="https://boitiers.cotedor.fr")
    with pytest.raises((EnrolRefused, ProtocolError)):
        _accept(config, store, bad)
    assert not (store.state / "identity.json").exists()
