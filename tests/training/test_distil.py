"""A teacher is asked once for each piece; what it says of use becomes a pair, and the rest is told."""

import json
import socket
from pathlib import Path

import pytest

from elision.compressors.tokens import Counters
from elision.config.errors import ConfigError
from elision.evaluation.cost import Price
from elision.evaluation.errors import ReaderFailed
from elision.evaluation.reader import Endpoint
from elision.training.distil import ANSWERS, FIGURES, INSTRUCTION, PAIRS, Figures, Plan, distil, usable
from elision.training.pairs import Pair, Text, read_pairs
from fakes.evaluated import no_bar
from fakes.reader import reading
from fakes.teacher import FakeTeacher, shortened

COUNTER = Counters().counter_for("gpt-4o")
LONG = " ".join(f"Speaker {at} said that the motion number {at} was very well received." for at in range(30))
TEXTS = [
    Text(f"t{at}", f"The council of town {at} met on the Monday, and it was {at} hours.") for at in range(12)
]


def plan(url: str, *texts: Text, **more: object) -> Plan:
    teacher = Endpoint(url, "tiny", pause_s=0.01, timeout_s=10.0, tries=3, at_once=2)
    return Plan(texts or TEXTS, teacher, COUNTER, **more)  # type: ignore[arg-type]


def run(wanted: Plan, out: Path) -> tuple[Figures, list[str]]:
    said: list[str] = []
    return distil(wanted, out, no_bar, said.append), said


def test_long_texts_are_asked_about_in_pieces(tmp_path: Path) -> None:
    """Each pair has its text's id; the teacher is told to remove only, at temperature .3."""
    with reading(FakeTeacher()) as server:
        figures, _ = run(plan(server.url, Text("a", LONG), TEXTS[1], piece_tokens=150), tmp_path)
        assert server.asked[0].items() >= {"temperature": 0.3, "top_p": 1, "model": "tiny"}.items()
        assert all(prompt.startswith(INSTRUCTION) for prompt in server.prompts)
    pairs = read_pairs(tmp_path / PAIRS)
    assert [pair.group for pair in pairs] == ["a", "a", "a", "t1"]
    assert [pair.id for pair in pairs] == ["a#0", "a#1", "a#2", "t1#0"]
    assert " ".join(pair.original for pair in pairs[:3]) == LONG
    assert pairs[3] == Pair("t1#0", "t1", TEXTS[1].text, shortened(TEXTS[1].text), "tiny")
    assert (figures.texts, figures.pieces, figures.asked, figures.kept) == (2, 4, 4, 4)
    assert (figures.prompt_tokens, figures.completion_tokens) == (28, 12)
    assert 0.4 < figures.keep_share < 0.9


def test_nothing_is_asked_twice(tmp_path: Path) -> None:
    """A run that was stopped goes on; equal pieces are asked once."""
    teacher = FakeTeacher()
    with reading(teacher) as server:
        run(plan(server.url, *TEXTS[:5]), tmp_path)
        figures, said = run(plan(server.url, *TEXTS, Text("again", TEXTS[0].text)), tmp_path)
        assert sorted(teacher.heard) == sorted(text.text for text in TEXTS)
        assert (figures.asked, figures.kept) == (7, 13)
        assert "7 requests" in said[0]
        _, silence = run(plan(server.url, *TEXTS), tmp_path)
    assert silence == []
    assert figures.completion_tokens == 12 * 3


def test_a_busy_teacher_is_waited_for_and_a_babbling_one_is_told(tmp_path: Path) -> None:
    """Status 429 and 500 pass; what is no answer is counted, and asked again the next time."""
    teacher = FakeTeacher(babbles=3)
    with reading(teacher, [429, 500, 503]) as server:
        figures, _ = run(plan(server.url), tmp_path)
        babbled = figures.unanswered["no chat completion"]
        assert 0 < babbled < len(TEXTS)
        assert figures.kept == len(TEXTS) - babbled == len(read_pairs(tmp_path / PAIRS))
        assert any("the same command asks them again" in line for line in figures.lines())
        again, _ = run(plan(server.url), tmp_path)
    assert (again.asked, again.kept, again.unanswered) == (babbled, len(TEXTS), {})


