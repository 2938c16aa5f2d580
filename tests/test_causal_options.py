"""Every option of the methods that read with a causal model, by a policy file, through `elision serve`."""

import json
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest

from elision.compressors.base import Job, Method, OptionValue, Outcome, Target
from elision.compressors.engine import Engine
from elision.compressors.registry import option_defaults
from elision.proxy.cli import run
from fakes.raw_upstream import RawUpstream, Received, answer
from fakes.running import raw_exchange, request_bytes
from fakes.serving import PATIENCE_S, Served, served
from fakes.tiny_lm import save_tiny_lm

pytestmark = pytest.mark.timeout(900)

METHODS = ("selective_context", "llmlingua", "longllmlingua")
MODEL = "gpt-4o"
QUESTION = "Who was late that day?"
NAMES = ["fox", "dog", "meeting", "witness", "miller", "carpenter"]
NAMES += ["library", "harbour", "tower", "chapel", "orchard", "quarry"]
DOCUMENT = "\n\n".join(
    f"Document [{number}]: The {one} was late, he said to nobody in particular. A witness thinks of it. "
    f"It was the best of times for all of them. Reports of it may be filed by anyone, {number}7 of them were."
    for number, one in enumerate(NAMES, 1)
)
CONTENT = f"Documents:\n\n{DOCUMENT}\n\n{QUESTION}"
BODY = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": CONTENT}]})
SENTENCES: Mapping[str, object] = {"use_sentence_level_filter": True, "token_budget_ratio": 1.05}
# A value that is not the default's where there is another; what it needs beside it.
VALUES: Mapping[str, Mapping[str, object]] = {
    "weights": {},
    "precision": {"precision": "full"},
    "profile": {"profile": "compat"},
    "level": {"level": "token"},
    "reduce_level": {"reduce_level": "phrase"},
    "agg": {"agg": "sum", "level": "word"},
    "phrases": {"phrases": "rules", "level": "phrase"},
    "kv": {"kv": "fast", "iterative_size": 40},
    "iterative_size": {"iterative_size": 20},
    "rank_method": {"rank_method": "bm25"},
    "condition_in_question": {"condition_in_question": "before"},
    "condition_compare": {"condition_compare": False},
    "reorder_context": {"reorder_context": "two_stage"},
    "dynamic_context_compression_ratio": {"dynamic_context_compression_ratio": 0},
    "context_budget": {"context_budget": "+0"},
    "use_context_level_filter": {"use_context_level_filter": False},
    "use_token_level_filter": {"use_token_level_filter": False, "context_budget": "+0"},
    "use_sentence_level_filter": SENTENCES,
    "keep_first_sentence": {**SENTENCES, "keep_first_sentence": 2},
    "keep_last_sentence": {**SENTENCES, "keep_last_sentence": 2},
    "keep_sentence_number": {**SENTENCES, "keep_sentence_number": 1},
    "high_priority_bonus": {**SENTENCES, "keep_first_sentence": 2, "high_priority_bonus": 0.5},
    "token_budget_ratio": {**SENTENCES, "token_budget_ratio": 1.2},
    "keep_split": {"keep_split": True},
    "force_tokens": {"force_tokens": ["late", "."]},
    "force_reserve_digit": {"force_reserve_digit": True},
    "drop_consecutive": {"drop_consecutive": True, "force_tokens": ["."]},
}
CASES = [(method, option) for method in METHODS for option in sorted(option_defaults(method))]
# Where the default value already does what these would, or the text has nothing for them to change.
WITHOUT_TRACE = {"weights", "precision", "phrases", "force_reserve_digit", "drop_consecutive", "keep_split"}
WITHOUT_TRACE |= {"use_context_level_filter"}


def team_of(method: str, option: str) -> str:
    return f"{method}-{option}".replace("_", "-")


def write_policy(folder: Path, team: str, method: str, options: Mapping[str, object]) -> None:
    use = {"method": method, "rate": 0.5, "min_tokens": 50, "options": options}
    rules = [{"name": "documents", "when": {"segment": "context"}, "use": use}]
    # JSON is YAML.
    (folder / f"{team}.yaml").write_text(json.dumps({"deadline_s": PATIENCE_S, "rules": rules}))


