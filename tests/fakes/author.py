"""Made-up texts of many kinds, the same for the same seed: reports, stories, minutes, JSON, logs, code."""

import json
from collections.abc import Callable, Sequence
from random import Random
from typing import TypeVar

T = TypeVar("T")


def _listed(text: str) -> tuple[str, ...]:
    return tuple(text.split("|"))


_PEOPLE = _listed("Amara Berglund|Tomas Okafor|Ines Duarte|Viktor Hale|Mei Tanaka|Rosa Lindqvist|Yusuf Demir")
_PLACES = _listed("Lisbon|Tromso|Leeds|Porto|Graz|Aarhus|Ghent|Turku|Malmo|Bergen")
_THINGS = _listed(
    "harbour|turbine|warehouse|contract|pipeline|library|orchard|railway|budget|archive|survey|reservoir|bridge|"
    "laboratory|ferry|greenhouse|payroll|museum|quarry|workshop|sensor|refinery|timetable|prototype|catalogue"
)
_ADJECTIVES = _listed(
    "old|narrow|northern|recent|temporary|reliable|expensive|unfinished|quiet|regional|annual|remote|modern|"
    "disputed|careful|ordinary|seasonal|public|private|second"
)
_VERBS = _listed(
    "inspected|repaired|described|postponed|measured|sold|rebuilt|reviewed|compared|opened|closed|funded|mapped|"
    "rejected|approved|recorded|visited|abandoned|replaced|tested"
)
_LINKS = _listed(
    "because|although|while|after|before|so that|even though|as soon as|in the same week that|long before"
)


class Author:
    """Writes.

    Args:
        seed: the same texts for the same seed, in the same order of calls.
    """

    def __init__(self, seed: int | str) -> None:
        self._random = Random(seed)

    def rules(self, words: int) -> str:
        """Return instructions."""
        head = "You are a careful assistant. Answer in the language of the question, and name your source."
        lines = [head]
        while _words(lines) < words:
            does = self._pick(["Do not mention", "Always name", "Never guess about", "Ask before you change"])
            lines.append(f"- {does} the {self._noun()} of the {self._noun()}, unless the user asks for it.")
        return "\n".join(lines)

    def question(self) -> str:
        """Return a question, sometimes with a word of why."""
        what = self._pick(["Who", "When was it that somebody", "Why", "How often", "In which year"])
        asked = f"{what} {self._pick(_VERBS)} the {self._noun()} near {self._pick(_PLACES)}?"
        return self._pick([asked, f"{asked} Please be brief.", f"Thank you. {asked}"])

    def answer(self, words: int) -> str:
        """Return a few sentences."""
        return self._sentences(max(words + self._random.randint(-words // 3, words // 3), 8))

    def document(self, words: int) -> str:
        """Return paragraphs: a report, a story, or the minutes of a meeting."""
        forms: list[Callable[[], str]] = [self._report, self._report, self._minutes]
        form = self._pick(forms)
        parts = [form()]
        while _words(parts) < words:
            parts.append(form())
        return "\n\n".join(parts)

    def example(self, words: int) -> tuple[str, str]:
        """Return a passage to classify, and its class."""
        asked = f"{self._sentences(words)}\n\nWhich of the two is it about, money or machines?"
        return asked, f"{self._pick(['Money', 'Machines'])}. {self._sentences(12)}"

    def result(self, words: int) -> str:
        """Return JSON, a log, code, or a page."""
        form: Callable[[int], str] = self._pick(
            [self._json, self._json, self._log, self._code, self.document]
        )
        return form(words)

    def _report(self) -> str:
        return self._sentences(self._random.randint(45, 110))

    def _minutes(self) -> str:
        lines = [f"{self._pick(_PEOPLE)}: {self._sentences(self._random.randint(12, 40))}" for _ in range(3)]
        return "\n\n".join(lines)

    def _sentences(self, words: int) -> str:
        made: list[str] = []
        while _words(made) < words:
            made.append(self._sentence())
        return " ".join(made)

    def _sentence(self) -> str:
        first = f"{self._pick(_PEOPLE)} {self._pick(_VERBS)} the {self._noun()} in {self._pick(_PLACES)}"
        number = f"at a cost of {self._random.randint(3, 980)},000 euros"
        year = f"in {self._random.randint(1890, 2025)}"
        more = f"{self._pick(_LINKS)} the {self._noun()} was {self._pick(_VERBS)}"
        ending = self._random.sample([number, year, more, f"with the help of {self._pick(_PEOPLE)}", ""], 2)
        return " ".join(part for part in [first, *ending] if part) + "."

    def _noun(self) -> str:
        return f"{self._pick(_ADJECTIVES)} {self._pick(_THINGS)}"

    def _json(self, words: int) -> str:
        rows = [
            {
                "id": self._random.randint(10**5, 10**6),
                "name": self._noun(),
                "place": self._pick(_PLACES),
                "price": self._random.randint(100, 99999) / 100,
                "note": self._sentence() if self._random.random() < 0.3 else None,
            }
            for _ in range(max(words // 14, 1))
        ]
        return json.dumps({"rows": rows, "next": None}, indent=2)

    def _log(self, words: int) -> str:
        number = self._random.randint
        lines = [
            f"2026-11-{number(1, 28):02d}T07:{number(0, 59):02d}:12.{number(0, 999):03d}Z INFO  "
            f"worker-{number(0, 8)}  {self._noun()} took {number(1, 900)} ms"
            for _ in range(max(words // 8, 1))
        ]
        return "\n".join(lines)

    def _code(self, words: int) -> str:
        lines = ["def work(rows: list[int]) -> int:", "    total = 0"]
        while _words(lines) < words:
            name = self._pick(_THINGS)
            lines += [
                f"    if total > {self._random.randint(1, 99)}:",
                f"        {name} = rows[{self._random.randint(0, 9)}]",
                f"        total += {name}",
            ]
        return "\n".join([*lines, "    return total"])

    def _pick(self, among: Sequence[T]) -> T:
        return self._random.choice(among)


def _words(texts: list[str]) -> int:
    return sum(len(text.split()) for text in texts)
