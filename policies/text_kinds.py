"""What a text looks like: prose, code, JSON, markup, a table, a log, configuration, links, encoded bytes.

Pure. It reads a few hundred characters of a text's head, middle and end, line by line, and lets the
lines vote; beyond that, a long text costs a search for fences. Fenced code does not make a document
code, as it is protected where it stands. Where it is not plain whether a text is prose, it is what
it may be besides: such texts are kept unless a rule names them.
"""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from types import MappingProxyType

from elision.policies.model import TextKind

WINDOW = 800
"""Characters that are read at each of three places; a text of no more than three is read whole."""
WINDOW_LINES = 7
"""Lines that are read of each of them."""

# Of a line, so much is looked at; what comes later does not change what it is.
_LINE = 160
# A line weighs as its length, within bounds: neither one paragraph nor ten braces decide alone.
_LIGHTEST, _HEAVIEST = 20, 140
# So much of the votes makes a text structured; a line that speaks for nothing has half a vote
# against. URLs need more: a list of search results is prose with addresses.
_STRUCTURED, _LINKED = 0.28, 0.6
# Of a hundred characters, prose has not one of these, minified code has several.
_SYMBOLS = (";", "){", "=>", "&&", '":')
_DENSE = 0.02

# What lines are called beside the kinds themselves.
_BRACES, _ASSIGNED, _TAG, _UNKNOWN = "braces", "assigned", "tag", "unknown"

