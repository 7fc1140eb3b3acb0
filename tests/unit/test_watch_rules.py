"""Corroboration as tables of cases, and against liars."""

from __future__ import annotations

import pytest
from beffroi.core.decisions.stages import PERSON_ONLY
from beffroi.watch.detectors import DETECTORS, ENOUGH, from_mail, weight
from beffroi.watch.rules import WEAK, Case, Seen, Ttl, Witness, corroborate, independent, life_s, refusals
from beffroi_protocol.indicators import Kind, normalise
from beffroi_protocol.messages import Action
from hypothesis import given, settings
from hypothesis import strategies as st

URL = normalise("url", "https://colis-suivi-bourgogne.com/payer")
NAME = normalise("domain", "colis-suivi-bourgogne.com")
ADDRESS = normalise("ip", "185.203.116.7")
FILE = normalise("sha256", "ab" * 32)
SENDER = normalise("sender", "alerte@colis-suivi-bourgogne.com")
SKETCH = normalise("sketch", "0123456789abcdef")
RANGE = normalise("cidr", "185.203.116.0/24")
SUBSCRIBER = normalise("cidr", "2a01:cb00:12:34::/64")

A1, A2 = Witness("col_a", "per_1"), Witness("col_a", "per_2")
B1, B3 = Witness("col_b", "per_1"), Witness("col_b", "per_3")
BOX_A, BOX_B = Witness("col_a", ""), Witness("col_b", "")

TWO = frozenset({A1, B3})
EVIDENCE = frozenset({"dmarc_fail"})

