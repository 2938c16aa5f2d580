"""What may be said of an upstream, and where its keys come from."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from elision.config.errors import ConfigError
from elision.config.settings import Settings, load_settings, with_upstreams
from elision.config.upstreams import UpstreamEntry, fits_header, with_secrets
from elision.proxy.headers import HOP_BY_HOP

FULL = """\
upstream: https://api.openai.com/v1
timeouts: {connect_s: 7, idle_s: 8}
limits: {connections: 3}
upstreams:
  azure:
    url: https://mine.openai.azure.com/openai/v1/
    prefix: /azure
    models: ["gpt-4*", o3]
    headers: {X-Team: search}
    headers_env: {api-key: AZURE_KEY}
    connections: 64
    timeouts: {connect_s: 5}
  local:
    url: http://127.0.0.1:8000
    models: ["llama-*"]
    key_env: LOCAL_KEY
"""
KEYS = {"AZURE_KEY": "azure-secret", "LOCAL_KEY": "local-secret"}


def loaded(tmp_path: Path, text: str) -> Settings:
    file = tmp_path / "settings.yaml"
    file.write_text(text, encoding="utf-8")
    return load_settings(file, {}, {})


def refused(tmp_path: Path, entries: str) -> list[str]:
    """Return the problems of entries below `upstreams:`, each without the file's name."""
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, "upstreams:\n" + entries)
    return [line.split("settings.yaml:", 1)[1] for line in caught.value.problems]


def test_serving_needs_them_complete(tmp_path: Path) -> None:
    """The default is one of them; keys are headers; what an entry leaves open is as for all."""
    upstreams = with_upstreams(loaded(tmp_path, FULL), KEYS).upstreams
    assert list(upstreams) == ["default", "azure", "local"]
    default, azure, local = upstreams.values()
    assert (default.url, default.is_default, azure.is_default) == ("https://api.openai.com", True, False)
    assert (azure.url, azure.prefix) == ("https://mine.openai.azure.com/openai", "/azure")
    assert azure.headers == {"X-Team": "search", "api-key": "azure-secret"}
    assert local.headers == {"Authorization": "Bearer local-secret"}
    assert [entry.connections for entry in upstreams.values()] == [3, 64, 3]
    assert [entry.timeouts.connect_s for entry in upstreams.values()] == [7, 5, 7]
    assert (azure.timeouts.idle_s, azure.timeouts.first_byte_s) == (8, 600)


def test_one_upstream_alone_has_no_name() -> None:
    """There is nothing to tell it from."""
    settings = with_upstreams(load_settings(None, {"ELISION_UPSTREAM": "http://a/v1"}, {}), {})
    assert [(name, entry.url) for name, entry in settings.upstreams.items()] == [("", "http://a")]


def test_keys_are_never_shown(tmp_path: Path) -> None:
    """Settings end in logs and tracebacks; nor is one that was written into the file."""
    settings = with_upstreams(loaded(tmp_path, FULL), KEYS)
    assert "secret" not in repr(settings) + str(settings)
    assert "search" not in repr(settings)


@pytest.mark.parametrize("environ", [{"LOCAL_KEY": "k"}, {"LOCAL_KEY": "k", "AZURE_KEY": " "}])
def test_a_missing_variable_is_named_with_the_fix(tmp_path: Path, environ: dict[str, str]) -> None:
    """Before the first request is refused for it."""
    with pytest.raises(ConfigError) as caught:
        with_upstreams(loaded(tmp_path, FULL), environ)
    [line] = caught.value.problems
    told = "upstreams.azure.headers_env.api-key: the variable AZURE_KEY is not set, or empty; set it"
    assert line.startswith(told)


def test_a_key_that_no_header_can_carry_is_refused_unseen(tmp_path: Path) -> None:
    """A line break at its end is a frequent accident, and would be a header of somebody's choice."""
    with pytest.raises(ConfigError) as caught:
        with_upstreams(loaded(tmp_path, FULL), {"AZURE_KEY": "sec\r\nret: 1", "LOCAL_KEY": "secret\n"})
    assert ["AZURE_KEY" in line for line in caught.value.problems] == [True, False]
    assert "sec" not in str(caught.value).replace("the variable", "")


