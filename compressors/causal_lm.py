"""A causal language model on this machine: how surprising each token of a text is.

This module owns tensors and batches; it knows nothing of prompts that are to be shortened, nor of
HTTP. Weights come from `elision.compressors.weights`; they run on the GPU if there is one. A
`CausalLM` may be used from several threads: one forward pass runs at a time.
"""

import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elision.compressors.breaks import give_way
from elision.compressors.causal_states import States
from elision.compressors.errors import WeightsMissing
from elision.compressors.weights import Weights, quiet

if TYPE_CHECKING:
    import torch
    from tokenizers import Encoding, Tokenizer
    from transformers import PreTrainedModel

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

WINDOW = 2048
"""A token is read in the context of at most so many others."""
# Rows of logits that are alive at once: 128 rows of 49,152 fp32 are 25 MB, which the allocator still
# keeps for the next ones; half as many read the head's own 113 MB too often, twice are no faster.
_HEAD_ROWS = 128
_HEAD_ROWS_GPU = 2048
# Logits that are looked at before the next ones, so that a core's own cache holds them.
_NEAR = 400_000
_BATCH_TOKENS = 1024
_BATCH_TOKENS_GPU = 65_536
# Padding that a batch may have on a CPU: to begin another costs about as much as to read so many tokens.
_PADDING = 48
# Where a model's positions end a text is read anew from this much before.
_OVERLAP = 256
_PROBE = (1, 0, 2, 1)
_LONE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Surprisal:
    """How surprising the tokens of one text are.

    Attributes:
        offsets: (T, 2) int64, the characters that each token stands for; tokens that share one
            character (a CJK sign of three bytes, say) have equal offsets.
        nll: (T,) float64, -ln p(token | BOS and the tokens before it), in nats.
    """

    offsets: Ints
    nll: Floats


class Tokens(NamedTuple):
    """A text as the model reads it: (T,) ids, and (T, 2) the characters that each stands for."""

    ids: list[int]
    offsets: Ints


class _Row(NamedTuple):
    """A text to be scored: what stands before it, BOS first, and its own tokens."""

    text: int
    head: list[int]
    ids: list[int]

    @property
    def length(self) -> int:
        return len(self.head) + len(self.ids)


