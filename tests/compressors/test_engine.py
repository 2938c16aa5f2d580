"""Any mixture of jobs comes back in order, each by its own method."""

from pathlib import Path

import pytest

from elision.compressors import compress
from elision.compressors.base import Job, Method, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import UnknownMethod, WeightsMissing
from elision.compressors.tokens import Counters
from fakes.tiny_lm import save_tiny_lm

PROSE = "The fox was late. It jumps over lazy dogs. He said that the meeting was held. Reports may be filed. "
JSON = '{ "a": 1,\n  "b": [ 2, 3 ] }'


def methods(folder: Path) -> list[Method]:
    save_tiny_lm(folder)
    chosen = [(("level", level), ("weights", str(folder))) for level in ("sentence", "phrase", "word")]
    return [Method("selective_context", options) for options in chosen]


def test_jobs_of_several_methods_come_back_in_order(tmp_path: Path) -> None:
    """Grouped inside, invisible outside; each outcome is what the job alone gives."""
    engine = Engine(Counters(), tmp_path / "cache", threads=0)
    half = Target(rate=0.5, model="gpt-4o")
    jobs = [Job(PROSE, method, half) for method in methods(tmp_path / "lm")]
    jobs = [*jobs, Job(JSON, Method("lossless"), Target()), Job(PROSE, Method("keep"), half), jobs[0]]
    outcomes = engine.run(jobs)
    assert [outcome.method for outcome in outcomes] == [job.method.name for job in jobs]
    assert outcomes == [engine.run([job])[0] for job in jobs]
    assert all(o.tokens_after < o.tokens_before for o in outcomes if o.method != "keep")
    assert outcomes[0] == outcomes[-1]


def test_preparing_gives_the_fingerprint_of_the_outcomes(tmp_path: Path) -> None:
    """The proxy asks the cache by it before it has an outcome."""
    engine = Engine(Counters(), tmp_path / "cache")
    for method in [*methods(tmp_path / "lm"), Method("lossless"), Method("keep")]:
        fingerprint = engine.prepare(method)
        assert engine.run([Job(PROSE, method, Target(rate=0.5))])[0].fingerprint == fingerprint


def test_fingerprints_do_not_depend_on_where_weights_lie(tmp_path: Path) -> None:
    """Machines that share a cache have their weights in different folders."""
    one, two = (methods(tmp_path / name)[0] for name in ("a", "b"))
    assert Engine().prepare(one) == Engine(cache_dir=tmp_path / "c").prepare(two)


def test_keeping_changes_nothing() -> None:
    """The identity, with a count and a reason."""
    [outcome] = Engine().run([Job(PROSE, Method("keep"), Target())])
    assert (outcome.text, outcome.reason) == (PROSE, "keep")


def test_what_cannot_be_made_is_an_error_of_ours(tmp_path: Path) -> None:
    """Callers catch one tree."""
    engine = Engine(cache_dir=tmp_path)
    with pytest.raises(UnknownMethod):
        engine.prepare(Method("nothing_like_it"))
    with pytest.raises(WeightsMissing):
        engine.run([Job(PROSE, Method("selective_context", (("weights", "./none"),)), Target(rate=0.5))])


def test_no_jobs_no_outcomes() -> None:
    """An empty batch is not an error."""
    assert Engine().run([]) == []


def test_one_text_can_be_compressed_by_one_call(tmp_path: Path) -> None:
    """The front door takes the method's options by name."""
    save_tiny_lm(tmp_path)
    outcome = compress(PROSE, rate=0.5, weights=str(tmp_path), level="phrase")
    assert outcome.reason == ""
    assert len(outcome.text) < len(PROSE)
    assert compress(JSON, method="lossless").text == '{"a":1,"b":[2,3]}'