CASES: list[tuple[str, Seen, str]] = [
    # one press, whatever machines saw beside it
    ("a press alone", Seen(URL, frozenset({A1})), ""),
    ("a press with supporting evidence, one commune", Seen(URL, frozenset({A1}), EVIDENCE), ""),
    ("a press with supporting evidence, name", Seen(NAME, frozenset({A1}), EVIDENCE), "one_commune"),
    ("a press with supporting evidence, address", Seen(ADDRESS, frozenset({A1}), EVIDENCE), ""),
    (
        "a press on a name of a burst",
        Seen(NAME, frozenset({A1}), frozenset({"new_link_burst"})),
        "automatic_name",
    ),
    ("a burst without a press", Seen(NAME, frozenset(), frozenset({"new_link_burst"})), ""),
    # boxes
    ("a trap of one commune's boxes", Seen(ADDRESS, boxes=frozenset({"col_a"})), ""),
    ("traps of two communes' boxes", Seen(ADDRESS, boxes=frozenset({"col_a", "col_b"})), "two_boxes"),
    ("traps speak of addresses only", Seen(NAME, boxes=frozenset({"col_a", "col_b"})), ""),
    ("traps and a protected address", Seen(ADDRESS, boxes=frozenset({"a", "b"}), protected="a resolver"), ""),
    # one proof
    ("a listed address of a page", Seen(URL, frozenset({A1}), frozenset({"listed_url"})), "one_proof"),
    ("a file known as malware", Seen(FILE, frozenset({A1}), frozenset({"known_malware"})), "one_proof"),
    ("a proof needs no reporter", Seen(FILE, frozenset(), frozenset({"known_malware"})), "one_proof"),
    (
        "a proof about files says nothing of a name",
        Seen(NAME, TWO, frozenset({"known_malware"})),
        "two_communes",
    ),
    (
        "a proof about files, one commune, a name",
        Seen(NAME, frozenset({A1}), frozenset({"known_malware"})),
        "one_commune",
    ),
    # strong detectors for names and addresses
    ("a listed name", Seen(NAME, frozenset({A1}), frozenset({"listed_name"})), "lone_source"),
    (
        "an address that attacks logins",
        Seen(ADDRESS, frozenset(), frozenset({"login_attack"})),
        "strong_detector",
    ),
    # two communes and a machine
    ("two communes, two persons, evidence: name", Seen(NAME, TWO, EVIDENCE), "two_communes"),
    ("two communes, two persons, evidence: address", Seen(ADDRESS, TWO, EVIDENCE), "two_communes"),
    ("two communes, two persons, evidence: sender", Seen(SENDER, TWO, EVIDENCE), "two_communes"),
    ("two communes, two persons, evidence: page", Seen(URL, TWO, EVIDENCE), "two_communes"),
    ("two communes, two persons, evidence: file", Seen(FILE, TWO, EVIDENCE), "two_communes"),
    ("two communes, two persons, evidence: sketch", Seen(SKETCH, TWO, EVIDENCE), "two_communes"),
    ("an outside list and two communes", Seen(NAME, TWO, EVIDENCE | {"listed_name"}), "two_communes"),
    ("two communes without a machine", Seen(NAME, TWO), ""),
    ("two communes, one weak detector", Seen(NAME, TWO, frozenset({"spf_fail"})), ""),
    (
        "two communes, two weak detectors",
        Seen(NAME, TWO, frozenset({"spf_fail", "dkim_fail"})),
        "two_communes",
    ),
    ("two communes and what is shown to people alone", Seen(NAME, TWO, frozenset({"qr_code"})), ""),
    (
        "what is shown to people alone does not tip the scale",
        Seen(NAME, TWO, frozenset({"qr_code", "spf_fail"})),
        "",
    ),
    ("an unknown detector is nothing", Seen(NAME, TWO, frozenset({"invented"})), ""),
    ("one commune, two persons", Seen(NAME, frozenset({A1, A2}), EVIDENCE), "one_commune"),
    ("one person in two communes", Seen(NAME, frozenset({A1, B1}), EVIDENCE), "one_commune"),
    ("boxes of two communes", Seen(NAME, frozenset({BOX_A, BOX_B}), EVIDENCE), ""),
    ("a person and another commune's box", Seen(NAME, frozenset({A1, BOX_B}), EVIDENCE), "one_commune"),
    # the Département
    ("the Département: name", Seen(NAME, confirmed=True), "departement"),
    ("the Département: page", Seen(URL, confirmed=True), "departement"),
    ("the Département: address", Seen(ADDRESS, confirmed=True), "departement"),
    # never
    ("protected, two communes", Seen(NAME, TWO, EVIDENCE, protected="public service"), ""),
    ("protected, proof", Seen(URL, TWO, frozenset({"listed_url"}), protected="public service"), ""),
    ("protected, the Département", Seen(NAME, confirmed=True, protected="public service"), ""),
    ("a range, two communes", Seen(RANGE, TWO, EVIDENCE), ""),
    ("a range, the Département", Seen(RANGE, confirmed=True), ""),
    ("a name that was there before, two communes", Seen(NAME, TWO, EVIDENCE, known_name=True), "known_name"),
    (
        "a name that was there before, the Département",
        Seen(NAME, confirmed=True, known_name=True),
        "departement",
    ),
    ("a file that was there before, two communes", Seen(FILE, TWO, EVIDENCE, known_before=True), ""),
    ("a file that was there before, with its mail", Seen(FILE, TWO, known_before=True, confirmed=True), ""),
    (
        "a file that was there before, proof",
        Seen(FILE, TWO, frozenset({"known_malware"}), known_before=True),
        "one_proof",
    ),
    ("what a person took back, two communes", Seen(URL, TWO, EVIDENCE, settled=True), ""),
    ("what a person took back, proof", Seen(URL, TWO, frozenset({"listed_url"}), settled=True), ""),
    ("what a person took back, with its mail", Seen(URL, confirmed=True, settled=True), ""),
    (
        "a link that names its one reader, proof",
        Seen(URL, TWO, frozenset({"listed_url"}), names_one=True),
        "",
    ),
    ("a link that names its one reader, the Département", Seen(URL, confirmed=True, names_one=True), ""),
    ("a forged sender, two communes", Seen(SENDER, TWO, EVIDENCE, forged=True), ""),
    ("a forged sender, the Département", Seen(SENDER, confirmed=True, forged=True), ""),
]


