"""One job to one outcome, by any method.

This module owns the compressors that have been made, and groups jobs so that texts of one method
share batches. It has no deadlines: what runs in Python and native code cannot be interrupted from
within, so whoever needs to stop it runs it in a process of its own. Not for several threads at
once.
"""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from elision.compressors.base import Compressor, Job, Method, Outcome, Target
from elision.compressors.registry import Resources, make_compressor
from elision.compressors.tokens import Counters

KEEP = "keep"
# Long enough to pass every early return, so that preparing runs the weights once.
_WARM_UP = "The quick brown fox jumps over the lazy dog. It was late. Nobody saw it happen there."


class Engine:
    """Makes compressors when first needed, and runs jobs.

    Args:
        counters: token counters; None makes its own.
        cache_dir: where converted weights are kept; None for the user's cache folder.
        threads: CPU threads for tensor work; 0 or None leaves torch's own choice, all cores.
    """

    def __init__(
        self, counters: Counters | None = None, cache_dir: Path | None = None, threads: int | None = None
    ) -> None:
        self._counters = counters or Counters(cache_dir=cache_dir)
        self._resources = Resources(self._counters, cache_dir, threads or None)
        self._made: dict[Method, Compressor] = {}

    def prepare(self, method: Method) -> str:
        """Load a method's weights, run them once, and return its fingerprint.

        Raises: UnknownMethod, BadOption, WeightsMissing.
        """
        if method.name == KEEP:
            return KEEP
        compressor = self._compressor(method)
        compressor.compress([_WARM_UP], [Target(rate=0.5)])
        return compressor.fingerprint

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Return one outcome for each job, in their order; equal jobs are done once.

        Raises: CompressionError if a method cannot be made, ValueError for impossible targets.
        """
        groups: dict[Method, dict[Job, None]] = defaultdict(dict)
        for job in jobs:
            groups[job.method][job] = None
        outcomes: dict[Job, Outcome] = {}
        for method, group in groups.items():
            outcomes.update(zip(group, self._run(method, list(group)), strict=True))
        return [outcomes[job] for job in jobs]

    def _run(self, method: Method, jobs: Sequence[Job]) -> list[Outcome]:
        if method.name == KEEP:
            return [self._kept(job) for job in jobs]
        return self._compressor(method).compress([job.text for job in jobs], [job.target for job in jobs])

    def _kept(self, job: Job) -> Outcome:
        tokens = self._counters.counter_for(job.target.model).count(job.text)
        return Outcome(job.text, tokens, tokens, (), KEEP, KEEP, KEEP)

    def _compressor(self, method: Method) -> Compressor:
        if method not in self._made:
            self._made[method] = make_compressor(method, self._resources)
        return self._made[method]