_WORD = r"[\"'“‘«(*_]{0,3}+[^\W\d_]['’\w-]*+[,.;:!?)\"'”’»*_]{0,3}+"
_PROSE = re.compile(
    # Six plain words on end, or a script that no notation begins with, spare a line the rest.
    rf"(?:(?:[-*•>]{{1,6}}|\d{{1,3}}[.)]) )?(?![A-Z]{{2,}}\b|select\b)"
    rf"(?:[\u0370-\u1fff\u3040-\ud7ff]{{2}}|{_WORD}(?: {_WORD}){{5}})"
    # Who speaks, and when: a transcript is prose.
    r"|[\[(]?\d{1,2}:\d\d(?::\d\d)?[\])]?\s+(?:- )?[A-Z][\w .'-]{0,30}:\s"
)
# What lines begin with, by their first character: "a" and "A" for any small and capital letter, "0"
# for any digit. So a line meets few alternatives, most of which its first letters turn away.
_STAMP = r"\d{4}[-/.]\d\d[-/.]\d\d[T ,_]\d\d:\d\d|\d\d[/-](?:\d\d|[A-Z][a-z]{2})[/-]\d{2,4}[ :T,]\s?\d\d:\d\d"
_LEVEL = r"(?:TRACE|DEBUG|INFO|NOTICE|WARN(?:ING)?|ERROR|FATAL|CRITICAL|SEVERE|PANIC)\b[\]>):]*+\s"
_HEX = (
    r"[0-9a-fA-F]{6,16}:?\s+(?:[0-9a-fA-F]{2,4}\s+){4,}|(?:[0-9a-fA-F]{2}[: ]){12,}|[0-9a-fA-F]{32,}(?:\s|$)"
)
_NUMBERS = r"(?:[-+]?\d[\d.,eE%+-]*+(?:\s++|$)){3}"
_PLACE = r"\[[^\]]{0,120}\](?:\(|: )<?(?:https?|ftp)://\S"
_URL_START = r"<?(?:https?|ftp|s3|git)://\S"
_KEYWORDS = (
    r"from [\w.]+ import |import (?:[\w.]+(?: as \w+)?(?:, ?[\w.]+)*;?$|[\"(]|.* from ['\"])"
    r"|(?:async )?def \w+[\s(]|(?:export )?(?:abstract )?class \w+.*[:{]$"
    r"|(?:if|elif|else|try|except|finally|with|for|while|match|case)\b.*[^\s]:$|else:|try:"
    r"|(?:raise|throw|del|assert|global|nonlocal|lambda) \w+[\w.]*(?:[(,:;]|$| [=!<>])|yield |await \w+[.(]"
    r"|return(?:;|$| [^ ]+$| .*[()\[\]{};=<>])|(?:end|begin|then|do|fi|done|esac|pass|break|continue);?$"
    r"|(?:if|else|for|while|switch|catch)\b.*[({]$|(?:if|for|while|switch|catch) ?\(.*\)"
    r"|(?:export )?(?:(?:const|let|var|val)\s+(?:mut )?[\w{\[(].*=|(?:async )?function\b.*\()"
    r"|(?:public|private|protected|static|final|extern|inline|virtual|void|int|char|double|bool|unsigned)"
    r"\s.*[;{(=),]$|func (?:\(|\w+[\[(])|package [\w.]+;?$|type \w+ (?:struct|interface|=)"
    r"|(?:pub(?:\(\w+\))? )?(?:fn|struct|enum|impl|mod|use|trait)\b.*[{;(]$"
    r"|(?:namespace|using)\s[\w.: ={]+[;{]$|require(?:\(|_relative| ['\"])|puts "
    r"|(?:end )?(?:subroutine|function|program)\b(?: \w+)?(?:$|\()|(?:integer|real|logical)\b.*::"
)
_QUERIES = (
    r"select\s+(?:\*|distinct\b|[\w.()*]+,)|insert into |create table |(?:left |inner )?join \w+ "
    r"|(?:group|order) by \w|where [\w.]+ ?(?:[=<>]|in\b|is\b|like\b)|from [\w.]+(?: [a-z]{1,3})?;?$"
)
_COMMANDS = (
    r"(?:sudo|apt|apt-get|pip|npm|yarn|git|docker|kubectl|curl|cd|mkdir|chmod|echo|source|cp|mv|rm|ls|cat"
    r"|grep|sed|tar|ssh|python3?|node|make|cargo|helm|terraform|set|exit) (?:-|[\"'$]|\S*[/=$.]|\w+ -|\w+$)"
    r"|\w+\(\)\s*\{|if \[|diff --git |index [0-9a-f]{6,}"
)
_SQL = (
    r"(?:SELECT|INSERT INTO|UPDATE|DELETE FROM|CREATE|ALTER|DROP|FROM|WHERE|(?:LEFT |RIGHT |INNER |FULL )?"
    r"(?:OUTER |CROSS )?JOIN|GROUP BY|ORDER BY|HAVING|LIMIT|UNION|VALUES|WITH|AND|OR|ON|SET|CASE|WHEN|AS)"
    r"\b(?:$|\s.*[\w)*,;('=]$)|(?:RUN|COPY|CMD|ENTRYPOINT|ENV|WORKDIR) \S"
)
_HTML_NAMES = r"(?:p|div|span|li|ul|ol|t[drh]|table|h[1-6]|a|body|html|head|section|img|br|script|style)"
_FRAME = (
    r"at (?:[\w$.<>/ ]+ )?\(?\S+:\d+(?::\d+)?\)?$|at [\w$.<>]+\(.*\)$|goroutine \d+ \["
    r"|thread '[^']*' panicked"
)
_QUOTED_KEY = r"[\[{]*+\s*+(?:\"[^\"]{0,80}\"\s*:|'[^']{0,60}'\s*: )"
_OPENINGS = (
    ("a", "log", rf"(?:level|time|ts|msg)=\S|npm ERR!|ok +\S+[/:.]\S|{_FRAME}"),
    ("a", "code", f"{_KEYWORDS}|{_QUERIES}|{_COMMANDS}"),
    ("a", "links", _URL_START),
    ("a", "encoded", rf"(?=[^\s]*\d)(?:{_HEX})|data:\w+/[\w+.-]+;base64,"),
    (
        "A",
        "log",
        rf"{_LEVEL}|(?:[A-Z][a-z]{{2}} )?[A-Z][a-z]{{2}} [ \d]\d \d\d:\d\d:\d\d|[IWEF]\d{{4}} \d\d:\d\d",
    ),
    ("A", "log", r"File \"[^\"]+\", line \d|Traceback \(most|Caused by: |Exception in thread"),
    ("A", "log", r"(?:PASS(?:ED)?|FAIL(?:ED)?|E  ) +\S+[/:.]\S"),
    ("A", "code", _SQL),
    ("A", "encoded", rf"(?=[^\s]*\d)(?:{_HEX})"),
    ("0", "log", rf"{_STAMP}|\d\d:\d\d:\d\d(?:[.,]\d+)?\s|\d{{10}}(?:\d{{3}})?(?:\.\d+)? \S"),
    ("0", "log", r"\d{1,3}(?:\.\d{1,3}){3} \S+ \S+ \[|\d+ (?:verbose|silly|info|http|timing|warn|error) "),
    ("0", "encoded", _HEX),
    ("0-+", "table", _NUMBERS),
    ("0", "links", rf"\d{{1,3}}[.)] (?:{_PLACE}|{_URL_START})"),
    ("[", "log", rf"\[(?:{_STAMP}|{_LEVEL}|\d\d:\d\d:\d\d(?:[.,]\d+)?\]?\s|\s*\d+\.\d{{3,}}\] )"),
    ("(<", "log", rf"[(<](?:{_LEVEL}|\d{{1,3}}>[A-Z][a-z]{{2}} )"),
    ("[{\"'", "json", rf"{_QUOTED_KEY}|\[+\s*+\""),
    ("[", "links", _PLACE),
    ("[", "config", r"\[{1,2}[A-Za-z][\w .:\"/@-]*\]{1,2}$"),
    ("<", "code", r"<\?php"),
    ("<", "links", _URL_START),
    ("<", _TAG, rf"</?(?!{_HTML_NAMES}\b)[A-Za-z_][\w.-]*+(?:\s[^<>]*+)?>$"),
    ("<", "markup", r"<(?:[!?]\w|!--|/?[A-Za-z][\w:.-]*(?:[\s/>]|$))"),
    (
        "\\",
        "markup",
        r"\\(?:begin|end|(?:sub)*section|item|usepackage|documentclass|chapter|caption|label|title)\b",
    ),
    ("\\", "encoded", r"(?:\\x[0-9a-fA-F]{2}){6}"),
    ("-", "encoded", r"-----(?:BEGIN|END) "),
    ("-", "code", r"-- \w|--- \S+/|- {4,}\S"),
    ("-=", "log", r"[-=]{3,} .+ [-=]{3,}$"),
    ("-", "config", r"---$"),
    ("-*•", "links", rf"[-*•] (?:{_PLACE}|{_URL_START})"),
    ("+", "code", r"\+ {4,}\S|\+\+\+ \S+/"),
    ("*", "code", r"\*/|\*\s@"),
    (".", "log", r"\.\.\. \d+ more"),
    (".", "code", r"\.\w+\("),
    ("#", "code", r"#(?:include|define|if|ifn?def|endif|pragma)\b|#!/"),
    ("#", _BRACES, ""),
    ("@", "code", r"@[\w.]+(?:\(.*)?$|@@ -\d"),
    ("/", "code", r"//|/\*"),
    ("$", "code", r"\$ \w"),
    ("|-=+:", "table", r"\|.*\|$|[-+=|: ]{5,}$"),
    ("│┃├└┌╔║╠╚", "table", ""),
    ("{}[]();,", _BRACES, r"[{}\[\]();,\s]+$"),
)


