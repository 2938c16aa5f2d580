"""Texts of real conversations, meetings, questions and tools, to fill conversations with.

They are read by path, kept in memory, and go nowhere else; their licences differ (README of the
data). Each seed begins elsewhere in every set.
"""

import gzip
import json
from collections.abc import Iterable, Iterator
from itertools import cycle, islice
from pathlib import Path
from random import Random
from typing import Any

from fakes.talks import Talk, Talking

_TURNS = 12
"""Real chats are taken that have so many turns of a user at least."""


class Sets:
    """The data sets, read once.

    Args:
        data: the folder that they lie in.
    """

    def __init__(self, data: Path) -> None:
        self.chats = [_turns(row) for row in _rows(data / "chats/conversations.jsonl.gz")]
        self.meetings = [_transcript(row) for row in _rows(data / "meetings/qmsum_val.jsonl.gz")]
        asked = _rows(data / "nq_open/oracle_passages.jsonl.gz")
        self.questions = [row["question"] for row in asked]
        self.passages = [row["ctxs"][0] for row in asked]
        code = _rows(data / "agents/humaneval.jsonl.gz")
        self.code = [row["prompt"] + row["canonical_solution"] for row in code]
        self.sums = [(row["question"], row["answer"]) for row in _rows(data / "gsm8k/train.jsonl.gz")]


class RealTexts:
    """`fakes.talks.Material` out of data sets.

    Args:
        sets: the texts.
        seed: where in each of them to begin.
    """

    def __init__(self, sets: Sets, seed: int) -> None:
        self._random = Random(seed)
        self.chats = sets.chats
        turns = [turn for chat in sets.chats for turn in chat]
        self._says = self._endless(text for role, text in turns if role == "user" and len(text) < 400)
        self._answers = self._endless(text for role, text in turns if role == "assistant" and text)
        self._meetings = self._endless(sets.meetings)
        self._questions = self._endless(sets.questions)
        self._passages = self._endless(sets.passages)
        self._code = self._endless(sets.code)
        self._sums = self._endless(sets.sums)

    def rules(self, words: int) -> str:
        """Return instructions of our own; no set has real ones of every length."""
        lines = ["You are a helpful assistant of a research library. Be brief and name your sources."]
        while sum(len(line.split()) for line in lines) < words:
            lines.append(f"If you are asked {next(self._questions)}, say where the answer was found.")
        return "\n".join(lines)

    def question(self) -> str:
        """Return a question, or what a user wrote to an assistant."""
        return f"{next(self._questions)}?" if self._random.random() < 0.7 else next(self._says)

    def answer(self, words: int) -> str:
        """Return an assistant's answer, cut to about so many words."""
        return _first_words(next(self._answers), words)

    def document(self, words: int) -> str:
        """Return a stretch of a meeting, or passages of an encyclopedia."""
        if words > 250:
            return _first_words(next(self._meetings), words)
        passages = [next(self._passages)["text"] for _ in range(max(words // 100, 1))]
        return "\n\n".join(passages)

    def example(self, words: int) -> tuple[str, str]:
        """Return sums with their workings, the last one as question and answer."""
        *before, (question, answer) = islice(self._sums, max(words // 100, 1))
        shown = "\n\n".join(f"Question: {asked}\nAnswer: {told}" for asked, told in before)
        return f"{shown}\n\nQuestion: {question}", answer

    def result(self, words: int) -> str:
        """Return what a search, a database, a file or a page says."""
        kind = self._random.choice(["search", "search", "code", "page"])
        if kind == "page":
            return _first_words(next(self._meetings), words * 2)
        if kind == "code":
            return "\n\n\n".join(islice(self._code, max(words // 80, 1)))
        rows = [
            {"rank": rank, "score": self._random.random(), **passage}
            for rank, passage in enumerate(islice(self._passages, max(words // 100, 1)))
        ]
        return json.dumps({"results": rows, "next": None}, indent=2, ensure_ascii=False)

    def _endless(self, things: Iterable[Any]) -> Iterator[Any]:
        """Return the things for ever, from a place of its own."""
        listed = list(things)
        at = self._random.randrange(len(listed))
        return cycle(listed[at:] + listed[:at])


def real_chat(texts: RealTexts, number: int) -> Talk:
    """Return a chat as it was held, one of the longer ones."""
    longer = [chat for chat in texts.chats if sum(role == "user" for role, _ in chat) >= _TURNS]
    talking = Talking(texts)
    asked = ""
    for role, text in longer[number % len(longer)]:
        if role == "user":
            asked = text
        elif asked:
            talking.say("user", asked)
            talking.ask(hears=text)
            asked = ""
    return talking.as_talk("real chat")


def _turns(row: dict[str, Any]) -> list[tuple[str, str]]:
    roles = {"human": "user", "gpt": "assistant"}
    return [(roles[turn["from"]], turn["value"]) for turn in row["conversations"] if turn["from"] in roles]


def _transcript(row: dict[str, Any]) -> str:
    return "\n".join(f"{turn['speaker']}: {turn['content']}" for turn in row["meeting_transcripts"])


def _first_words(text: str, number: int) -> str:
    """Return the beginning of a text, its line breaks kept."""
    end, seen = 0, 0
    while seen < number and end < len(text):
        following = text.find(" ", end + 1)
        end = len(text) if following < 0 else following
        seen += 1
    return text[:end]


def _rows(path: Path) -> list[dict[str, Any]]:
    with gzip.open(path, "rt", encoding="utf-8") as lines:
        return [json.loads(line) for line in lines]
