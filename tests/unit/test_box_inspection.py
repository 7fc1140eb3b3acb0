"""Inspection, its pure parts: files of names, rules for Suricata and the kernel, hangs, records, reasons to be off."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from beffroi_box import inspection
from beffroi_box.config import BoxConfig
from beffroi_box.inspectconf import DEEPEST, configuration, encode_name, read_set, rules, write_set
from beffroi_box.inspection import Inspection, question_of
from beffroi_box.inspector import most_names
from beffroi_box.inspectrules import MARKED, NATIVE, inspect_rules
from beffroi_box.pagewords import WORDS
from beffroi_box.refusals import Question
from beffroi_box.ruleset import Site, ruleset
from beffroi_box.watchdog import HUNG_S, LOOK_S, Finding, Labour, Queue, Watchdog, labour_of, queue_state
from beffroi_protocol.messages import Policy
from hypothesis import given
from hypothesis import strategies as st

NAMES = st.lists(st.from_regex(r"[a-z0-9-]{1,20}(\.[a-z0-9-]{1,20}){1,6}", fullmatch=True), max_size=20)


@given(names=NAMES)
def test_names_come_back_from_their_file(names: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("names") / "set.lst"
    assert write_set(path, (name.encode() for name in names)) == len(names)
    assert list(read_set(path)) == [encode_name(name.encode()) for name in names]


@pytest.mark.parametrize(
    "damage", [b"!!!!\n", b"YWJj", b"YWJjZ\n", b"\n", b"=WJj\n", b"\0\0\0\0\n", b"A" * 500 + b"\n"]
)
def test_a_damaged_line_is_noticed(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "set.lst"
    path.write_bytes(encode_name(b"colis.com") + b"\n" + damage)
    with pytest.raises(ValueError, match="damaged"):
        list(read_set(path))


def test_each_rule_has_its_own_number_and_each_refusal_knows_all_exceptions() -> None:
    lines = rules().splitlines()
    numbers = [line.split("sid:")[1].split(";")[0] for line in lines]
    assert len(set(numbers)) == len(lines) == 3 * DEEPEST * 3
    for line in lines:
        refuses = line.startswith("reject ")
        assert refuses or line.startswith("alert ")
        assert line.count("isnotset,spared") == (DEEPEST if refuses else 0)
        assert ("isset,watched" in line) is not refuses


def test_the_engine_writes_records_of_its_rules_only_and_lets_pass_what_it_cannot_read() -> None:
    sets = {name: Path(f"/run/{name}.lst") for name in ("refused", "bulk")}
    text = configuration(sets=sets, directory=Path("/run/x"), records=Path("/run/y.sock"), bulk=1_000_000)
    outputs = text.partition("outputs:")[2].partition("logging:")[0]
    assert outputs.count("\n        - ") == 1 and "- alert:" in outputs and "unix_dgram" in outputs
    assert (
        "exception-policy: ignore" in text and "fail-open: yes" in text and "stats: { enabled: no }" in text
    )


TABLE = """    3   1111     9 2 65531     0     0       40  1
    7  31818     {} 2 65531     0     0      {}  1
