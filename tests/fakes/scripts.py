"""Texts in a dozen scripts with things strewn in that nothing may cut; the same for the same seed.

Sentences are made of real words in no order that means anything. What is planted says of itself
that it is protected: an address, a number with its unit, a negation of the text's language.
"""

from dataclasses import dataclass
from random import Random

INLINE = (
    *("https://example.org/a/b?c=1&d=%20x#top", "www.example.com/path", "mailto:jo@example.org"),
    *("jo.doe+x@mail.example.org", "/etc/nginx/conf.d/site.conf", "C:\\Users\\jo\\a.txt", "src/main.py"),
    *("123e4567-e89b-12d3-a456-426614174000", "9bf771b0c2", "0xDEADBEEF", "snake_case_name", "camelCaseName"),
    *("CVE-2025-62164", "v1.2.3-rc1", "10.0.0.1", "2.0.0"),
    *("3.5 km", "$1,200.50", "-7 %", "12 million", "€99", "1987", "0.05", "25 °C", "16:30", "1e-5"),
    *("2020-01-02T03:04:05Z", "12 May 1987", "May 3rd, 2021", "10:30 am"),
    *("{name}", "{{ user.name }}", "${HOME}", "$HOME_DIR", "%s", "%(count)d", "<|im_end|>", "[MASK]"),
    *("[3]", "[4, 5-7]", "[^note]", "[@smith2020]"),
    *("$x^2 + y_1$", "\\frac{a}{b}", "\\(a+b\\)", "$$E = mc^2$$"),
    *("@jo.doe", "#topic", "`x = y + 1`", "``a `b` c``", '{"a": [1, 2, {"b": null}]}', '[{"k": "v w"}]'),
)
BLOCKS = (
    "```python\ndef f(x):\n    return  x\n```",
    "~~~\nraw   text\n~~~",
    '{\n  "name": "x",\n  "sizes": [1, 2.50, -3e5]\n}',
    "| a | b |\n|---|---|\n| 1 | 2 |",
    "services:\n  web:\n    image: nginx\n    ports:\n      - 80",
    "# A heading of its own",
    "<r><c>1</c><c>2</c></r>\n<r><c>3</c><c>4</c></r>",
)


@dataclass(frozen=True, slots=True)
class Script:
    """How one script's sentences are made.

    Attributes:
        words: that sentences are made of.
        negations: words and signs that negate.
        space: between words.
        end: of a sentence, with what parts it from the next.
    """

    words: tuple[str, ...]
    negations: tuple[str, ...]
    space: str = " "
    end: str = ". "


def _script(words: str, negations: str, space: str = " ", end: str = ". ") -> Script:
    return Script(tuple(words.split()), tuple(negations.split()), space, end)


SCRIPTS = {
    "latin": _script(
        "the committee met in old town hall and talked for hours about roads Ærø naïve façade Straße "
        "coöperate bridges e\u0301te\u0301 schools while everyone waited outside well-known mother-in-law's",
        "not never don't without nicht jamais",
    ),
    "greek": _script(
        "η επιτροπή συνεδρίασε στο παλιό δημαρχείο και μίλησε για ώρες δρόμους γέφυρες", "δεν χωρίς"
    ),
    "cyrillic": _script(
        "комиссия собралась в старой ратуше и часами говорила о дорогах мостах ёлка", "не нет без"
    ),
    "arabic": _script("اجتمعت اللجنة في المبنى القديم وتحدثت لساعات عن الطُّرُق والجسور", "لا لم لن", end="؟ "),
    "hebrew": _script("הוועדה התכנסה בבניין הישן ודיברה שעות על כבישים גשרים שָׁלוֹם", "לא אין בלי"),
    "devanagari": _script(
        "समिति की बैठक पुराने टाउन हॉल में हुई और घंटों तक सड़कों पुलों क्षत्रिय", "नहीं मत बिना", end="। "
    ),
    "thai": _script("คณะกรรมการ ประชุม ที่ ศาลากลาง เก่า น้ำ เกี่ยวกับ ถนน สะพาน", "ไม่ ห้าม", "", " "),
    "han": _script(
        "委员会 在 旧市政厅 开会 谈了 几个 小时 的 道路 桥梁 和 学校 葛\U000e0100城", "不 没 无", "", "。"
    ),
    "kana": _script(
        "いいんかい は ふるい しちょうしゃ で コンピュータ と か\u3099っこう の ｶﾞｲﾄﾞ を はなした",
        "ない ません",
        "",
        "。",
    ),
    "hangul": _script(
        "위원회는 오래된 시청에서 만나 몇 시간 동안 도로와 다리를 이야기했다 \u1112\u1161\u11ab글",
        "안 못 않다",
    ),
    "caucasus": _script(
        "კომიტეტი შეიკრიბა ძველ მერიაში და ისაუბრა գզիրը հավաքվեց հին շենքում և խոսեց", "არ ვერ ոչ", end="։ "
    ),
    "emoji": _script(
        "go 🎉🎉 👩‍👩‍👧 team 👍🏽 1️⃣ 🇫🇷🇩🇪 ❤️‍🔥 漢字 ok ไทย שלום ✓ ™ 🏴\U000e0067\U000e0062\U000e007f",
        "no 不 никогда",
    ),
}


@dataclass(frozen=True, slots=True)
class Strewn:
    """A text, and the ranges of characters of what was strewn into it."""

    text: str
    script: str
    planted: tuple[tuple[int, int], ...]


def strewn_text(seed: int) -> Strewn:
    """Return the text of a seed: 10 to 500 words, most sentences with something planted."""
    random = Random(seed)
    name = random.choice(sorted(SCRIPTS))
    script, parts = SCRIPTS[name], list[tuple[str, bool]]()
    for _ in range(random.randint(3, 30)):
        if random.random() < 0.06:
            parts += [("\n\n", False), (random.choice(BLOCKS), True), ("\n\n", False)]
        parts += _sentence(random, script)
        parts.append((random.choice((script.end,) * 6 + ("!\n", "\n\n", script.end + " ")), False))
    planted, at = list[tuple[int, int]](), 0
    for part, is_planted in parts:
        if is_planted:
            planted.append((at, at + len(part)))
        at += len(part)
    return Strewn("".join(part for part, _ in parts), name, tuple(planted))


def _sentence(random: Random, script: Script) -> list[tuple[str, bool]]:
    words = [[(word, False)] for word in random.choices(script.words, k=random.randint(4, 16))]
    for pool, chance in ((INLINE, 0.35), (script.negations, 0.2)):
        if random.random() < chance:
            words[random.randrange(len(words))] = _beside(random, script, random.choice(pool))
    spaced = [piece for word in words for piece in ((script.space, False), *word)]
    return spaced[1:]


def _beside(random: Random, script: Script, thing: str) -> list[tuple[str, bool]]:
    """Return what is planted with marks around it, and with words where these need no spaces."""
    opens, closes = random.choice((("", ""), ("", ""), ("", ","), ("(", ")"), ("“", "”")))
    if not script.space:
        # An address would take in the word after it.
        opens, closes = random.choice((" ", "")) + opens, closes + " "
    return [(opens, False), (thing, True), (closes, False)]
