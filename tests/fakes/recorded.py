"""Finished requests, made up: one that has everything, and many that differ."""

from collections.abc import Iterable
from dataclasses import fields

from hypothesis import strategies as st

from elision.accounts.archive import Recent, Sums
from elision.accounts.money import Basis, Money
from elision.accounts.records import Report, RequestRecord
from elision.accounts.usage import Answered, Usage

AT = 1_700_000_000.25
"""When the one came: 2023-11-14T22:13:20Z."""

RECORD = RequestRecord(
    request_id="5f3e",
    method="POST",
    path="/v1/chat/completions",
    status=200,
    report=Report(
        team="search",
        policy="rag@1a2b3c4d",
        mode="enforce",
        methods=("lossless", "selective_context"),
        tokens_before=1000,
        tokens_after=400,
        segments=("context:900>300", "question:100>100"),
        cache="partial",
        bypass=("deadline",),
        model="gpt-4o",
    ),
    answered=Answered(Usage(420, 12, 128, 64, 7), "gpt-4o-2024-11-20", ("stop",), True),
    overhead_ms=12.5,
    total_ms=843.0,
    at=AT,
    money=Money(1_170_000, 1_475_000, Basis.BILLED),
    tokens_saved=590,
    basis=Basis.BILLED,
    body_hash=77,
)

_COUNTS = [item.name for item in fields(Sums) if item.name not in ("overhead", "ratios", "words")]
_FEW = st.integers(0, 5000)
_USAGE = st.none() | st.builds(Usage, _FEW, _FEW, _FEW, _FEW, _FEW)
_MONEY = st.none() | st.builds(
    Money, st.integers(0, 10**12), st.integers(-(10**9), 10**9), st.sampled_from(Basis)
)
_REPORT = st.builds(
    Report,
    team=st.sampled_from(("", "search", "sales")),
    policy=st.sampled_from(("", "rag@1", "chat@2")),
    mode=st.sampled_from(("", "enforce", "audit", "off")),
    methods=st.sampled_from(((), ("lossless",), ("lossless", "llmlingua2"))),
    tokens_before=_FEW,
    tokens_after=_FEW,
    segments=st.sampled_from(((), ("context:900>300",), ("context:5>4", "question:100>100"))),
    cache=st.sampled_from(("", "hit", "miss")),
    bypass=st.sampled_from(((), ("deadline",), ("deadline", "gate"))),
    tokens_audited=_FEW,
    model=st.sampled_from(("", "gpt-4o", "o3")),
)
_ANSWERED = st.builds(
    Answered,
    _USAGE,
    st.sampled_from(("", "m1")),
    st.sampled_from(((), ("stop",), ("stop", "length"))),
    st.booleans(),
)


def records(first: int = 1_699_990_000, last: int = 1_700_010_000) -> st.SearchStrategy[RequestRecord]:
    """Return requests of all kinds that came between two times."""
    return st.builds(
        RequestRecord,
        request_id=st.uuids().map(str),
        method=st.just("POST"),
        path=st.just("/v1/chat/completions"),
        status=st.sampled_from((200, 400, 429, 502)),
        report=_REPORT,
        answered=_ANSWERED,
        overhead_ms=st.floats(0, 9000),
        total_ms=st.floats(0, 90_000),
        sent_original_after_rejection=st.booleans(),
        error=st.sampled_from(("", "client_disconnected", "upstream_down")),
        upstream=st.sampled_from(("", "vllm")),
        at=st.integers(first * 4, last * 4).map(lambda quarter: quarter / 4),
        money=_MONEY,
        tokens_saved=st.integers(-50, 5000),
        basis=st.sampled_from(Basis),
        body_hash=st.integers(0, 3),
    )


def total(sums: Iterable[Sums]) -> Sums:
    """Return sums of sums, added up in the plainest way."""
    found = list(sums)
    words: dict[str, int] = {}
    for one in found:
        for word, count in one.words.items():
            words[word] = words.get(word, 0) + count
    if not found:
        return Sums()
    return Sums(
        **{name: sum(getattr(one, name) for one in found) for name in _COUNTS},
        overhead=tuple(map(sum, zip(*(one.overhead for one in found), strict=True))),
        ratios=tuple(map(sum, zip(*(one.ratios for one in found), strict=True))),
        words=words,
    )


def by_id(requests: Iterable[Recent]) -> list[str]:
    """Return the names of requests."""
    return [one.request_id for one in requests]