def _compiled() -> dict[str, re.Pattern[str]]:
    """Return for each first character one pattern of all that a line may begin with."""
    named: dict[str, list[str]] = {}
    for firsts, kind, pattern in _OPENINGS:
        for first in firsts:
            group = named.setdefault(first, [])
            # A group's name may stand once; the number that makes it so is cut off again.
            group.append(f"(?P<{kind}_{len(group)}>{pattern})")
    return {first: re.compile("|".join(patterns)) for first, patterns in named.items()}


_OPENERS = MappingProxyType(_compiled())
# Tried on lines that hold the character before them, as they begin with anything.
_SHAPES = (
    ("(", re.compile(r"(?P<code>[\w.$:]++!?\((?!e?s\)).*[^.?!]$)")),
    (
        "=",
        re.compile(
            r"(?:[\w<>*&:\[\]]{1,30}\s+){0,2}[A-Za-z_$\"'\[*&@:][\w.$\[\]\"':>-]{0,60}\s*+[:+*/|-]?=(?![=>])"
            rf"(?:(?P<code>\s*(?:new |await |function|[\w.]+\(|\{{$|.*[;,({{]$))|(?P<{_ASSIGNED}>))"
        ),
    ),
    (
        ":",
        re.compile(
            r"(?P<log>(?:[\w$]+\.)*+[\w$]*+(?<=Error|ption):|\S+\.(?:go|py|rs|c|cc|js|ts):\d+)"
            r"|(?P<code>[a-z-]+: [^;]{1,80};$)"
            r"|(?P<config>(?:- )?(?:[a-z_$/\"'][\w./$\"'-]*+|[A-Z][a-z]+[A-Z_]\w*+):"
            r"(?:\s*[|>&][-\w]*|\s+[\[{].*[\]}]|\s+\S+(?: \S+){0,3})?(?<![.?!,;])$)"
        ),
    ),
    (
        ",",
        re.compile(
            r"(?P<table>(?:[^,\s\"|()]{1,40}|\"[^\"]*\"),(?:[^,\s\"()]{0,40}|\"[^\"]*\"),\S?"
            r"|(?=\D*\d)[\w.+-]+, ?[\w.+-]+$)"
        ),
    ),
    ("  ", re.compile(r"(?P<table>(?:\S++(?: \S++)*+(?<![.?!:]) {2,}+){2,}+\S(?!.*…$))")),
    (";", re.compile(r"(?P<code>(?:.*[=()\[\]'\"<>&*]|\S+(?: \S+)?|.*(?:::|->|\w\.\w).*);$)")),
    ("{", re.compile(r"(?P<code>.*\{$)")),
)
_UNBROKEN = re.compile(r"(?=[^\s]*[A-Z])(?=[^\s]*\d)[A-Za-z0-9+/_-]{44,}={0,2}(?:$|…)")
_WHOLE_JSON = re.compile(
    r"\s*+(?:\{\s*+(?:[\"}]|'[^']{0,60}':)|\[\s*+(?:[\"{\]]|'[^']{0,60}'[,\]]|\[\s*+[-\d\[{\"]"
    r"|-?\d[\d.eE+-]*+\s*+(?:,\s|,-?\d|\]\s*+$)|(?:true|false|null)\b))"
)
_URL = re.compile(r"(?:https?|ftp)://[^\s)>\]\"']+")
_TAGS = re.compile(r"</?[A-Za-z][^<>]{0,120}+>")
_HTML = re.compile(rf"</?{_HTML_NAMES}\b", re.I)


