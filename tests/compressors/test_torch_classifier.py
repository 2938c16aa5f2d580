"""PyTorch reads any family's weights, all rows of them, and scores a window alike in any company."""

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from elision.compressors.breaks import Abandoned, breaks
from elision.compressors.errors import WeightsMissing
from elision.compressors.torch_classifier import (
    TorchClassifier,
    batches,
    has_weights,
    read_model,
    require_torch,
    weights_checksum,
)
from fakes.tiny_classifier import (
    NEW_ROWS,
    save_tiny_bert,
    save_tiny_kompress,
    save_tiny_mobilebert,
    save_tiny_modernbert,
    save_tiny_xlmr,
)

FAMILIES = [save_tiny_bert, save_tiny_mobilebert, save_tiny_xlmr, save_tiny_modernbert, save_tiny_kompress]


@pytest.mark.parametrize("save", FAMILIES)
def test_every_family_is_read_and_scored(save: Callable[[Path], Path], tmp_path: Path) -> None:
    """A chance for each token, marks included, none of them alike."""
    classifier = TorchClassifier.load(save(tmp_path))
    (keep,) = classifier.probabilities([np.asarray([2, 7, 8, 9, 20, 3])])
    assert keep.shape == (6,)
    assert keep.dtype == np.float32
    assert ((keep > 0) & (keep < 1)).all()
    assert len(set(keep.tolist())) == 6


def test_scores_do_not_depend_on_company(tmp_path: Path) -> None:
    """On a CPU a window's scores are the same bits alone and among others."""
    classifier = TorchClassifier.load(save_tiny_bert(tmp_path))
    draw = np.random.default_rng(0)
    windows = [draw.integers(5, 100, n) for n in (4, 90, 17, 90)]
    together = classifier.probabilities(windows)
    alone = [classifier.probabilities([window])[0] for window in windows]
    assert all(np.array_equal(a, b) for a, b in zip(together, alone, strict=True))


@pytest.mark.parametrize("save", FAMILIES)
def test_padding_changes_nothing(save: Callable[[Path], Path], tmp_path: Path) -> None:
    """In a batch, as on a GPU, a short window beside a long one keeps its scores."""
    folder = save(tmp_path)
    model = read_model(folder, torch.float32, "sdpa")
    pad = TorchClassifier.load(folder).vocabulary.ids["pad"]
    short = torch.tensor([[2, 7, 8, 9, 3]])
    padded = torch.cat((short, torch.full((1, 4), pad)), 1)
    mask = torch.tensor([[True] * 5 + [False] * 4])
    with torch.inference_mode():
        assert torch.allclose(model(short)[0], model(padded, mask)[0, :5], atol=1e-5)


def test_rows_beyond_the_tokenizer_are_loaded(tmp_path: Path) -> None:
    """LLMLingua-2's own checkpoints have a hundred rows that their tokenizers do not know."""
    classifier = TorchClassifier.load(save_tiny_xlmr(tmp_path))
    known = classifier.vocabulary.tokenizer().get_vocab_size()
    assert classifier.vocabulary.size == known + NEW_ROWS
    last = classifier.vocabulary.size - 1
    (keep,) = classifier.probabilities([np.asarray([0, last, 2])])
    (other,) = classifier.probabilities([np.asarray([0, last - 1, 2])])
    assert keep[1] != other[1]


