"""Fine-tuning a small causal model on what a target model answered.

Mean cross-entropy of the output's tokens, given the instruction. Seeded; instructions are read
once and tokenised as texts are, special tokens in them being plain text. Runs on a GPU where there is one.

A training is a folder: `model/` the best epoch so far by held-out loss (the last one where nothing
is held out), which `weights` of a method accepts, `state.pt` where it stands, `history.json` what
each epoch gave. Called again with the same outputs and options it goes on, and ends with the
weights that it would have ended with.
Source: Jiang et al., arXiv:2310.05736, section 3.3, equation 7.
"""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from elision.compressors.causal_lm import separator
from elision.compressors.weights import Weights, quiet
from elision.config.errors import ConfigError
from elision.training.align import Output
from elision.training.state import Run, make_folder

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer

MODEL = "model"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "chat_template.jinja")
_BETWEEN = "\n\n"
_IGNORED = -100


@dataclass(frozen=True, slots=True)
class AlignOptions:
    """How is trained.

    Attributes:
        out: the training's own folder; made if need be.
        epochs: passes over the outputs.
        learning_rate: at its highest: it rises linearly over a twentieth of all steps and falls to 0.
        weight_decay: AdamW's.
        max_norm: gradients longer than this are shortened to it.
        window: tokens of an instruction with its output; of a longer one the end of the
            instruction, a half at most, and the beginning of the output are learned from.
        batch_tokens: tokens of a batch, padding included.
        hold_out: share of the outputs that only choose the best epoch.
        seed: of the split, the order and dropout.
        save_every: steps between two states from which training can go on.
        threads: CPU threads; None leaves it to torch.
    """

    out: Path
    epochs: int = 3
    learning_rate: float = 2e-5
    weight_decay: float = 0.0
    max_norm: float = 1.0
    window: int = 512
    batch_tokens: int = 2048
    hold_out: float = 0.05
    seed: int = 0
    save_every: int = 100
    threads: int | None = None

    def __post_init__(self) -> None:
        wrong = [
            f"{name}: must be {must}, not {getattr(self, name)}"
            for name, holds, must in (
                ("epochs", self.epochs >= 1, "at least 1"),
                ("learning_rate", self.learning_rate > 0, "above 0"),
                ("max_norm", self.max_norm > 0, "above 0"),
                ("window", self.window >= 16, "at least 16"),
                ("batch_tokens", self.batch_tokens >= self.window, "at least a window"),
                ("hold_out", 0 <= self.hold_out < 1, "from 0 to below 1"),
                ("save_every", self.save_every >= 1, "at least 1"),
            )
            if not holds
        ]
        if wrong:
            raise ConfigError(wrong)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is: epoch from 1, share of all of it, mean loss of the last steps."""

    epoch: int
    done: float
    loss: float
    held_out: float | None = None


Tell = Callable[[Progress], None]


def ticking(tick: Callable[[int], None], parts: int) -> Tell:
    """Return what moves a bar of so many parts on as a training proceeds."""
    told = 0

    def tell(progress: Progress) -> None:
        nonlocal told
        now = int(progress.done * parts)
        tick(now - told)
        told = now

    return tell


class Example(NamedTuple):
    """Token ids, of which those from `output` on are learned."""

    ids: list[int]
    output: int


def align(outputs: Sequence[Output], base: Weights, options: AlignOptions, tell: Tell) -> Path:
    """Train, or go on with a training that was stopped.

    Args:
        outputs: the same each time.
        base: what is trained, from `elision.compressors.weights.resolve`.
        options: as they were when it was stopped.
        tell: called after each step.
    Returns: the folder of the aligned model.
    Raises: ConfigError if there are too few outputs, the folder holds another training or cannot be
        used, or the learning rate makes the loss infinite.
    """
    import torch
    from tokenizers import Tokenizer

    make_folder(options.out)
    tokenizer = Tokenizer.from_file(str(base.directory / "tokenizer.json"))
    if options.threads:
        torch.set_num_threads(options.threads)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        model = _load(base)
        read = examples(outputs, tokenizer, separator(model, tokenizer), options.window)
        _Trainer(model, base, options, read, tell).run()
    return options.out / MODEL


def examples(outputs: Sequence[Output], tokenizer: "Tokenizer", mark: int, window: int) -> list[Example]:
    """Return instructions and outputs as tokens, the mark before them and after."""
    tokenizer.encode_special_tokens = True
    tokenizer.no_padding()
    tokenizer.no_truncation()
    found = []
    for one in outputs:
        asked = tokenizer.encode(one.instruction + _BETWEEN, add_special_tokens=False).ids
        said = tokenizer.encode(one.output, add_special_tokens=False).ids
        asked = asked[-max(window // 2, window - len(said) - 2) :]
        ids = [mark, *asked, *said, mark][:window]
        found.append(Example(ids, 1 + len(asked)))
    return found


class _Trainer:
    """One training; `run` is all of it."""

    def __init__(
        self, model: Any, base: Weights, options: AlignOptions, read: Sequence[Example], tell: Tell
    ) -> None:
        import torch

        self._options, self._base, self._tell = options, base, tell
        order = np.random.default_rng(options.seed).permutation(len(read))
        held = round(options.hold_out * len(read))
        if len(read) - held < 1:
            raise ConfigError(["too few outputs: none is left to learn from"])
        self._held = [read[i] for i in sorted(order[:held])]
        self._taught = [read[i] for i in sorted(order[held:])]
        self._key = _key(options, base, read)
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        model.to(self._device)
        optimiser = torch.optim.AdamW(
            model.parameters(), lr=options.learning_rate, weight_decay=options.weight_decay
        )
        self._run = Run(model, optimiser)
        self._run.resume(options.out, self._key, "outputs")

    def run(self) -> None:
        """Train until all epochs are done."""
        while self._run.epoch < self._options.epochs:
            self._epoch()

    def _epoch(self) -> None:
        run, options = self._run, self._options
        order = np.random.default_rng((options.seed, run.epoch)).permutation(len(self._taught))
        batches = list(_batches([self._taught[i] for i in order], options.batch_tokens))
        run.model.train()
        for batch in batches[run.step :]:
            done = (run.epoch + run.step / len(batches)) / options.epochs
            run.losses.append(self._step(batch, done))
            run.step += 1
            if run.step % options.save_every == 0:
                run.save(options.out, self._key)
            done = (run.epoch + run.step / len(batches)) / options.epochs
            self._tell(Progress(run.epoch + 1, done, float(np.mean(run.losses[-50:]))))
        row = {"epoch": run.epoch + 1, "loss": float(np.mean(run.losses)), **self._held_out()}
        run.history.append(row)
        if run.is_best:
            run.write_model(options.out / MODEL, self._base.directory, _TOKENIZER)
        run.epoch, run.step, run.losses = run.epoch + 1, 0, []
        run.save(options.out, self._key)
        self._tell(Progress(run.epoch, run.epoch / options.epochs, row["loss"], row.get("held_out")))

    def _step(self, batch: Sequence[Example], done: float) -> float:
        import torch

        run, options = self._run, self._options
        for group in run.optimiser.param_groups:
            group["lr"] = options.learning_rate * min(max(done, 1e-3) / 0.05, (1 - done) / 0.95)
        total, count = self._loss(batch)
        loss = total / count
        if not torch.isfinite(loss):
            told = f"the loss is no number any more; learning_rate: {options.learning_rate:g} is too high"
            raise ConfigError([told])
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), options.max_norm)
        run.optimiser.step()
        return float(loss.detach())

    def _loss(self, batch: Sequence[Example]) -> tuple["torch.Tensor", int]:
        """Return the summed cross-entropy of the outputs' tokens, and how many these are.

        Padding stands right, where no token sees it.
        """
        import torch

        width = max(len(one.ids) for one in batch)
        ids = np.zeros((len(batch), width), np.int64)
        wanted = np.full((len(batch), width), _IGNORED, np.int64)
        for i, one in enumerate(batch):
            ids[i, : len(one.ids)] = one.ids
            wanted[i, one.output - 1 : len(one.ids) - 1] = one.ids[one.output :]
        labels = torch.from_numpy(wanted).to(self._device)
        learned = labels != _IGNORED
        half = torch.autocast(self._device.type, torch.bfloat16, enabled=self._device.type == "cuda")
        with half:
            logits = self._run.model(torch.from_numpy(ids).to(self._device), use_cache=False).logits
        chosen = labels[learned]
        loss = torch.nn.functional.cross_entropy(logits[learned].float(), chosen, reduction="sum")
        return loss, max(len(chosen), 1)

    def _held_out(self) -> dict[str, float]:
        import torch

        if not self._held:
            return {}
        self._run.model.eval()
        loss, count = 0.0, 0
        with torch.inference_mode():
            for batch in _batches(self._held, self._options.batch_tokens):
                total, tokens = self._loss(batch)
                loss, count = loss + float(total), count + tokens
        return {"held_out": loss / max(count, 1)}


def _batches(read: Sequence[Example], budget: int) -> Iterator[list[Example]]:
    """Cut examples, in their order, into batches under a budget of padded tokens."""
    batch: list[Example] = []
    for one in read:
        width = max([len(one.ids), *(len(other.ids) for other in batch)])
        if batch and width * (len(batch) + 1) > budget:
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _key(options: AlignOptions, base: Weights, read: Sequence[Example]) -> str:
    """Return a digest of all that the weights depend on."""
    told = {name: str(value) for name, value in asdict(options).items()}
    for name in ("out", "save_every", "threads"):
        del told[name]
    digest = hashlib.sha256(json.dumps([told, base.checksum], sort_keys=True).encode())
    for one in read:
        digest.update(json.dumps(one).encode())
    return digest.hexdigest()


def _load(base: Weights) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    with quiet():
        return AutoModelForCausalLM.from_pretrained(
            base.directory,
            dtype=torch.float32,
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
