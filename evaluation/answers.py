"""Normalised answers: the words of a string, as comparing answers sees them.

Lower case, without punctuation and the articles a, an, the, as SQuAD's evaluation does it
(Rajpurkar et al., arXiv:1606.05250, section 5); in scripts without spaces every character is a
word, so that Chinese is compared by characters. Pure.
"""

import unicodedata

from elision.compressors.units import is_unspaced

_ARTICLES = frozenset(("a", "an", "the"))


def words(text: str, *, articles: bool = False) -> list[str]:
    """Return a text's normalised words.

    SQuAD removes punctuation without leaving a space ("U.S." is "us", "well-known" "wellknown").

    Args:
        text: any text.
        articles: keep a, an, the.
    """
    normal = unicodedata.normalize("NFKC", text).lower()
    # A text has few different characters, and long documents are compared many times.
    found = normal.translate({ord(one): _spaced(one) for one in set(normal)}).split()
    return found if articles else [word for word in found if word not in _ARTICLES]


def _spaced(character: str) -> str:
    if is_unspaced(character):
        return f" {character} "
    return "" if unicodedata.category(character)[0] in "PS" else character
