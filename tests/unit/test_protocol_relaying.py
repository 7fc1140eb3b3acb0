"""The relay in a policy: what it may name; and the box's request for a token."""

from __future__ import annotations

import msgspec
import pytest
from beffroi_protocol.claims import EARLY_S
from beffroi_protocol.errors import MessageMalformed, ProtocolError, SignatureInvalid
from beffroi_protocol.mail_token import LATE_S, MailTokenRequest, make_request, verify_request
from beffroi_protocol.messages import Policy, PolicyMessage, decode_feed, encode
from beffroi_protocol.relaying import Device, Relay
from beffroi_protocol.signing import b64, public_bytes
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

KEY = Ed25519PrivateKey.generate()
T0 = 1_800_000_000
RELAY = Relay("copieur@x.test", "mx.x.test", (Device("00:1b:a9:12:34:56", "Copieur"),), ("@x.test",))
REQUEST = make_request(KEY, MailTokenRequest(1, "box_1", T0))


def test_a_policy_without_a_relay_is_what_it_was_and_with_one_it_arrives_whole() -> None:
    message = PolicyMessage(1, "col_1", 4, T0, Policy(relay=RELAY))
    assert decode_feed(encode(message)) == message
    assert msgspec.convert({"mode": "router"}, Policy).relay is None


@pytest.mark.parametrize(
    "changes",
    [
        {"sender": "not an address"},
        {"sender": "a@x.test\r\nBcc: b@x.test"},
        {"devices": []},
        {"devices": [{"at": "localhost", "label": "x"}]},
        {"devices": [{"at": "192.168.1.5", "label": ""}]},
        {"recipients": []},
        {"recipients": ["@"]},
        {"recipients": ["x.test"]},
        {"hour": 0},
        {"size_bytes": 1 << 30},
        {"port": 0},
    ],
)
def test_a_relay_that_cannot_be_is_no_policy(changes: dict[str, object]) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({**msgspec.to_builtins(RELAY), **changes}, Relay)


@pytest.mark.parametrize(
    ("recipient", "takes"),
    [
        ("a@x.test", True),
        ("A@X.TEST", True),
        ("a@sub.x.test", False),
        ("a@xx.test", False),
        ("@x.test@y.test", False),
    ],
)
def test_a_domain_means_its_addresses_and_no_other(recipient: str, takes: bool) -> None:
    assert RELAY.takes(recipient) is takes


def test_a_request_lives_some_minutes_and_is_of_one_box() -> None:
    for now in (T0 - EARLY_S, T0, T0 + LATE_S):
        assert verify_request(REQUEST, public_bytes(KEY), now=now).box_id == "box_1"
    for now in (T0 - EARLY_S - 1, T0 + LATE_S + 1):
        with pytest.raises(MessageMalformed):
            verify_request(REQUEST, public_bytes(KEY), now=now)
    with pytest.raises(SignatureInvalid):
        verify_request(REQUEST, public_bytes(Ed25519PrivateKey.generate()), now=T0)


@pytest.mark.parametrize(
    "text", ["", ".", "a.b", REQUEST + "x" * 2000, REQUEST[:-4], "é.b", b64(b"{}") + "." + b64(b"x")]
)
def test_a_broken_request_is_refused_by_name(text: str) -> None:
    with pytest.raises(ProtocolError):
        verify_request(text, public_bytes(KEY), now=T0)
