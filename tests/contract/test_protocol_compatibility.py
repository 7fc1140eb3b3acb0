"""What version 1 wrote must be read for ever: golden files, unknown fields, later versions."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest
from beffroi_protocol.errors import MessageMalformed, VersionUnknown
from beffroi_protocol.facts import Bypass, FactBatch, FlowsLearned, LookBack, Sighting
from beffroi_protocol.indicators import Kind
from beffroi_protocol.messages import (
    AckBatch,
    Batch,
    Delegation,
    EnrolAnswer,
    EnrolRequest,
    InboundRule,
    PolicyMessage,
    Snapshot,
    decode,
    decode_feed,
    encode,
)
from beffroi_protocol.session import FeedSession, TrustedClock
from beffroi_protocol.signing import Signer, TrustStore, payload_hash, public_bytes, split_line
from beffroi_protocol.table import Change, DecisionTable
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.waiting import PATIENCE_S

GOLDEN = Path(__file__).parent / "golden" / "v1"
ROOT_PUBLIC = public_bytes(Ed25519PrivateKey.from_private_bytes(b"\x01" * 32))
T0 = 1_800_000_000
POSTS = {
    AckBatch: b'{"v":1,"acks":[{"channel":"box","epoch":1,"version":2,"enforced_at_ms":1800000000123}]}',
    FactBatch: (
        b'{"v":1,"facts":[{"t":"flows_blocked","id":"f1","indicator":{"kind":"ip","value":"51.15.3.2"},'
        b'"direction":"out","count":3,"first_at":1800000000,"last_at":1800000009},'
        b'{"t":"names_refused","id":"f2","indicator":{"kind":"domain","value":"evil.com"},"count":1,'
        b'"first_at":1800000000,"last_at":1800000000},'
        b'{"t":"entry_refused","id":"f3","entry_id":"dec_1","indicator":{"kind":"domain","value":"gouv.fr"},'
        b'"reason":"gouv.fr: a public service","at":1800000000},'
        b'{"t":"policy_rolled_back","id":"f4","policy_version":2,"kept_version":1,"reason":"no_reach","at":1800000000},'
        b'{"t":"sighting","id":"f5","detector":"d","indicators":[],"seen_at":1800000000,"evidence":{"k":"v"}}]}'
    ),
    EnrolRequest: b'{"v":1,"code":"00","serial":"BF-1","public_key":"AAAA"}',
    EnrolAnswer: b'{"v":1,"state":"pending"}',
}


def golden(name: str) -> bytes:
    return (GOLDEN / f"{name}.line").read_bytes().rstrip(b"\n")


def test_lines_of_version_1_verify_and_apply_for_ever() -> None:
    door = FeedSession(TrustStore(ROOT_PUBLIC), ["mail"], TrustedClock())
    assert isinstance(door.receive(golden("delegation"), monotonic=0.0), Delegation)
    for name in ("snapshot", "batch", "heartbeat"):
        assert isinstance(door.receive(golden(name), monotonic=0.0), Change), name
    policy = door.receive(golden("policy"), monotonic=0.0)
    assert isinstance(policy, PolicyMessage)
    assert (policy.policy_version, policy.policy.centre_names) == (4, ("cloud.cotedor.fr",))
    table = door.tables["mail"]
    assert (table.epoch, table.version, len(table)) == (3, 11, 7)
    assert {e.indicator.kind for e in table} == set(Kind)
    assert table.match_address("2a01:e0a:2::1", now=T0) is not None
    assert table.match_address("51.15.3.2", now=T0) is None
    assert door.clock.floor == T0 + 21


def test_a_state_file_of_version_1_loads_for_ever() -> None:
    table = DecisionTable.load((GOLDEN / "mail.state").read_bytes())
    assert (table.channel, table.epoch, table.version, len(table)) == ("mail", 3, 11, 7)
    assert table.head == payload_hash(split_line(golden("batch"))[2])
    assert table.match_name("www.evil.com", now=T0) is not None


@pytest.mark.parametrize("name", ["snapshot", "batch", "heartbeat", "policy", "delegation"])
def test_unknown_fields_of_a_newer_centre_are_ignored(name: str) -> None:
    plain = split_line(golden(name))[2]
    fields = msgspec.json.decode(plain)
    fields["field_of_tomorrow"] = {"deep": [1, None, "x"]}
    for listed in fields.get("entries", []) + fields.get("added", []):
        listed["field_of_tomorrow"] = 1
    assert decode_feed(msgspec.json.encode(fields)) == decode_feed(plain)


@pytest.mark.parametrize("name", ["snapshot", "batch", "policy", "delegation"])
def test_a_message_of_version_2_is_refused_with_a_clear_error(name: str) -> None:
    fields = msgspec.json.decode(split_line(golden(name))[2])
    fields["v"] = 2
    with pytest.raises(
        VersionUnknown, match=r"version 2; this side understands 1 to 1\. Update the older side"
    ):
        decode_feed(msgspec.json.encode(fields))
    for field in set(fields) - {"v"}:  # even when its shape has changed
        with pytest.raises(VersionUnknown):
            decode_feed(msgspec.json.encode(fields | {field: {"another": "shape"}}))


def test_a_message_of_version_2_changes_nothing_at_the_door() -> None:
    door = FeedSession(TrustStore(ROOT_PUBLIC), ["mail"], TrustedClock())
    for name in ("delegation", "snapshot"):
        door.receive(golden(name), monotonic=0.0)
    before = door.since()
    signer = Signer(Ed25519PrivateKey.from_private_bytes(b"\x02" * 32))
    later = signer.line(Batch(2, "mail", 3, 10, 11, T0, T0, "ef" * 32))
    assert not isinstance(door.receive(later, monotonic=0.0), Change)
    assert door.since() == before


@pytest.mark.parametrize("kind", list(POSTS))
def test_posts_of_version_1_decode_with_and_without_unknown_fields(kind: type[AckBatch]) -> None:
    assert decode(POSTS[kind], kind).v == 1
    assert decode(POSTS[kind][:-1] + b',"new":[1]}', kind) == decode(POSTS[kind], kind)
    with pytest.raises(VersionUnknown):
        decode(POSTS[kind].replace(b'"v":1', b'"v":3'), kind)


def test_what_is_written_today_is_what_version_1_wrote() -> None:
    message = decode_feed(split_line(golden("snapshot"))[2])
    assert isinstance(message, Snapshot)
    for name in ("snapshot", "batch", "heartbeat", "policy"):
        before = msgspec.json.decode(split_line(golden(name))[2])
        now = msgspec.json.decode(encode(decode_feed(split_line(golden(name))[2])))
        assert holds(now, before)


def test_a_list_of_yesterday_has_no_threat_and_an_unknown_one_is_read() -> None:
    fields = msgspec.json.decode(split_line(golden("batch"))[2])
    message = decode_feed(msgspec.json.encode(fields))
    assert isinstance(message, Batch) and message.lists[0].threat == ""
    for threat in ("command_server", "threat_of_tomorrow"):
        fields["lists"][0]["threat"] = threat
        message = decode_feed(msgspec.json.encode(fields))
        assert isinstance(message, Batch) and message.lists[0].threat == threat
    for bad in ("Command server", "x" * 41, 7):
        fields["lists"][0]["threat"] = bad
        with pytest.raises(MessageMalformed):
            decode_feed(msgspec.json.encode(fields))


def test_a_policy_of_yesterday_keeps_todays_behaviour() -> None:
    message = decode_feed(split_line(golden("policy"))[2])
    assert isinstance(message, PolicyMessage)
    policy = message.policy
    assert (policy.observe_until, policy.inbound, policy.honeyports, policy.canary_names) == (0, (), (), ())
    assert policy.openings == ()
    assert (policy.refuse_doh, policy.leak_bytes_hour, policy.unlock, policy.inspect) == (
        False,
        0,
        True,
        False,
    )


def test_a_rhythm_of_beacons_has_bounds_and_a_default() -> None:
    fields = msgspec.json.decode(split_line(golden("policy"))[2])
    message = decode_feed(msgspec.json.encode(fields))
    assert isinstance(message, PolicyMessage)
    assert (message.policy.beacon_from_s, message.policy.beacon_beats) == (45, 16)
    for name, bad in (
        ("beacon_from_s", 9),
        ("beacon_from_s", 3601),
        ("beacon_beats", 7),
        ("beacon_beats", 65),
    ):
        with pytest.raises(MessageMalformed):
            decode_feed(msgspec.json.encode(fields | {"policy": fields["policy"] | {name: bad}}))


def test_a_policy_with_all_fields_is_read_for_ever() -> None:
    message = decode_feed((GOLDEN / "policy_full.json").read_bytes())
    assert isinstance(message, PolicyMessage)
    assert message.policy.inbound == (
        InboundRule("tcp", 443, ("203.0.113.0/24", "2001:db8::/48"), "mairie"),
        InboundRule("udp", 51820),
    )
    assert (message.policy.honeyports, message.policy.canary_names) == (
        (23, 3389),
        ("sauvegarde.mairie-a.fr",),
    )
    assert (message.policy.observe_until, message.policy.leak_bytes_hour) == (T0 + 14 * 86400, 50_000_000)
    assert (message.policy.refuse_doh, message.policy.unlock, message.policy.inspect) == (True, False, True)
    before = msgspec.json.decode((GOLDEN / "policy_full.json").read_bytes())
    assert holds(msgspec.json.decode(encode(message)), before)


@pytest.mark.parametrize(
    "bad", [{"protocol": "icmp", "port": 1}, {"protocol": "tcp", "port": 0}, {"port": 80}]
)
def test_an_inbound_rule_that_is_none_is_refused_with_its_message(bad: dict[str, object]) -> None:
    fields = msgspec.json.decode((GOLDEN / "policy_full.json").read_bytes())
    fields["policy"]["inbound"] = [bad]
    with pytest.raises(MessageMalformed):
        decode_feed(msgspec.json.encode(fields))


def test_the_facts_of_version_1_are_read_for_ever() -> None:
    payload = (GOLDEN / "facts.json").read_bytes()
    batch = decode(payload, FactBatch)
    assert [type(fact) for fact in batch.facts] == [LookBack, FlowsLearned, FlowsLearned, Bypass, Sighting]
    assert holds(msgspec.json.decode(encode(batch)), msgspec.json.decode(payload))


def holds(now: object, before: object) -> bool:
    """True when ``now`` says all that ``before`` says; later fields may stand beside it."""
    if isinstance(now, dict) and isinstance(before, dict):
        return all(key in now and holds(now[key], value) for key, value in before.items())
    if isinstance(now, list) and isinstance(before, list):
        return len(now) == len(before) and all(map(holds, now, before))
    return now == before


DEBIAN = Path("/usr/bin/python3")
PROGRAM = """
import sys
from pathlib import Path
sys.path[:0] = sys.argv[2].split(":")
import cryptography, msgspec
from beffroi_protocol.protected import reason_protected
from beffroi_protocol.indicators import normalise
from beffroi_protocol.session import FeedSession, TrustedClock
from beffroi_protocol.signing import TrustStore
from beffroi_protocol.table import Change, DecisionTable
golden = Path(sys.argv[1])
door = FeedSession(TrustStore(bytes.fromhex(sys.argv[3])), ["mail"], TrustedClock())
for name in ("delegation", "snapshot", "batch", "heartbeat", "policy"):
    result = door.receive((golden / (name + ".line")).read_bytes().rstrip(b"\\n"), monotonic=0.0)
    assert type(result).__name__ in ("Delegation", "Change", "PolicyMessage"), result
