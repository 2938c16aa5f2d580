"""Metrics of finished requests for an OpenTelemetry collector, sent by the SDK's own thread.

Those of the conventions for generative AI, and Elision's own; labels are bounded as Prometheus' are.
"""

from importlib.metadata import version

from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource

from elision.accounts.archive import OVERHEAD_BOUNDS_MS
from elision.accounts.genai_words import Value, operation_of, shared_words
from elision.accounts.labels import OTHER, labels_of
from elision.accounts.meters import MODELS, NAMES, Bounded
from elision.accounts.money import NANO
from elision.accounts.records import RequestRecord

TOKEN_BOUNDS = tuple(4**power for power in range(14))
SECOND_BOUNDS = tuple(0.01 * 2**power for power in range(14))
"""Both as the conventions advise."""
TIMEOUT_S = 5.0
_MODELS = ("gen_ai.request.model", "gen_ai.response.model")


class TelemetryMetrics:
    """Records requests by OpenTelemetry's instruments; for one thread.

    Args:
        url: where to.
        headers: for the collector.
        resource: who we are.
    """

    def __init__(self, url: str, headers: dict[str, str], resource: Resource) -> None:
        exporter = OTLPMetricExporter(endpoint=url, headers=headers, timeout=TIMEOUT_S)
        reader = PeriodicExportingMetricReader(exporter)
        self._provider = MeterProvider([reader], resource=resource, shutdown_on_exit=False)
        self._models, self._names = Bounded(MODELS), Bounded(NAMES)
        meter = self._provider.get_meter("elision", version("elision"))
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage",
            "{token}",
            "Tokens as upstreams state them.",
            explicit_bucket_boundaries_advisory=TOKEN_BOUNDS,
        )
        self._duration = meter.create_histogram(
            "gen_ai.client.operation.duration",
            "s",
            "From the first byte of a request to the last of its answer.",
            explicit_bucket_boundaries_advisory=SECOND_BOUNDS,
        )
        self._overhead = meter.create_histogram(
            "elision.overhead",
            "s",
            "Time that the proxy itself took before the answer began.",
            explicit_bucket_boundaries_advisory=[bound / 1000 for bound in OVERHEAD_BOUNDS_MS],
        )
        self._requests = meter.create_counter("elision.requests", "{request}", "Requests finished.")
        self._bypasses = meter.create_counter("elision.bypasses", "{request}", "Something stayed as it was.")
        # What is saved may be negative.
        self._saved = meter.create_up_down_counter("elision.tokens.saved", "{token}", "Tokens saved.")
        self._cost = meter.create_counter("elision.cost", "USD", "What requests cost.")
        self._money = meter.create_up_down_counter("elision.cost.saved", "USD", "What was saved.")

    def add(self, record: RequestRecord, url: str) -> None:
        """Record one request.

        Args:
            record: of the request.
            url: of its upstream.
        """
        self._add_own(record)
        if not operation_of(record.path):
            return
        words = self._bounded(shared_words(record, url), record)
        self._duration.record(record.total_ms / 1000, words)
        usage = record.answered.usage
        if usage is not None:
            self._tokens.record(usage.prompt_tokens, {**words, "gen_ai.token.type": "input"})
            self._tokens.record(usage.completion_tokens, {**words, "gen_ai.token.type": "output"})

    def close(self) -> None:
        """Send what was recorded, and end."""
        self._provider.shutdown(timeout_millis=TIMEOUT_S * 1000)

    def _add_own(self, record: RequestRecord) -> None:
        team, policy, method, _, upstream = labels_of(record)
        said = (
            ("team", team),
            ("policy", policy.partition("@")[0]),
            ("method", method),
            ("upstream", upstream),
        )
        words = {f"elision.{name}": value for name, value in said}
        self._requests.add(1, words)
        self._overhead.record(record.overhead_ms / 1000, words)
        for reason in record.report.bypass:
            self._bypasses.add(1, {"elision.team": team, "elision.bypass": self._names.name(reason)})
        if record.tokens_saved:
            self._saved.add(record.tokens_saved, {**words, "elision.basis": str(record.basis)})
        if record.money is not None:
            basis = {**words, "elision.basis": str(record.money.basis)}
            self._cost.add(record.money.cost / NANO, basis)
            self._money.add(record.money.saved / NANO, basis)

    def _bounded(self, words: dict[str, Value], record: RequestRecord) -> dict[str, Value]:
        """Return words with `other` for models that nobody answered for, or that are too many."""
        is_good = 0 < record.status < 400
        for name in _MODELS:
            model = words.get(name, OTHER)
            if name in words and isinstance(model, str):
                words[name] = self._models.name(model, is_new_welcome=is_good)
        return words
