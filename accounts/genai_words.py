"""How OpenTelemetry's conventions for generative AI call what a record holds. Pure.

Source: OpenTelemetry semantic conventions for generative AI, client spans and client metrics (in
development; names as of 2026). What is Elision's own is called `elision.*`.
"""

from collections.abc import Mapping
from urllib.parse import urlsplit

from elision.accounts.labels import NAME_LETTERS, PATH_LETTERS, cleaned, labels_of
from elision.accounts.money import NANO
from elision.accounts.records import RequestRecord

Value = str | bool | int | float | tuple[str, ...]

_OPERATIONS = (
    ("/chat/completions", "chat"),
    ("/responses", "chat"),
    ("/messages", "chat"),
    ("/completions", "text_completion"),
    ("/embeddings", "embeddings"),
)
_PROVIDERS = (
    ("openai.azure.com", "azure.ai.openai"),
    ("services.ai.azure.com", "azure.ai.inference"),
    ("anthropic.com", "anthropic"),
    ("mistral.ai", "mistral_ai"),
    ("deepseek.com", "deepseek"),
    ("groq.com", "groq"),
    ("x.ai", "x_ai"),
    ("cohere.com", "cohere"),
    ("cohere.ai", "cohere"),
    ("perplexity.ai", "perplexity"),
    ("generativelanguage.googleapis.com", "gcp.gemini"),
    ("amazonaws.com", "aws.bedrock"),
)


def operation_of(path: str) -> str:
    """Return what a request asks a model to do, "" where it asks none."""
    return next((name for end, name in _OPERATIONS if path.endswith(end)), "")


def provider_of(url: str) -> str:
    """Return the provider of an upstream; `openai`, whose API it speaks, where its host is of no other."""
    host = urlsplit(url).hostname or ""
    named = (name for end, name in _PROVIDERS if host == end or host.endswith(f".{end}"))
    return next(named, "openai")


def server_of(url: str) -> dict[str, Value]:
    """Return an upstream's address and port."""
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    return {"server.address": parts.hostname or "", "server.port": port}


def error_of(record: RequestRecord) -> str:
    """Return what kind of error a request ended in, "" for none: our own word, or the status."""
    return record.error or (str(record.status) if record.status >= 400 else "")


def name_of(record: RequestRecord) -> str:
    """Return a span's name: the operation and the model, or the HTTP method."""
    operation = operation_of(record.path)
    model = cleaned(record.report.model, NAME_LETTERS)
    return f"{operation} {model}".strip() if operation else record.method


def shared_words(record: RequestRecord, url: str) -> dict[str, Value]:
    """Return what both spans and metrics say of a request.

    Args:
        record: of the request.
        url: of its upstream.
    """
    words: dict[str, Value] = {}
    if operation := operation_of(record.path):
        words["gen_ai.operation.name"] = operation
    provider = provider_of(url)
    words |= {"gen_ai.provider.name": provider, "gen_ai.system": provider, **server_of(url)}
    if record.report.model:
        words["gen_ai.request.model"] = cleaned(record.report.model, NAME_LETTERS)
    if record.answered.model:
        words["gen_ai.response.model"] = cleaned(record.answered.model, NAME_LETTERS)
    if error := error_of(record):
        words["error.type"] = error
    return words


def span_words(record: RequestRecord, url: str) -> Mapping[str, Value]:
    """Return the attributes of a request's span.

    Args:
        record: of the request.
        url: of its upstream.
    """
    words = shared_words(record, url)
    words |= {"http.request.method": record.method, "url.path": cleaned(record.path, PATH_LETTERS)}
    if record.status:
        words["http.response.status_code"] = record.status
    if record.answered.finish_reasons:
        words["gen_ai.response.finish_reasons"] = record.answered.finish_reasons
    usage = record.answered.usage
    if usage is not None:
        words |= {
            "gen_ai.usage.input_tokens": usage.prompt_tokens,
            "gen_ai.usage.output_tokens": usage.completion_tokens,
            "gen_ai.usage.cache_read.input_tokens": usage.cached_tokens,
            "gen_ai.usage.cache_creation.input_tokens": usage.cache_write_tokens,
        }
    return words | own_words(record)


def own_words(record: RequestRecord) -> dict[str, Value]:
    """Return what Elision has to say of a request; what is empty is left out."""
    report, money = record.report, record.money
    team, policy, method, _, upstream = labels_of(record)
    words: dict[str, Value] = {
        "elision.request_id": record.request_id,
        "elision.team": team,
        "elision.policy": policy,
        "elision.method": method,
        "elision.upstream": upstream,
        "elision.mode": report.mode,
        "elision.tokens.before": report.tokens_before,
        "elision.tokens.after": report.tokens_after,
        "elision.tokens.saved": record.tokens_saved,
        "elision.tokens.audited": report.tokens_only_audited,
        "elision.basis": str(record.basis) if record.tokens_saved else "",
        "elision.cache": report.cache,
        "elision.prefix": report.prefix,
        "elision.bypass": report.bypass,
        "elision.original_resent": record.sent_original_after_rejection,
        "elision.streamed": record.answered.streamed,
        "elision.overhead_ms": round(record.overhead_ms, 3),
    }
    if money is not None:
        words |= {"elision.cost_usd": money.cost / NANO, "elision.saved_usd": money.saved / NANO}
        words["elision.cost_basis"] = str(money.basis)
    return {name: value for name, value in words.items() if value not in ("", (), 0, False)}
