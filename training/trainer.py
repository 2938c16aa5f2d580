"""Fine-tuning a small encoder to say of each token how much it should be kept.

Cross-entropy over two classes, drop and keep, with soft labels; token by token, where a token has a
label. As LLMLingua-2 has it (Pan et al., arXiv:2403.12968, section 4), without the faults of its code:
padding has no label and does not count, gradients are clipped after they exist, texts are read
once and as users write them, the split is seeded. Runs on a GPU where there is one.

A training is a folder: `checkpoint/` the best epoch so far by held-out loss (the last one where
nothing is held out), `state.pt` where it stands, `history.json` what each epoch gave. Called again
with the same texts and options it goes on, and ends with the weights that it would have ended with.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from elision.compressors.token_classifier import Vocabulary, read_vocabulary
from elision.compressors.torch_classifier import require_torch
from elision.compressors.weights import checksum, quiet
from elision.config.errors import ConfigError
from elision.training.records import LabelledText
from elision.training.state import Run, make_folder
from elision.training.windows import IGNORED, Batch, Tokens, epoch, tokenise

if TYPE_CHECKING:
    import torch

CHECKPOINT = "checkpoint"
_TOKENIZER = ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt")
_NO_DECAY = ("bias", "norm.weight")


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """What is trained, from what, and how.

    Attributes:
        base: a folder with an encoder's `config.json`, `tokenizer.json` and safetensors; a head
            that it has is kept if it has two classes.
        out: the training's own folder; made if need be.
        epochs: passes over the texts.
        learning_rate: at its highest: it rises linearly over `warmup` of all steps and falls to 0.
        warmup: share of all steps.
        weight_decay: AdamW's.
        max_norm: gradients longer than this are shortened to it.
        window: tokens that the model reads at once, marks included.
        batch_tokens: tokens of a batch, padding included.
        frozen_layers: the embeddings and so many of the lowest layers stay as they are; None: all learn.
        hold_out: share of the texts that only choose the best epoch.
        seed: of the split, the order, the head and dropout.
        save_every: steps between two states from which training can go on.
        threads: CPU threads; None leaves it to torch.
    """

    base: Path
    out: Path
    epochs: int = 3
    learning_rate: float = 1e-4
    warmup: float = 0.1
    weight_decay: float = 0.01
    max_norm: float = 1.0
    window: int = 256
    batch_tokens: int = 4096
    frozen_layers: int | None = None
    hold_out: float = 0.1
    seed: int = 0
    save_every: int = 200
    threads: int | None = None

    def __post_init__(self) -> None:
        wrong = [
            f"{name}: must be {must}, not {getattr(self, name)}"
            for name, holds, must in (
                ("epochs", self.epochs >= 1, "at least 1"),
                ("learning_rate", self.learning_rate > 0, "above 0"),
                ("warmup", 0 <= self.warmup < 1, "from 0 to below 1"),
                ("max_norm", self.max_norm > 0, "above 0"),
                ("window", self.window >= 16, "at least 16"),
                ("batch_tokens", self.batch_tokens >= self.window, "at least a window"),
                ("frozen_layers", self.frozen_layers is None or self.frozen_layers >= 0, "0 or more"),
                ("hold_out", 0 <= self.hold_out < 1, "from 0 to below 1"),
                ("save_every", self.save_every >= 1, "at least 1"),
            )
            if not holds
        ]
        if wrong:
            raise ConfigError(wrong)


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a training is.

    Attributes:
        epoch: from 1.
        done: share of the whole training.
        loss: mean over the last steps.
        tokens_per_s: labelled and other, without padding.
        held_out: loss on what is held out, at an epoch's end.
    """

    epoch: int
    done: float
    loss: float
    tokens_per_s: float
    held_out: float | None = None


Tell = Callable[[Progress], None]


