"""What must not be cut is found, whole, in linear time."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.compressors.base import Span
from elision.compressors.errors import BadOption
from elision.compressors.protect import CLASSES, DEFAULT_CLASSES, check_classes, find_spans, merged


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("code", "a\n```py\nx = 1\n```\nb", ["```py\nx = 1\n```"]),
        ("code", "a\n~~~\n```\n~~~ \nb", ["~~~\n```\n~~~"]),
        ("code", "never closed\n```\nx", ["```\nx"]),
        ("inline_code", "use `a b` or ``c`` now", ["`a b`", "``c``"]),
        ("json", 'see\n{"a": [1,\n 2]}\nand [ x', ['{"a": [1,\n 2]}']),
        ("json", 'the body {"a": [1, 2]} and [{"b": 2}], not {} or [3]', ['{"a": [1, 2]}', '[{"b": 2}]']),
        ("json", "{" * 3 + '\n{"a": 1}', ['{"a": 1}']),
        ("urls", "at https://a.b/c?d=1&e=%20#f, or www.x.org", ["https://a.b/c?d=1&e=%20#f,", "www.x.org"]),
        ("emails", "to jo.x+y@mail.example.org now", ["jo.x+y@mail.example.org"]),
        (
            "paths",
            "in /etc/nginx/conf.d and C:\\a\\b or main.py",
            ["/etc/nginx/conf.d", "C:\\a\\b", "main.py"],
        ),
        ("paths", "and/or either", []),
        (
            "identifiers",
            "id 123e4567-e89b-12d3-a456-426614174000 at 9bf771b via snake_case camelCase CVE-2025-62164",
            ["123e4567-e89b-12d3-a456-426614174000", "9bf771b", "snake_case", "camelCase", "CVE-2025-62164"],
        ),
        ("versions", "from v1.2.3 to 2.0.0-rc1 now", ["v1.2.3", "2.0.0-rc1"]),
        ("numbers", "of 3.5 km, $1,200.50 and -7 %, 12th", ["3.5 km", "$1,200.50", "-7 %", "12th"]),
        ("numbers", "about 12 million people in 1987", ["12 million", "1987"]),
        (
            "numbers",
            "共3万人，2024年5月3日，二〇二四年三百公里，第三",
            ["3万人", "2024年5月3日", "二〇二四年三百公里", "第三"],
        ),
        ("numbers", "約3.5キロ 3만 명 ๑๒ ล้านบาท ٣٫٥ مليون", ["3.5キロ", "3만", "๑๒ ล้านบาท", "٣٫٥ مليون"]),
        ("numbers", "5 млн руб. и 12,5 кг, 3 Mio. Euro", ["5 млн", "12,5 кг", "3 Mio."]),
        ("urls", "见https://a.b/c?d=1，和www.x.org。", ["https://a.b/c?d=1", "www.x.org"]),
        ("emails", "写信给jo@mail.example.org。 почта@пример.рф", ["jo@mail.example.org", "почта@пример.рф"]),
        ("identifiers", "调用get_user函数和fooBar的CVE-2025-62164", ["get_user", "fooBar", "CVE-2025-62164"]),
        ("paths", "在/etc/nginx/conf下的main.py文件", ["/etc/nginx/conf下的main.py文件"]),
        ("versions", "版本v1.2.3的", ["v1.2.3"]),
        ("negations", "это не так, لا أعرف, לא, नहीं है, 不是, ではない, ไม่รู้, 하지 않다", None),
        ("dates", "on 12 May 1987, May 3rd, 2020-01-02T03:04:05Z at 10:30 am", None),
        ("negations", "do not, don't, never without; ohne, sans, no", None),
        ("negations", "notable cannonade", []),
        ("negations", "Do NOT. Didn’t, DON'T; Never only if", ["NOT", "Didn’t", "DON'T", "Never", "only if"]),
        ("paths", "see a.b.test.py, x/y.md and .py alone", ["a.b.test.py", "x/y.md"]),
        (
            "quantifiers",
            "only 3, at least one, no more than all",
            ["only", "at least", "no more than", "all"],
        ),
        ("placeholders", "run %s of %d with $HOME_DIR, 100% sure", ["%s", "%d", "$HOME_DIR"]),
        ("placeholders", "hi {name} {{x y}} ${HOME} <|im_end|> [SEP]", None),
        ("citations", "as in [3], [4, 5-7] and [^note]", ["[3]", "[4, 5-7]", "[^note]"]),
        ("latex", "so $x^2 + y$ and $$a\nb$$ or \\frac{a}{b}", ["$x^2 + y$", "$$a\nb$$", "\\frac{a}{b}"]),
        ("latex", "costs $5 and $6", []),
        ("mentions", "ask @jo.doe about #topic", ["@jo.doe", "#topic"]),
    ],
)
def test_each_class_finds_its_own(name: str, text: str, expected: list[str] | None) -> None:
    """Whole things: no address without its end, no number without its unit."""
    found = [text[s.start : s.end] for s in find_spans(text, (name,))]
    if name == "negations" and text.startswith("это"):
        assert found == ["не", "لا", "לא", "नहीं", "不", "ない", "ไม่", "않다"]
        return
    wanted = {
        "dates": ["12 May 1987", "May 3rd", "2020-01-02T03:04:05Z", "10:30 am"],
        "negations": ["not", "don't", "never", "without", "ohne", "sans", "no"],
        "placeholders": ["{name}", "{{x y}}", "${HOME}", "<|im_end|>", "[SEP]"],
    }
    assert found == (wanted[name] if expected is None else expected)


def test_all_classes_are_on_by_default_and_none_if_asked() -> None:
    """None is all; an empty tuple is none."""
    text = "do not pay $5"
    assert find_spans(text) == find_spans(text, tuple(CLASSES)) != ()
    assert find_spans(text, ()) == ()


def test_an_unknown_class_names_the_nearest() -> None:
    """A misspelt class is an error, not silence."""
    with pytest.raises(BadOption, match="did you mean 'numbers'"):
        find_spans("x", ("number",))


@given(st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=12))
def test_merged_spans_cover_the_same_characters(spans: list[tuple[int, int]]) -> None:
    """Ascending, apart from each other, and the union of what was given."""
    result = merged(spans)
    covered = {i for start, end in spans for i in range(start, end)}
    assert {i for span in result for i in range(span.start, span.end)} == covered
    assert all(a.end < b.start for a, b in pairwise(result))
    assert all(isinstance(span, Span) for span in result)


@given(
    st.recursive(st.none() | st.integers() | st.text(), lambda x: st.lists(x) | st.dictionaries(st.text(), x))
)
def test_any_json_block_is_found(value: object) -> None:
    """However it is written, a block of JSON between two lines of prose is one span."""
    block = json.dumps({"v": value}, indent=2)
    text = f"before\n{block}\nafter"
    assert find_spans(text, ("json",)) == (Span(7, 7 + len(block)),)


@given(st.text())
def test_spans_lie_within_the_text(text: str) -> None:
    """Ascending, disjoint, never empty, whatever the text."""
    spans = find_spans(text)
    assert all(0 <= s.start < s.end <= len(text) for s in spans)


@pytest.mark.parametrize(
    "run",
    [
        *("`", "{", "[", "\n{", "\n[1,", "a", "1", "1.", "1,", "/a", "a.", "a@", "$", "$x ", "\\", "[1"),
        *("<|", "_", "aB", "don'", "#", "@a", "\n```", "-", "http:", "ab-", "a1", '\n{"a":', '\n{"', "0x"),
        *("f", "a_", "n", "May ", "{{", "\\(", "\n[", "a.py", "\n{ ", "1-"),
    ],
)
def test_long_runs_take_linear_time(run: str) -> None:
    """A quadratic pattern would outlast the test's timeout."""
    text = run * (400_000 // len(run)) + "!"
    assert all(s.end <= len(text) for s in find_spans(text))


def test_an_operators_own_patterns_are_protected_too() -> None:
    """Beside the default classes, or instead of them."""
    text = "Order ORD-77 of 3 boxes, not ORD-x."
    found = {name: [text[s.start : s.end] for s in find_spans(text, (name,))] for name in (r"re:ORD-\w+",)}
    assert found == {r"re:ORD-\w+": ["ORD-77", "ORD-x"]}
    both = find_spans(text, ("default", r"re:ORD-\w+"))
    assert [text[s.start : s.end] for s in both] == ["ORD-77", "3", "not", "ORD-x"]


@pytest.mark.parametrize(
    "pattern", ["re:(a)\\1", "re:(?=x)y", "re:(", "re:", "re:" + "x" * 501, "re:x{1000000}"]
)
def test_a_pattern_that_could_run_away_is_refused(pattern: str) -> None:
    """Only what RE2 takes is taken; the error quotes the pattern."""
    with pytest.raises(BadOption, match="protected pattern"):
        check_classes((pattern,))


def test_a_pattern_that_runs_away_elsewhere_takes_linear_time() -> None:
    """As RE2 promises: a backtracking engine would not end."""
    assert find_spans("a" * 100_000 + "!", (r"re:(a+)+$",)) == ()


def test_checking_names_finds_what_using_them_would() -> None:
    """The nearest class is named."""
    with pytest.raises(BadOption, match="did you mean 'urls'"):
        check_classes(("url",))


def test_what_would_hold_whole_sentences_is_protected_on_request_only() -> None:
    """List markers and words such as "only"."""
    assert set(CLASSES) - set(DEFAULT_CLASSES) == {"list_markers", "quantifiers"}
    assert find_spans("- only this") == ()
