"""What no compressor may cut: named classes of spans, found before anything is scored.

Code, JSON, addresses, identifiers, numbers with their units, negations and the like mean nothing,
or something else, when a part of them is missing. This module finds them and says where they are;
it does not decide how much of a text is kept. Each class is one row of `CLASSES`: a name and a
finder; blocks are found by `elision.compressors.protect_blocks`. Operators add patterns of their own,
which RE2 runs. Time is linear in the text's length.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MappingProxyType

from elision.compressors.base import Span
from elision.compressors.errors import BadOption, nearest
from elision.compressors.protect_blocks import (
    find_fences,
    find_headings,
    find_json,
    find_list_markers,
    find_markup,
    find_tables,
    find_yaml,
)
from elision.compressors.protect_words import (
    ENDS,
    FAR_NEGATIONS,
    HAN_NUMBER,
    MONTH,
    NEGATIONS,
    NEGATIVE_PARTS,
    NUMBER,
    QUANTIFIERS,
    STARTS,
    WORD_ENDS,
)

Finder = Callable[[str], Iterator[tuple[int, int]]]

_DATE = (
    rf"{STARTS}\d{{1,2}}(?:st|nd|rd|th|\.|º)?\s(?:de\s)?{MONTH}\b\.?(?:,?\s(?:de\s)?\d{{4}}\b(?!-))?"
    rf"|{STARTS}{MONTH}\b\.?\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s\d{{4}}\b(?!-))?"
    rf"|{STARTS}\d{{4}}-\d{{2}}-\d{{2}}"
    r"(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d++)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
    rf"|{STARTS}\d{{1,2}}:\d{{2}}(?::\d{{2}})?\s?[aApP]\.?[mM]\b\.?"
)
_NOT_SHORT = re.compile(r"(?<=[nN])['’][tT]\b")
_WORD_BEFORE = re.compile(r"[A-Za-z]{1,40}\Z")
_FILE_ENDING = re.compile(
    r"\.(?:py|js|ts|json|ya?ml|toml|md|txt|csv|html?|css|c|h|cpp|rs|go|java|sh|sql|pdf|xml|log|ini|cfg|lock)(?![A-Za-z0-9_])"
)
# Letters of scripts with spaces: before a name Han and Kana may stand unspaced.
_NAMES = "A-Za-z0-9_\u00a1-\u0dff-"
_FILE_BEFORE = re.compile(rf"(?<![{_NAMES}./@])[{_NAMES}./@]{{1,250}}\Z")
_LONGEST_FILE = 300
_PATH = re.compile(
    rf"(?<![A-Za-z0-9_/.~])(?:~|\.{{1,2}})?(?:/[\w.@+-]++){{2,}}+/?|{STARTS}[A-Za-z]:\\[^\s\"'<>|]++"
)
_DOMAIN = r"\w[\w-]{0,62}+(?:\.\w[\w-]{0,62}+)++"
_PATTERN = "re:"
_PATTERN_LENGTH = 500
_PATTERN_MEMORY = 1 << 20


def find_spans(text: str, classes: Sequence[str] | None = None) -> tuple[Span, ...]:
    """Return the protected spans of a text, ascending, disjoint, merged where they touch.

    Args:
        text: any text.
        classes: as `check_classes` takes them; None means the default ones, () none.
    Raises: BadOption if one is not known.
    """
    names = DEFAULT_CLASSES if classes is None else classes
    found: list[tuple[int, int]] = []
    for finder in _finders(names):
        found.extend(finder(text))
    return merged(found)


def check_classes(classes: Sequence[str]) -> None:
    """Check names of protected classes: those of `CLASSES`, `default`, or `re:` and a pattern.

    Patterns are RE2's: their time is linear in the text, so there are no back references and no
    looking around.

    Raises: BadOption naming the nearest class, or saying what is wrong with a pattern.
    """
    for _ in _finders(classes):
        pass


def _finders(names: Iterable[str]) -> Iterator[Finder]:
    for name in names:
        if name == DEFAULT:
            yield from (CLASSES[default] for default in DEFAULT_CLASSES)
        elif name.startswith(_PATTERN):
            yield _linear(name.removeprefix(_PATTERN))
        elif name in CLASSES:
            yield CLASSES[name]
        else:
            raise BadOption(f"no protected class {name!r}{nearest(name, (*CLASSES, DEFAULT))}")


def _linear(pattern: str) -> Finder:
    """Return the finder of an operator's own pattern."""
    import re2  # type: ignore[import-untyped]

    if not 0 < len(pattern) <= _PATTERN_LENGTH:
        raise BadOption(f"a protected pattern must have 1 to {_PATTERN_LENGTH} characters")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _PATTERN_MEMORY
    try:
        compiled = re2.compile(pattern, options)
    except re2.error as error:
        said = error.args[0].decode() if isinstance(error.args[0], bytes) else str(error)
        raise BadOption(f"the protected pattern {pattern!r} is not RE2's: {said}") from error

    def find(text: str) -> Iterator[tuple[int, int]]:
        return (match.span() for match in compiled.finditer(text))

    return find


