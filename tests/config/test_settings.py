"""Tests of elision.config.settings and of default.yaml, which documents it."""

import re
from dataclasses import FrozenInstanceError, asdict
from pathlib import Path

import pytest

import elision.config.settings as settings_module
from elision.config.errors import ConfigError
from elision.config.prefix_terms import PrefixEntry
from elision.config.settings import Settings, load_settings, setting_paths
from elision.config.strict_yaml import parse_document, validate

DEFAULT = Path(settings_module.__file__).with_name("default.yaml")


def written(tmp_path: Path, text: str) -> Path:
    """Return a settings file with `text`."""
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return file


def problems(
    file: Path | None = None,
    environ: dict[str, str] | None = None,
    flags: dict[str, object] | None = None,
) -> tuple[str, ...]:
    """Return the lines of the error that these sources cause."""
    with pytest.raises(ConfigError) as caught:
        load_settings(file, environ or {}, flags or {})
    return caught.value.problems


def test_default_yaml_says_the_defaults() -> None:
    """What people read is what happens; every key is there."""
    text = DEFAULT.read_text(encoding="utf-8")
    document = parse_document(text.encode(), "default.yaml")
    assert validate(document, Settings) == Settings()
    data = document.data
    assert isinstance(data, dict)
    said = {
        (key, *inner)
        for key, value in data.items()
        for inner in ([(name,) for name in value] if isinstance(value, dict) and value else [()])
    }
    assert said == set(setting_paths())


def test_default_yaml_explains_every_key() -> None:
    """A setting needs a reason that can be read."""
    lines = DEFAULT.read_text(encoding="utf-8").splitlines()
    for number, line in enumerate(lines):
        key = re.match(r"\s*(\w+): ?\S", line)
        if key:
            assert lines[number - 1].lstrip().startswith("# "), f"{key[1]} has no comment"


def test_a_later_source_wins_and_the_rest_stays(tmp_path: Path) -> None:
    """Defaults, then the file, then variables, then flags; inside groups too."""
    file = written(tmp_path, "port: 1\nhost: a\nworkers: 2\ntimeouts: {idle_s: 5, drain_s: 6}\n")
    settings = load_settings(
        file,
        {"ELISION_PORT": "2", "ELISION_HOST": "b", "ELISION_TIMEOUTS__DRAIN_S": "7"},
        {"port": 3, "host": None, "log.format": "json"},
    )
    assert (settings.port, settings.host, settings.workers) == (3, "b", 2)
    assert (settings.timeouts.idle_s, settings.timeouts.drain_s) == (5, 7)
    assert settings.timeouts.connect_s == Settings().timeouts.connect_s
    assert settings.log.format == "json"


def test_nothing_given_is_the_defaults() -> None:
    """Other programs' variables are none of ours, and an empty one is not set."""
    assert load_settings(None, {"PATH": "/bin", "ELISION_REDIS": ""}, {}) == Settings()


def test_the_settings_file_may_be_named_by_a_variable(tmp_path: Path) -> None:
    """A flag beats the variable."""
    file = written(tmp_path, "port: 1\n")
    assert load_settings(None, {"ELISION_SETTINGS": str(file)}, {}).port == 1
    other = tmp_path / "other.yaml"
    other.write_text("port: 2\n")
    assert load_settings(other, {"ELISION_SETTINGS": str(file)}, {}).port == 2


def test_an_unknown_key_names_file_line_and_nearest(tmp_path: Path) -> None:
    """The promise of the issue, word for word."""
    file = written(tmp_path, "port: 1\ntimeouts:\n  conect_s: 3\n")
    assert problems(file) == (f'{file}:3:3: unknown key "conect_s"; did you mean "connect_s"?',)


def test_an_unknown_variable_names_the_nearest() -> None:
    """A typo in a deployment must not pass unseen."""
    assert problems(environ={"ELISION_PROT": "1"}) == (
        'ELISION_PROT: unknown variable; did you mean "ELISION_PORT"?',
    )


def test_a_variable_that_settings_name_may_begin_as_ours_do(tmp_path: Path) -> None:
    """It holds a key, and is not taken for a misspelt setting."""
    file = written(
        tmp_path,
        "cache: {key_env: ELISION_CACHE_KEY, old_key_envs: [ELISION_OLD_KEY]}\n"
        "redis: {url: redis://127.0.0.1, password_env: ELISION_REDIS_WORD}\n"
        "upstreams:\n  a: {url: http://a, key_env: ELISION_A, headers_env: {x-b: ELISION_B}}\n",
    )
    names = ("CACHE_KEY", "OLD_KEY", "REDIS_WORD", "A", "B")
    environ = {f"ELISION_{name}": "secret" for name in names}
    assert load_settings(file, environ, {}).cache.key_env == "ELISION_CACHE_KEY"
    by_variable = {"ELISION_CACHE__KEY_ENV": "ELISION_CACHE_KEY", "ELISION_CACHE_KEY": "secret"}
    assert load_settings(None, by_variable, {}).cache.key_env == "ELISION_CACHE_KEY"
    assert len(problems(environ=environ)) == len(names)