def train(texts: Iterable[LabelledText], options: TrainOptions, tell: Tell) -> Path:
    """Train, or go on with a training that was stopped.

    Args:
        texts: labelled; the same each time.
        options: as they were when it was stopped.
        tell: called after each step.
    Returns: the checkpoint's folder, which `elision.training.export` makes usable.
    Raises: ConfigError if there are too few texts or the folder holds another training,
        WeightsMissing if torch or the base is not there or of no known family.
    """
    require_torch()
    import torch

    _prepare_folders(options)
    vocabulary = read_vocabulary(options.base)
    read = tokenise(texts, vocabulary)
    if options.threads:
        torch.set_num_threads(options.threads)
    with torch.random.fork_rng():
        torch.manual_seed(options.seed)
        trainer = _Trainer(options, vocabulary, read, tell)
        trainer.run()
    return options.out / CHECKPOINT


class _Trainer:
    """One training; `run` is all of it."""

    def __init__(
        self, options: TrainOptions, vocabulary: Vocabulary, read: Sequence[Tokens], tell: Tell
    ) -> None:
        import torch

        self._options, self._vocabulary, self._tell = options, vocabulary, tell
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._taught, self._held = _split(read, options)
        self._key = _key(options, read)
        model = _load(options).to(self._device)
        self._run = Run(model, _optimiser(model, options))
        self._run.resume(options.out, self._key, "texts")

    def run(self) -> None:
        for number in range(self._run.epoch, self._options.epochs):
            random = np.random.default_rng([self._options.seed, number])
            self._epoch(number, epoch(self._taught, self._vocabulary, self._sizes, random))

    @property
    def _sizes(self) -> tuple[int, int]:
        return self._options.window, self._options.batch_tokens

    def _epoch(self, number: int, batches: Sequence[Batch]) -> None:
        run = self._run
        run.model.train()
        for at in range(run.step, len(batches)):
            started = time.monotonic()
            run.losses.append(self._step(batches[at], number + at / len(batches)))
            run.step = at + 1
            if run.step == len(batches):
                break
            if run.step % self._options.save_every == 0:
                run.save(self._options.out, self._key)
            self._say(number, run.step / len(batches), batches[at], started)
        held = self._held_out()
        loss = float(np.mean(run.losses))
        run.history.append({"epoch": number + 1, "loss": loss, **held})
        if run.is_best:
            run.write_model(self._options.out / CHECKPOINT, self._options.base, _TOKENIZER)
        run.epoch, run.step, run.losses = number + 1, 0, []
        run.save(self._options.out, self._key)
        self._tell(Progress(number + 1, run.epoch / self._options.epochs, loss, 0.0, held.get("held_out")))

    def _step(self, batch: Batch, epochs_done: float) -> float:
        import torch

        run = self._run
        rate = _rate(epochs_done / self._options.epochs, self._options)
        for group in run.optimiser.param_groups:
            group["lr"] = rate
        loss = self._loss(batch)
        run.optimiser.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(run.model.parameters(), self._options.max_norm)
        run.optimiser.step()
        return float(loss.detach())

    def _loss(self, batch: Batch) -> "torch.Tensor":
        import torch

        margin, labels = self._margins(batch)
        return torch.nn.functional.binary_cross_entropy_with_logits(margin, labels)

    def _margins(self, batch: Batch) -> tuple["torch.Tensor", "torch.Tensor"]:
        """Return (L,) keep's logit less drop's, and the labels, of the tokens that have one."""
        import torch

        ids, real = (torch.from_numpy(part).to(self._device) for part in (batch.ids, batch.real))
        labels = torch.from_numpy(batch.labels).to(self._device)
        logits = self._run.model(input_ids=ids, attention_mask=real.long()).logits.float()
        labelled = labels != IGNORED
        return (logits[..., 1] - logits[..., 0])[labelled], labels[labelled]

    def _held_out(self) -> dict[str, float]:
        import torch

        if not self._held:
            return {}
        self._run.model.eval()
        loss, right, count = 0.0, 0.0, 0
        with torch.inference_mode():
            for batch in epoch(self._held, self._vocabulary, self._sizes, None):
                margin, labels = self._margins(batch)
                mean = torch.nn.functional.binary_cross_entropy_with_logits(margin, labels)
                loss += float(mean) * len(labels)
                right += float(((margin > 0) == (labels > 0.5)).sum())
                count += len(labels)
        return {"held_out": loss / max(count, 1), "accuracy": right / max(count, 1)}

    def _say(self, number: int, share: float, batch: Batch, started: float) -> None:
        speed = float(batch.real.sum()) / max(time.monotonic() - started, 1e-9)
        done = (number + share) / self._options.epochs
        self._tell(Progress(number + 1, done, float(np.mean(self._run.losses[-50:])), speed))


