"""Decisions: their life and stages, working time, and the feed that brings them to the boîtiers."""

from __future__ import annotations

from dataclasses import dataclass

from beffroi.lib.declared.setting import setting


@dataclass(frozen=True)
class DecisionSettings:
    decision_ttl_ip_s: int = setting(
        4 * 3600, "Life of a block of an address.", unit="s", low=60, high=30 * 86400
    )
    decision_ttl_name_s: int = setting(
        7 * 86400,
        "Life of a block of a name, web address or sender; four times as long each time that it comes again, at most 90"
        " days.",
        unit="s",
        low=60,
        high=365 * 86400,
    )
    decision_ttl_hash_s: int = setting(
        90 * 86400, "Life of a block of a file hash.", unit="s", low=60, high=3650 * 86400
    )
    exception_person_s: int = setting(
        3600, "Longest local exception that a person of a commune may make.", unit="s", low=60, high=7 * 86400
    )
    observe_s: int = setting(
        900,
        "How long a decision on weak evidence is only observed before a few communes block it; as the next, and as "
        "rollback_s, in working time (work_begins_h).",
        unit="s",
        low=0,
        high=30 * 86400,
    )
    canary_s: int = setting(
        1800, "How long those communes block it before all do.", unit="s", low=0, high=30 * 86400
    )
    canary_percent: int = setting(
        5, "How many communes block first, rounded up.", unit="% of the communes in service", low=0, high=100
    )
    blast_communes: int = setting(
        1,
        "Communes that a decision on weak evidence may touch without a person, at least.",
        low=0,
        high=10_000,
    )
    blast_percent: int = setting(
        1, "The same as a share; the larger counts.", unit="% of the communes in service", low=0, high=100
    )
    rollback_s: int = setting(
        3600,
        "How long after it came into force a decision that hits communes is withdrawn by itself.",
        unit="s",
        low=0,
        high=7 * 86400,
    )
    work_begins_h: int = setting(
        8,
        "Working time, Monday to Friday in mainland France, begins: only then time counts for the stages of decisions. "
        "Not before work_ends_h: every second counts.",
        unit="hour",
        low=0,
        high=23,
    )
    work_ends_h: int = setting(18, "Working time ends.", unit="hour", low=0, high=24)
    heartbeat_s: int = setting(
        20, "Pause between two signed heartbeats of the feed.", unit="s", low=1, high=300
    )
    batch_pause_ms: int = setting(
        250,
        "Pause after a batch of the feed for each 1000 connected boîtiers, at most 1 s in all: decisions that fall"
        " into it travel together. A decision after a quiet time never waits.",
        unit="ms",
        low=0,
        high=1000,
    )
    stream_relays: int = setting(
        0,
        "Further processes that hold the boîtiers' connections; 0: stream holds them itself. Each serves some 10,000"
        " boîtiers, one open file for each.",
        low=0,
        high=16,
    )
    box_fronts: int = setting(
        0,
        "Further front doors for the boîtiers alone, all on the same port; 0: the front door serves them too. Each"
        " holds its part of `connections`, and grants one source its part of the limits, a quarter more.",
        low=0,
        high=16,
    )
    feed_valid_s: int = setting(
        24 * 3600, "After this time without news a door raises an alarm.", unit="s", low=60, high=30 * 86400
    )
