"""Tables as CSV."""

import csv
import io

from elision.proxy.csv_text import csv_text


def test_what_is_written_is_read_again() -> None:
    """Commas, quotes, line breaks and other scripts survive; what a line lacks is empty."""
    lines: list[dict[str, object]] = [{"team": 'a,"b"\n', "n": -3}, {"team": "日本", "n": None, "more": 1.5}]
    assert list(csv.DictReader(io.StringIO(csv_text(lines)))) == [
        {"team": 'a,"b"\n', "n": "-3", "more": ""},
        {"team": "日本", "n": "", "more": "1.5"},
    ]


def test_no_text_becomes_a_formula() -> None:
    """A client may call a model what a spreadsheet would compute; numbers stay numbers."""
    [line] = csv.DictReader(io.StringIO(csv_text([{"model": "=1+1", "@x": "-a", "n": -1}])))
    assert line == {"model": "'=1+1", "'@x": "'-a", "n": "-1"}


def test_nothing_is_an_empty_table() -> None:
    """Without lines there are no columns to name."""
    assert csv_text([]).strip() == ""
