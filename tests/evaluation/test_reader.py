"""A reader is asked over a socket: deterministic, patient, never twice for what it answered."""

import json
import socket
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.evaluation.errors import ReaderFailed
from elision.evaluation.reader import Ask, Endpoint, answer_of, read, unanswered
from elision.evaluation.store import Store
from fakes.reader import reading


def endpoint(url: str, **more: object) -> Endpoint:
    return Endpoint(url, "tiny", **{"pause_s": 0.01, "timeout_s": 10.0, **more})  # type: ignore[arg-type]


def asks(count: int) -> list[Ask]:
    return [Ask(f"prompt {at}", 9) for at in range(count)]


def test_every_prompt_is_asked_once(tmp_path: Path) -> None:
    """At temperature 0, with the longest answer that is waited for; answers are found again."""
    ticks: list[int] = []
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper) as reader:
        where = endpoint(reader.url, key="secret")
        read(unanswered([*asks(20), *asks(20)], where, store), where, store, ticks.append)
        assert sorted(reader.prompts) == sorted(ask.prompt for ask in asks(20))
        assert reader.asked[0].items() >= {"model": "tiny", "temperature": 0, "max_tokens": 9}.items()
        assert set(reader.keys) == {"Bearer secret"}
        assert unanswered(asks(20), where, store) == []
        assert answer_of(asks(3)[2], where, store) == "PROMPT 2"
    assert sum(ticks) == 20
    rows = [json.loads(line) for line in (tmp_path / "a.jsonl").read_text().splitlines()]
    assert rows[0].items() >= {"prompt_tokens": 7, "completion_tokens": 3, "finish": "stop"}.items()
    assert "secret" not in (tmp_path / "a.jsonl").read_text()


def test_a_busy_reader_is_asked_again(tmp_path: Path) -> None:
    """Too many requests, or a failure of its own, passes."""
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper, [429, 503, 500]) as reader:
        where = endpoint(reader.url, at_once=1)
        read(asks(1), where, store, lambda more: None)
        assert len(reader.asked) == 4
        assert answer_of(asks(1)[0], where, store) == "PROMPT 0"


def test_a_refusal_is_not_repeated_and_keeps_what_was_answered(tmp_path: Path) -> None:
    """A wrong key or model will be as wrong the next time."""
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper, [200, 200, 401]) as reader:
        where = endpoint(reader.url, at_once=1)
        with pytest.raises(ReaderFailed, match="status 401"):
            read(asks(9), where, store, lambda more: None)
        assert len(reader.asked) == 3
        assert len(unanswered(asks(9), where, store)) == 7


def test_a_reader_that_stays_away_is_named(tmp_path: Path) -> None:
    """After some tries, with what to do."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    where = endpoint(f"http://127.0.0.1:{port}/v1", tries=2)
    with (
        Store(tmp_path / "a.jsonl") as store,
        pytest.raises(ReaderFailed, match=r"no answer after 2 tries .* answers so far are kept"),
    ):
        read(asks(1), where, store, lambda more: None)


def test_what_is_no_completion_is_refused(tmp_path: Path) -> None:
    """Another service behind the URL."""
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper) as reader:
        where = endpoint(reader.url.removesuffix("/v1") + "/v2")
        with pytest.raises(ReaderFailed, match="status 404"):
            read(asks(1), where, store, lambda more: None)


@pytest.mark.parametrize(
    ("url", "here"),
    [
        ("http://127.0.0.1:1/v1", True),
        ("http://localhost:1/v1", True),
        ("http://[::1]:1/v1", True),
        ("https://api.example.com/v1", False),
        ("http://10.0.0.1/v1", False),
        ("http://localhost.example.com/v1", False),
    ],
)
def test_only_this_machine_is_here(url: str, here: bool) -> None:
    """Everything else may cost something."""
    assert Endpoint(url, "m").is_here is here


def test_wrong_endpoints_are_refused() -> None:
    """Before anything is shortened."""
    with pytest.raises(ConfigError, match="--reader: must be a URL"):
        Endpoint("api.example.com", "m").check()
    with pytest.raises(ConfigError, match="--reader-model"):
        Endpoint("https://api.example.com/v1", "").check()
    assert Endpoint("http://x/v1/chat/completions", "m").completions == "http://x/v1/chat/completions"


def test_an_unanswered_prompt_has_no_answer(tmp_path: Path) -> None:
    """Rather a mistake that shows than an empty answer that counts as wrong."""
    with Store(tmp_path / "a.jsonl") as store, pytest.raises(KeyError, match="no answer to"):
        answer_of(Ask("p", 1), Endpoint("http://x", "m"), store)


def test_prompts_without_an_answer_need_not_end_the_rest(tmp_path: Path) -> None:
    """Who asks for many things may live without some, and hears why each was lost."""
    lost: list[tuple[str, int]] = []
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper, [400, 200, 422]) as reader:
        where = endpoint(reader.url, at_once=1)
        read(
            asks(4),
            where,
            store,
            lambda more: None,
            lambda ask, error: lost.append((ask.prompt, error.status)),
        )
        assert lost == [("prompt 0", 400), ("prompt 2", 422)]
        assert unanswered(asks(4), where, store) == [asks(4)[0], asks(4)[2]]


def test_a_warm_answer_is_another_answer(tmp_path: Path) -> None:
    """Temperature is sent, with the whole distribution to draw from, and is part of the key."""
    cold, warm = Ask("p", 9), Ask("p", 9, 0.3)
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper) as reader:
        where = endpoint(reader.url)
        read([cold], where, store, lambda more: None)
        assert unanswered([cold, warm], where, store) == [warm]
        read([warm], where, store, lambda more: None)
        assert reader.asked[1].items() >= {"temperature": 0.3, "top_p": 1}.items()
        assert "top_p" not in reader.asked[0]


def test_a_key_that_is_said_back_is_not_shown(tmp_path: Path) -> None:
    """Some services repeat the key that they refuse."""
    with (
        Store(tmp_path / "a.jsonl") as store,
        reading(str.upper, [401], refusal="no key sk-secret") as reader,
        pytest.raises(ReaderFailed, match=r"status 401: .*no key \.\.\.") as failed,
    ):
        read(asks(1), endpoint(reader.url, key="sk-secret"), store, lambda more: None)
    assert "sk-secret" not in str(failed.value)


def test_a_later_name_for_the_limit_is_learned(tmp_path: Path) -> None:
    """OpenAI's later models refuse the name that every other server knows."""
    refusal = "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
    with Store(tmp_path / "a.jsonl") as store, reading(str.upper, [400], refusal=refusal) as reader:
        where = endpoint(reader.url, at_once=1)
        read(asks(2), where, store, lambda more: None)
        limits = [{name for name in body if name.startswith("max_")} for body in reader.asked]
        assert limits == [{"max_tokens"}, {"max_completion_tokens"}, {"max_completion_tokens"}]
        assert unanswered(asks(2), where, store) == []