table = door.tables["mail"]
before = (golden / "mail.state").read_bytes()
assert DecisionTable.load(before).dump() == before
assert list(table.lists) == ["urlhaus"]
assert DecisionTable.load(table.dump()).dump() == table.dump()
bad = (golden / "batch.line").read_bytes().rstrip(b"\\n").replace(b"evil", b"good").replace(b"mail", b"mall")
assert type(door.receive(bad, monotonic=0.0)).__name__ == "Refused"
assert reason_protected(normalise("domain", "impots.gouv.fr"))
assert normalise("url", "http://fa\\u00df.de/").value == "http://xn--fa-hia.de/"
print(msgspec.__version__, cryptography.__version__)
"""


@pytest.mark.skipif(not DEBIAN.exists(), reason="no Debian Python here")
def test_the_libraries_of_the_distribution_read_and_write_the_same() -> None:
    found = subprocess.run([DEBIAN, "-c", "import msgspec, cryptography"], capture_output=True, check=False)
    if found.returncode:
        pytest.skip("python3-msgspec and python3-cryptography are not installed")
    import beffroi_protocol.table

    package = Path(str(beffroi_protocol.table.__file__)).parents[1]
    done = subprocess.run(
        [DEBIAN, "-I", "-c", PROGRAM, str(GOLDEN), str(package), ROOT_PUBLIC.hex()],
        capture_output=True,
        text=True,
        check=False,
        timeout=PATIENCE_S,
    )
    assert done.returncode == 0, done.stderr
    assert sys.version_info >= (3, 13)
