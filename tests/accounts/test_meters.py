"""Finished requests, counted for Prometheus."""

from dataclasses import replace

import pytest

from elision.accounts.counts import Counts, expanded
from elision.accounts.exposition import exposed
from elision.accounts.meters import BY_REQUEST, Meters
from elision.accounts.money import NANO, Basis, Money
from elision.accounts.records import Report, RequestRecord
from elision.accounts.usage import Answered, Usage

WHAT = ("search", "rag", "llmlingua2", "gpt-4o", "eu")
RECORD = RequestRecord(
    request_id="id",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    report=Report(
        team="search",
        policy="rag@abc123",
        mode="enforce",
        methods=("llmlingua2",),
        tokens_before=100,
        tokens_after=40,
        segments=("context:80>20", "question:20>20"),
        cache="hit",
        bypass=("too_short",),
        tokens_audited=7,
        prefix=("replayed=3", "new=1", "kept=cache_minimum,tokens=5>4>3,minimum=1"),
        model="gpt-4o",
    ),
    answered=Answered(Usage(50, 9, 30, 5, 2), "gpt-4o-2024", ("stop", "length"), streamed=True),
    overhead_ms=1.5,
    total_ms=400.0,
    upstream="eu",
    at=1000.0,
    money=Money(2 * NANO, NANO, Basis.BILLED),
    tokens_saved=55,
    basis=Basis.BILLED,
    body_hash=1,
)


def counted(*records: RequestRecord, models: int = 100, combinations: int = 1000) -> Counts:
    meters = Meters(models=models, combinations=combinations)
    for record in records:
        meters.add(record)
    counts = expanded(meters.counts(), BY_REQUEST)
    assert exposed(counts).body  # every family and number of labels is the catalogue's
    return counts


def test_a_request_is_counted_by_all_that_tells_it_apart() -> None:
    """Policies without their versions, which would come and go."""
    counts = counted(RECORD, RECORD)
    assert counts["elision_requests"] == {WHAT: (2,)}
    assert counts["elision_streamed_requests"] == {WHAT: (2,)}
    assert counts["elision_compressed_requests"] == {WHAT: (2,)}
    assert counts["elision_confirmed_requests"] == {WHAT: (2,)}
    assert counts["elision_responses"] == {("search", "eu", "200"): (2,)}


def test_tokens_and_money_are_counted_to_the_last_one() -> None:
    """Ours before and after, the upstream's by kind, dollars by what they rest on."""
    counts = counted(RECORD, RECORD)
    assert counts["elision_prompt_tokens"] == {(*WHAT, "before"): (200,), (*WHAT, "after"): (80,)}
    assert counts["elision_saved_tokens"] == {(*WHAT, "billed"): (110,)}
    assert counts["elision_audited_tokens"] == {WHAT: (14,)}
    kinds = {"prompt": 100, "cached": 60, "written": 10, "completion": 18, "reasoning": 4}
    assert counts["elision_billed_tokens"] == {(*WHAT, kind): (n,) for kind, n in kinds.items()}
    assert counts["elision_cost_dollars"] == {(*WHAT, "billed"): (4 * NANO,)}
    assert counts["elision_saved_dollars"] == {(*WHAT, "billed"): (2 * NANO,)}
    segments = {("context", "before"): 160, ("context", "after"): 40}
    segments |= {("question", "before"): 40, ("question", "after"): 40}
    assert counts["elision_segment_tokens"] == {("search", *key): (n,) for key, n in segments.items()}


@pytest.mark.parametrize("basis", Basis)
def test_what_became_dearer_is_counted_apart(basis: Basis) -> None:
    """Counters cannot fall; the difference of both is what was saved."""
    dearer = replace(RECORD, tokens_saved=-3, basis=basis, money=Money(NANO, -5, basis))
    counts = counted(dearer)
    assert counts["elision_lost_tokens"] == {(*WHAT, str(basis)): (3,)}
    assert counts["elision_lost_dollars"] == {(*WHAT, str(basis)): (5,)}
    assert counts["elision_cost_dollars"] == {(*WHAT, str(basis)): (NANO,)}
    assert "elision_saved_dollars" not in counts


