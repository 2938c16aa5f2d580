"""What may be said of a Redis."""

from dataclasses import replace
from pathlib import Path

import pytest

from elision.config.errors import ConfigError
from elision.config.redis import Address, Login, RedisEntry, RedisTarget, Shape, redis_target, with_password
from elision.config.settings import load_settings, with_upstreams

UPSTREAM = {"ELISION_UPSTREAM": "https://api.openai.com"}


def said(tmp_path: Path, text: str) -> RedisEntry:
    """Return what a settings file says."""
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    redis = load_settings(file, {}, {}).redis
    assert redis is not None
    return redis


def refused(tmp_path: Path, text: str) -> str:
    """Return what a settings file is told."""
    file = tmp_path / "settings.yaml"
    file.write_text(text)
    with pytest.raises(ConfigError) as error:
        load_settings(file, {}, {})
    return str(error.value).replace(str(tmp_path), "")


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("redis://h", RedisTarget(Shape.SINGLE, (Address("h", 6379),), False)),
        ("redis://h:1/2", RedisTarget(Shape.SINGLE, (Address("h", 1),), False, 2)),
        ("redis://[::1]:1", RedisTarget(Shape.SINGLE, (Address("::1", 1),), False)),
        (
            "rediss://u:p%40%2F@h",
            RedisTarget(Shape.SINGLE, (Address("h", 6379),), True, login=Login("u", "p@/")),
        ),
        ("redis://:a@b@h", RedisTarget(Shape.SINGLE, (Address("h", 6379),), False, login=Login("", "a@b"))),
        ("unix:///r/s?db=3", RedisTarget(Shape.SINGLE, (Address("/r/s", 0),), False, 3)),
        ("unix://u:p@/s", RedisTarget(Shape.SINGLE, (Address("/s", 0),), False, login=Login("u", "p"))),
        (
            "redis+sentinel://u:p@h1:1,h2/main/2",
            RedisTarget(
                Shape.SENTINEL, (Address("h1", 1), Address("h2", 26379)), False, 2, "main", Login("u", "p")
            ),
        ),
        (
            "rediss+cluster://h1,h2:2",
            RedisTarget(Shape.CLUSTER, (Address("h1", 6379), Address("h2", 2)), True),
        ),
    ],
)
def test_a_url_says_which_servers(url: str, target: RedisTarget) -> None:
    """From a flag, a variable or a file alike."""
    settings = load_settings(None, {"ELISION_REDIS": url}, {})
    assert settings.redis is not None
    assert redis_target(settings.redis) == target
    assert load_settings(None, {}, {"redis": url}).redis == settings.redis


@pytest.mark.parametrize(
    "url",
    [
        "http://:hunter2@h",
        "redis:hunter2",
        "redis://:hunter2@",
        "redis://:hunter2@h:99999",
        "redis://:hunter2@h/x",
        "redis://:hunter2@h/0/1",
        "redis://:hunter2@h?db=1",
        "redis://:hunter2@h1,h2",
        "redis://:hunter2@h o",
        "redis+sentinel://:hunter2@h",
        "redis+cluster://:hunter2@h/1",
        "unix://:hunter2@h/s",
        "unix:///s?hunter2=1",
    ],
)
def test_a_url_that_cannot_be_meant_is_refused_unseen(url: str) -> None:
    """The message says what would be right, and repeats nothing of it."""
    with pytest.raises(ConfigError) as error:
        load_settings(None, {"ELISION_REDIS": url}, {})
    [line] = error.value.problems
    assert line.startswith(("ELISION_REDIS: must ", "ELISION_REDIS: names several servers"))
    assert "hunter2" not in line


def test_a_mapping_says_more(tmp_path: Path) -> None:
    """Certificates lie beside the file; one of them is reason enough for TLS."""
    entry = said(tmp_path, "redis: {url: 'redis://h', ca: ca.pem, timeout_ms: 2, breaker: {failures: 9}}\n")
    assert (entry.ca, entry.timeout_ms, entry.breaker.failures) == (str(tmp_path / "ca.pem"), 2.0, 9)
    assert redis_target(entry).tls
    assert redis_target(said(tmp_path, "redis: {url: 'redis://h1,h2', cluster: true}")).shape is Shape.CLUSTER