class CausalLM:
    """A causal language model with its tokenizer; make one with `CausalLM.load`."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "Tokenizer", weights: Weights) -> None:
        """Take a model in eval mode and its tokenizer; texts never yield special tokens.

        Raises: WeightsMissing if the model makes something else of its head's logits than is known.
        """
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        tensor = next(model.parameters())
        self._model = model
        self._tokenizer = tokenizer
        self._weights = weights
        self._device, self._dtype = tensor.device, tensor.dtype
        self._lock = threading.Lock()
        self._check_head()

    @classmethod
    def load(cls, weights: Weights, threads: int | None = None, *, half: bool = False) -> "CausalLM":
        """Load weights, to the GPU if there is one.

        Args:
            weights: from `elision.compressors.weights.resolve`.
            threads: CPU threads for tensor work; torch keeps one such number per process. None
                leaves it alone.
            half: bf16 (fp16 on a GPU without it) in place of fp32; `elision.compressors.precision`
                knows where that is faster.
        Raises: WeightsMissing if they are no causal model's.
        """
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        if threads:
            torch.set_num_threads(threads)
        on_gpu = torch.cuda.is_available()
        small = torch.float16 if on_gpu and not torch.cuda.is_bf16_supported() else torch.bfloat16
        try:
            with quiet():
                model = AutoModelForCausalLM.from_pretrained(
                    weights.directory,
                    dtype=small if half else torch.float32,
                    use_safetensors=True,
                    local_files_only=True,
                    trust_remote_code=False,
                )
        except (ValueError, KeyError, OSError) as error:
            raise WeightsMissing(f"{weights.directory} holds no causal model: {error}") from error
        tokenizer = Tokenizer.from_file(str(weights.directory / "tokenizer.json"))
        model.eval()
        if on_gpu:
            torch.nn.Module.to(model, "cuda")
        return cls(model, tokenizer, weights)

    @property
    def checksum(self) -> str:
        """Of the weights; the same on every machine that has the same files."""
        return self._weights.checksum

    @property
    def fingerprint(self) -> str:
        """Weights and precision, on which scores depend."""
        return f"{str(self._dtype).removeprefix('torch.')}:{self.checksum[:16]}"

    @property
    def positions(self) -> int:
        """Tokens that the model can read and write at once."""
        config = self._model.config.get_text_config()
        told = getattr(config, "max_position_embeddings", None) or getattr(config, "n_positions", None)
        return int(told or WINDOW)

    @property
    def window(self) -> int:
        """Tokens in whose context one is scored, at most."""
        return min(WINDOW, self.positions)

    @property
    def batch_rows(self) -> int:
        """Rows that may share a pass where their company shows in the last bits: one on a CPU, which
        loses nothing by it.
        """
        return 1 if self._device.type == "cpu" else 64

    @cached_property
    def bos(self) -> int:
        """The token that stands before a text that is scored."""
        return separator(self._model, self._tokenizer)

    def count(self, text: str, *, marks: bool = False) -> int:
        """Return the number of tokens of a text; special-token literals count as plain text."""
        return len(self.encode(text, marks=marks))

    def encode(self, text: str, *, marks: bool = False) -> list[int]:
        """Return the tokens of a text; `marks`: with those that the tokenizer puts around one."""
        return list(self._tokenizer.encode(_readable(text), add_special_tokens=marks).ids)

    def tokenise(self, texts: Sequence[str]) -> list[Tokens]:
        """Return the tokens of texts; special-token literals count as plain text."""
        found = self._tokenizer.encode_batch([_readable(text) for text in texts], add_special_tokens=False)
        return [Tokens(item.ids, _offsets(item)) for item in found]

    def surprisal(self, texts: Sequence[str]) -> list[Surprisal]:
        """Score each text by itself, after BOS, in length-sorted padded batches.

        Source: Selective-Context, arXiv:2310.06201, section 2: self-information.
        """
        return self.conditional([("", text) for text in texts])

    def conditional(self, pairs: Sequence[tuple[str, str]]) -> list[Surprisal]:
        """Score texts, each after BOS and a prefix of its own, which is not scored; batched as `surprisal`.

        A text beyond the window is read in pieces over the keys and values of the piece before;
        BOS and prefix stay in sight. A prefix that leaves a text less than half of the window
        keeps its end.
        Source: LongLLMLingua, arXiv:2310.06839, section 4: perplexities under a condition.

        Args:
            pairs: (prefix, text).
        """
        texts = self.tokenise([text for _, text in pairs])
        heads = [self.head(prefix) for prefix, _ in pairs]
        rows = [
            _Row(i, head, item.ids)
            for i, (head, item) in enumerate(zip(heads, texts, strict=True))
            if item.ids
        ]
        scores = [np.zeros(len(item.ids)) for item in texts]
        short = [row for row in rows if row.length <= self.window]
        on_cpu = self._device.type == "cpu"
        batches = _batches(short, _BATCH_TOKENS, _PADDING) if on_cpu else _batches(short, _BATCH_TOKENS_GPU)
        for batch in batches:
            give_way()
            for row, nll in zip(batch, self._score(batch), strict=True):
                scores[row.text] = nll
        for row in rows:
            if row.length > self.window:
                scores[row.text] = self._stream(row)
        return [Surprisal(item.offsets, nll) for item, nll in zip(texts, scores, strict=True)]

    def head(self, prefix: str) -> list[int]:
        """Return what stands before a text: BOS, and of a prefix the end, half of the window at most."""
        room = self.window // 2 - 1
        ids = self.encode(prefix) if prefix and room > 0 else []
        return [self.bos, *ids[-room:]]

    def surprisal_plain(self, text: str, prefix: str = "") -> Surprisal:
        """Score one text the slow way: one window, whole softmax. The reference for tests."""
        import torch

        item = self._tokenizer.encode(text, add_special_tokens=False)
        head = self.head(prefix)
        ids = torch.tensor([[*head, *item.ids]], device=self._device)
        with self._lock, torch.inference_mode():
            logits = self._model(ids, use_cache=False).logits[0, len(head) - 1 : -1]
        chosen = torch.log_softmax(logits.double(), -1).gather(1, ids[0, len(head) :, None])[:, 0]
        return Surprisal(_offsets(item), -chosen.cpu().numpy())

    def decode(self, ids: Sequence[int], *, marks: bool = False) -> str:
        """Return the text of some tokens, special tokens left out unless `marks`."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=not marks)

    @cached_property
    def ends(self) -> frozenset[int]:
        """Tokens that end an answer."""
        value = getattr(self._model.generation_config, "eos_token_id", None)
        if value is None:
            value = self._model.config.eos_token_id
        many = value if isinstance(value, list) else [value]
        return frozenset(int(one) for one in many if one is not None)

    def step(self, ids: Sequence[int], cache: Any) -> tuple["torch.Tensor", Any]:
        """Read some tokens on top of a cache; return the next token's (V,) logits, the cache."""
        import torch

        with self._lock, torch.inference_mode():
            out = self._model(
                torch.tensor([list(ids)], device=self._device),
                past_key_values=cache,
                use_cache=True,
                logits_to_keep=1,
            )
        return out.logits[0, -1].float().cpu(), out.past_key_values

    @cached_property
    def _chat(self) -> Any:
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self._weights.directory)

    def encode_prompt(self, messages: Sequence[Mapping[str, str]]) -> list[int]:
        """Return the tokens of a conversation in the model's chat format, ready for an answer."""
        plain = [{"role": m["role"], "content": m["content"]} for m in messages]
        return list(
            self._chat.apply_chat_template(
                plain, add_generation_prompt=True, tokenize=True, return_dict=False
            )
        )

    def run(self, ids: Ints, positions: Ints, real: NDArray[np.bool_] | None, cache: Any) -> "torch.Tensor":
        """Read tokens on top of a cache, as `elision.compressors.causal_states.Body` says.

        Positions beyond the model's last are its last.
        """
        import torch

        positions = np.minimum(positions, self.positions - 1)
        mask = None if real is None else torch.from_numpy(real).to(self._device)
        with self._lock, torch.inference_mode():
            return self._model.base_model(  # type: ignore[no-any-return]
                torch.from_numpy(ids).to(self._device),
                position_ids=torch.from_numpy(positions).to(self._device),
                attention_mask=mask,
                past_key_values=cache,
                use_cache=cache is not None,
            ).last_hidden_state

    def nll(self, hidden: "torch.Tensor", targets: Ints) -> Floats:
        """Return (R,) -ln p(target) for (R, H) hidden states and (R,) targets, some rows at a time."""
        import torch

        on_cpu = self._device.type == "cpu"
        rows = _HEAD_ROWS if on_cpu else _HEAD_ROWS_GPU
        head: Any = self._model.get_output_embeddings()
        wanted = torch.from_numpy(targets).to(self._device)
        parts = [torch.zeros(0)]
        with self._lock, torch.inference_mode():
            for at in range(0, len(targets), rows):
                made = head(hidden[at : at + rows])
                near = max(1, _NEAR // made.shape[1]) if on_cpu else rows
                for some, own in zip(made.split(near), wanted[at : at + rows].split(near), strict=True):
                    parts.append(_surprise(self._finished(some), own).cpu())
        return np.asarray(torch.cat(parts).double().numpy(), np.float64)

    def _finished(self, made: "torch.Tensor") -> "torch.Tensor":
        """Return what the head made as fp32 logits, capped and scaled as the model has it."""
        import torch

        config = self._model.config.get_text_config()
        logits = made.float()
        cap = getattr(config, "final_logit_softcapping", None)
        if cap:
            logits = cap * torch.tanh(logits / cap)
        times, parts = getattr(config, "logit_scale", None), getattr(config, "logits_scaling", None)
        return logits * (times or 1.0) / (parts or 1.0) if times or parts else logits

    def _check_head(self) -> None:
        """Compare our logits with the model's own; families differ in what they do to them."""
        import torch

        ids = torch.tensor([[one % self._model.config.get_text_config().vocab_size for one in _PROBE]])
        ids = ids.to(self._device)
        with torch.inference_mode():
            own = self._model(ids, use_cache=False).logits[0].float()
            head: Any = self._model.get_output_embeddings()
            ours = self._finished(head(self._model.base_model(ids, use_cache=False).last_hidden_state[0]))
        # Half precision rounds to three digits.
        near = 1e-3 if self._dtype == torch.float32 else 0.1
        if not torch.allclose(own, ours, rtol=near, atol=near * max(1.0, float(own.abs().max()))):
            kind = self._model.config.model_type
            raise WeightsMissing(
                f"models of type {kind!r} are not known: they change their logits; use another"
            )

    def _score(self, batch: Sequence[_Row]) -> Iterator[Floats]:
        """Return the NLL of each row's own tokens. Padding stands right, where a causal model's
        tokens do not see it, so that no attention mask is needed.
        """
        import torch

        lengths = np.asarray([row.length for row in batch])
        padded = np.full((len(batch), lengths.max()), self.bos, np.int64)
        for i, row in enumerate(batch):
            padded[i, : row.length] = row.head + row.ids
        at = np.arange(lengths.max())
        positions = np.broadcast_to(at, padded.shape).copy()
        heads = np.asarray([len(row.head) for row in batch])
        scored = (at >= heads[:, None] - 1) & (at < lengths[:, None] - 1)
        hidden = self.run(padded, positions, None, None)
        targets = np.concatenate([row.ids for row in batch]).astype(np.int64)
        nll = self.nll(hidden[torch.from_numpy(scored).to(self._device)], targets)
        yield from np.split(nll, np.cumsum([len(row.ids) for row in batch])[:-1])

    def _stream(self, row: _Row) -> Floats:
        """Score a text that is longer than the window, piece by piece.

        The first piece fills the window; each further one sees the head and half a window before it.
        Where positions do not last for that, a further window begins with some of what came before.
        """
        import torch

        room = self.window - len(row.head)
        lasts = self.positions >= 2 * self.window
        overlap = min(_OVERLAP, room // 2)
        size = room // 2 if lasts else room - overlap
        cuts = [0, *range(room, len(row.ids), size), len(row.ids)]
        states, place = States(self, 1), 0
        last: torch.Tensor | None = None
        nll = []
        for at, end in pairwise(cuts):
            give_way()
            feed = row.ids[at:end]
            if last is None or place + len(feed) > self.positions:
                states, place, last = States(self, 1), 0, None
                feed = row.head + row.ids[max(0, at - overlap) : end]
            [hidden] = states.read([feed], [place])
            place += len(feed)
            # What foretells a piece's first token stands in what was read before it.
            seen = hidden if last is None else torch.cat((last, hidden))
            targets = np.asarray(row.ids[at:end], np.int64)
            nll.append(self.nll(seen[len(seen) - len(targets) - 1 : -1], targets))
            last = hidden[-1:]
            [cells] = states.cells
            sight = np.arange(max(len(row.head), cells - room // 2), cells)
            states.keep([0], [np.concatenate((np.arange(len(row.head)), sight))])
        return np.concatenate(nll)


def separator(model: "PreTrainedModel", tokenizer: "Tokenizer") -> int:
    """Return the token that parts texts for a model.

    Where the vocabulary has `<|endoftext|>`, pretraining put that between documents; a chat
    model's own BOS opens a turn instead (SmolLM2 reads prose 0.3 nats worse after it).
    """
    config = model.config.get_text_config()
    between = tokenizer.token_to_id("<|endoftext|>")
    named = (between, getattr(config, "bos_token_id", None), getattr(config, "eos_token_id", None))
    return next((token for token in named if isinstance(token, int)), 0)


def _readable(text: str) -> str:
    """Return a text with a replacement character for each half of a pair of UTF-16 that stands alone."""
    return text if text.isascii() else _LONE.sub("\ufffd", text)


def _offsets(item: "Encoding") -> Ints:
    return np.asarray(item.offsets, np.int64).reshape(-1, 2)


def _surprise(logits: "torch.Tensor", targets: "torch.Tensor") -> "torch.Tensor":
    """Return (R,) -ln softmax(logits)[target]; overwrites its (R, V) logits, which saves a copy of each."""
    picked = logits.gather(1, targets[:, None])[:, 0]
    most = logits.amax(-1, keepdim=True)
    return logits.sub_(most).exp_().sum(-1).log_() + most[:, 0] - picked


def _batches(rows: Sequence[_Row], budget: int, padding: int | None = None) -> Iterator[list[_Row]]:
    """Sort rows by length and cut them into batches.

    Args:
        budget: tokens of a batch, padding included, at most; one row may have more.
        padding: of them padding; None: however many.
    """
    batch: list[_Row] = []
    padded = 0
    for row in sorted(rows, key=lambda row: -row.length):
        width = batch[0].length if batch else 0
        padded += max(0, width - row.length)
        full = width * (len(batch) + 1) > budget or (padding is not None and padded > padding)
        if batch and full:
            yield batch
            batch, padded = [], 0
        batch.append(row)
    if batch:
        yield batch
