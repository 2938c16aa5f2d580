"""What is told of a request."""

from dataclasses import replace

from elision.accounts.money import Basis, Money
from elision.accounts.records import LONGEST_VALUE, Report, Shortened

REPORT = Report(
    team="search",
    policy="rag@1a2b3c4d",
    mode="enforce",
    methods=("lossless", "selective_context"),
    tokens_before=1000,
    tokens_after=400,
    segments=("context:900>300", "question:100>100"),
    cache="partial",
    bypass=("deadline",),
)


def test_headers_say_what_was_saved() -> None:
    """Plain decimals, lower case."""
    assert REPORT.headers() == [
        ("x-elision-team", "search"),
        ("x-elision-policy", "rag@1a2b3c4d"),
        ("x-elision-mode", "enforce"),
        ("x-elision-tokens-before", "1000"),
        ("x-elision-tokens-after", "400"),
        ("x-elision-tokens-saved", "600"),
        ("x-elision-ratio", "0.400"),
        ("x-elision-method", "lossless,selective_context"),
        ("x-elision-segments", "context:900>300,question:100>100"),
        ("x-elision-cache", "partial"),
        ("x-elision-bypass", "deadline"),
    ]


def test_what_rules_in_audit_would_have_saved_is_told_apart() -> None:
    """It is not saved."""
    enforced = replace(REPORT, tokens_audited=25)
    assert ("x-elision-tokens-audited", "25") in enforced.headers()
    audited = dict(replace(REPORT, mode="audit").headers())
    assert audited["x-elision-tokens-saved"] == "0"
    assert (audited["x-elision-tokens-after"], audited["x-elision-tokens-audited"]) == ("400", "600")


def test_money_is_a_plain_decimal_to_the_nano_dollar() -> None:
    """Where shortening makes a request dearer it says so; never an exponent."""
    for saved, told in ((600, "0.000000600"), (-1_500_000_000, "-1.500000000"), (0, "0.000000000")):
        headers = dict(REPORT.headers(Money(5, saved, Basis.ESTIMATE)))
        assert headers["x-elision-cost-saved-usd"] == told
        assert headers["x-elision-cost-basis"] == "estimate"


def test_no_header_says_more_than_a_bounded_number_of_visible_ascii_characters() -> None:
    """Names in any script are percent-encoded; lists are cut after an entry."""
    named = dict(replace(REPORT, team="gr\u00f6\u00dfe\r\nx: 1", policy="\u8981\u7d04@1").headers())
    assert named["x-elision-team"] == "gr%C3%B6%C3%9Fe%0D%0Ax:%201"
    assert named["x-elision-policy"] == "%E8%A6%81%E7%B4%84@1"
    many = tuple(f"context:{number}>1" for number in range(1000, 2000))
    cut = dict(replace(REPORT, team="t" * 1000, segments=many).headers())
    assert cut["x-elision-segments"].endswith(">1,...")
    assert all(len(value) <= LONGEST_VALUE for value in cut.values())
    assert cut["x-elision-team"].endswith("t...")


def test_a_request_that_was_not_looked_into_says_whose_it_is_and_no_figures() -> None:
    """There is nothing to count, and nothing is claimed."""
    told = dict(Report(team="search", policy="p@1", mode="off").headers(Money(1, 0, Basis.ESTIMATE)))
    assert told == {"x-elision-team": "search", "x-elision-policy": "p@1", "x-elision-mode": "off"}


def test_a_request_that_nobody_looked_into_says_nothing() -> None:
    """Unless there is a reason to tell."""
    assert Report().headers() == []
    assert Report(bypass=("malformed_body",)).headers() == [("x-elision-bypass", "malformed_body")]


def test_a_withdrawn_rewrite_claims_no_saving() -> None:
    """After the original was sent instead."""
    headers = dict(REPORT.withdrawn("upstream_400").headers())
    assert headers["x-elision-tokens-saved"] == "0"
    assert headers["x-elision-bypass"] == "deadline,upstream_400"
    assert "x-elision-method" not in headers
    assert "x-elision-cache" not in headers


def test_a_withdrawn_rewrite_breaks_what_earlier_requests_had_sent_shortened() -> None:
    """The original's beginning is not in the provider's cache, which holds the shortened one."""
    known = replace(REPORT, known_before=800, known_after=300, shortened=(Shortened(0, 300, 500, 1, True),))
    withdrawn = known.withdrawn("upstream_400")
    assert withdrawn.stepped
    assert (withdrawn.shortened, withdrawn.tokens_saved, withdrawn.known_after) == ((), 0, 800)
    assert not REPORT.withdrawn("upstream_400").stepped
