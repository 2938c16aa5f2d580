"""Long texts in pieces that a teacher is asked about one by one.

Cut before sentences where they fit, before words where they do not, as windows of long texts are
(`elision.compressors.chunks`); nothing between two pieces is lost but white space. Pure.
"""

from itertools import pairwise

import numpy as np

from elision.compressors.base import TokenCounter
from elision.compressors.chunks import chunk, find_cuts
from elision.compressors.units import sentences, words


def cut(text: str, most: int, counter: TokenCounter) -> list[str]:
    """Cut a text into as few pieces as fit, about equally long.

    Args:
        text: any.
        most: tokens of a piece, at least 1. Counted in the whole text: by itself a piece may have
            one or two more, where the tokenizer joins words to the spaces before them.
        counter: of the model whose tokens these are.
    Returns: no empty piece, none with white space around it.
    """
    starts = counter.starts(text)
    offsets = np.stack((starts, np.append(starts[1:], len(text))), 1) if len(starts) else starts
    protected = np.zeros((0, 2), np.int64)
    cuts = find_cuts(offsets, words(text), sentences(text)[:, 0], protected)
    at = [int(starts[one.first]) for one in chunk(len(starts), most, cuts)]
    pieces = [text[start:end].strip() for start, end in pairwise([*at, len(text)])]
    return [piece for piece in pieces if piece]