def text_kind(text: str) -> TextKind:
    """Return what a text looks like; prose if it is empty."""
    if _is_json(text):
        return TextKind.JSON
    lines = plain_lines(text)
    kind, braces = _by_votes(lines)
    if kind in (None, TextKind.CONFIG) and _has_columns(lines):
        return TextKind.TABLE
    return kind or _by_characters("\n".join(lines), braces)


def plain_lines(text: str) -> list[str]:
    """Return a sample of a text's lines, outside its fenced code if enough of it stands there.

    At most `WINDOW_LINES` lines from each of three windows, none blank; lines that a window's edge
    cuts are left out where whole ones stand beside them.
    """
    fence = _fence(text)
    outside: list[str] = []
    inside: list[str] = []
    for start, lines in _windows(text):
        fenced = bool(fence) and text.count(fence, 0, start) % 2 == 1
        for line in lines:
            if fence and fence in line:
                fenced ^= line.count(fence) % 2 == 1
            elif line.strip():
                (inside if fenced else outside).append(line)
    return _spread(outside if 3 * _size(outside) >= _size(inside) else inside)


def _size(lines: Sequence[str]) -> int:
    return sum(map(len, lines))


def _spread(lines: Sequence[str]) -> list[str]:
    """Return so many lines at most as three windows may give, evenly taken."""
    most = 3 * WINDOW_LINES
    return [lines[n * len(lines) // most] for n in range(most)] if len(lines) > most else list(lines)


def _fence(text: str) -> str:
    """Return the mark of a text's fences, "" where it has none."""
    # One character is found far faster than three.
    if "`" in text and "```" in text:
        return "```"
    return "~~~" if "~" in text and "~~~" in text else ""


def _windows(text: str) -> Iterator[tuple[int, list[str]]]:
    """Yield the sample's windows: where each starts, and its lines."""
    length = len(text)
    if length <= 3 * WINDOW:
        yield 0, text.splitlines()
        return
    for begin in (0, (length - WINDOW) // 2, length - WINDOW):
        start = begin
        if begin:
            start = 1 + text.find("\n", begin, begin + WINDOW // 2) or begin
        lines = text[start : begin + WINDOW].splitlines()
        if len(lines) > 2 and begin + WINDOW < length:
            lines.pop()
        yield start, lines


def _is_json(text: str) -> bool:
    """Whether a text begins and ends as one JSON value does, or one JSON value on each line."""
    return bool(_WHOLE_JSON.match(text, 0, 200)) and text[-64:].rstrip()[-1:] in ("}", "]")


def _has_columns(lines: Sequence[str]) -> bool:
    """Whether nearly all lines have as many tabs, commas, semicolons or bars as the next."""
    some = lines[:: max(1, len(lines) // 12)]
    if len(some) < 3 or some[1].startswith(("\t", " ", "[", "<")) or "{" in some[1]:
        return False
    return any(_divides(delimiter, some) for delimiter in "\t,;|" if delimiter in some[1])


def _divides(delimiter: str, lines: Sequence[str]) -> bool:
    counts = [line.count(delimiter) for line in lines]
    common = max(counts, key=counts.count)
    # In prose a comma is followed by a blank or ends the line; in a quoted field it may be.
    spaced = sum(line.count(delimiter + " ") for line in lines) if delimiter in ",;" else 0
    ending = sum(line.endswith(delimiter) for line in lines)
    alike = counts.count(common) >= 0.75 * len(lines)
    least = 1 if delimiter == "\t" else 2
    loose = spaced if '"' not in lines[1] else 0
    return alike and common >= least and not loose and 2 * ending < sum(counts)


def _by_votes(lines: Sequence[str]) -> tuple[TextKind | None, int]:
    """Let each line vote by its weight; return what wins, None for neither, and the weight of braces."""
    votes: Counter[str] = Counter()
    for line in lines:
        votes[_line_kind(line.strip())] += min(max(len(line), _LIGHTEST), _HEAVIEST)
    braces, assigned, links, tags = (votes.pop(name, 0) for name in (_BRACES, _ASSIGNED, "links", _TAG))
    prose = votes.pop("prose", 0) + 0.5 * votes.pop(_UNKNOWN, 0)
    votes["code" if votes["code"] > 0.2 * assigned else "config"] += assigned
    if tags > prose:
        # Else they wrap documents, which is no markup.
        votes["markup"] += tags
    if votes["log"] > 0.3 * votes["code"]:
        # A trace shows the lines of code that it went through.
        votes["log"] += votes.pop("code", 0)
    structured = votes.total()
    if links > _LINKED * (links + structured + prose):
        return TextKind.LINKS, braces
    if structured and structured >= _STRUCTURED * (structured + prose):
        return TextKind(max(votes, key=lambda name: votes[name])), braces
    return None, braces


def _line_kind(line: str) -> str:
    """Return which kind a line speaks for."""
    if len(line) > _LINE:
        # What looks at a line's end must not take the cut for it.
        line = line[:_LINE] + "…"
    if line[-1] not in "{:" and _PROSE.match(line):
        return "prose"
    opener = _OPENERS.get(_first(line[0]))
    found = opener.match(line) if opener else None
    if found:
        return (found.lastgroup or _UNKNOWN).partition("_")[0]
    for trigger, shape in _SHAPES:
        if trigger in line:
            found = shape.match(line)
            if found:
                return found.lastgroup or _UNKNOWN
    return "encoded" if len(line) >= 44 and _UNBROKEN.match(line) else _UNKNOWN


def _first(character: str) -> str:
    """Return what `_OPENINGS` calls a first character."""
    if character.isalpha():
        return "a" if character.islower() else "A"
    return "0" if character.isdigit() else character


def _by_characters(sample: str, braces: int) -> TextKind:
    """Return the kind of a sample whose lines do not tell: minified, or prose."""
    size = max(1, len(sample))
    if "://" in sample and sum(map(len, _URL.findall(sample))) > 0.5 * size:
        return TextKind.LINKS
    if "<" in sample:
        tags = _TAGS.findall(sample)
        if sum(map(len, tags)) > (0.04 if _HTML.search(sample) else 0.12) * size and len(tags) > 1:
            return TextKind.MARKUP
    if braces > 0.7 * size or sum(map(sample.count, _SYMBOLS)) > _DENSE * size:
        return TextKind.JSON if sample.count('":') * 60 > size else TextKind.CODE
    return TextKind.PROSE
