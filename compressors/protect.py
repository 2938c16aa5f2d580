"""What no compressor may cut: named classes of spans, found before anything is scored.

Code, JSON, addresses, identifiers, numbers with their units, negations and the like mean nothing,
or something else, when a part of them is missing. This module finds them and says where they are;
it does not decide how much of a text is kept. Each class is one row of `CLASSES`: a name and a
finder. Time is linear in the text's length: patterns are possessive, and JSON is tried within a
budget of characters, beyond which the rest of the text is protected unread.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from types import MappingProxyType

from elision.compressors.base import Span
from elision.compressors.errors import BadOption, nearest

Finder = Callable[[str], Iterator[tuple[int, int]]]

_MONTH = (
    r"(?:Jan(?:uary)?|Feb(?:ruary)?|Mar(?:ch)?|Apr(?:il)?|May|June?|July?|Aug(?:ust)?|Sept?(?:ember)?"
    r"|Oct(?:ober)?|Nov(?:ember)?|Dec(?:ember)?)"
)
_UNIT = (
    r"(?:%|‰|°\s?[CFK]?|[kKMGTP]i?[bB](?:/s)?|[munkMG]?(?:m|g|s|W|V|A|Hz|J|L|l)|cm|mm|km|kg|mg|µm|μs|ms|ns|min|h|hrs?|"
    r"hours?|minutes?|seconds?|days?|weeks?|months?|years?|mph|km/h|ft|in|lbs?|oz|px|x|"
    r"percent|per cent|thousand|million|billion|trillion|dollars?|euros?|pounds?|USD|EUR|GBP|JPY|CNY|"
    r"[€$£¥₹]|万|亿|元|円|年|月|日)"
)
_NUMBER = (
    r"(?<![\w.])[-+±~≈<>≤≥]?[€$£¥₹]?(?>\d+(?:[.,:/'’]\d+)*+)(?:[eE][-+]?\d++)?"
    rf"(?:st|nd|rd|th)?(?:[ \u00a0]?{_UNIT}(?!\w))?"
)
_DATE = (
    rf"\b\d{{1,2}}(?:st|nd|rd|th)?\s{_MONTH}\b\.?(?:,?\s\d{{4}}\b(?!-))?"
    rf"|\b{_MONTH}\b\.?\s\d{{1,2}}(?:st|nd|rd|th)?\b(?:,?\s\d{{4}}\b(?!-))?"
    r"|\b\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d++)?)?(?:Z|[+-]\d{2}:?\d{2})?)?"
    r"|\b\d{1,2}:\d{2}(?::\d{2})?\s?[aApP]\.?[mM]\b\.?"
)
_NEGATION = (
    r"\b(?i:no|not|never|none|nothing|nobody|nowhere|neither|nor|without|unless|except|cannot|"
    r"only if|[a-z]++(?<=n)['’]t|"
    r"nunca|jamás|ningun[oa]?|ningún|nada|nadie|tampoco|sin|salvo|excepto|"
    r"nicht|kein(?:e[mnrs]?)?|nie|niemals|nichts|niemand|ohne|außer|weder|"
    r"ne|pas|jamais|aucune?|rien|personne|sans|sauf|ni)\b"
    r"|\bn['’](?=\w)|[不没沒无無未非别]|ない|ません"
)
_FENCE = re.compile(r"^[ \t]{0,3}(?P<mark>```+|~~~+)[^\n]*$", re.MULTILINE)
# What follows the bracket must look like JSON; a log's `[12:30] ...` costs no attempt.
_JSON_LINE = re.compile(
    r"^[ \t]{0,8}(?P<open>\{\s*+[\"}]|\[\s*+(?:[\[{\"\]]|-?\d[\d.eE+-]*+\s*+[,\]]|true|false|null))",
    re.MULTILINE,
)
# An integer of many digits is slow to read, and its value is of no interest here.
_JSON = json.JSONDecoder(parse_int=str, parse_float=str, parse_constant=str)
_JSON_BUDGET = 8
_JSON_DEEP = 10_000


def find_spans(text: str, classes: Sequence[str] | None = None) -> tuple[Span, ...]:
    """Return the protected spans of a text, ascending, disjoint, merged where they touch.

    Args:
        text: any text.
        classes: names from `CLASSES`; None means all of them, () none.
    Raises: BadOption naming the nearest class if one is not known.
    """
    names = CLASSES if classes is None else classes
    found: list[tuple[int, int]] = []
    for name in names:
        if name not in CLASSES:
            raise BadOption(f"no protected class {name!r}{nearest(name, CLASSES)}")
        found.extend(CLASSES[name](text))
    return merged(found)


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


def find_fences(text: str) -> Iterator[tuple[int, int]]:
    """Yield fenced code, fences included (CommonMark); an open fence runs to the end."""
    opened: re.Match[str] | None = None
    for fence in _FENCE.finditer(text):
        if opened is None:
            opened = fence
        elif fence["mark"].startswith(opened["mark"]) and fence[0].strip() == fence["mark"]:
            yield opened.start("mark"), fence.end("mark")
            opened = None
    if opened is not None:
        yield opened.start("mark"), len(text)


def find_json(text: str) -> Iterator[tuple[int, int]]:
    """Yield JSON objects and arrays that begin a line.

    What cannot be read costs its length; when failures have cost eight times the text, the rest
    is yielded as one span, so that hostile input is kept rather than cut or studied.
    """
    budget, done = _JSON_BUDGET * len(text) + _JSON_DEEP, 0
    for line in _JSON_LINE.finditer(text):
        start = line.start("open")
        if start < done:
            continue
        try:
            _, done = _JSON.raw_decode(text, start)
            yield start, done
        except json.JSONDecodeError as error:
            # Making the error counts the lines before it, some 64 times faster than decoding.
            budget -= error.pos - start + error.pos // 64
        except RecursionError:
            budget -= _JSON_DEEP
        if budget < 0:
            yield start, len(text)
            return


def _pattern(pattern: str, flags: re.RegexFlag = re.NOFLAG) -> Finder:
    compiled = re.compile(pattern, flags)

    def find(text: str) -> Iterator[tuple[int, int]]:
        return (match.span() for match in compiled.finditer(text))

    return find


CLASSES: MappingProxyType[str, Finder] = MappingProxyType(
    {
        "code": find_fences,
        "inline_code": _pattern(r"(?<!`)``[^`\n]{1,400}``(?!`)|(?<!`)`[^`\n]{1,400}`(?!`)"),
        "json": find_json,
        "urls": _pattern(
            r"\b(?:https?|ftp|file|wss?|mailto|ssh|git|s3|gs):(?://)?[^\s<>\"'`]++|\bwww\.[^\s<>\"'`]++"
        ),
        "emails": _pattern(r"(?<![\w.+-])[\w.+-]{1,64}+@\w[\w-]{0,62}+(?:\.\w[\w-]{0,62}+)++"),
        "paths": _pattern(
            r"(?<![\w/.~])(?:~|\.{1,2})?(?:/[\w.@+-]++){2,}+/?|(?<!\w)[A-Za-z]:\\[^\s\"'<>|]++"
            r"|(?<![\w/.-])[\w-]{1,100}+(?:\.[\w-]{1,40}){0,4}?\.(?:py|js|ts|json|ya?ml|toml|md|txt|csv|html?|css"
            r"|c|h|cpp|rs|go|java|sh|sql|pdf|xml|log|ini|cfg|lock)\b"
        ),
        "identifiers": _pattern(
            r"\b[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}\b"
            r"|\b(?=[a-f]*+\d)[0-9a-f]{7,128}+\b|\b0x[0-9a-fA-F]++\b"
            r"|\b(?=[A-Za-z]{1,32}[-_]?\d)[A-Z][A-Za-z]*+[-_]?\d[\w-]*+"
            r"|\b[A-Za-z][A-Za-z0-9]*+_\w++|\b[a-z]++[A-Z]\w*+"
        ),
        "versions": _pattern(
            r"(?<![\w.])v?\d++(?:\.\d++){1,4}+(?:[-+.]?(?:alpha|beta|rc|dev|post|[ab])[\w.]*+)?"
        ),
        "numbers": _pattern(_NUMBER),
        "dates": _pattern(_DATE),
        "negations": _pattern(_NEGATION),
        "placeholders": _pattern(
            r"\{\{[^{}\n]{1,200}\}\}|\$?\{[A-Za-z_][\w.]{0,80}\}|<[A-Za-z_][\w -]{0,60}>"
            r"|%\([a-z_]\w{0,60}\)[sdf]|<\|[^|\n]{1,60}\|>|\[(?:SEP|CLS|MASK|PAD|UNK|INST|/INST)\]"
        ),
        "citations": _pattern(r"\[(?:\d{1,4}(?:\s?[-–,;]\s?)?){1,20}\]|\[\^[\w-]{1,40}\]|\[@[\w:-]{1,80}\]"),
        "latex": _pattern(
            r"\$\$[^$]{1,4000}\$\$|\$[^$\s](?:[^$\n]{0,400}[^$\s\n])?\$(?!\d)|\\\([^\n]{1,400}?\\\)"
            r"|\\\[[^\]]{1,4000}\\\]|\\[A-Za-z]++(?:\{[^{}\n]{0,400}\})*+"
        ),
        "mentions": _pattern(r"(?<![\w@])@\w[\w.-]{0,62}+|(?<![\w#&])#\w{1,62}+"),
    }
)