def test_kompress_scores_are_as_its_layout_says(tmp_path: Path) -> None:
    """A token's chance, times a half to one by its span's importance, worked out by hand."""
    folder = save_tiny_kompress(tmp_path)
    model = read_model(folder, torch.float32, "sdpa")
    parts = torch.load(folder / "merged.pt", weights_only=True)
    ids = torch.tensor([[2, 7, 8, 9, 10, 3]])
    with torch.inference_mode():
        hidden = model.get_submodule("encoder")(input_ids=ids).last_hidden_state[0]
        found = model(ids)[0]
    head, conv = parts["token_head_state_dict"], parts["span_conv_state_dict"]
    chance = torch.softmax(hidden @ head["weight"].T + head["bias"], -1)[:, 1]
    framed = torch.nn.functional.pad(hidden, (0, 0, 2, 2))
    inner = torch.stack(
        [(conv["0.weight"] * framed[i : i + 5].T).sum((1, 2)) + conv["0.bias"] for i in range(6)]
    )
    framed = torch.nn.functional.pad(torch.nn.functional.gelu(inner), (0, 0, 1, 1))
    outer = torch.stack([(conv["2.weight"] * framed[i : i + 3].T).sum() for i in range(6)])
    span = torch.sigmoid(outer + conv["2.bias"])
    assert torch.allclose(found, chance * (0.5 + 0.5 * span), atol=1e-5)


@given(lengths=st.lists(st.integers(1, 600), max_size=60), budget=st.integers(0, 4000))
def test_batches_hold_every_window_once_within_the_budget(lengths: list[int], budget: int) -> None:
    """Longest first; padding counts; a window longer than the budget goes alone."""
    found = list(batches(lengths, budget))
    assert sorted(i for batch in found for i in batch) == list(range(len(lengths)))
    for batch in found:
        widest = max(lengths[i] for i in batch)
        assert len(batch) == 1 or widest * len(batch) <= budget


def test_a_model_that_is_no_classifier_is_refused(tmp_path: Path) -> None:
    """Without a trained head scores would be chance."""
    save_tiny_bert(tmp_path)
    state = load_file(tmp_path / "model.safetensors")
    kept = {name: tensor for name, tensor in state.items() if not name.startswith("classifier")}
    save_file(kept, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(WeightsMissing, match="no token classifier"):
        TorchClassifier.load(tmp_path)


def test_pickled_weights_are_not_read(tmp_path: Path) -> None:
    """A pickle runs code; the message says what is read instead."""
    save_tiny_bert(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    assert not has_weights(tmp_path)
    with pytest.raises(WeightsMissing, match="pickled"):
        read_model(tmp_path, torch.float32, "sdpa")


def test_a_kompress_file_with_parts_missing_is_refused(tmp_path: Path) -> None:
    """The message names what is missing."""
    save_tiny_kompress(tmp_path)
    torch.save({"encoder_state_dict": {}}, tmp_path / "merged.pt")
    with pytest.raises(WeightsMissing, match="token_head_state_dict"):
        read_model(tmp_path, torch.float32, "sdpa")


def test_a_window_longer_than_the_model_reads_is_refused(tmp_path: Path) -> None:
    """Rather than an index error inside the weights."""
    classifier = TorchClassifier.load(save_tiny_bert(tmp_path))
    with pytest.raises(WeightsMissing, match="513 tokens; the model reads 512"):
        classifier.probabilities([np.full(513, 7)])


def test_the_checksum_names_the_weights(tmp_path: Path) -> None:
    """Equal folders have equal ones; another config is another model."""
    first = save_tiny_bert(tmp_path / "a")
    second = save_tiny_bert(tmp_path / "b")
    assert weights_checksum(first) == weights_checksum(second)
    config = json.loads((second / "config.json").read_text())
    (second / "config.json").write_text(json.dumps({**config, "layer_norm_eps": 0.1}))
    assert weights_checksum(first) != weights_checksum(second)


def test_absent_packages_are_named_with_their_remedy() -> None:
    """The base install has no PyTorch."""
    with pytest.raises(WeightsMissing, match=r'no_such_lib: pip install "elision\[torch\]"'):
        require_torch(["no_such_lib"])


def test_long_work_can_be_given_up(tmp_path: Path) -> None:
    """Between windows, with nothing half done: the next call finds all in order."""
    classifier = TorchClassifier.load(save_tiny_bert(tmp_path))
    windows = [np.asarray([2, 7, 8, 3])] * 40

    def give_up() -> None:
        raise Abandoned("nobody waits")

    with pytest.raises(Abandoned), breaks(give_up):
        classifier.probabilities(windows)
    assert len(classifier.probabilities(windows)) == 40
