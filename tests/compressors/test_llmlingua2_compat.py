"""Profile `compat` says what the reference said, of the same weights; where it crashed we refuse.

`golden_llmlingua2.json` holds what `llmlingua` 0.2.2 with transformers 4.46.3 made of
`golden_texts.py`; `benchmarks/parity_llmlingua2.py --golden` writes it anew.
"""

import hashlib
import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import pytest

import fakes.golden_texts
from elision.compressors.base import Job, Method, OptionValue, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption, CompressionError
from elision.compressors.llmlingua2 import TokenToWord
from elision.compressors.llmlingua2_compat import Compat, CompatOptions, CompatResult, ContextFilter
from elision.compressors.tokens import Counters
from elision.compressors.torch_classifier import TorchClassifier
from fakes.fixed_classifier import FixedClassifier
from fakes.golden_texts import OPTIONS, SENTENCES, golden_contexts
from fakes.tiny_classifier import save_tiny_bert, save_tiny_modernbert, save_tiny_xlmr

FOLDER = Path(fakes.golden_texts.__file__).parent
GOLDEN: dict[str, list[dict[str, Any]]] = json.loads((FOLDER / "golden_llmlingua2.json").read_text("utf-8"))
CASES = [(name, row) for name, rows in GOLDEN.items() for row in rows]


@cache
def counters() -> Counters:
    return Counters()


@pytest.fixture(scope="module")
def classifiers(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TorchClassifier]:
    makers = {"bert-base-multilingual-cased": save_tiny_bert, "xlm-roberta-large": save_tiny_xlmr}
    return {name: TorchClassifier.load(make(tmp_path_factory.mktemp(name))) for name, make in makers.items()}


def compat(classifier: TorchClassifier, told: Mapping[str, Any]) -> Compat:
    options = CompatOptions(
        TokenToWord(told.get("token_to_word", "mean")),
        tuple(told.get("force_tokens", ())),
        told.get("force_reserve_digit", False),
        told.get("drop_consecutive", False),
        tuple(told.get("chunk_end_tokens", (".", "\n"))),
    )
    return Compat(classifier, counters(), options)


def answer(classifier: TorchClassifier, contexts: list[str], told: Mapping[str, Any]) -> CompatResult:
    chosen = None
    if told.get("use_context_level_filter"):
        ids = tuple(told.get("force_context_ids", ()))
        chosen = ContextFilter(told.get("target_context", -1), force_context_ids=ids)
    return compat(classifier, told).compress_prompt(
        contexts,
        rate=told.get("rate", 0.5),
        target_token=told.get("target_token", -1),
        context_filter=chosen,
    )


@pytest.mark.parametrize(("name", "wanted"), CASES, ids=lambda v: v if isinstance(v, str) else str(v["case"]))
def test_outputs_are_the_references(
    name: str, wanted: dict[str, Any], classifiers: dict[str, TorchClassifier]
) -> None:
    """Texts, words, labels and counts, to the letter."""
    first, last, at = wanted["case"]
    contexts = golden_contexts(first, last, at)
    if "crash" in wanted:
        with pytest.raises(CompressionError, match="compat: the reference"):
            answer(classifiers[name], contexts, OPTIONS[at])
        return
    found = answer(classifiers[name], contexts, OPTIONS[at])
    labelled = "\t\t|\t\t".join(f"{w} {label}" for w, label in zip(found.words, found.labels, strict=True))
    assert list(found.compressed_prompt_list) == wanted["compressed_prompt_list"]
    assert hashlib.sha256(labelled.encode()).hexdigest() == wanted["labelled_sha256"]
    assert (found.origin_tokens, found.compressed_tokens) == (
        wanted["origin_tokens"],
        wanted["compressed_tokens"],
    )


def test_golden_outputs_cover_both_families_and_all_options() -> None:
    """And more than one chunk, and a crash."""
    assert set(GOLDEN) == {"bert-base-multilingual-cased", "xlm-roberta-large"}
    for rows in GOLDEN.values():
        assert {row["case"][2] for row in rows} == set(range(len(OPTIONS)))
    assert any("crash" in row for _, row in CASES)


@pytest.mark.parametrize(
    ("contexts", "told", "message"),
    [
        (["the <|endoftext|> of"], {"rate": 0.5}, "OpenAI's special tokens"),
        (["the council said"], {"rate": 0.0}, "rate 0"),
        ([""], {"target_token": 5}, "divides by zero on an empty text"),
        (["☃☃"], {"rate": 0.5}, "without known words"),
        (["the", ""], {"rate": 0.5, "use_context_level_filter": True}, "divides by zero where a context"),
        (["the [PAD] of"], {"rate": 0.5}, r"takes \[PAD\] in a text for padding"),
    ],
)
def test_what_the_reference_dies_of_is_refused(
    contexts: list[str],
    told: dict[str, Any],
    message: str,
    classifiers: dict[str, TorchClassifier],
) -> None:
    """In words, not with an IndexError."""
    with pytest.raises(CompressionError, match=message):
        answer(classifiers["bert-base-multilingual-cased"], contexts, told)


def test_a_chunk_that_begins_inside_a_word_is_refused(tmp_path: Path) -> None:
    """As where a checkpoint takes the sign that begins words for a mark, and skips it."""
    folder = save_tiny_xlmr(tmp_path)
    (folder / "tokenizer_config.json").write_text(json.dumps({"bos_token": "▁"}))
    odd = Compat(FixedClassifier(folder), counters())
    with pytest.raises(CompressionError, match="inside a word"):
        odd.compress_prompt(["xyz"])


def test_force_tokens_without_their_rows_are_refused(tmp_path: Path) -> None:
    """The reference would draw a row at random, and answer differently each version."""
    bare = TorchClassifier.load(save_tiny_bert(tmp_path, new_rows=0))
    with pytest.raises(BadOption, match=r"needs a \[NEW1\] row that these weights lack"):
        Compat(bare, counters(), CompatOptions(force_tokens=(".", "The answer is")))


def test_more_force_tokens_than_rows_are_refused(classifiers: dict[str, TorchClassifier]) -> None:
    """A hundred, as the reference asserts."""
    many = tuple(f"word{i}" for i in range(101))
    with pytest.raises(BadOption, match="takes 100 force_tokens, not 101"):
        Compat(classifiers["xlm-roberta-large"], counters(), CompatOptions(force_tokens=many))


def test_other_families_are_refused(tmp_path: Path) -> None:
    """The reference knows two."""
    classifier = TorchClassifier.load(save_tiny_modernbert(tmp_path))
    with pytest.raises(BadOption, match="knows BERT and XLM-R only"):
        Compat(classifier, counters())


def test_the_profile_is_a_compressor(tmp_path: Path) -> None:
    """By the method's name and options; an outcome has no slices, for it rewrites."""
    options: tuple[tuple[str, OptionValue], ...] = (
        ("profile", "compat"),
        ("weights", str(save_tiny_bert(tmp_path / "model"))),
    )
    engine = Engine(cache_dir=tmp_path / "cache", threads=1)
    method = Method("llmlingua2", options)
    text = " ".join(SENTENCES)
    shorter, same, whole = engine.run(
        [
            Job(text, method, Target(rate=0.5, model="gpt-4")),
            Job(text, method, Target(model="gpt-4")),
            Job("the", method, Target(rate=1.0, model="gpt-4")),
        ]
    )
    assert shorter.tokens_after < shorter.tokens_before
    assert (shorter.kept, shorter.reason) == ((), "")
    assert (same.text, same.reason) == (text, "no_target")
    assert (whole.text, whole.reason) == ("the", "not_shorter")