def merged(spans: Iterable[tuple[int, int]]) -> tuple[Span, ...]:
    """Sort spans and join those that overlap or touch; drop empty ones."""
    result: list[Span] = []
    for start, end in sorted(spans):
        if start >= end:
            continue
        if result and start <= result[-1].end:
            result[-1] = Span(result[-1].start, max(end, result[-1].end))
        else:
            result.append(Span(start, end))
    return tuple(result)


def _pattern(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> Finder:
    compiled = re.compile(pattern, flags)

    def find(text: str) -> Iterator[tuple[int, int]]:
        return (match.span() for match in compiled.finditer(text))

    return find


def _far(near: Finder, far: Finder) -> Finder:
    """Look for what only scripts other than Latin have where a text has more than ASCII."""

    def find(text: str) -> Iterator[tuple[int, int]]:
        yield from near(text)
        if not text.isascii():
            yield from far(text)

    return find


def _words(words: str, others: str = "") -> Finder:
    """Find whole words, as they are, capitalised or in capitals.

    Grouped by their first letters, which the engine can then reject at a glance: ignoring case
    altogether takes three times as long.
    """
    groups: dict[str, set[str]] = {}
    for word in words.split(", "):
        for form in (word, word.capitalize(), word.upper()):
            groups.setdefault(form[0], set()).add(re.escape(form[1:]))
    longest_first = {first: sorted(rest, key=lambda end: (-len(end), end)) for first, rest in groups.items()}
    branches = (f"{first}(?:{'|'.join(rest)})" for first, rest in sorted(longest_first.items()))
    pattern = rf"\b(?:{'|'.join(branches)}){WORD_ENDS}"
    return _pattern(f"{pattern}|{others}" if others else pattern)


def _find_negations(text: str) -> Iterator[tuple[int, int]]:
    yield from _whole_negations(text)
    for match in _NOT_SHORT.finditer(text):
        before = _WORD_BEFORE.search(text, max(0, match.start() - 40), match.start())
        yield (before.start() if before else match.start()), match.end()


def _find_paths(text: str) -> Iterator[tuple[int, int]]:
    yield from (match.span() for match in _PATH.finditer(text))
    done = 0
    for match in _FILE_ENDING.finditer(text):
        # Endings are rare; looking back from them is cheaper than trying every word.
        before = _FILE_BEFORE.search(text, max(done, match.start() - _LONGEST_FILE), match.start())
        if before is not None:
            yield before.start(), match.end()
            done = match.end()


_whole_negations = _far(_words(NEGATIONS, r"\bn['’](?=\w)"), _words(FAR_NEGATIONS, NEGATIVE_PARTS))

CLASSES: MappingProxyType[str, Finder] = MappingProxyType(
    {
        "code": find_fences,
        "inline_code": _pattern(r"(?<!`)``(?!`)(?:[^`\n]|`(?!`)){1,400}?``(?!`)|(?<!`)`[^`\n]{1,400}`(?!`)"),
        "json": find_json,
        "yaml": find_yaml,
        "markup": find_markup,
        "tables": find_tables,
        "headings": find_headings,
        "list_markers": find_list_markers,
        "urls": _pattern(
            rf"{STARTS}(?:(?:https?|ftp|file|wss?|mailto|ssh|git|s3|gs):(?://)?|www\.)"
            r"[^\s<>\"'`。，、！？；（）「」『』【】《》]++"
        ),
        "emails": _pattern(rf"(?<![{_NAMES}.+])[{_NAMES}.+]{{1,64}}+@{_DOMAIN}"),
        "paths": _find_paths,
        "identifiers": _pattern(
            rf"{STARTS}[0-9a-fA-F]{{8}}-(?:[0-9a-fA-F]{{4}}-){{3}}[0-9a-fA-F]{{12}}{ENDS}"
            rf"|{STARTS}(?=[a-f]*+\d)[0-9a-f]{{7,128}}+{ENDS}|{STARTS}0x[0-9a-fA-F]++{ENDS}"
            rf"|{STARTS}(?=[A-Za-z]{{1,32}}[-_]?\d)[A-Z][A-Za-z]*+[-_]?\d[A-Za-z0-9_-]*+"
            rf"|{STARTS}[A-Za-z][A-Za-z0-9]*+_[A-Za-z0-9_]++|{STARTS}[a-z]++[A-Z][A-Za-z0-9_]*+"
        ),
        "versions": _pattern(
            r"(?<![A-Za-z0-9_.])v?\d++(?:\.\d++){1,4}+(?:[-+.]?(?:alpha|beta|rc|dev|post|[ab])[\w.]*+)?"
        ),
        "numbers": _far(_pattern(NUMBER), _pattern(HAN_NUMBER)),
        "dates": _pattern(_DATE),
        "negations": _find_negations,
        "quantifiers": _words(QUANTIFIERS),
        "placeholders": _pattern(
            r"\{\{[^{}\n]{1,200}\}\}|\$?\{[A-Za-z_][\w.]{0,80}\}|<[A-Za-z_][\w -]{0,60}>"
            r"|%\([a-z_]\w{0,60}\)[sdf]|%[sdif](?![A-Za-z0-9_])|(?<![A-Za-z0-9_$])\$[A-Z_][A-Z0-9_]{1,60}\b|<\|[^|\n]{1,60}\|>|\[(?:SEP|CLS|MASK|PAD|UNK|INST|/INST)\]"
        ),
        "citations": _pattern(r"\[(?:\d{1,4}(?:\s?[-–,;]\s?)?){1,20}\]|\[\^[\w-]{1,40}\]|\[@[\w:-]{1,80}\]"),
        "latex": _pattern(
            r"\$\$[^$]{1,4000}\$\$|\$(?![\d.,]++[^\w^{+*/=<>-]|\{|[A-Z_]{2})[^$\s](?:[^$\n]{0,400}[^$\s\n])?\$(?!\d)|\\\([^\n]{1,400}?\\\)"
            r"|\\\[[^\]]{1,4000}\\\]|\\[A-Za-z]++(?:\{[^{}\n]{0,400}\})*+"
        ),
        "mentions": _pattern(r"(?<![A-Za-z0-9_@])@\w[\w.-]{0,62}+|(?<![A-Za-z0-9_#&])#\w{1,62}+"),
    }
)

DEFAULT = "default"
"""Names all the default classes, to add others to them."""

DEFAULT_CLASSES = tuple(name for name in CLASSES if name not in ("list_markers", "quantifiers"))
"""What is protected where nobody says otherwise. A marker or an "only" would hold its whole sentence
where sentences are kept or dropped whole."""
