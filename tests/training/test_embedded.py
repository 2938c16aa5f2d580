"""The recipe makes a folder that can be used, and the shipped weights keep answers that frequency loses."""

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec
import numpy as np
import pytest
import torch

import elision.compressors
from elision.compressors.base import Scorer, Target, Units
from elision.compressors.blend import Blend
from elision.compressors.checkpoints import Prepared
from elision.compressors.extractive import Extractive
from elision.compressors.frequency import Frequency, Table
from elision.compressors.onnx_classifier import OnnxClassifier
from elision.compressors.token_classifier import MANIFEST
from elision.compressors.tokens import Counters
from elision.compressors.units import words
from elision.evaluation.survival import survives
from elision.training.card import Told
from elision.training.embedded import (
    BLENDED,
    CARD,
    COVID_TAUGHT,
    Taught,
    frames,
    make,
    options,
    taught,
)
from elision.training.records import LabelledText, write_records
from fakes.passages import PASSAGES
from fakes.tiny_classifier import save_tiny_bert

SHIPPED = Path(elision.compressors.__file__).parent / "embedded"
MOST_BYTES = 25_000_000


class Embedded:
    """The shipped weights and their formula, as plainly as can be: one window for each text."""

    reads_question = False
    fingerprint = "embedded"

    def __init__(self, folder: Path) -> None:
        self._classifier, self._blend = OnnxClassifier.load(folder, 1), Blend.read(folder)
        self._tokenizer = self._classifier.vocabulary.tokenizer()

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        return [self._units(text) for text in texts]

    def _units(self, text: str) -> Units:
        read = self._tokenizer.encode(text)
        (chances,) = self._classifier.probabilities([np.asarray(read.ids)])
        bounds, offsets = words(text), np.asarray(read.offsets)[1:-1]
        return Units(bounds, self._blend.importance(text, bounds, offsets, chances[1:-1]))


def survival(scorer: Scorer, rate: float) -> float:
    compressor = Extractive("tried", scorer, Counters())
    texts = [text for text, _ in PASSAGES]
    target = Target(rate=rate, model="gpt-4o", protect=())
    outcomes = compressor.compress(texts, [target] * len(texts))
    found = [
        survives(outcome.text, text, [answer])
        for (text, answers), outcome in zip(PASSAGES, outcomes, strict=True)
        for answer in answers
    ]
    return float(np.mean([one for one in found if one is not None]))


@pytest.fixture
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("rate", [0.33, 0.5])
def test_shipped_weights_keep_more_answers_than_word_frequency(rate: float) -> None:
    """By ten points at least, on passages that nothing was trained on."""
    frequency = Frequency(Table.built_in())
    assert survival(Embedded(SHIPPED), rate) >= survival(frequency, rate) + 0.1


def test_shipped_files_are_those_of_the_manifest() -> None:
    """Sums and sizes are true, all of it is small enough, and nothing else lies there but the card."""
    manifest = msgspec.json.decode((SHIPPED / MANIFEST).read_bytes(), type=Prepared)
    for name, file in manifest.files.items():
        content = (SHIPPED / name).read_bytes()
        assert (len(content), hashlib.sha256(content).hexdigest()) == (file.size, file.sha256)
    there = {path.name for path in SHIPPED.iterdir()}
    assert there == {*manifest.files, MANIFEST, CARD}
    assert sum(path.stat().st_size for path in SHIPPED.iterdir()) <= MOST_BYTES
    assert manifest.files["model.onnx"].sha256 in (SHIPPED / CARD).read_text("utf-8")


def test_shipped_numbers_are_the_recipes() -> None:
    """The formula that was chosen is the formula that ships."""
    assert Blend.read(SHIPPED) == BLENDED


def test_the_recipe_makes_a_folder_that_scores(tmp_path: Path, one_thread: None) -> None:
    """Trained, exported, with its formula and its card; made again it is the same."""
    texts = [
        LabelledText(
            f"meeting of the council {n}", ((0, 7), (8, 10), (11, 14), (15, 22)), (1, 0, 0, 1), "nq_open"
        )
        for n in range(4)
    ]
    base = save_tiny_bert(tmp_path / "base", 0)
    chosen = dataclasses.replace(options(base, tmp_path / "training", 1), window=16, batch_tokens=32)
    told = Told("Tried", "For a test.", "a tiny base", {}, "none", "")
    sums = []
    for _ in range(2):
        make(Taught(texts, texts), chosen, tmp_path / "embedded", told, [])
        sums.append(hashlib.sha256((tmp_path / "embedded/model.onnx").read_bytes()).hexdigest())
    assert sums[0] == sums[1]
    assert sums[0] in (tmp_path / "embedded" / CARD).read_text()
    units = Embedded(tmp_path / "embedded").score(["meeting of the council"], [""])[0]
    assert units.importance.shape == (4,)


def test_what_the_parser_said_is_not_asked_again(tmp_path: Path) -> None:
    """Written once, it is read from its file, parser or none."""
    one = LabelledText("a fox ran", ((0, 1), (2, 5), (6, 9)), (0.5, 0.9, 1.0), "grammar")
    write_records(tmp_path / "grammar.jsonl", [one])
    assert frames([], tmp_path / "grammar.jsonl") == [one]


@pytest.mark.parametrize("rate", [0.33, 0.5])
def test_a_short_text_keeps_its_frame(rate: float) -> None:
    """Of a sentence by itself subject and verb stay before what people would leave out."""
    text = "Well, of course the old minister, you know, resigned rather suddenly late last night."
    [outcome] = Extractive("tried", Embedded(SHIPPED), Counters()).compress(
        [text], [Target(rate=rate, model="gpt-4o", protect=())]
    )
    assert {"minister,", "resigned"} <= set(outcome.text.split())
    assert not {"Well,", "course", "rather"} & set(outcome.text.split())


def test_only_what_may_teach_is_read(tmp_path: Path) -> None:
    """Of COVID-QA the first documents, of Natural Questions the last rows, only measure."""
    (tmp_path / "nq_open").mkdir()
    row = {"question": "who", "answers": ["Ada"], "ctxs": [{"title": "", "text": "Ada wrote it."}]}
    measured = row | {"ctxs": [{"title": "", "text": "Ada measured it."}]}
    rows = [row] * 1400 + [measured] * 600
    (tmp_path / "nq_open/oracle_passages.jsonl").write_text("\n".join(map(json.dumps, rows)))
    train = tmp_path / "tales/data-by-train-split"
    for folder in ("questions/train", "section-stories/train"):
        (train / folder).mkdir(parents=True)
    (train / "section-stories/train/a-story.csv").write_text("section,text\n1,A fox ran.\n")
    (train / "questions/train/a-questions.csv").write_text("local-or-sum,cor_section,answer1\nlocal,1,fox\n")
    documents = [f"Document {n} names {'A' * (n + 1)}." for n in range(62)]
    answers = [
        {"text": "A" * (n + 1), "answer_start": one.index("names") + 6} for n, one in enumerate(documents)
    ]
    paragraphs = [
        {"context": one, "qas": [{"id": 1, "question": "?", "answers": [answer]}]}
        for one, answer in zip(documents, answers, strict=True)
    ]
    (tmp_path / "covid.json").write_text(json.dumps({"data": [{"paragraphs": paragraphs}]}))
    texts = taught(tmp_path, tmp_path / "tales", tmp_path / "covid.json")
    assert len(texts) == 1400 + 1 + 2
    assert {one.text for one in texts} == {"Ada wrote it.", "A fox ran.", *documents[COVID_TAUGHT]}
