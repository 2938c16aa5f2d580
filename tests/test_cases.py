"""Real-looking requests in `tests/cases`, each cut and planned as it expects.

A case is a YAML file that a person can read: what the request is, its body, and the segments that a
careful engineer would want of it; then the policy that such a team would have, a preset's name or a
file's content, and the plan, what becomes of each segment: `method` (`default` is the default one), the
`rate` of tokens that stay, within a few hundredths, words of the reason (`why`), and the `mode` where it
is not to enforce, the row's own or the whole plan's. A segment that a budget cuts at its documents has a
row for each part. `${name}` in a string of the body is the text of `tests/cases/texts/name.txt`, so that
long material is written once.
"""

import json
import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import ndiff
from pathlib import Path
from typing import Any

import pytest
import yaml

from elision.compressors.registry import DEFAULT_METHOD
from elision.policies.marks import read_marks
from elision.policies.model import Decision, Endpoint, FewShot, Mode, Policy, PromptText, Segment
from elision.policies.segments import cut
from elision.proxy.bodies import parse
from elision.proxy.planner import Planner
from elision.proxy.policy_source import load_policy, load_preset, preset_names
from elision.proxy.rewriter import Ask

CASES = Path(__file__).parent / "cases"
NAMES = sorted(path.stem for path in CASES.glob("*.yaml"))
NEEDED = {"about", "body", "segments", "policy", "plan"}
KEYS = NEEDED | {"licence", "endpoint", "leading_pairs", "mode"}
PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions", "responses": "/v1/responses"}
NEAR = 0.03
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
class OnePolicy:
    """Every team's policy."""

    policy: Policy

    def for_team(self, team: str) -> Policy | None:
        return self.policy


class Quarter:
    """Counts tokens as `quarter` does."""

    name = "quarter"

    def count(self, text: str) -> int:
        return quarter(text)


def policy_of(read: dict[str, Any], folder: Path) -> Policy:
    """Return a case's policy: a preset by its name, or what a file of this content says."""
    named = read["policy"]
    if isinstance(named, str):
        return load_preset(named)
    file = folder / "case.yaml"
    file.write_text(yaml.safe_dump(named, sort_keys=False), encoding="utf-8")
    return load_policy(file)


def preset_of(read: dict[str, Any]) -> str:
    """Return the preset that a case's policy is or extends, "" where it stands alone."""
    named = read.get("policy", "")
    return named if isinstance(named, str) else named.get("extends", "")


def share(decision: Decision) -> float:
    """Return the share of its tokens that a decision keeps, as far as it says."""
    use, tokens = decision.use, decision.segment.tokens
    return use.tokens / tokens if use.tokens is not None and tokens else use.rate or 0.0


def fate(decision: Decision, beside: dict[str, Any] | None) -> str:
    """Return one line of a plan; what is near enough to the line beside it is told in its words."""
    beside = beside or {}
    rate = share(decision)
    wanted = beside.get("rate", 0.0)
    told = {
        "kind": decision.segment.kind.value,
        "method": "default" if decision.use.method == DEFAULT_METHOD else decision.use.method,
        "rate": wanted if abs(rate - wanted) <= NEAR else round(rate, 2),
        "mode": decision.mode.value,
    }
    why = beside.get("why", "")
    return wanted_fate(told | {"why": why if why in decision.why else decision.why})


def wanted_fate(listed: dict[str, Any]) -> str:
    rate, mode, why = listed.get("rate"), listed.get("mode", Mode.ENFORCE.value), listed.get("why")
    about = [str(rate)] if rate else []
    about += [mode] if mode != Mode.ENFORCE.value else []
    about += [f"({why})"] if why else []
    return "  ".join([listed["kind"], listed["method"], *about])


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


def difference(wanted: Sequence[object], got: Sequence[object]) -> str:
    """Return nothing where both are the same, else what differs, line by line."""
    if list(wanted) == list(got):
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


@pytest.mark.parametrize("name", NAMES)
def test_a_case_says_what_becomes_of_its_segments(name: str) -> None:
    """No case stops at the cut: each has a policy and a plan of at least as many rows as segments."""
    read = case(name)
    assert set(read) >= NEEDED, f"{name}.yaml lacks {', '.join(sorted(NEEDED - set(read)))}"
    assert len(read["plan"]) >= len(read["segments"]) > 0


@pytest.mark.parametrize("name", NAMES)
def test_a_request_is_planned_as_its_case_says(name: str, tmp_path: Path) -> None:
    """The policy's rule, the budget's share and the gates, on what the cut has found."""
    read = case(name)
    planner = Planner(OnePolicy(policy_of(read, tmp_path)), lambda model: Quarter())
    body = json.dumps(read["body"], ensure_ascii=False).encode()
    planned = planner.plan(body, Ask("POST", PATHS[read.get("endpoint", "chat")]))
    assert planned is not None
    beside = [*read["plan"], *[None] * len(planned.plan.decisions)]
    got = [fate(d, b) for d, b in zip(planned.plan.decisions, beside, strict=False)]
    assert difference([wanted_fate(row) for row in read["plan"]], got) == ""
    assert planned.plan.mode == read.get("mode", Mode.ENFORCE.value)


def test_there_are_cases_of_every_sort() -> None:
    """Thirty at least, and all endpoints."""
    endpoints = {case(name).get("endpoint", "chat") for name in NAMES}
    assert len(NAMES) >= 30
    assert endpoints == set(PATHS)


def test_every_preset_is_tried_by_two_cases() -> None:
    """A preset that no request is planned by could say anything."""
    used = Counter(preset_of(case(name)) for name in NAMES)
    assert [preset for preset in preset_names() if used[preset] < 2] == []
