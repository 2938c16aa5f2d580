"""A card says what the files say: sums, counts, options, figures."""

import json
from pathlib import Path

import pytest

from elision.compressors.checkpoints import File, Prepared
from elision.compressors.token_classifier import Family
from elision.config.errors import ConfigError
from elision.training.card import Origin, Told, card, read_figures
from elision.training.records import LabelledText
from elision.training.trainer import TrainOptions

FILES = {"model.onnx": File(23_000_000, "ab" * 32), "tokenizer.json": File(500, "cd" * 32)}
MANIFEST = Prepared(1, "embedded", "checkpoint", "", "Apache-2.0", Family.BERT, 2, 512, ("onnx",), {}, FILES)
TOLD = Told(
    "A small scorer",
    "It scores.",
    "a base",
    {"known": Origin("somewhere", "CC0")},
    "make it",
    "## Limits\n\nMany.",
)
TEXTS = [
    LabelledText("a b", ((0, 1), (2, 3)), (1.0, 0.0), "known"),
    LabelledText("c d", ((0, 1), (2, 3)), (1.0, 1.0), "known"),
    LabelledText("e", ((0, 1),), (0.5,), "other"),
]


def test_a_card_tells_what_files_know() -> None:
    """The sum of the weights, what taught by source, and the options; no path of the machine."""
    told = card(
        MANIFEST, TOLD, TEXTS, TrainOptions(Path("/secret/base"), Path("/secret/out")), ["| figure |"]
    )
    assert "23,000,000 bytes" in told
    assert "ab" * 32 in told
    assert "| known | somewhere | CC0 | 2 | 4 | 0.750 |" in told
    assert "| other |  | unknown | 1 | 1 | 0.500 |" in told
    assert "seed 0" in told
    assert "/secret" not in told
    assert told.startswith("---\nlicense: apache-2.0\n---\n")
    assert told.index("| figure |") < told.index("## Limits")


def test_figures_are_read_from_a_finished_run(tmp_path: Path) -> None:
    """Each line of the measure with its interval, and the difference where there is one."""
    estimate = {"value": 0.75, "low": 0.7, "high": 0.8, "items": 300, "groups": 290}
    line = {
        "cell": {"dataset": "nq_open test", "method": "m", "target": "0.5"},
        "kept": 0.4999,
        "measures": {"survival": estimate},
        "differences": {"survival": {**estimate, "value": 0.1, "low": None, "high": None}},
    }
    other = {**line, "measures": {}}
    (tmp_path / "table.json").write_text(json.dumps({"lines": [line, other]}))
    assert read_figures(tmp_path, "survival")[2:] == [
        "| nq_open test | `m` | 0.5 | 0.500 | 0.750 (0.700 to 0.800; n 300) | +0.100 |"
    ]
    assert read_figures(tmp_path, "unit_f1") == []


def test_an_unfinished_run_is_named(tmp_path: Path) -> None:
    """No table, no card."""
    with pytest.raises(ConfigError, match=r"table\.json"):
        read_figures(tmp_path, "survival")