def test_sentinels_may_be_listed(tmp_path: Path) -> None:
    """They may want another login than the servers."""
    sentinel = "{master: main, nodes: [h1, 'h2:2'], db: 1, user: s, password: t}"
    target = redis_target(said(tmp_path, f"redis: {{sentinel: {sentinel}, user: u, password: p}}\n"))
    nodes = (Address("h1", 26379), Address("h2", 2))
    wanted = RedisTarget(Shape.SENTINEL, nodes, False, 1, "main", Login("u", "p"), Login("s", "t"))
    assert target == wanted
    assert (target.login.password, target.sentinel_login.password) == ("p", "t")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("redis: {}", "/settings.yaml:1:8: must have either `url` or `sentinel`"),
        ("redis: {url: 'redis://h', password: 8675309}", "/settings.yaml:1:37: must be a text"),
        ("redis: {url: 8675309}", "/settings.yaml:1:14: must be a text"),
        ("redis: 5", "/settings.yaml:1:8: must be a URL such as redis://127.0.0.1:6379/0"),
        ("redis:\n  ur: redis://h", '/settings.yaml:2:3: unknown key "ur"; did you mean "url"?'),
        ("redis:\n  url: redis://h\n  timeout_ms: 0", "/settings.yaml:3:15: must be a number above 0"),
        ("redis: {url: 'redis+sentinel://h/m', cluster: true}", "either behind Sentinel or a cluster"),
        ("redis: {url: 'redis://u:hunter2@h', user: v}", "has a login in its URL and one beside it"),
        ("redis: {url: 'redis://h', password: hunter2, password_env: P}", "remove one"),
        ("redis: {url: 'redis://h', client_key: k}", "without its `client_cert`"),
        ("redis: {url: 'unix:///s', cluster: true}", "not by a Unix socket"),
        ("redis: {sentinel: {master: m, nodes: []}}", "/settings.yaml:1:38: "),
        (
            "redis: {sentinel: {master: m, nodes: ['hunter2@h']}}",
            "must name its servers as host or host:port",
        ),
    ],
)
def test_errors_say_where_and_what_would_be_right(tmp_path: Path, text: str, told: str) -> None:
    """And never what a password is."""
    message = refused(tmp_path, text)
    assert told in message
    assert "hunter2" not in message
    assert "8675309" not in message


def test_passwords_come_from_the_environment(tmp_path: Path) -> None:
    """When serving begins; a variable that is missing is named."""
    sentinel = "{master: m, nodes: [h], password_env: OTHER_WORD}"
    entry = said(tmp_path, f"redis: {{sentinel: {sentinel}, password_env: REDIS_WORD}}")
    with pytest.raises(ConfigError) as error:
        with_password(entry, {})
    assert error.value.problems == (
        "redis.password_env: the variable REDIS_WORD is not set, or empty; set it before the start",
        "redis.sentinel.password_env: the variable OTHER_WORD is not set, or empty; set it before the start",
    )
    words = {"REDIS_WORD": "hunter2", "OTHER_WORD": "hunter3"}
    settings = replace(load_settings(None, UPSTREAM, {}), redis=entry)
    complete = with_upstreams(settings, words).redis
    assert complete is not None
    target = redis_target(complete)
    assert (target.login.password, target.sentinel_login.password) == ("hunter2", "hunter3")


def test_no_password_is_in_a_repr() -> None:
    """Settings end in logs and tracebacks."""
    settings = load_settings(None, {"ELISION_REDIS": "redis+sentinel://u:hunter2@h/m"}, {})
    assert settings.redis is not None
    entry = replace(settings.redis, password="hunter2")
    assert "hunter2" not in f"{settings} {settings!r} {entry} {redis_target(settings.redis)!r}"
