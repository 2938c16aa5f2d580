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
    spaced: list[str] = []
    for character in unicodedata.normalize("NFKC", text).lower():
        if is_unspaced(character):
            spaced.append(f" {character} ")
        elif unicodedata.category(character)[0] not in "PS":
            spaced.append(character)
    found = "".join(spaced).split()
    return found if articles else [word for word in found if word not in _ARTICLES]
