"""Where a training stands: what changes while it runs, saved whole and taken up again; its best model.

Knows neither what is learned nor how; `trainer` and `align_trainer` do.
"""

import json
import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from pickle import UnpicklingError
from typing import TYPE_CHECKING, Any

from elision.compressors.weights import quiet
from elision.config.errors import ConfigError

if TYPE_CHECKING:
    import torch

STATE, HISTORY = "state.pt", "history.json"


@dataclass(slots=True)
class Run:
    """What changes while a training runs; all of it is in `state.pt`."""

    model: Any
    optimiser: "torch.optim.Optimizer"
    epoch: int = 0
    step: int = 0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)

    @property
    def is_best(self) -> bool:
        """Whether the last epoch is the best so far by held-out loss; where nothing is held out, it is."""
        losses = [row.get("held_out", -row["epoch"]) for row in self.history]
        return losses[-1] <= min(losses)

    def save(self, out: Path, key: str) -> None:
        """Write where the training stands; what was written before stays until that is done.

        Args:
            out: the training's folder.
            key: a digest of all that its weights depend on.
        Raises: ConfigError if it cannot be written.
        """
        import torch

        state = {
            "key": key,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "random": torch.get_rng_state(),
            "epoch": self.epoch,
            "step": self.step,
            "losses": self.losses,
            "history": self.history,
        }
        file = out / STATE
        draft = file.with_suffix(".draft")
        try:
            torch.save(state, draft)
            draft.replace(file)
        except (OSError, RuntimeError) as error:  # torch tells of a full disk by the latter
            raise ConfigError([f"{file}: cannot be written: {error}"]) from error

    def resume(self, out: Path, key: str, what: str) -> None:
        """Go on where a training stopped, if one stands in the folder.

        Args:
            what: is learned from, for the error.
        Raises: ConfigError if it is another training, or none that can be read.
        """
        import torch

        file = out / STATE
        if not file.is_file():
            return
        try:
            state: dict[str, Any] = torch.load(file, map_location="cpu", weights_only=True)
            found = state["key"]
        except (OSError, RuntimeError, EOFError, KeyError, TypeError, UnpicklingError) as error:
            told = "cannot be read as a training's state; remove it to begin anew"
            raise ConfigError([f"{file}: {told}"]) from error
        if found != key:
            told = f"another training stands here, with other {what} or options; use another folder"
            raise ConfigError([f"{file}: {told}"])
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        torch.set_rng_state(state["random"])
        self.epoch, self.step = state["epoch"], state["step"]
        self.losses, self.history = state["losses"], state["history"]

    def write_model(self, target: Path, base: Path, names: Sequence[str]) -> None:
        """Exchange the best model so far for this one, and tell what each epoch gave.

        Args:
            target: folder of the model, in the training's.
            base: folder whose files of these names, the tokenizer's, come with it.
        """
        draft = target.with_name(f".{target.name}")
        shutil.rmtree(draft, ignore_errors=True)
        with quiet():
            self.model.save_pretrained(draft)
        for name in names:
            if (base / name).is_file():
                shutil.copyfile(base / name, draft / name)
        shutil.rmtree(target, ignore_errors=True)
        draft.replace(target)
        history = json.dumps(self.history, indent=1)
        (target.parent / HISTORY).write_text(history + "\n", "utf-8")


def make_folder(out: Path) -> None:
    """Make a training's folder. Raises: ConfigError if that fails."""
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"{out}: cannot be made: {error.strerror}"]) from error
