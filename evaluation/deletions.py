"""Data sets of sentences that people shortened by leaving words out: broadcast news, the BNC.

Loader only. Source: Clarke and Lapata, Global inference for sentence compression (JAIR 2008).
"""

from pathlib import Path

from elision.evaluation import forms
from elision.evaluation.files import read_rows, text_of, texts_of
from elision.evaluation.model import Item

# Every method leaves texts of fewer than 16 tokens alone, and would be measured by doing nothing.
_WORDS = 20


def shortened(file: Path, split: str) -> list[Item]:
    """Read sentences of at least 20 words, with the shortenings of one person or several.

    Raises: ConfigError.
    """
    items: list[Item] = []
    for at, one in enumerate(read_rows(file), 1):
        where = f"{file}:{at}"
        text = text_of(one, "text", where)
        if len(text.split()) >= _WORDS:
            answers = texts_of(one, "summaries", where)
            items.append(Item(str(at), str(at), text, forms.DELETION, answers=answers))
    return items
