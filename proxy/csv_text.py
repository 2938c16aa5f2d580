"""Tables as CSV (RFC 4180), safe to open in a spreadsheet. Pure."""

import csv
import io
from collections.abc import Mapping, Sequence

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""What a spreadsheet may take for the beginning of a formula."""


def csv_text(lines: Sequence[Mapping[str, object]]) -> str:
    """Return lines as CSV, the columns in the order in which lines name them first.

    Texts that a spreadsheet would compute get an apostrophe in front: names of models are the
    clients' words. What a line lacks, and None, is empty.
    """
    columns = list(dict.fromkeys(name for line in lines for name in line))
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow([_cell(column) for column in columns])
    writer.writerows([_cell(line.get(column)) for column in columns] for line in lines)
    return out.getvalue()


def _cell(value: object) -> object:
    if value is None:
        return ""
    return f"'{value}" if isinstance(value, str) and value.startswith(_FORMULA) else value
