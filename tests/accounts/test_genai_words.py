"""How OpenTelemetry calls what a record holds."""

import pytest

from elision.accounts.genai_words import error_of, name_of, operation_of, own_words, provider_of, server_of
from elision.accounts.records import Report, RequestRecord


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/v1/chat/completions", "chat"),
        ("/v1/responses", "chat"),
        ("/v1/completions", "text_completion"),
        ("/v1/embeddings", "embeddings"),
        ("/v1/messages", "chat"),
        ("/v1/models", ""),
    ],
)
def test_operations_are_told_by_the_path(path: str, operation: str) -> None:
    """Only where a model is asked for something."""
    assert operation_of(path) == operation


@pytest.mark.parametrize(
    ("url", "provider"),
    [
        ("https://api.openai.com", "openai"),
        ("https://mine.openai.azure.com/openai", "azure.ai.openai"),
        ("https://api.x.ai", "x_ai"),
        ("https://api.max.ai", "openai"),
        ("http://10.0.0.1:8000", "openai"),
        ("", "openai"),
    ],
)
def test_providers_are_told_by_the_host(url: str, provider: str) -> None:
    """Whole labels of it; who is unknown speaks OpenAI's API."""
    assert provider_of(url) == provider


def test_servers_have_the_port_of_their_scheme() -> None:
    """Where the URL names none."""
    assert server_of("https://h/v1") == {"server.address": "h", "server.port": 443}
    assert server_of("http://h:8000") == {"server.address": "h", "server.port": 8000}


def test_errors_are_our_word_or_the_status() -> None:
    """And none where all is well."""
    assert error_of(RequestRecord("id", "POST", "/", 200)) == ""
    assert error_of(RequestRecord("id", "POST", "/", 429)) == "429"
    assert error_of(RequestRecord("id", "POST", "/", 502, error="upstream_error")) == "upstream_error"


def test_names_are_few() -> None:
    """The operation and the model, or the HTTP method."""
    report = Report(model="gpt-4o")
    assert name_of(RequestRecord("id", "POST", "/v1/chat/completions", 200, report)) == "chat gpt-4o"
    assert name_of(RequestRecord("id", "POST", "/v1/chat/completions", 200)) == "chat"
    assert name_of(RequestRecord("id", "GET", "/v1/files/secret-name", 200)) == "GET"


def test_what_is_empty_is_not_told() -> None:
    """Of a request that nobody looked into."""
    told = own_words(RequestRecord("id", "GET", "/v1/models", 200))
    assert set(told) == {"elision.request_id", "elision.team", "elision.policy", "elision.method"}
