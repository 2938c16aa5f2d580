"""Units of tokens are whole characters, cover the text, and hold each token once."""

import numpy as np
import pytest

from elision.compressors.causal_lm import CausalLM
from elision.compressors.token_units import Grain, blank_tokens, cut_units
from elision.compressors.weights import resolve
from fakes.tiny_lm import save_tiny_lm

PROSE = "A witness said that the meeting of 12 May 1987 was not held.\n\nIt was the best of times, he said. "
SCRIPTS = "né 🎉👩‍👩‍👧 日本語の文。 fox\n\n\tภาษาไทย नमस्ते  end. "


@pytest.fixture(scope="module")
def lm(tmp_path_factory: pytest.TempPathFactory) -> CausalLM:
    folder = save_tiny_lm(tmp_path_factory.mktemp("lm"))
    return CausalLM.load(resolve(str(folder), tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("level", [Grain.TOKEN, Grain.WORD])
def test_units_are_whole_characters_and_cover_the_text(lm: CausalLM, level: Grain) -> None:
    """No character of several tokens is cut, whitespace is outside, tokens are each in one unit."""
    for text in (PROSE, SCRIPTS, "", "  \n ", "🎉", "\n a"):
        [tokens] = lm.tokenise([text])
        cut = cut_units(text, tokens.offsets, level)
        pieces = [text[a:b] for a, b in cut.bounds.tolist()]
        assert all(piece == piece.strip() != "" for piece in pieces)
        assert "".join("".join(pieces).split()) == "".join(text.split())
        assert (np.diff(cut.first) > 0).all()
        assert cut.first[-1] == (len(tokens.ids) if pieces else 0)
        for (a, b), left, right in zip(cut.bounds.tolist(), cut.first, cut.first[1:], strict=False):
            spans = tokens.offsets[left:right]
            assert spans[:, 1].max() >= b
            assert not text[spans[:, 0].min() : a].strip()
    [tokens] = lm.tokenise(["👩‍👩‍👧"])
    assert len(cut_units("👩‍👩‍👧", tokens.offsets, level).bounds) == 1


def test_words_are_whole_but_for_the_longest(lm: CausalLM) -> None:
    """What has no space for thirty tokens and more may be cut."""
    blob = "QUJD" * 30
    text = f"Reports were late. {blob} end"
    [tokens] = lm.tokenise([text])
    pieces = [text[a:b] for a, b in cut_units(text, tokens.offsets, Grain.WORD).bounds.tolist()]
    assert pieces[:4] == ["Reports", "were", "late", "."]
    assert pieces[-1] == "end"
    assert len(pieces) > 20
    assert "".join(pieces) == "".join(text.split())


def test_blank_tokens_are_told(lm: CausalLM) -> None:
    """Those that stand for nothing but whitespace."""
    [tokens] = lm.tokenise([PROSE])
    told = [PROSE[a:b].isspace() for a, b in tokens.offsets.tolist()]
    assert blank_tokens(PROSE, tokens.offsets).tolist() == told
    assert any(told)
    assert blank_tokens("", np.zeros((0, 2), np.int64)).tolist() == []