"""


def test_the_kernels_table_of_queues_is_read() -> None:
    assert queue_state(TABLE.format(2, 326), 7) == Queue(owner=31818, waiting=2, last=326)
    assert queue_state("", 7) is None and queue_state("7 1\n", 7) is None


NEVER = Labour(cpu_s=0.0, ready=False)


def judged(waiting: int, verdicts: list[int], labour: list[Labour], step_s: float = LOOK_S) -> list[Finding]:
    """What the watchdog says at each look, ``step_s`` apart."""
    dog = Watchdog()
    return [
        dog.judge(Queue(1, waiting, number + waiting), lambda one=one: one, monotonic=look * step_s)
        for look, (number, one) in enumerate(zip(verdicts, labour, strict=True))
    ]


LOOKS = round(HUNG_S / LOOK_S) + 2


@pytest.mark.parametrize(
    ("waiting", "verdicts", "labour", "last"),
    [
        (1, [7] * LOOKS, [NEVER] * LOOKS, Finding.HUNG),  # stopped, or waits for itself
        # Works on one for ever.
        (9, [7] * LOOKS, [Labour(n * LOOK_S, ready=True) for n in range(LOOKS)], Finding.HUNG),
        (9, [7] * LOOKS, [Labour(0.01, ready=True)] * LOOKS, Finding.STARVED),  # nobody lets it run
        (9, list(range(LOOKS)), [NEVER] * LOOKS, Finding.FINE),  # behind, and goes on
        (0, [7] * LOOKS, [NEVER] * LOOKS, Finding.FINE),  # nothing to do
    ],
)
def test_an_engine_hangs_when_packets_wait_no_verdict_comes_and_it_could_have_worked(
    waiting: int, verdicts: list[int], labour: list[Labour], last: Finding
) -> None:
    found = judged(waiting, verdicts, labour)
    assert found[-1] == last and found[0] == Finding.FINE
    assert set(found[: LOOKS - 2]) == {Finding.FINE}, "it is too early to say"


def test_time_in_which_nobody_ran_makes_no_engine_late() -> None:
    assert judged(9, [7, 7], [NEVER] * 2, step_s=60.0) == [Finding.FINE] * 2


def test_the_work_of_a_process_is_read() -> None:
    now = labour_of(os.getpid())
    assert now.ready and now.cpu_s > 0
    with pytest.raises(OSError):
        labour_of(0)


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        (b'{"flow_id":3,"src_ip":"10.0.0.2","tls":{"sni":"WWW.Colis.com."}}', (3, "www.colis.com", "10.0.0.2")),
        (b'{"src_ip":"fd00::2","http":{"hostname":"a.fr","url":"/secret"}}', (0, "a.fr", "fd00::2")),
        (b'{"src_ip":"10.0.0.2","quic":{"sni":"a.fr"}}', (0, "a.fr", "10.0.0.2")),
        (b'{"direction":"to_client","src_ip":"1.2.3.4","dest_ip":"10.0.0.2","tls":{"sni":"a"}}', (0, "a", "10.0.0.2")),
        (b'{"src_ip":"10.0.0.2","tls":{}}', None),
        (b'{"src_ip":"nowhere","tls":{"sni":"a.fr"}}', None),
        (b'{"src_ip":"10.0.0.2","tls":{"sni":["a.fr"]}}', None),
        (b'{"src_ip":"10.0.0.2","tls":{"sni":"' + b"a" * 300 + b'"}}', None),
        (b"[" * 60000, None),
        (b"", None),
    ],
)  # fmt: skip
def test_of_a_record_only_name_and_machine_are_taken(
    record: bytes, expected: tuple[int, str, str] | None
) -> None:
    wanted = None if expected is None else (expected[0], Question(expected[1], machine=expected[2]))
    assert question_of(record) == wanted


@pytest.mark.parametrize("mode", ["router", "bridge"])
@pytest.mark.parametrize("queue", [NATIVE, MARKED, ""])
@pytest.mark.parametrize("wanted", [True, False])
def test_the_kernel_hands_over_what_passed_only_where_the_policy_asks(
    mode: str, queue: str, wanted: bool
) -> None:
    site = Site("wan", "lan", ("185.10.20.1",), 443, queue=queue)
    text = ruleset(Policy(mode=mode, inspect=wanted), site)
    assert "chain forward_ { type filter hook forward priority -5; policy accept; }" in text
    assert "destroy chain inet beffroi inspect_" in text
    on = wanted and bool(queue)
    assert ("type filter hook forward priority -4; policy accept;" in text) is on
    assert text.count("ct packets < 40") == (3 if on else 0)
    assert text.count("queue flags bypass to 7") == (3 if on and queue == NATIVE else 0)
    assert text.count("meta mark set meta mark or 0x10") == (3 if on and queue == MARKED else 0)
    assert ("chain inspect_ {" in inspect_rules(Policy(inspect=wanted), "t", "w", "l", queue)) is on


@pytest.mark.parametrize(
    ("mib", "installed", "queue", "wanted", "expected", "word"),
    [
        (4000, True, NATIVE, True, "off: its process does not run", "alone"),
        (4000, True, NATIVE, False, "off: the policy does not ask for it", "off"),
        (4000, True, "", True, "off: the kernel hands no packets over", "impossible"),
        (4000, False, NATIVE, True, "off: suricata is not installed", "absent"),
        (512, True, NATIVE, True, "off: 512 MiB of memory, 900 are needed", "small"),
    ],
)
def test_status_says_why_it_is_off(  # noqa: PLR0917 - pytest passes them by name
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    mib: int,
    installed: bool,
    queue: str,
    wanted: bool,
    expected: str,
    word: str,
) -> None:
    monkeypatch.setattr(inspection, "memory_mib", lambda: mib)
    engine = tmp_path / "suricata"
    if installed:
        engine.touch()
    (tmp_path / "names").mkdir()
    one = Inspection(BoxConfig(state=tmp_path, inspection_engine=str(engine), inspection_user=""))
    one.ask(wanted=wanted, queue=queue)
    assert one.state == expected and one.word == word and f"inspection.{word}" in WORDS
    assert one.bulk_wanted == int(expected.endswith("not run"))


def test_names_of_lists_take_a_quarter_of_the_memory() -> None:
    assert most_names(1024) == 1 << 20
