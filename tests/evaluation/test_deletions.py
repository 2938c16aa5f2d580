"""Sentences that people shortened; short ones are left out for all methods alike."""

import json
from pathlib import Path

from elision.evaluation.deletions import shortened


def test_only_sentences_that_methods_would_shorten_are_taken(tmp_path: Path) -> None:
    """Under twenty words every method gives back what it got."""
    long = " ".join(f"w{at}" for at in range(20))
    rows = [{"text": "too short", "summaries": ["short"]}, {"text": long, "summaries": ["w0 w1", "w2"]}]
    file = tmp_path / "rows.jsonl"
    file.write_text("\n".join(map(json.dumps, rows)))
    [item] = shortened(file, "test")
    assert (item.id, item.text, item.answers) == ("2", long, ("w0 w1", "w2"))