def _prepare_folders(options: TrainOptions) -> None:
    """Make the training's folder. Raises: ConfigError if that fails, or there is no base to begin with."""
    if not (options.base / "config.json").is_file():
        raise ConfigError([f"{options.base}: no checkpoint: config.json, tokenizer.json, safetensors"])
    make_folder(options.out)


def _split(read: Sequence[Tokens], options: TrainOptions) -> tuple[list[Tokens], list[Tokens]]:
    """Return what teaches and what is held out. Raises: ConfigError if nothing would teach."""
    order = np.random.default_rng(options.seed).permutation(len(read))
    held = round(options.hold_out * len(read))
    if len(read) - held < 1:
        raise ConfigError(["too few labelled texts: none is left to learn from"])
    return [read[i] for i in sorted(order[held:])], [read[i] for i in sorted(order[:held])]


def _key(options: TrainOptions, read: Sequence[Tokens]) -> str:
    """Return a digest of all that the weights depend on."""
    told = {name: str(value) for name, value in asdict(options).items()}
    for name in ("base", "out", "save_every", "threads"):
        del told[name]
    digest = hashlib.sha256(json.dumps(told, sort_keys=True).encode())
    for file in sorted(options.base.glob("*.safetensors")):
        digest.update(checksum(file, options.out).encode())
    for tokens in read:
        digest.update(tokens.ids.tobytes() + tokens.labels.tobytes())
    return digest.hexdigest()


def _load(options: TrainOptions) -> "torch.nn.Module":
    from transformers import AutoModelForTokenClassification

    with quiet():
        model: Any = AutoModelForTokenClassification.from_pretrained(
            options.base,
            num_labels=2,
            id2label={0: "drop", 1: "keep"},
            label2id={"drop": 0, "keep": 1},
            attn_implementation="sdpa",
            use_safetensors=True,
            local_files_only=True,
            trust_remote_code=False,
        )
    if options.frozen_layers is not None:
        for part in _lowest(model.base_model, options.frozen_layers):
            part.requires_grad_(requires_grad=False)
    return model  # type: ignore[no-any-return]


def _lowest(encoder: Any, layers: int) -> Iterator["torch.nn.Module"]:
    yield encoder.embeddings
    yield from list(encoder.encoder.layer if hasattr(encoder, "encoder") else encoder.layers)[:layers]


def _optimiser(model: "torch.nn.Module", options: TrainOptions) -> "torch.optim.Optimizer":
    import torch

    groups: dict[bool, list[torch.nn.Parameter]] = {True: [], False: []}
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            groups[not name.lower().endswith(_NO_DECAY)].append(parameter)
    return torch.optim.AdamW(
        [
            {"params": parameters, "weight_decay": options.weight_decay if decays else 0.0}
            for decays, parameters in groups.items()
        ],
        lr=options.learning_rate,
    )


def _rate(done: float, options: TrainOptions) -> float:
    """Return the learning rate after a share of the training: up over `warmup`, then down to 0."""
    if done < options.warmup:
        return options.learning_rate * max(done / options.warmup, 0.01)
    return options.learning_rate * (1 - done) / (1 - options.warmup)


def silent(_progress: Progress) -> None:
    """Tell nobody."""
