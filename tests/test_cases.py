"""Real-looking requests in `tests/cases`, each cut, and where it says so planned, as it expects.

A case is a YAML file that a person can read: what the request is, its body, and the segments that a
careful engineer would want of it. `${name}` in a string of the body is the text of
`tests/cases/texts/name.txt`, so that long material is written once.
"""

import json
import re
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
import yaml

from elision.policies.marks import read_marks
from elision.policies.model import Endpoint, FewShot, PromptText, Segment
from elision.policies.segments import cut
from elision.proxy.bodies import parse

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.yaml"))
KEYS = {"about", "licence", "endpoint", "leading_pairs", "body", "segments"}
TEXT = re.compile(r"\$\{(\w+)\}")


def case(name: str) -> dict[str, Any]:
    """Read a case; `${...}` is filled in."""
    read: dict[str, Any] = yaml.safe_load((CASES / f"{name}.yaml").read_text(encoding="utf-8"))
    assert set(read) <= KEYS, f"{name}.yaml: keys that no case has: {set(read) - KEYS}"
    read["body"] = filled(read["body"])
    return read


def filled(value: Any) -> Any:
    """Return a value with every `${name}` in its strings exchanged for the text of that name."""
    if isinstance(value, str):
        return TEXT.sub(lambda match: text(match[1]), value)
    if isinstance(value, dict):
        return {key: filled(inner) for key, inner in value.items()}
    return [filled(inner) for inner in value] if isinstance(value, list) else value


def text(name: str) -> str:
    return (CASES / "texts" / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")


def texts_of(read: dict[str, Any]) -> tuple[PromptText, ...]:
    body = json.dumps(read["body"], ensure_ascii=False).encode()
    return parse(body, Endpoint(read.get("endpoint", "chat"))).texts


def few_shot(read: dict[str, Any]) -> FewShot:
    return FewShot(leading_pairs=read.get("leading_pairs", 0))


def quarter(text: str) -> int:
    """Count tokens by a rule of thumb; where a text is cut does not depend on it."""
    return len(text.encode()) // 4


@dataclass(frozen=True)
class Row:
    """One segment as a case tells it: where its text begins and ends, in so many words as expected."""

    place: str
    kind: str
    begins: str
    ends: str
    about: str = ""

    def __str__(self) -> str:
        return f"{self.place}  {self.kind}  {self.begins!r} ... {self.ends!r}  {self.about}".rstrip()


def expected(listed: dict[str, Any]) -> Row:
    """Return the row of one of a case's segments."""
    about = [f"{listed['pieces']} pieces"] if listed.get("pieces") else []
    about += [f"turn {listed['turn']}"] if "turn" in listed else []
    about += ["a tag"] if listed.get("tag") else []
    about += [f"mark {listed['mark']}"] if "mark" in listed else []
    return Row(listed["place"], listed["kind"], listed["from"], listed["to"], ", ".join(about))


def found(segment: Segment, place: str, beside: dict[str, Any] | None) -> Row:
    """Return the row of a segment; of what no case must tell, only what the one beside it tells."""
    body = " ".join(segment.text.split())
    beside = beside or {"from": "." * 30, "to": "." * 30}
    about = [f"{len(segment.pieces)} pieces"] if segment.pieces else []
    about += [f"turn {segment.turn}"] if "turn" in beside else []
    about += ["a tag"] if segment.tag else []
    if segment.mark is not None:
        mark = segment.mark
        about.append(f"mark {'keep' if mark.keep else f'{mark.rate} {mark.method}'.strip()}")
    begins, ends = len(str(beside["from"])), len(str(beside["to"]))
    return Row(place, segment.kind, body[:begins], body[-ends:] if ends else "", ", ".join(about))


def difference(wanted: list[Row], got: list[Row]) -> str:
    """Return nothing where both are the same, else what differs, line by line."""
    if wanted == got:
        return ""
    lines = [str(row) for row in wanted], [str(row) for row in got]
    return "\n" + "\n".join(line for line in ndiff(*lines) if not line.startswith("?"))


@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_cut_as_its_case_says(name: str) -> None:
    """Documents are context, what is asked is question, and what is neither is left where it stands."""
    read = case(name)
    texts = texts_of(read)
    segments = cut(
        texts, quarter, few_shot=few_shot(read), read=lambda text: read_marks(text, {"lossless"}, 0.1)
    )
    listed = read["segments"]
    beside = [*listed, *[None] * len(segments)]
    got = [found(s, texts[s.source].place, b) for s, b in zip(segments, beside, strict=False)]
    assert difference([expected(row) for row in listed], got) == ""


@pytest.mark.parametrize("name", NAMES)
def test_a_cases_segments_are_whole(name: str) -> None:
    """What is told of 30 shapes holds of their every character: nothing is lost, pieces lie inside."""
    texts = texts_of(case(name))
    segments = cut(texts, quarter)
    for source, text in enumerate(texts):
        assert "".join(s.text for s in segments if s.source == source) == text.text
    for segment in segments:
        borders = [at for piece in segment.pieces for at in piece]
        assert borders == sorted(borders)
        assert not borders or (borders[0] >= 0 and borders[-1] <= len(segment.text))
