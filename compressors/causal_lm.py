"""A causal language model on this machine: how surprising each token is, and what comes next.

This module owns tensors, batching and decoding; it knows nothing of prompts that are to be
shortened, nor of HTTP. Weights come from `elision.compressors.weights`. Everything runs in fp32 on
a CPU, where bf16 is several times slower. A `CausalLM` may be used from several threads: one
forward pass runs at a time.
"""

import threading
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from elision.compressors.breaks import give_way
from elision.compressors.errors import PromptTooLong
from elision.compressors.weights import Weights, quiet

if TYPE_CHECKING:
    import torch
    from tokenizers import Tokenizer
    from transformers import PreTrainedModel

# Rows of logits that are alive at once: 256 rows of 49,152 fp32 are 50 MB; fewer would read the
# head's own 113 MB more often.
_HEAD_ROWS = 256
_BATCH_TOKENS = 1024
# A text longer than the window is read in windows that repeat this much as context.
_OVERLAP = 256
_WINDOW = 2048


@dataclass(frozen=True, slots=True)
class Surprisal:
    """How surprising the tokens of one text are.

    Attributes:
        offsets: (T, 2) int64, the characters that each token stands for; tokens that share one
            character (a CJK sign of three bytes, say) have equal offsets.
        nll: (T,) float64, -ln p(token | BOS and the tokens before it), in nats.
    """

    offsets: NDArray[np.int64]
    nll: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How text is generated.

    Attributes:
        max_tokens: at most so many new tokens.
        temperature: 0 takes the likeliest token each time.
        top_p: sample among the likeliest tokens that together have this probability.
        stop: generation ends before the first of these strings.
        seed: equal seeds give equal texts; None draws one.
    """

    max_tokens: int = 256
    temperature: float = 0.0
    top_p: float = 1.0
    stop: tuple[str, ...] = ()
    seed: int | None = None


class _Row(NamedTuple):
    """One window of one text: token ids after BOS, of which those from `fresh` on are scored."""

    text: int
    at: int
    ids: list[int]
    fresh: int


class Generation(Iterator[str]):
    """Text as it is generated, in pieces; `close()` stops before the next token.

    Attributes:
        ids: tokens generated so far, the end mark included.
        prompt_tokens: tokens of the prompt.
        completion_tokens: how many `ids` there are.
        finish_reason: "stop" (the model, or a stop string), "length", or "" while it runs and
            after `close()`.
    """

    def __init__(self, decoder: "_Decoder") -> None:
        self._decoder = decoder
        self._pieces = decoder.run()

    def __next__(self) -> str:
        return next(self._pieces)

    def close(self) -> None:
        """Stop; what has been given so far remains the whole answer."""
        self._pieces.close()

    @property
    def prompt_tokens(self) -> int:
        return len(self._decoder.prompt)

    @property
    def ids(self) -> tuple[int, ...]:
        return tuple(self._decoder.ids)

    @property
    def completion_tokens(self) -> int:
        return len(self._decoder.ids)

    @property
    def finish_reason(self) -> str:
        return self._decoder.finish_reason


class CausalLM:
    """A causal language model with its tokenizer; make one with `CausalLM.load`."""

    def __init__(self, model: "PreTrainedModel", tokenizer: "Tokenizer", weights: Weights) -> None:
        """Take a model in eval mode and its tokenizer; texts never yield special tokens."""
        tokenizer.encode_special_tokens = True
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self._model = model
        self._tokenizer = tokenizer
        self._weights = weights
        self._lock = threading.Lock()

    @classmethod
    def load(cls, weights: Weights, threads: int | None = None) -> "CausalLM":
        """Load weights to CPU memory, as fp32.

        Args:
            weights: from `elision.compressors.weights.resolve`.
            threads: CPU threads for tensor work; torch keeps one such number per process. None
                leaves it alone.
        """
        import torch
        from tokenizers import Tokenizer
        from transformers import AutoModelForCausalLM

        if threads:
            torch.set_num_threads(threads)
        with quiet():
            model = AutoModelForCausalLM.from_pretrained(
                weights.directory, dtype=torch.float32, use_safetensors=True
            )
        tokenizer = Tokenizer.from_file(str(weights.directory / "tokenizer.json"))
        model.eval()
        return cls(model, tokenizer, weights)

    @property
    def checksum(self) -> str:
        """Of the weights; the same on every machine that has the same files."""
        return self._weights.checksum

    @property
    def window(self) -> int:
        """Tokens that the model can read and write at once."""
        return int(getattr(self._model.config, "max_position_embeddings", _WINDOW))

    @cached_property
    def bos(self) -> int:
        """The token that stands before a text that is scored.

        Where the vocabulary has `<|endoftext|>`, pretraining put that between documents; a chat
        model's own BOS opens a turn instead (SmolLM2 reads prose 0.3 nats worse after it).
        """
        config = self._model.config
        separator = self._tokenizer.token_to_id("<|endoftext|>")
        named = (separator, getattr(config, "bos_token_id", None), getattr(config, "eos_token_id", None))
        return next((token for token in named if isinstance(token, int)), 0)

    def count(self, text: str) -> int:
        """Return the number of tokens of a text; special-token literals count as plain text."""
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def surprisal(self, texts: Sequence[str]) -> list[Surprisal]:
        """Score each text by itself, after BOS, in length-sorted padded batches.

        Texts longer than the scoring window are read in windows that overlap by 256 tokens.
        Source: Selective-Context, arXiv:2310.06201, section 2: self-information.
        """
        return self.conditional([("", text) for text in texts])

    def conditional(self, pairs: Sequence[tuple[str, str]]) -> list[Surprisal]:
        """Score texts, each after BOS and a prefix of its own, which is not scored; batched as `surprisal`.

        A prefix that leaves a text less than half of the scoring window keeps its end.
        Source: LongLLMLingua, arXiv:2310.06839, section 4: perplexities under a condition.

        Args:
            pairs: (prefix, text).
        """
        texts = self._tokenizer.encode_batch([text for _, text in pairs], add_special_tokens=False)
        prefixes = self._tokenizer.encode_batch([prefix for prefix, _ in pairs], add_special_tokens=False)
        rows = [
            row
            for i, (prefix, item) in enumerate(zip(prefixes, texts, strict=True))
            for row in self._after(i, prefix.ids, item.ids)
        ]
        scores = [np.zeros(len(item.ids)) for item in texts]
        for batch in _batches(rows):
            give_way()
            for row, nll in zip(batch, self._score(batch), strict=True):
                fresh = len(row.ids) - row.fresh
                scores[row.text][row.at : row.at + fresh] = nll[row.fresh :]
        return [
            Surprisal(np.asarray(item.offsets, np.int64).reshape(-1, 2), nll)
            for item, nll in zip(texts, scores, strict=True)
        ]

    def surprisal_plain(self, text: str) -> Surprisal:
        """Score one text the slow way: one window, whole softmax. The reference for tests."""
        import torch

        item = self._tokenizer.encode(text, add_special_tokens=False)
        ids = torch.tensor([[self.bos, *item.ids]])
        with self._lock, torch.inference_mode():
            logits = self._model(ids, use_cache=False).logits[0, :-1]
        chosen = torch.log_softmax(logits.double(), -1).gather(1, ids[0, 1:, None])[:, 0]
        return Surprisal(np.asarray(item.offsets, np.int64).reshape(-1, 2), -chosen.numpy())

    def count_prompt(self, messages: Sequence[Mapping[str, str]]) -> int:
        """Return the tokens of a conversation in the model's chat format."""
        return len(self.encode_prompt(messages))

    def generate(self, messages: Sequence[Mapping[str, str]], sampling: Sampling | None = None) -> Generation:
        """Answer a conversation, piece by piece; nothing is computed until the first piece.

        Args:
            messages: each with `role` and `content`.
            sampling: how; None takes the likeliest tokens, 256 at most.
        Raises: PromptTooLong if the prompt leaves no room for an answer.
        """
        prompt = self.encode_prompt(messages)
        room = self.window - len(prompt)
        if room < 1:
            raise PromptTooLong(
                f"the prompt has {len(prompt)} tokens and the model reads {self.window}: shorten it"
            )
        chosen = sampling or Sampling()
        return Generation(_Decoder(self, prompt, chosen, min(room, chosen.max_tokens)))

    def decode(self, ids: Sequence[int]) -> str:
        """Return the text of some tokens, special tokens left out."""
        return self._tokenizer.decode(list(ids), skip_special_tokens=True)

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
                torch.tensor([list(ids)]), past_key_values=cache, use_cache=True, logits_to_keep=1
            )
        return out.logits[0, -1], out.past_key_values

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

    def _after(self, text: int, prefix: list[int], ids: list[int]) -> Iterator[_Row]:
        """Yield a text's windows, each with the prefix before it, and with what came before in the text."""
        size = max(2, min(_WINDOW, self.window) - 1)
        prefix = prefix[-(size // 2) :] if prefix else []
        room = size - len(prefix)
        overlap = min(_OVERLAP, room // 2)
        if ids:
            yield _Row(text, 0, prefix + ids[:room], len(prefix))
        for at in range(room, len(ids), room - overlap):
            window = ids[at - overlap : at - overlap + room]
            yield _Row(text, at, prefix + window, len(prefix) + overlap)

    def _score(self, batch: Sequence[_Row]) -> Iterator[NDArray[np.float64]]:
        """Return the NLL of each row's tokens. Padding stands right, where a causal model's
        tokens do not see it, so that no attention mask is needed.
        """
        import torch

        lengths = [len(row.ids) for row in batch]
        padded = np.full((len(batch), max(lengths) + 1), self.bos, np.int64)
        for i, row in enumerate(batch):
            padded[i, 1 : 1 + len(row.ids)] = row.ids
        ids = torch.from_numpy(padded)
        real = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
        with self._lock, torch.inference_mode():
            hidden = self._model.base_model(ids[:, :-1], use_cache=False).last_hidden_state
            nll = self._head_nll(hidden[real], ids[:, 1:][real])
        yield from np.split(nll, np.cumsum(lengths)[:-1])

    def _head_nll(self, hidden: "torch.Tensor", targets: "torch.Tensor") -> NDArray[np.float64]:
        """Return -ln p(target) for (R, H) hidden states and (R,) targets, some rows at a time."""
        import torch

        head: Any = self._model.get_output_embeddings()
        cap = getattr(self._model.config, "final_logit_softcapping", None)
        parts = []
        for at in range(0, len(targets), _HEAD_ROWS):
            rows, chosen = hidden[at : at + _HEAD_ROWS], targets[at : at + _HEAD_ROWS]
            logits = head(rows)
            if cap:
                logits = cap * torch.tanh(logits / cap)
            picked = logits.gather(1, chosen[:, None])[:, 0]
            parts.append(torch.logsumexp(logits, -1) - picked)
        return np.asarray(torch.cat(parts).double().numpy(), np.float64)


def _batches(rows: Sequence[_Row]) -> Iterator[list[_Row]]:
    """Sort rows by length, so that padding is small, and cut them into batches by token budget."""
    batch: list[_Row] = []
    for row in sorted((row for row in rows if row.ids), key=lambda row: -len(row.ids)):
        width = len(batch[0].ids) if batch else 0
        if batch and width * (len(batch) + 1) > _BATCH_TOKENS:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch


class _Decoder:
    """One answer in the making: tokens so far, and how much of their text has been given out."""

    def __init__(self, lm: CausalLM, prompt: list[int], sampling: Sampling, room: int) -> None:
        self.prompt = prompt
        self.ids: list[int] = []
        self.finish_reason = ""
        self._lm = lm
        self._sampling = sampling
        self._room = room

    def run(self) -> Generator[str, None, None]:
        given = 0
        for _ in self._tokens():
            text = self._lm.decode(self.ids)
            cut = _first(text, self._sampling.stop)
            if cut is not None:
                self.finish_reason = "stop"
                yield text[given:cut]
                return
            safe = _safe(text, self._sampling.stop)
            if safe > given:
                yield text[given:safe]
                given = safe
        rest = self._lm.decode(self.ids)[given:]
        if rest:
            yield rest

    def _tokens(self) -> Iterator[int]:
        import torch

        random = torch.Generator()
        if self._sampling.seed is None:
            random.seed()
        else:
            random.manual_seed(self._sampling.seed % 2**63)
        fresh, cache = self.prompt, None
        while len(self.ids) < self._room:
            logits, cache = self._lm.step(fresh, cache)
            token = _pick(logits, self._sampling, random)
            self.ids.append(token)
            if token in self._lm.ends:
                self.finish_reason = "stop"
                return
            yield token
            fresh = [token]
        self.finish_reason = "length"


def _pick(logits: "torch.Tensor", sampling: Sampling, random: "torch.Generator") -> int:
    """Choose a token from (V,) logits. Source of top-p: nucleus sampling, arXiv:1904.09751."""
    import torch

    if sampling.temperature <= 0:
        return int(logits.argmax())
    chances, order = torch.softmax(logits / sampling.temperature, -1).sort(descending=True)
    # The first token stays whatever top_p is: what counts is the mass before each token.
    before = chances.cumsum(0) - chances
    chances = torch.where((before < sampling.top_p) | (before == 0), chances, 0.0)
    return int(order[torch.multinomial(chances, 1, generator=random)])


def _first(text: str, stops: Sequence[str]) -> int | None:
    """Return where the first stop string begins, if there is one."""
    found = [at for at in (text.find(stop) for stop in stops if stop) if at >= 0]
    return min(found, default=None)


def _safe(text: str, stops: Sequence[str]) -> int:
    """Return how much of a growing text can be given out: what further tokens cannot change.

    Held back: the replacement characters of an unfinished UTF-8 sequence, and an end that may
    yet become a stop string.
    """
    end = len(text.rstrip("\ufffd"))
    held = 0
    for stop in stops:
        for size in range(min(len(stop) - 1, end), held, -1):
            if text.endswith(stop[:size], 0, end):
                held = size
                break
    return end - held