def test_words_are_counted() -> None:
    """Reasons, the cache, the prefix, ends of answers, errors, retries."""
    again = replace(
        RECORD, at=1030.0, error="client_disconnected", sent_original_after_rejection=True, is_retry=True
    )
    counts = counted(RECORD, again)
    assert counts["elision_bypasses"] == {("search", "rag", "too_short"): (2,)}
    assert counts["elision_cached_requests"] == {("search", "rag", "hit"): (2,)}
    assert counts["elision_prefix_messages"] == {("search", "replayed"): (6,), ("search", "new"): (2,)}
    assert counts["elision_prefix_decisions"] == {("search", "kept_cache_minimum"): (2,)}
    assert counts["elision_finishes"] == {("search", "stop", "yes"): (2,), ("search", "length", "yes"): (2,)}
    assert counts["elision_failures"] == {("search", "client_disconnected"): (1,)}
    assert counts["elision_retries"] == {("search", "yes"): (1,)}
    assert counts["elision_rejections"] == {WHAT: (1,)}


def test_sizes_fall_into_their_buckets() -> None:
    """An upper end belongs to its bucket."""
    counts = counted(RECORD, replace(RECORD, overhead_ms=2.0), replace(RECORD, overhead_ms=9999.0))
    way = WHAT[:3]
    assert counts["elision_overhead_seconds"] == {way: (0, 0, 2, *[0] * 10, 1, 10_002_500)}
    assert counts["elision_ratio"] == {way: (0, 0, 0, 3, *[0] * 7, 1_200_000)}
    assert counts["elision_answer_tokens"] == {("search", "yes"): (0, 3, *[0] * 7, 27)}


def test_a_policy_in_audit_saves_nothing() -> None:
    """What it would have saved is told apart."""
    assert RECORD.report.mode == "enforce"
    audited = replace(RECORD, report=replace(RECORD.report, mode="audit"), tokens_saved=0, money=None)
    counts = counted(audited)
    assert counts["elision_audited_tokens"] == {WHAT: (67,)}
    absent = ("prompt_tokens", "saved_tokens", "compressed_requests", "priced_requests", "segment_tokens")
    assert all(not counts.get(f"elision_{name}") for name in absent)


def test_a_request_of_which_nothing_is_known_is_counted_too() -> None:
    """As the default team's, without policy or method."""
    counts = counted(RequestRecord("id", "GET", "/v1/models", 0, error="upstream_unreachable"))
    assert counts["elision_requests"] == {("default", "none", "none", "unknown", ""): (1,)}
    assert counts["elision_responses"] == {("default", "", "none"): (1,)}


def named(model: str, status: int = 200) -> RequestRecord:
    return replace(RECORD, status=status, report=replace(RECORD.report, model=model))


def test_models_that_clients_make_up_are_no_labels() -> None:
    """Before a request for one is answered well, and beyond the number that is told apart, it is `other`."""
    made_up = [named(f"made-up-{n}", 404) for n in range(50)]
    counts = counted(*made_up, named("good", 500), *(named(f"good-{n}") for n in range(9)), models=3)
    by_model = {labels[3]: count for labels, (count,) in counts["elision_requests"].items()}
    assert by_model == {"other": 57, "good-0": 1, "good-1": 1, "good-2": 1}


def test_a_model_that_failed_first_is_known_once_it_answers() -> None:
    """What was counted before stays where it is."""
    counts = counted(named("good", 500), named("good"), named("good", 500))
    by_model = {labels[3]: count for labels, (count,) in counts["elision_requests"].items()}
    assert by_model == {"other": 1, "good": 2}


def test_combinations_are_bounded_and_no_request_is_lost() -> None:
    """Beyond their number only team and policy are told apart."""
    records = [named(f"m{n}") for n in range(20)]
    counts = counted(*records, *records, combinations=5)
    assert len(counts["elision_requests"]) == 6
    assert sum(n for (n,) in counts["elision_requests"].values()) == 40
    assert counts["elision_requests"][("search", "rag", "other", "other", "other")] == (30,)


def test_an_upstreams_strange_words_are_bounded() -> None:
    """Statuses that are none, and finish reasons without end."""
    meters = Meters(names=5)
    for number in range(50):
        answered = Answered(finish_reasons=(f"reason-{number}",))
        meters.add(RequestRecord("id", "POST", "/", 600 + number, answered=answered))
    meters.add(RequestRecord("id", "POST", "/", 0, Report(bypass=("deadline",))))
    counts = meters.counts()
    assert counts["elision_bypasses"] == {("default", "none", "deadline"): (1,)}
    assert counts["elision_responses"] == {("default", "", "none"): (51,)}
    assert len(counts["elision_finishes"]) == 6
