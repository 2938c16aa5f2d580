"""Any mixture of jobs comes back in order, each by its own method."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from elision.compressors.base import Compressor, Job, Method, Outcome, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import OutOfMemory, UnknownMethod, WeightsMissing
from elision.compressors.tokens import Counters
from fakes.tiny_classifier import save_tiny_bert
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
        identity = engine.prepare(method)
        assert engine.run([Job(PROSE, method, Target(rate=0.5))])[0].fingerprint == identity.fingerprint


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


class Cramped:
    """A compressor that has memory for so many characters at once; remembers what it was given."""

    fingerprint = "cramped"

    def __init__(self, room: int) -> None:
        self.room = room
        self.batches: list[list[int]] = []

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        self.batches.append([len(text) for text in texts])
        if sum(map(len, texts)) > self.room:
            raise RuntimeError("CUDA out of memory. Tried to allocate more than there is.")
        return [Outcome(text[:1], len(text), 1, (), "cramped", "cramped") for text in texts]


class WithCompressor(Engine):
    """An engine whose every method is one compressor."""

    def __init__(self, compressor: Compressor) -> None:
        super().__init__()
        self.only = compressor

    def compressor(self, method: Method) -> Compressor:
        return self.only


def jobs_of(*lengths: int) -> list[Job]:
    return [Job(f"{at}" * length, Method("cramped"), Target()) for at, length in enumerate(lengths)]


def test_longer_texts_go_first_and_outcomes_come_back_in_order() -> None:
    """Alike in length, texts share batches without padding."""
    cramped = Cramped(room=100)
    outcomes = WithCompressor(cramped).run(jobs_of(3, 9, 5))
    assert cramped.batches == [[9, 5, 3]]
    assert [outcome.text for outcome in outcomes] == ["0", "1", "2"]


def test_a_lack_of_memory_halves_what_is_done_at_once() -> None:
    """And goes on, remembering; every outcome is there."""
    cramped = Cramped(room=10)
    engine = WithCompressor(cramped)
    assert len(engine.run(jobs_of(8, 4, 4, 4))) == 4
    assert cramped.batches == [[8, 4, 4, 4], [8], [4, 4], [4]]
    cramped.batches.clear()
    engine.run(jobs_of(4, 4, 4, 4))
    assert cramped.batches == [[4, 4], [4, 4]]


def test_one_text_that_no_memory_holds_is_an_error_of_its_own() -> None:
    """Nothing is smaller than one text; whoever asked hears why."""
    with pytest.raises(OutOfMemory, match="no memory for a text of 11 characters"):
        WithCompressor(Cramped(room=10)).run(jobs_of(11, 2))


def test_other_errors_are_not_mended() -> None:
    """A batch that fails for another reason is not run twice."""

    class Broken(Cramped):
        def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
            self.batches.append([])
            raise RuntimeError("shapes do not match")

    broken = Broken(room=0)
    with pytest.raises(RuntimeError, match="shapes"):
        WithCompressor(broken).run(jobs_of(2, 2))
    assert len(broken.batches) == 1


def test_weights_can_be_loaded_beside_running_jobs(tmp_path: Path) -> None:
    """By another thread; jobs then find them ready, and a method is made once."""
    engine = Engine(cache_dir=tmp_path / "cache")
    method = methods(tmp_path / "lm")[0]
    with ThreadPoolExecutor() as pool:
        list(pool.map(engine.load, [method, method]))
    assert engine.compressor(method) is engine.compressor(method)
    assert engine.prepare(method).fingerprint == engine.compressor(method).fingerprint


def test_the_scorers_part_of_an_identity_does_not_know_the_selectors_options() -> None:
    """So that another rate, other protected classes and forced strings find the same scores."""
    engine = Engine()
    plain, forced = Method("frequency"), Method("frequency", (("force_reserve_digit", True),))
    word, lossless = Method("frequency", (("level", "word"),)), Method("lossless")
    one, other, finer, none = map(engine.prepare, (plain, forced, word, lossless))
    assert one.scorer == other.scorer
    assert one.fingerprint != other.fingerprint
    assert one.scorer != finer.scorer
    assert none.scorer == ""
    assert not one.reads_question


def test_scores_that_are_known_are_not_found_again() -> None:
    """They come back with the first outcome; with them the next one is the same as without."""
    engine, method = Engine(), Method("frequency")
    first, lossless = engine.run_known(
        [Job(PROSE, method, Target(rate=0.5)), Job(JSON, Method("lossless"), Target())], [b"", b""]
    )
    assert first.scores
    assert lossless.scores == b""
    less = Job(PROSE, method, Target(rate=0.3))
    [known] = engine.run_known([less], [first.scores])
    assert known.scores == b""
    assert known.outcome == engine.run([less])[0] != first.outcome


def test_of_equal_jobs_one_has_to_bring_scores() -> None:
    """Whichever it is; jobs of another text of the batch are read."""
    engine, method = Engine(), Method("frequency")
    job, other = (Job(text, method, Target(rate=0.5)) for text in (PROSE, PROSE[::-1]))
    scores = engine.run_known([job], [b""])[0].scores
    for known in ([scores, b"", b""], [b"", scores, b""]):
        results = engine.run_known([job, job, other], known)
        assert [bool(result.scores) for result in results] == [False, False, True]


def select_methods(folder: Path) -> list[Method]:
    """Return every method that selects, in the forms that need no published weights."""
    levels = [Method("frequency", (("level", level),)) for level in ("word", "phrase", "sentence")]
    tiny = save_tiny_bert(folder / "bert")
    classified = [
        Method("llmlingua2", (*options, ("weights", str(tiny))))
        for options in ((("engine", "torch"),), (("engine", "torch"), ("token_to_word", "first")))
    ]
    return [*levels, *classified, *methods(folder / "lm")]


def test_a_changed_rate_with_known_scores_gives_what_reading_anew_gives(tmp_path: Path) -> None:
    """Byte for byte, by every method; nor do protected classes or forced strings need the text again."""
    engine = Engine(cache_dir=tmp_path / "cache")
    text = PROSE * 2 + "On 12 March 2024 the report cost 300 dollars, and was not filed. " + PROSE
    targets = [
        Target(rate=rate, protect=names) for rate in (0.2, 0.55, 0.8) for names in (None, ("numbers",))
    ]
    targets.append(Target(tokens=30))
    forced = (("force_reserve_digit", True), ("force_tokens", (",",)))
    for method in select_methods(tmp_path):
        [first] = engine.run_known([Job(text, method, Target(rate=0.4))], [b""])
        other = Method(method.name, tuple(sorted((*forced, *method.options))))
        jobs = [Job(text, one, target) for one in (method, other) for target in targets]
        known = engine.run_known(jobs, [first.scores] * len(jobs))
        assert [result.outcome for result in known] == engine.run(jobs)
        assert {result.scores for result in known} == {b""}
        assert first.scores


def test_only_methods_that_read_the_question_depend_on_it() -> None:
    """A document that was made smaller without loss is found again under another question."""
    assert not Engine().prepare(Method("lossless")).reads_question