@pytest.mark.parametrize(("seen", "rule"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_rule_of_each_case(seen: Seen, rule: str) -> None:
    proposals = corroborate(Case((seen,)))
    assert [p.rule for p in proposals] == ([rule] if rule else [])


def test_life_of_a_decision_follows_its_kind() -> None:
    seen = tuple(Seen(i, TWO, EVIDENCE) for i in (ADDRESS, NAME, URL, SENDER, FILE, SKETCH))
    lives = {p.indicator.kind: p.ttl_s for p in corroborate(Case(seen, Ttl(1, 2, 3)))}
    assert lives == {Kind.IP: 1, Kind.DOMAIN: 2, Kind.URL: 2, Kind.SENDER: 2, Kind.SHA256: 3, Kind.SKETCH: 3}


def test_sender_is_set_aside_and_not_refused() -> None:
    actions = {p.indicator.kind: p.action for p in corroborate(Case((Seen(SENDER, TWO, EVIDENCE),)))}
    assert actions == {Kind.SENDER: Action.QUARANTINE}


def test_the_host_that_handed_in_what_is_only_observed_is_spared() -> None:
    """A newsletter of somebody whom mail has known for long, which two people took for a lure."""
    host = Seen(ADDRESS, TWO, EVIDENCE)
    for known, blocked in ((True, [NAME]), (False, [NAME, ADDRESS])):
        found = corroborate(Case((Seen(NAME, TWO, EVIDENCE, known_name=known), host)))
        assert [p.indicator for p in found] == blocked


def test_landing_address_stands_and_falls_with_its_name() -> None:
    landing = Seen(ADDRESS, follows=NAME)
    blocked = corroborate(Case((Seen(NAME, TWO, EVIDENCE), landing)))
    assert [(p.indicator, p.rule) for p in blocked] == [(NAME, "two_communes"), (ADDRESS, "landing_address")]
    weak = corroborate(Case((Seen(NAME, frozenset({A1}), EVIDENCE), landing)))
    assert [(p.indicator, p.strength) for p in weak] == [(NAME, WEAK)]
    beside = Seen(ADDRESS, follows=NAME, shared=True)
    assert [p.indicator for p in corroborate(Case((Seen(NAME, TWO, EVIDENCE), beside)))] == [NAME]
    assert [r.code for r in refusals(Case((beside,)))] == ["address_shared"]
    crowded = Seen(ADDRESS, follows=NAME, crowded=True)
    assert [p.indicator for p in corroborate(Case((Seen(NAME, TWO, EVIDENCE), crowded)))] == [NAME]
    assert [r.code for r in refusals(Case((crowded,)))] == ["address_crowded"]
    shared = Seen(ADDRESS, follows=NAME, protected="a content network")
    assert [p.indicator for p in corroborate(Case((Seen(NAME, TWO, EVIDENCE), shared)))] == [NAME]


def test_page_on_shared_hosting_is_blocked_by_its_address_only() -> None:
    page, host = normalise("url", "https://sites.example/a/b"), normalise("domain", "sites.example")
    case = Case(
        (
            Seen(page, TWO, EVIDENCE),
            Seen(host, TWO, EVIDENCE, protected="a shared platform"),
            Seen(ADDRESS, follows=host),
        )
    )
    assert [p.indicator for p in corroborate(case)] == [page]


def test_refusals_name_their_codes() -> None:
    case = Case(
        (
            Seen(NAME, protected="a bank"),
            Seen(RANGE),
            Seen(SENDER, forged=True),
            Seen(URL),
        )
    )
    assert [(r.indicator, r.code) for r in refusals(case)] == [
        (NAME, "protected"),
        (RANGE, "range_never_automatic"),
        (SENDER, "sender_forged"),
    ]


def test_proposal_carries_counts_and_no_identity() -> None:
    (proposal,) = corroborate(Case((Seen(NAME, frozenset({A1, A2, B3}), EVIDENCE),)))
    assert (proposal.communes, proposal.persons, proposal.detectors) == (2, 3, ("dmarc_fail",))
    assert "per_" not in repr(proposal)
    assert "col_" not in repr(proposal)


@pytest.mark.parametrize(
    ("witnesses", "expected"),
    [
        ((), 0),
        ((A1,), 1),
        ((A1, A2), 1),
        ((A1, B1), 1),
        ((A1, A2, B1), 2),
        ((A1, B1, B3), 2),
        ((BOX_A, BOX_B), 0),
        ((A1, B3, Witness("col_c", "per_1")), 2),
        ((A1, B3, Witness("col_c", "per_4")), 3),
    ],
)
def test_independence_counts_communes_and_persons(witnesses: tuple[Witness, ...], expected: int) -> None:
    assert independent(witnesses) == expected


# -- liars -------------------------------------------------------------------------------------------------

indicators = st.sampled_from([URL, NAME, ADDRESS, FILE, SENDER, SKETCH, RANGE, SUBSCRIBER])
witnesses = st.builds(
    Witness,
    st.sampled_from(["", "col_a", "col_b", "col_c"]),
    st.sampled_from(["", "per_1", "per_2", "per_3"]),
)
detectors = st.frozensets(st.sampled_from([*DETECTORS, "invented"]))
seen = st.builds(
    Seen,
    indicator=indicators,
    witnesses=st.frozensets(witnesses, max_size=8),
    detectors=detectors,
    protected=st.sampled_from(["", "a public service"]),
    forged=st.booleans(),
    confirmed=st.booleans(),
    follows=st.none() | st.just(NAME),
    known_before=st.booleans(),
    settled=st.booleans(),
    names_one=st.booleans(),
)
cases = st.lists(seen, max_size=8).map(lambda s: Case(tuple(s)))


@given(cases)
@settings(deadline=None, max_examples=400)
def test_no_case_blocks_what_is_protected_in_it(case: Case) -> None:
    free = {s.indicator for s in case.seen if not s.protected}
    assert {p.indicator for p in corroborate(case)} <= free
    assert all(p.indicator != RANGE for p in corroborate(case))


@given(st.lists(st.sampled_from(["per_1", "per_2", "per_3", "per_4", "per_5"]), max_size=40), detectors)
@settings(deadline=None, max_examples=300)
def test_any_number_of_liars_of_one_commune_needs_a_proof(liars: list[str], found: frozenset[str]) -> None:
    support = frozenset(d for d in found if d not in DETECTORS or not DETECTORS[d].proves)
    told = frozenset(Witness("col_a", person) for person in liars)
    made = corroborate(Case(tuple(Seen(i, told, support) for i in (URL, NAME, ADDRESS, FILE, SENDER))))
    assert all(p.strength == WEAK and p.rule in PERSON_ONLY for p in made)


@given(st.frozensets(witnesses, max_size=12))
@settings(deadline=None, max_examples=300)
def test_people_alone_never_block(told: frozenset[Witness]) -> None:
    assert corroborate(Case((Seen(NAME, told), Seen(URL, told, frozenset({"qr_code"}))))) == []


@given(cases)
@settings(deadline=None, max_examples=200)
def test_more_evidence_never_unblocks(case: Case) -> None:
    stronger = Case(
        tuple(
            Seen(
                s.indicator,
                s.witnesses | TWO,
                s.detectors | EVIDENCE,
                s.protected,
                s.forged,
                s.confirmed,
                s.follows,
                known_before=s.known_before,
                settled=s.settled,
                names_one=s.names_one,
            )
            for s in case.seen
        )
    )
    assert {p.indicator for p in corroborate(case)} <= {p.indicator for p in corroborate(stronger)}


@pytest.mark.parametrize(
    ("kind", "times_before", "days"),
    [
        (Kind.DOMAIN, 0, 7),
        (Kind.DOMAIN, 1, 28),
        (Kind.URL, 2, 90),
        (Kind.SENDER, 10**6, 90),
        (Kind.IP, 3, 7),
        (Kind.SHA256, 3, 7),
    ],
)
def test_what_comes_again_is_blocked_for_longer_but_no_address(
    kind: Kind, times_before: int, days: int
) -> None:
    assert life_s(kind, 7 * 86400, times_before) == days * 86400
    assert life_s(kind, 200 * 86400, times_before) == 200 * 86400, "never for less than is set"


# -- detectors ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("evidence", "expected"),
    [
        ({}, set()),
        ({"spf": "pass", "dkim": "pass", "dmarc": "pass"}, set()),
        ({"spf": "fail", "dmarc": "fail"}, {"spf_fail", "dmarc_fail"}),
        ({"spf": "softfail"}, set()),
        ({"link_mismatch": "true"}, {"link_mismatch"}),
        ({"link_mismatch": True}, {"link_mismatch"}),
        ({"link_mismatch": "false"}, set()),
        ({"rspamd_symbols": ["PHISHING", "R_SPF_FAIL"]}, {"link_mismatch", "spf_fail"}),
        ({"rspamd_symbols": "PHISHING,MIME_BAD_EXTENSION"}, {"link_mismatch", "executable_attachment"}),
        ({"rspamd_symbols": {"PHISHING": 7.0}}, {"link_mismatch"}),
        ({"rspamd_symbols": ["BEFFROI_STYLED"]}, {"styled_letters"}),
        ({"attachment_types": ["exe", ".ZIP"]}, {"executable_attachment", "archive_attachment"}),
        ({"sender_age_s": 1200, "sender_communes": 3}, {"new_sender_burst"}),
        ({"sender_age_s": 1200, "sender_communes": 2}, set()),
        ({"link_age_s": 0, "link_communes": 5}, {"new_link_burst"}),
        ({"link_age_s": 3601, "link_communes": 5}, set()),
        ({"link_communes": 5, "url_communes": 9}, set()),
        ({"sender_age_s": 10, "link_communes": 3}, set()),
        ({"sender_age_s": 86400, "sender_communes": 30}, set()),
        ({"sender_age_s": "-5", "sender_communes": "many"}, set()),
        ({"rspamd_symbols": [1, None, "BAYES_SPAM"]}, set()),
        ({"decided_before": True}, {"decided_before"}),
        ({"decided_before": False}, set()),
        ({"decided_before": "true"}, set()),
    ],
)
def test_detectors_that_speak_in_a_mail(evidence: dict[str, object], expected: set[str]) -> None:
    assert from_mail(evidence) == expected


def test_each_detector_is_documented_and_only_strong_ones_prove() -> None:
    for name, detector in DETECTORS.items():
        assert detector.doc.endswith("."), name
        assert bool(detector.proves) == (detector.strength == 4), name
    assert weight(["qr_code"]) < ENOUGH
    assert {name for name, d in DETECTORS.items() if Kind.CIDR in d.proves} == {"login_attack"}


@pytest.mark.parametrize(
    ("seen", "rules"),
    [
        (Seen(SUBSCRIBER, detectors=frozenset({"login_attack"})), ["strong_detector"]),
        (Seen(SUBSCRIBER, detectors=frozenset({"login_attack"}), shared=True), []),
        (Seen(SUBSCRIBER, detectors=frozenset({"login_attack"}), protected="own"), []),
        (Seen(SUBSCRIBER, TWO, EVIDENCE), []),
        (Seen(RANGE, detectors=frozenset({"login_attack"})), []),
        (Seen(normalise("cidr", "2a01:cb00:12::/48"), detectors=frozenset({"login_attack"})), []),
    ],
    ids=["guesses", "serves a member", "protected", "is reported", "of IPv4", "wider"],
)
def test_of_ranges_the_network_of_one_subscriber_that_guesses_is_proposed_alone(
    seen: Seen, rules: list[str]
) -> None:
    assert [p.rule for p in corroborate(Case((seen,)))] == rules


@pytest.mark.parametrize(
    ("content", "spared"),
    [
        (Seen(NAME, TWO, EVIDENCE, protected="public service", confirmed=True), True),
        (Seen(SENDER, TWO, EVIDENCE, forged=True, confirmed=True), True),
        (Seen(URL, TWO, EVIDENCE, confirmed=True), False),
    ],
)
def test_host_that_sent_only_what_is_never_blocked_is_spared(content: Seen, spared: bool) -> None:
    host = Seen(ADDRESS, TWO, EVIDENCE, confirmed=True)
    proposed = {p.indicator for p in corroborate(Case((content, host)))}
    assert (ADDRESS not in proposed) is spared


def test_an_address_that_attacks_sign_in_is_not_spared_by_a_false_report() -> None:
    content = Seen(NAME, TWO, EVIDENCE, protected="public service")
    host = Seen(ADDRESS, TWO, frozenset({"login_attack"}))
    assert [p.rule for p in corroborate(Case((content, host)))] == ["strong_detector"]