def test_what_one_text_is_refused_for_does_not_stop_the_others(tmp_path: Path) -> None:
    """Too long, or not to a filter's liking."""
    with reading(FakeTeacher(), [200, 400, 200, 413]) as server:
        figures, _ = run(plan(server.url), tmp_path)
    assert figures.unanswered == {"status 400": 1, "status 413": 1}
    assert figures.kept == len(TEXTS) - 2


@pytest.mark.parametrize(("statuses", "asked"), [([200, 401], 2), ([404], 1), ([200, 200, *[422] * 99], 10)])
def test_a_hopeless_run_ends_early_and_keeps_what_it_has(
    tmp_path: Path, statuses: list[int], asked: int
) -> None:
    """A wrong key at once; whatever else fails for every text, after eight in a row."""
    with reading(FakeTeacher(), statuses) as server:
        wanted = plan(server.url)
        with pytest.raises(ReaderFailed, match=f"status {statuses[-1]}"):
            run(wanted, tmp_path)
        # What is under way when hope ends, and what a late answer makes up for, comes on top.
        assert asked <= len(server.asked) <= asked + 3
    answered = statuses.count(200)
    assert len((tmp_path / ANSWERS).read_text().splitlines()) >= answered
    assert len((tmp_path / PAIRS).read_text().splitlines()) >= answered
    assert json.loads((tmp_path / FIGURES).read_text())["unanswered"]


def test_a_teacher_that_is_not_there_is_given_up(tmp_path: Path) -> None:
    """With what to do about it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    with pytest.raises(ReaderFailed, match="run the same command again"):
        run(plan(f"http://127.0.0.1:{port}/v1"), tmp_path)


def test_a_teacher_elsewhere_is_asked_after_a_yes(tmp_path: Path) -> None:
    """What it comes to is told first, of a teacher here too."""
    with pytest.raises(ConfigError, match="--yes"):
        run(plan("https://teacher.invalid/v1"), tmp_path)
    said: list[str] = []
    with pytest.raises(ConfigError):
        distil(plan("https://teacher.invalid/v1", price=Price(2, 10)), tmp_path, no_bar, said.append)
    assert "https://teacher.invalid/v1, tiny: 12 requests" in said[0]
    assert "at the price given" in said[0]
    with reading(FakeTeacher()) as server:
        _, told = run(plan(server.url), tmp_path)
    assert "12 requests" in told[0]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (" one two\n", "one two"),
        ("<think>What is\nto go?</think>\n\none two", "one two"),
        ("```text\none\ntwo\n```", "one\ntwo"),
    ],
)
def test_a_frame_is_taken_off(text: str, said: str) -> None:
    """Thoughts and fences are the model's habit, not the text."""
    assert usable({"text": text, "finish": "stop"}) == (said, "")


@pytest.mark.parametrize(
    ("text", "finish", "reason"),
    [
        ("one", "length", "the answer was cut off"),
        (" ", "stop", "the answer is empty"),
        ("a\ud800", None, "the answer is no Unicode text"),
    ],
)
def test_answers_that_teach_nothing_make_no_pair(text: str, finish: str | None, reason: str) -> None:
    """And the report says how many, and why."""
    assert usable({"text": text, "finish": finish})[1] == reason


def test_unusable_answers_are_reported(tmp_path: Path) -> None:
    """They were paid for, and are not asked for again."""
    with reading(lambda prompt: "" if "town 3 " in prompt else prompt.removeprefix(INSTRUCTION)) as server:
        figures, _ = run(plan(server.url), tmp_path)
        again, _ = run(plan(server.url), tmp_path)
    assert figures.unusable == again.unusable == {"the answer is empty": 1}
    assert (figures.kept, figures.unchanged, again.asked) == (11, 11, 0)
    lines = list(figures.lines())
    assert "no pair: 1 (the answer is empty)" in lines
    assert any("11 came back unchanged" in line for line in lines)


def test_no_text_is_told(tmp_path: Path) -> None:
    """Neither in what is said nor in the figures; they may be shown to anybody."""
    with reading(FakeTeacher(babbles=2), [400]) as server:
        figures, said = run(plan(server.url), tmp_path)
    told = "\n".join([*said, *figures.lines(), (tmp_path / FIGURES).read_text()])
    assert "council" not in told
