"""Where a training stands."""

import json
from pathlib import Path

import pytest
import torch

from elision.config.errors import ConfigError
from elision.training.state import HISTORY, STATE, Run, make_folder


class Model(torch.nn.Linear):
    """Saves itself as models of transformers do."""

    def save_pretrained(self, folder: Path) -> None:
        folder.mkdir()
        torch.save(self.state_dict(), folder / "weights.pt")


def run_of(seed: int) -> Run:
    torch.manual_seed(seed)
    model = Model(3, 2)
    return Run(model, torch.optim.AdamW(model.parameters(), lr=0.1))


def stepped(run: Run) -> list[float]:
    """Learn from chance for a step; return the weights."""
    run.optimiser.zero_grad()
    run.model(torch.rand(4, 3)).sum().backward()
    run.optimiser.step()
    return [float(one) for one in run.model.weight.detach().flatten()]


def test_what_is_taken_up_again_goes_on_as_if_it_had_not_stopped(tmp_path: Path) -> None:
    """Weights, the optimiser's moments, chance, and what was counted."""
    run = run_of(1)
    stepped(run)
    run.epoch, run.step, run.losses, run.history = 2, 7, [0.5], [{"epoch": 1, "loss": 0.7}]
    run.save(tmp_path, "key")
    expected = stepped(run)
    other = run_of(2)
    other.resume(tmp_path, "key", "texts")
    assert (other.epoch, other.step, other.losses, other.history) == (
        2,
        7,
        [0.5],
        [{"epoch": 1, "loss": 0.7}],
    )
    assert stepped(other) == expected
    assert [file.name for file in tmp_path.iterdir()] == [STATE]


def test_where_nothing_stands_a_training_begins(tmp_path: Path) -> None:
    """From what it was made with."""
    run = run_of(1)
    run.resume(tmp_path, "key", "texts")
    assert (run.epoch, run.step) == (0, 0)


def test_another_training_is_not_gone_on_with(tmp_path: Path) -> None:
    """Its folder and what differs are told."""
    run_of(1).save(tmp_path, "key")
    with pytest.raises(ConfigError, match=r"state\.pt: another training stands here, with other outputs"):
        run_of(1).resume(tmp_path, "other key", "outputs")


@pytest.mark.parametrize(
    ("held_out", "is_best"), [((0.5, 0.4), True), ((0.4, 0.5), False), ((0.4, 0.4), True), ((), True)]
)
def test_the_best_epoch_is_that_of_the_least_loss_held_out(
    held_out: tuple[float, ...], is_best: bool
) -> None:
    """Where nothing is held out, the last."""
    run = run_of(1)
    run.history = [{"epoch": 1, "loss": 1.0}, {"epoch": 2, "loss": 2.0}]
    for row, loss in zip(run.history, held_out, strict=False):
        row["held_out"] = loss
    assert run.is_best == is_best


def test_a_better_model_takes_the_place_of_the_last(tmp_path: Path) -> None:
    """With those of the tokenizer's files that there are; the history stands beside it."""
    base, target = tmp_path / "base", tmp_path / "out" / "model"
    base.mkdir()
    target.mkdir(parents=True)
    (base / "tokenizer.json").write_text("{}")
    (target / "old").write_text("")
    run = run_of(1)
    run.history = [{"epoch": 1, "loss": 1.0}]
    run.write_model(target, base, ("tokenizer.json", "vocab.txt"))
    assert {file.name for file in target.iterdir()} == {"weights.pt", "tokenizer.json"}
    assert {file.name for file in target.parent.iterdir()} == {"model", HISTORY}
    assert json.loads((target.parent / HISTORY).read_text()) == run.history


def test_a_folder_that_cannot_be_made_is_an_error_of_the_operator(tmp_path: Path) -> None:
    """A file stands there."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be made"):
        make_folder(tmp_path / "file" / "out")