def context_of(folder: Path, capsys: pytest.CaptureFixture[str]) -> tuple[int, int]:
    """Return which part of the prompt the policies take for context."""
    (folder / "body.json").write_text(BODY)
    team = team_of(*CASES[0])
    told = ["explain", str(folder / "body.json"), "--policies", str(folder / "policies"), "--team", team]
    assert run([*told, "--json"]) == 0
    [part] = [p for p in json.loads(capsys.readouterr().out)["segments"] if p["segment"] == "context"]
    return part["start"], part["end"]


def expected(engine: Engine, method: str, options: Mapping[str, object], text: str = DOCUMENT) -> Outcome:
    """Return what the method makes of a text by itself."""
    told: dict[str, OptionValue] = {}
    for name, value in options.items():
        assert isinstance(value, str | int | float | bool | list)
        told[name] = tuple(value) if isinstance(value, list) else value
    target = Target(rate=0.5, model=MODEL, question=QUESTION)
    [outcome] = engine.run([Job(text, Method(method, tuple(sorted(told.items()))), target)])
    return outcome


async def accepted(_request: Received) -> AsyncIterator[bytes]:
    yield answer(b'{"choices": []}')


async def asked(running: Served, team: str) -> str:
    """Send the document with a question; return what a team's policy did."""
    headers = [("Content-Type", "application/json"), ("Connection", "close")]
    request = request_bytes("POST", f"/t/{team}/v1/chat/completions", headers, BODY.encode())
    got = await raw_exchange(running.port, request, PATIENCE_S)
    assert got.status == 200
    return got.value("x-elision-method") or got.value("x-elision-bypass")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_lm(tmp_path_factory.mktemp("lm")))


def test_every_option_is_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`elision check` finds nothing wrong or unwise with any of them."""
    for method, option in CASES:
        write_policy(tmp_path, team_of(method, option), method, {**VALUES[option], "weights": "/weights"})
    assert run(["check", str(tmp_path), "--strict"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CASES)


@pytest.mark.parametrize("every", [11, pytest.param(1, marks=pytest.mark.fuzz)])
async def test_options_of_a_policy_file_are_used(
    every: int, weights: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is sent is what the method makes with it."""
    cases = CASES[::every]
    wanted = {(method, option): {**VALUES[option], "weights": weights} for method, option in cases}
    (tmp_path / "policies").mkdir()
    for (method, option), options in wanted.items():
        write_policy(tmp_path / "policies", team_of(method, option), method, options)
    start, end = context_of(tmp_path, capsys)
    engine = Engine()
    async with (
        RawUpstream(accepted, close_after=True) as upstream,
        served("--upstream", upstream.url, "--policies", str(tmp_path / "policies")) as running,
    ):
        await running.until_ready()
        for (method, option), options in wanted.items():
            outcome = expected(engine, method, options, CONTENT[start:end])
            used = await asked(running, team_of(method, option))
            assert used == (outcome.reason or method), (method, option)
            [message] = json.loads(upstream.received[-1].body)["messages"]
            assert message["content"] == CONTENT[:start] + outcome.text + CONTENT[end:], (method, option)


@pytest.mark.fuzz
def test_most_options_make_a_difference(weights: str) -> None:
    """Else the test above would hold for options that are passed over."""
    engine = Engine()
    plain = {method: expected(engine, method, {"weights": weights}).text for method in METHODS}
    same = [
        (method, option)
        for method, option in CASES
        if expected(engine, method, {**VALUES[option], "weights": weights}).text == plain[method]
    ]
    assert {option for _, option in same} <= WITHOUT_TRACE


def test_a_misspelled_option_is_told_with_the_nearest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """By file and line, each of them."""
    for method, option in CASES:
        write_policy(tmp_path, team_of(method, option), method, {f"{option[:-1]}{option[-1] * 2}x": 1})
    assert run(["check", str(tmp_path)]) == 1
    errors = capsys.readouterr().err
    for method, option in CASES:
        told = f"{method} has no option '{option[:-1]}{option[-1] * 2}x'; did you mean '{option}'?"
        [line] = [line for line in errors.splitlines() if f"/{team_of(method, option)}.yaml:" in line]
        assert line.endswith(told)
