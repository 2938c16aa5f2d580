"""What knowing the price of a request costs on the hot path: `estimate` and `settle`, in microseconds.

    python -m benchmarks.pricing

`time_pricing` is a plain function, for others to call.
"""

import statistics
import sys
import time
from dataclasses import dataclass

from elision.accounts.prices import Prices
from elision.accounts.pricing import Priced
from elision.accounts.records import Report, RequestRecord, Shortened
from elision.accounts.usage import Answered, Usage

_BATCH = 200


@dataclass(frozen=True, slots=True)
class Times:
    """Microseconds a request; a sample is the mean of a batch.

    Attributes:
        estimate, settle: medians.
        both, both_p95: median and 95th percentile of one after the other.
        samples: batches.
    """

    estimate: float
    settle: float
    both: float
    both_p95: float
    samples: int


def a_record(model: str = "gpt-5", messages: int = 30) -> RequestRecord:
    """Return the record of a turn in a long conversation of which ten messages were shortened."""
    shortened = tuple(
        Shortened(300 * n, 200, 400, messages - 3 * n, known=n < 9) for n in range(min(10, messages // 3))
    )
    report = Report(
        team="search",
        policy="rag@1a2b3c4d",
        mode="enforce",
        methods=("llmlingua2",),
        tokens_before=9000,
        tokens_after=5000,
        encoding="o200k_base",
        model=model,
        known_before=8300,
        known_after=4700,
        messages=messages,
        new_messages=2,
        shortened=shortened,
    )
    answered = Answered(Usage(5120, 300, 4736), f"{model}-2025-08-07", ("stop",), True)
    return RequestRecord(
        "id", "POST", "/v1/chat/completions", 200, report, answered, at=time.time(), body_bytes=100
    )


def time_pricing(samples: int = 200) -> Times:
    """Return what pricing costs once prices are known."""
    pricing, record = Priced(Prices()), a_record()
    report = record.report
    for _ in range(_BATCH):
        pricing.estimate(report, "")
        pricing.settle(record)
    taken: list[tuple[float, float]] = []
    for _ in range(samples):
        begun = time.perf_counter()
        for _ in range(_BATCH):
            pricing.estimate(report, "")
        middle = time.perf_counter()
        for _ in range(_BATCH):
            pricing.settle(record)
        ended = time.perf_counter()
        taken.append(((middle - begun) / _BATCH * 1e6, (ended - middle) / _BATCH * 1e6))
    both = sorted(sum(pair) for pair in taken)
    return Times(
        estimate=statistics.median(one for one, _ in taken),
        settle=statistics.median(two for _, two in taken),
        both=statistics.median(both),
        both_p95=both[int(0.95 * len(both))],
        samples=samples,
    )


def main() -> None:
    """Print the times."""
    times = time_pricing()
    told = f"estimate {times.estimate:.1f} us, settle {times.settle:.1f} us, "
    told += f"both {times.both:.1f} us, p95 {times.both_p95:.1f} us a request"
    sys.stdout.write(f"{told} ({times.samples} batches; 10 of 30 messages shortened)\n")


if __name__ == "__main__":
    main()