def test_problems_of_all_sources_are_told_at_once(tmp_path: Path) -> None:
    """One run, one list."""
    file = written(tmp_path, "workers: 0\n")
    found = problems(file, {"ELISION_TIMEOUTS__IDLE_S": "soon", "ELISION_X": "1"}, {"port": 70000})
    assert found[0].startswith(f"{file}:1:10: must be a whole number at least 1 and at most 256")
    assert found[1].startswith("ELISION_X: unknown variable")
    assert found[2:] == (
        "ELISION_TIMEOUTS__IDLE_S: must be a number above 0",
        "--port: must be a whole number at least 0 and at most 65535",
    )


@pytest.mark.parametrize(
    ("url", "base"),
    [
        ("https://api.openai.com", "https://api.openai.com"),
        ("https://api.openai.com/v1/", "https://api.openai.com"),
        ("http://localhost:8000/llm/v1", "http://localhost:8000/llm"),
        ("http://[::1]:8000/", "http://[::1]:8000"),
    ],
)
def test_the_upstream_is_known_without_its_v1(url: str, base: str) -> None:
    """People paste what their client was given."""
    assert load_settings(None, {"ELISION_UPSTREAM": url}, {}).upstream == base


@pytest.mark.parametrize(
    "url",
    [
        "my.host",
        "ftp://host",
        "https:///path",
        "https://host:port",
        "https://user:pass@host",
        "https://host/?key=1",
        "http://a b",
        "http://host:99999",
    ],
)
def test_an_upstream_that_is_no_base_url_is_refused_unseen(url: str) -> None:
    """The message says what is expected and does not repeat what may hold a key."""
    [line] = problems(environ={"ELISION_UPSTREAM": url})
    assert line.startswith("ELISION_UPSTREAM: must ")
    assert url not in line


def test_a_password_is_never_shown() -> None:
    """Settings end in logs and tracebacks."""
    settings = load_settings(None, {"ELISION_REDIS": "rediss://:hunter2@cache:6379/0"}, {})
    assert settings.redis is not None
    assert settings.redis.url == "rediss://:hunter2@cache:6379/0"
    assert "hunter2" not in repr(settings) + str(settings)
    assert "hunter2" not in "".join(problems(environ={"ELISION_REDIS": "http://:hunter2@cache"}))


def test_paths_in_a_file_start_at_that_file(tmp_path: Path) -> None:
    """Where the proxy is started from makes no difference; in a variable it does."""
    file = written(tmp_path, 'policies: teams\ntokenizers: {"llama*": t.json, "x": /abs/t.json}\n')
    settings = load_settings(file, {"ELISION_COMPRESSOR__CACHE_DIR": "here"}, {})
    assert settings.policies == tmp_path / "teams"
    assert settings.tokenizers == {"llama*": tmp_path / "t.json", "x": Path("/abs/t.json")}
    assert settings.compressor.cache_dir == Path("here")


def test_null_in_a_file_undoes_nothing_but_the_default(tmp_path: Path) -> None:
    """`policies: null` is a value, and a variable still wins over it."""
    file = written(tmp_path, "policies: null\nredis: null\n")
    assert load_settings(file, {}, {}).policies is None
    assert load_settings(file, {"ELISION_POLICIES": "p"}, {}).policies == Path("p")


def test_tokenizers_belong_in_a_file() -> None:
    """A mapping has no sensible form as a variable, and the error says where it goes."""
    assert problems(environ={"ELISION_TOKENIZERS": "x"}) == (
        "ELISION_TOKENIZERS: cannot be set by a variable; write it in a settings file",
    )


def test_context_windows_belong_in_a_file(tmp_path: Path) -> None:
    """Whole numbers by globs of models' names."""
    file = written(tmp_path, 'windows: {"mine-*": 9000}\n')
    assert load_settings(file, {}, {}).windows == {"mine-*": 9000}
    assert problems(environ={"ELISION_WINDOWS": "x"}) == (
        "ELISION_WINDOWS: cannot be set by a variable; write it in a settings file",
    )
    assert "at least 1" in problems(written(tmp_path, 'windows: {"mine-*": 0}\n'))[0]


def test_settings_are_frozen() -> None:
    """Read once; nothing changes them under a running request."""
    settings = load_settings(None, {}, {})
    with pytest.raises(FrozenInstanceError):
        settings.port = 1  # type: ignore[misc]
    assert asdict(settings)["port"] == 8484


def test_how_a_prefix_is_billed_may_be_known_better(tmp_path: Path) -> None:
    """By entries of a settings file only; an unknown key names the nearest."""
    file = written(tmp_path, "prefix_terms:\n  - {upstreams: [vllm], minimum: 0}\n")
    assert load_settings(file, {}, {}).prefix_terms == (PrefixEntry(upstreams=("vllm",), minimum=0),)
    wrong = written(tmp_path, "prefix_terms: [{mininum: 0}]\n")
    assert problems(wrong) == (f'{wrong}:1:17: unknown key "mininum"; did you mean "minimum"?',)
    assert problems(environ={"ELISION_PREFIX_TERMS": "x"}) == (
        "ELISION_PREFIX_TERMS: cannot be set by a variable; write it in a settings file",
    )
