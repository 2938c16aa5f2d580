"""One job to one outcome, by any method.

This module owns the compressors that have been made, groups jobs so that texts of one method share
batches, and goes on in smaller portions where memory runs out. It has no deadlines: whoever has
listens at the moments that `elision.compressors.breaks` offers. Jobs run in one thread; `load` may
be called from another meanwhile, so that new weights come in beside running work.
"""

import logging
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path

from elision.compressors.base import Compressor, Identity, Job, Method, Outcome, Result, Target
from elision.compressors.errors import OutOfMemory
from elision.compressors.extractive import Extractive
from elision.compressors.memory import Portions, is_out_of_memory, release, suspects
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
        self.counters = counters or Counters(cache_dir=cache_dir)
        self._resources = Resources(self.counters, cache_dir, threads or None)
        self._made: dict[Method, Compressor] = {}
        self._loading = threading.Lock()
        self._portions = Portions()
        self._log = logging.getLogger("elision.compressor")

    def load(self, method: Method) -> None:
        """Load a method's weights, in any thread; one method at a time.

        Raises: UnknownMethod, BadOption, WeightsMissing.
        """
        if method.name != KEEP:
            self.compressor(method)

    def prepare(self, method: Method) -> Identity:
        """Load a method's weights, run them once, and say on what its outcomes and scores depend.

        Raises: UnknownMethod, BadOption, WeightsMissing.
        """
        if method.name == KEEP:
            return Identity(KEEP, reads_question=False)
        compressor = self.compressor(method)
        compressor.compress([_WARM_UP], [Target(rate=0.5)])
        if isinstance(compressor, Extractive):
            return compressor.identity
        # Whoever does not say is thought to read it: a needless miss rather than another question's outcome.
        return Identity(compressor.fingerprint, reads_question=getattr(compressor, "reads_question", True))

    def run(self, jobs: Sequence[Job]) -> list[Outcome]:
        """Return one outcome for each job, in their order; equal jobs are done once.

        Raises: CompressionError if a method cannot be made, has no memory for a text, or the work
            was abandoned; ValueError for impossible targets.
        """
        return [result.outcome for result in self.run_known(jobs, [b""] * len(jobs))]

    def run_known(self, jobs: Sequence[Job], known: Sequence[bytes]) -> list[Result]:
        """Return what became of each job, in their order, and scores that are worth keeping.

        Args:
            known: (jobs,) packed scores of each job's text by its method's scorer, b"" for none.
        Raises: as `run`.
        """
        groups: dict[Method, dict[Job, bytes]] = defaultdict(dict)
        for job, scores in zip(jobs, known, strict=True):
            groups[job.method][job] = scores or groups[job.method].get(job, b"")
        results: dict[Job, Result] = {}
        for method, group in groups.items():
            # The longest first: alike in length they share batches without padding, and what is too
            # much for the memory shows at once.
            ordered = sorted(group, key=lambda job: -len(job.text))
            results.update(zip(ordered, self._run(method, ordered, group), strict=True))
        return [results[job] for job in jobs]

    def compressor(self, method: Method) -> Compressor:
        """Return a method's compressor, made when first asked for.

        Raises: UnknownMethod, BadOption, WeightsMissing.
        """
        made = self._made.get(method)
        if made is None:
            with self._loading:
                made = self._made.get(method) or make_compressor(method, self._resources)
                self._made[method] = made
        return made

    def _run(self, method: Method, jobs: Sequence[Job], known: Mapping[Job, bytes]) -> list[Result]:
        if method.name == KEEP:
            return [Result(self._kept(job)) for job in jobs]
        compressor = self.compressor(method)
        sizes = [len(job.text) for job in jobs]
        results: list[Result] = []
        while len(results) < len(jobs):
            at = len(results)
            count = self._portions.first(method, sizes[at:])
            try:
                results += _compressed(compressor, jobs[at : at + count], known)
            except suspects() as error:
                if not is_out_of_memory(error):
                    raise
                self._make_room(method, sum(sizes[at : at + count]), error, alone=count == 1)
        return results

    def _make_room(self, method: Method, size: int, error: Exception, *, alone: bool) -> None:
        """Free memory and remember to do less at once; nothing is less than one text."""
        if alone:
            raise OutOfMemory(f"{method.name}: no memory for a text of {size} characters") from error
        self._portions.halve(method, size)
        release()
        self._log.warning("%s: memory ran out at %s characters; half of that from now", method.name, size)

    def _kept(self, job: Job) -> Outcome:
        tokens = self.counters.counter_for(job.target.model).count(job.text)
        return Outcome(job.text, tokens, tokens, (), KEEP, KEEP, KEEP)


def _compressed(compressor: Compressor, jobs: Sequence[Job], known: Mapping[Job, bytes]) -> list[Result]:
    texts, targets = [job.text for job in jobs], [job.target for job in jobs]
    if isinstance(compressor, Extractive):
        return compressor.compress_known(texts, targets, [known[job] for job in jobs])
    return [Result(outcome) for outcome in compressor.compress(texts, targets)]
