"""From pairs to a model that the method loads: everything in one run, and the rest of a stopped one."""

import json
import random
from dataclasses import replace
from pathlib import Path

import pytest

from elision.compressors.base import Job, Method, Target
from elision.compressors.engine import Engine
from elision.compressors.tokens import Counters
from elision.config.errors import ConfigError
from elision.training.command import (
    CARD,
    FIGURES,
    FILTERS,
    HELD_OUT,
    MODEL,
    TAUGHT,
    TRAINING,
    Trained,
    Wish,
    llmlingua2,
)
from elision.training.pairs import Pair, write_pairs
from elision.training.records import read_records
from elision.training.trainer import TrainOptions
from fakes.teacher import INVENTED, shortened
from fakes.tiny_classifier import save_tiny_bert

WORDS = (
    "the council was meeting in very long minutes and report of city budget item committee motion "
    "vote really board it is"
)


def texts(count: int) -> list[str]:
    chance = random.Random(0)
    return [" ".join(chance.choices(WORDS.split(), k=30)) + f", item {at}." for at in range(count)]


@pytest.fixture(scope="module")
def wish(tmp_path_factory: pytest.TempPathFactory) -> Wish:
    """Return what is trained: forty texts of three pieces each, some of them with inventions."""
    folder = tmp_path_factory.mktemp("llmlingua2")
    compressed = [(text, shortened(text)) for text in texts(120)]
    pairs = [
        Pair(
            f"{at // 3}#{at % 3}", str(at // 3), text, f"{said} {INVENTED}" if at % 17 == 0 else said, "fake"
        )
        for at, (text, said) in enumerate(compressed)
    ]
    write_pairs(folder / "pairs.jsonl", pairs)
    options = TrainOptions(
        save_tiny_bert(folder / "base", 0),
        folder / "out" / TRAINING,
        epochs=12,
        learning_rate=1e-2,
        batch_tokens=256,
        threads=1,
    )
    return Wish(folder / "out", options, pairs=folder / "pairs.jsonl", base="tiny BERT", licence="Apache-2.0")


@pytest.fixture(scope="module")
def trained(wish: Wish) -> tuple[Trained, list[str]]:
    """Return what came of it, and what was said meanwhile."""
    said: list[str] = []
    return llmlingua2(wish, said.append), said


def test_it_learns_what_the_teacher_keeps(trained: tuple[Trained, list[str]]) -> None:
    """On texts that it did not learn from it is far better than random words are."""
    held_out = trained[0].held_out
    assert held_out is not None
    assert held_out.ranked > held_out.labelled + 0.15
    assert held_out.words > 500


def test_bad_pairs_are_left_out_and_texts_are_split_whole(
    wish: Wish, trained: tuple[Trained, list[str]]
) -> None:
    """Pieces of one text stay together; nothing is in both files."""
    found, said = trained
    variation, gap = found.filters
    assert (variation.dropped, gap.dropped) == (8, 0)
    taught, held = ({one.text for one in read_records(wish.out / name)} for name in (TAUGHT, HELD_OUT))
    assert (len(taught), len(held)) == found.texts
    assert len(taught) + len(held) == 112
    assert not taught & held
    originals = texts(120)
    group_of = {text: at // 3 for at, text in enumerate(originals)}
    assert not {group_of[text] for text in taught} & {group_of[text] for text in held}
    assert "VR: median 0.000, 90th percentile" in said[0]


def test_the_method_runs_it_and_keeps_what_was_taught(wish: Wish, trained: tuple[Trained, list[str]]) -> None:
    """`weights: DIR` is all that a policy has to say."""
    assert trained[0].model.licence == "Apache-2.0"
    text = "the council was meeting and it is the budget of the city . " * 3
    method = Method("llmlingua2", (("weights", str(wish.out / MODEL)),))
    [outcome] = Engine(Counters()).run([Job(text, method, Target(0.33, None, "gpt-4o", "", ()))])
    assert not outcome.reason
    assert outcome.tokens_after < outcome.tokens_before
    kept = outcome.text.split()
    fillers = [word for word in kept if word in {"the", "was", "and", "it", "is", "of"}]
    # Six tenths of the text are fillers.
    assert len(fillers) < 0.25 * len(kept)


def test_figures_and_picture_hold_no_text(wish: Wish, trained: tuple[Trained, list[str]]) -> None:
    """They may be shown to anybody, and so may what is said."""
    told = (wish.out / FIGURES).read_text()
    figures = json.loads(told)
    assert trained[0].held_out is not None
    assert figures["held_out"]["ranked"] == trained[0].held_out.ranked
    assert figures["filters"][0]["dropped"] == 8
    assert figures["model"]["model.onnx"]
    assert (wish.out / FILTERS).read_bytes().startswith(b"\x89PNG")
    assert "council" not in told + "".join(trained[1])


def test_the_model_has_a_card(wish: Wish, trained: tuple[Trained, list[str]]) -> None:
    """What it was made from, how, and what was measured; no text, no path of this machine."""
    told = (wish.out / MODEL / CARD).read_text("utf-8")
    assert told.startswith("---\nlicense: apache-2.0\n---\n")
    assert "- begun with: tiny BERT" in told
    assert f"| fake | words that were kept of original texts | as its texts | {trained[0].texts[0]} |" in told
    assert "elision train llmlingua2 --pairs pairs.jsonl --seed 0" in told
    assert trained[0].model.files["model.onnx"].sha256 in told
    assert trained[0].held_out is not None
    assert all(line in told for line in trained[0].held_out.lines())
    assert str(wish.out.parent) not in told
    assert "council" not in told


def test_the_same_command_again_trains_no_more(wish: Wish, trained: tuple[Trained, list[str]]) -> None:
    """And ends with the same weights."""
    said: list[str] = []
    again = llmlingua2(wish, said.append)
    assert any("going on with the training" in line for line in said)
    assert not any(line.startswith("epoch") for line in said)
    assert again.model.files == trained[0].model.files
    assert again.held_out == trained[0].held_out


def test_the_same_seed_gives_the_same_weights(wish: Wish, tmp_path: Path) -> None:
    """To the last bit, from the same pairs on the same machine; another seed, others."""
    short = replace(
        wish, out=tmp_path / "a", options=replace(wish.options, out=tmp_path / "a" / TRAINING, epochs=1)
    )
    made = [llmlingua2(short, lambda line: None)]
    for name, seed in (("b", 0), ("c", 1)):
        options = replace(short.options, out=tmp_path / name / TRAINING, seed=seed)
        made.append(llmlingua2(replace(short, out=tmp_path / name, options=options), lambda line: None))
    one, same, other = (result.model.files["model.onnx"].sha256 for result in made)
    assert one == same != other


def test_other_options_in_its_folder_are_refused(wish: Wish, trained: tuple[Trained, list[str]]) -> None:
    """Weights of two trainings are never mixed."""
    assert trained
    with pytest.raises(ConfigError, match="another training stands here"):
        llmlingua2(replace(wish, options=replace(wish.options, epochs=13)), lambda line: None)


def test_labels_of_ones_own_are_learned_from_too(
    wish: Wish, trained: tuple[Trained, list[str]], tmp_path: Path
) -> None:
    """From wherever they come; nothing need be held out."""
    assert trained
    options = replace(wish.options, out=tmp_path / TRAINING, epochs=1)
    said: list[str] = []
    found = llmlingua2(
        Wish(tmp_path, options, labels=wish.out / HELD_OUT, validate=0, keep_weights=True), said.append
    )
    assert found.held_out is None
    assert found.filters == ()
    assert found.texts == (trained[0].texts[1], 0)
    assert "model.safetensors" in found.model.files
    assert not (tmp_path / FILTERS).exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": Path("x")}, "--pairs: give it or --labels, one of them"),
        ({"pairs": None}, "--pairs: give it or --labels, one of them"),
        ({"validate": 1.0}, "--validate: must be from 0 to below 1"),
        ({"percentiles": (0.0, 90.0)}, "--vr-percentile: must be above 0"),
        ({"percentiles": (90.0, 101.0)}, "--ag-percentile: must be above 0 and at most 100"),
    ],
)
def test_wrong_wishes_are_refused(wish: Wish, change: dict[str, object], message: str) -> None:
    """Before anything is read."""
    with pytest.raises(ConfigError, match=message):
        replace(wish, **change)  # type: ignore[arg-type]


def test_a_window_that_the_base_cannot_read_is_refused(wish: Wish) -> None:
    """Rather than an error out of a library."""
    options = replace(wish.options, window=1024, batch_tokens=4096)
    with pytest.raises(ConfigError, match=r"--window: .* reads 512 tokens at once"):
        llmlingua2(replace(wish, options=options), lambda line: None)


def test_a_file_without_labels_is_refused(wish: Wish, tmp_path: Path) -> None:
    """It is named, with what is wanted."""
    (tmp_path / "labels.jsonl").write_text("\n")
    empty = replace(wish, pairs=None, labels=tmp_path / "labels.jsonl", out=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"labels\.jsonl: holds nothing"):
        llmlingua2(empty, lambda line: None)
    assert not (tmp_path / "out").exists()