def test_without_any_upstream_nothing_is_served() -> None:
    """The error says how to name one."""
    with pytest.raises(ConfigError, match="no upstream: say --upstream"):
        with_upstreams(Settings(), {})


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("only: {url: http://a}", "upstreams.only: `upstream` takes what no other does already"),
        ("default: {url: http://a, prefix: /a}", "upstreams.default: `upstream` is called that already"),
    ],
)
def test_two_defaults_are_refused_wherever_they_come_from(tmp_path: Path, entry: str, told: str) -> None:
    """A flag or variable may name the second."""
    settings = loaded(tmp_path, f"upstream: http://b\nupstreams:\n  {entry}\n")
    with pytest.raises(ConfigError) as caught:
        with_upstreams(settings, {})
    assert caught.value.problems[0].startswith(told)


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        ("a: {prefix: /a}", '2:6: the key "url" is missing'),
        ("a: {url: ''}", "2:12: must be a URL"),
        ("a: {url: ftp://b}", "2:12: must be a URL"),
        ("a: {url: http://b, prefx: /a}", '2:22: unknown key "prefx"; did you mean "prefix"?'),
        ("a: {url: http://b, timeouts: {idle: 1}}", '2:33: unknown key "idle"; did you mean "idle_s"?'),
        ("a: {url: http://b, connections: -1}", "2:35: must be a whole number at least 0 or null, not -1"),
        ("a: {url: http://b, models: ['']}", "2:31: must be a model's name"),
        ("a b: {url: http://b}", "2:3: a name has 1 to 64 letters"),
        ("a: {url: http://b, key_env: sk-secret}", "2:31: must be the name of an environment variable"),
        ("a: {url: http://b, headers: {A: ''}}", "2:35: must be a text of one line"),
        ('a: {url: http://b, headers: {A: "secret\\n"}}', "2:35: must be a text of one line"),
        ("a: {url: http://b, headers: {A: 53437}}", "2:35: must be a text"),
        ("a: {url: http://b, headers: {'A:': b}}", "2:32: is no name of a header"),
        ("a: {url: http://b, headers_env: {Host: B}}", "2:36: this header is the proxy's to set; remove it"),
        ("a: {url: http://b, headers: {X-Elision-Team: b}}", "2:32: this header is the proxy's"),
        ("a: {url: http://b, headers: {a: b}, headers_env: {A: B}}", "2:53: is set twice"),
        ("a: {url: http://b, key_env: K, headers: {authorization: b}}", "2:44: is set twice"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(tmp_path: Path, entry: str, told: str) -> None:
    """And with nothing that could be a secret."""
    [line] = refused(tmp_path, f"  {entry}\n")
    assert line.startswith(told)
    assert "secret" not in line
    assert "53437" not in line


@pytest.mark.parametrize(
    "prefix", ["a", "/", "/a/", "/a?b", "/a b", "//a", "/a/../b", "/elision", "/elision/x", "/t", "/t/a"]
)
def test_a_prefix_is_a_path_that_is_not_ours(tmp_path: Path, prefix: str) -> None:
    """Teams' and our own paths come first."""
    [line] = refused(tmp_path, f"  a: {{url: http://b, prefix: '{prefix}'}}\n")
    assert line.startswith("2:30: must ")


@pytest.mark.parametrize("prefix", ["/azure", "/team", "/elision-2", "/a/b.c_d~e", "/v1", "/.a"])
def test_other_paths_may_be_prefixes(tmp_path: Path, prefix: str) -> None:
    """Of one step or several."""
    settings = loaded(tmp_path, f"upstreams: {{a: {{url: http://b, prefix: {prefix}}}}}\n")
    assert settings.upstreams["a"].prefix == prefix


def test_what_two_claim_is_refused(tmp_path: Path) -> None:
    """The same prefix, the same glob, or all the rest."""
    entries = (
        "  a: {url: http://a, prefix: /a, models: [m]}\n  b: {url: http://b, prefix: /a, models: [n, m]}\n"
    )
    assert refused(tmp_path, entries) == [
        "3:30: is the prefix of a already; each needs its own",
        "3:46: goes to a already; remove one",
    ]
    [line] = refused(tmp_path, "  a: {url: http://a}\n  b: {url: http://b}\n")
    assert line == "3:6: a takes what no other does already; give a prefix or models"


def test_the_proxy_is_not_its_own_upstream(tmp_path: Path) -> None:
    """One request would go round until no memory is left."""
    settings = load_settings(None, {"ELISION_UPSTREAM": "http://localhost:8484/v1"}, {})
    with pytest.raises(ConfigError, match=r"^upstream: is where the proxy itself listens \(127.0.0.1:8484\)"):
        with_upstreams(settings, {})
    with pytest.raises(ConfigError, match=r"^upstreams.a: is where"):
        with_upstreams(loaded(tmp_path, "upstreams:\n  a: {url: http://127.0.0.1:8484/x}\n"), {})


def test_they_belong_in_a_file() -> None:
    """As tokenizers do."""
    with pytest.raises(ConfigError, match="ELISION_UPSTREAMS: cannot be set by a variable"):
        load_settings(None, {"ELISION_UPSTREAMS": "x"}, {})


@pytest.mark.parametrize("name", sorted(HOP_BY_HOP | {"host", "content-length", "expect"}))
def test_headers_of_the_hop_cannot_be_set(tmp_path: Path, name: str) -> None:
    """Every one that the proxy drops, too."""
    [line] = refused(tmp_path, f"  a: {{url: http://b, headers: {{{name}: b}}}}\n")
    assert "the proxy's to set" in line


@given(st.text(max_size=20))
def test_a_header_takes_no_second_line(value: str) -> None:
    """Whatever a variable holds."""
    entries = {"a": UpstreamEntry("http://a", key_env="K")}
    if value.strip() and fits_header(value):
        [filled] = with_secrets(entries, {"K": value}).values()
        assert filled.headers == {"Authorization": f"Bearer {value}"}
        assert not set("\r\n\0") & set(value)
    else:
        with pytest.raises(ConfigError, match="the variable K"):
            with_secrets(entries, {"K": value})
