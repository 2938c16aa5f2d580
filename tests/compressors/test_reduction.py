"""Called as the authors' package is: what is left, and what was removed."""

from pathlib import Path

import pytest

from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.reduction import SelectiveContext
from elision.compressors.tokens import Counters
from fakes.tiny_lm import save_tiny_lm

TEXT = "The quick brown fox was late, he said. Reports may be filed by anyone in Geneva. " * 3


@pytest.mark.parametrize("level", ["sentence", "phrase", "word", "token"])
def test_what_is_left_and_what_was_removed_make_the_text(tmp_path: Path, level: str) -> None:
    """Nothing is invented and nothing vanishes; the ratio is one of tokens."""
    reduce = SelectiveContext(str(save_tiny_lm(tmp_path)), engine=Engine(Counters()))
    left, removed = reduce(TEXT, reduce_ratio=0.4, reduce_level=level)
    count = Counters().counter_for("").count
    assert count(left) <= 0.6 * count(TEXT)
    assert removed
    assert sum(map(len, (left, *removed))) <= len(TEXT)
    assert all(piece in TEXT for piece in removed)
    assert "".join(sorted(left + "".join(removed))).strip() == "".join(sorted(TEXT)).strip()


def test_nothing_is_removed_where_nothing_is_to_go(tmp_path: Path) -> None:
    """The original, and an empty list."""
    assert SelectiveContext(str(save_tiny_lm(tmp_path)))(TEXT, reduce_ratio=0) == (TEXT, [])


def test_what_is_not_known_is_refused(tmp_path: Path) -> None:
    """Languages, ratios and levels."""
    with pytest.raises(BadOption, match="lang"):
        SelectiveContext(lang="xx")
    reduce = SelectiveContext(str(save_tiny_lm(tmp_path)), "zh")
    with pytest.raises(BadOption, match="reduce_ratio"):
        reduce(TEXT, reduce_ratio=1.5)
    with pytest.raises(BadOption, match="level"):
        reduce(TEXT, reduce_level="paragraph")
    with pytest.raises(BadOption, match="name weights"):
        SelectiveContext("curie")
    assert reduce(TEXT, 0.4, "sent") == reduce(TEXT, 0.4, "sentence")
    assert reduce(TEXT, 0.4, "phrase") == reduce(TEXT, 0.4, "word")
