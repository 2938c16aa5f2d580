"""LLMLingua-2 as its reference code has it, faults included: profile `compat`.

For comparing with published figures, and for those who want what they had. It rewrites: words are
put together again by the tokenizer's decoder, so nothing is protected and no slices are reported.
Same weights in fp32 (`engine: torch`): same output as `llmlingua` 0.2.2 with transformers 4.46.3,
compared by `benchmarks/parity_llmlingua2.py`. Kept on purpose:

- texts are cut at 511 tokens or after an end token before that, detokenised and tokenised again;
- XLM-R is shown BERT's marks, which it does not know (LLMLingua issue 181);
- each chunk keeps its own share, by a whole percentage of its tokens by OpenAI's count;
- tokens that the vocabulary lacks vanish; force tokens of several pieces become `[NEW]` marks.

Where the reference crashes, or its output would hang on chance, `CompressionError` says so; the
places are listed in `docs/models.md`.
"""

import re
import string
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from elision.compressors.base import OptionValue, Outcome, Target
from elision.compressors.errors import BadOption, CompressionError
from elision.compressors.llmlingua2 import NAME, TokenToWord
from elision.compressors.token_classifier import Family, TokenClassifier
from elision.compressors.tokens import Counters

_VERSION = "1"
_WINDOW = 512
_NEW_TOKENS = 100
_COUNTED_AS = "gpt-3.5-turbo"
_SPLIT = re.compile(r'\b\w+\b|[<>=/!@#$%^&*()?":{}|\\`~;_+-]')
_DIGIT = re.compile(r"\d")
# OpenAI's encoder refuses texts with these, and the reference asks it in the way that refuses.
_OPENAI_MARKS = re.compile(r"<\|(?:endoftext|fim_prefix|fim_middle|fim_suffix|endofprompt)\|>")

# The reference mixes numpy's float32 with Python's floats, and so do its sums and percentiles.
Probability = np.float32 | float


@dataclass(frozen=True, slots=True)
class CompatOptions:
    """Arguments of the reference's `compress_prompt`, by its names and with its defaults."""

    token_to_word: TokenToWord = TokenToWord.MEAN
    force_tokens: tuple[str, ...] = ()
    force_reserve_digit: bool = False
    drop_consecutive: bool = False
    chunk_end_tokens: tuple[str, ...] = (".", "\n")

    @classmethod
    def read(cls, options: Mapping[str, OptionValue]) -> "CompatOptions":
        """Take these out of a method's options, which have been checked."""
        force, ends = options["force_tokens"], options["chunk_end_tokens"]
        return cls(
            TokenToWord(str(options["token_to_word"])),
            force if isinstance(force, tuple) else (),
            bool(options["force_reserve_digit"]),
            bool(options["drop_consecutive"]),
            (ends if isinstance(ends, tuple) else ()) or (".", "\n"),
        )


@dataclass(frozen=True, slots=True)
class ContextFilter:
    """Which contexts stay at all, by the reference's names; without any of them half of what goes
    goes with whole contexts.
    """

    target_context: int = -1
    context_level_rate: float = 1.0
    context_level_target_token: int = -1
    force_context_ids: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class CompatResult:
    """What the reference answers.

    Attributes:
        compressed_prompt: the contexts that stay, shortened, blank lines between them.
        compressed_prompt_list: each of them.
        words: of all contexts, whether they stay or not.
        labels: of each word, 1 where it stays.
        origin_tokens: by the tokenizer of gpt-3.5-turbo.
        compressed_tokens: likewise.
    """

    compressed_prompt: str
    compressed_prompt_list: tuple[str, ...]
    words: tuple[str, ...]
    labels: tuple[int, ...]
    origin_tokens: int
    compressed_tokens: int


@dataclass(slots=True)
class _Words:
    """The words of a chunk, and the chances of their pieces with and without what is forced."""

    words: list[str]
    chances: list[list[Probability]]
    unforced: list[list[Probability]]


@dataclass(frozen=True, slots=True)
class _Chunk:
    """What became of a chunk: its text, its words, which of them stay."""

    text: str
    words: list[str]
    labels: list[int]


class Compat:
    """The compressor of profile `compat`; also the reference's `compress_prompt`."""

    def __init__(
        self, classifier: TokenClassifier, counters: Counters, options: CompatOptions | None = None
    ) -> None:
        """Take a classifier of BERT's or XLM-R's family.

        Raises: BadOption for another family, more force tokens than 100, or ones that need rows
            of the embedding which the checkpoint lacks.
        """
        vocabulary = classifier.vocabulary
        if vocabulary.family is Family.MODERNBERT:
            raise BadOption(f"{NAME}: profile compat knows BERT and XLM-R only; use profile: fixed")
        self._options = options or CompatOptions()
        self._counters = counters
        self._openai = counters.counter_for(_COUNTED_AS)
        self._count = lru_cache(maxsize=100_000)(self._openai.count)
        self._classifier = classifier
        self._bert = vocabulary.family is Family.BERT
        self._unknown = vocabulary.ids["unk"]
        self._specials = frozenset(vocabulary.specials.values())
        self._tokenizer = vocabulary.tokenizer()
        self._new = [f"[NEW{i}]" for i in range(_NEW_TOKENS)]
        self._add_new_tokens()
        self._marks = self._mark_force_tokens(vocabulary.size)
        ends = self._options.chunk_end_tokens
        self._ends = frozenset((*ends, *(self._marks[end] for end in ends if end in self._marks)))
        self._force = frozenset(self._options.force_tokens)
        self._begins = self._force | frozenset(self._marks.values())

    reads_question = False

    @property
    def fingerprint(self) -> str:
        return f"{NAME}-compat/{_VERSION} {self._options!r} weights={self._classifier.fingerprint}"

    def compress(self, texts: Sequence[str], targets: Sequence[Target]) -> list[Outcome]:
        """Shorten each text by itself, as one context.

        Reasons for the original: "no_target", "not_shorter".
        Raises: CompressionError where the reference crashes.
        """
        return [self._shorten(text, target) for text, target in zip(texts, targets, strict=True)]

    def compress_prompt(
        self,
        contexts: Sequence[str],
        *,
        rate: float = 0.5,
        target_token: int = -1,
        context_filter: ContextFilter | None = None,
    ) -> CompatResult:
        """Shorten several contexts as the reference does; None filters no contexts.

        Raises: CompressionError where the reference crashes.
        """
        for context in contexts:
            if _OPENAI_MARKS.search(context):
                raise CompressionError(
                    f"{NAME} compat: the reference refuses OpenAI's special tokens in texts"
                )
        total = sum(map(self._count, contexts))
        chunked = [self._cut(self._marked(context)) for context in contexts]
        if context_filter is not None and len(contexts) > 1:
            return self._filtered(chunked, total, (rate, target_token), context_filter)
        if target_token > 0:
            rate = min(_divided(target_token, total), 1.0)
        kept = self._compressed(chunked, max(0, 1 - rate))
        return self._result([text for text, _ in kept], [chunks for _, chunks in kept], total)

    def _shorten(self, text: str, target: Target) -> Outcome:
        counter = self._counters.counter_for(target.model)
        before = counter.count(text)
        if target.rate is None and target.tokens is None:
            return Outcome(text, before, before, (), NAME, self.fingerprint, "no_target")
        found = self.compress_prompt([text], rate=target.rate or 0.5, target_token=target.tokens or -1)
        after = counter.count(found.compressed_prompt)
        if after >= before:
            return Outcome(text, before, before, (), NAME, self.fingerprint, "not_shorter")
        return Outcome(found.compressed_prompt, before, after, (), NAME, self.fingerprint)

    def _add_new_tokens(self) -> None:
        from tokenizers import AddedToken

        self._tokenizer.add_special_tokens(
            [AddedToken(token, normalized=False, special=True) for token in self._new]
        )

    def _mark_force_tokens(self, rows: int) -> dict[str, str]:
        force = self._options.force_tokens
        if len(force) > _NEW_TOKENS:
            raise BadOption(f"{NAME}: profile compat takes {_NEW_TOKENS} force_tokens, not {len(force)}")
        marks = {token: self._new[i] for i, token in enumerate(force) if len(self._tokenize(token)) != 1}
        for token, mark in marks.items():
            if self._id(mark) >= rows:
                raise BadOption(
                    f"{NAME}: force token {token!r} needs a {mark} row that these weights lack; "
                    "the reference would make one at random"
                )
        return marks

    def _marked(self, text: str) -> str:
        for token, mark in self._marks.items():
            text = text.replace(token, mark)
        return text

    def _unmarked(self, text: str) -> str:
        for token, mark in self._marks.items():
            text = text.replace(mark, token)
        return text

    def _tokenize(self, text: str) -> list[str]:
        return list(self._tokenizer.encode(text, add_special_tokens=False).tokens)

    def _id(self, token: str) -> int:
        number = self._tokenizer.token_to_id(token)
        return self._unknown if number is None else number

    def _detokenise(self, tokens: list[str]) -> str:
        return str(self._tokenizer.decoder.decode(tokens))

    def _cut(self, text: str) -> list[str]:
        tokens = self._tokenize(text)
        chunks = []
        start = 0
        while start < len(tokens):
            last = start + _WINDOW - 2
            if last > len(tokens) - 1:
                last = len(tokens) - 1
            else:
                ends = (at for at in range(last, start, -1) if tokens[at] in self._ends)
                last = next(ends, last)
            chunks.append(self._detokenise(tokens[start : last + 1]))
            start = last + 1
        return chunks

    def _filtered(
        self, chunked: list[list[str]], total: int, wanted: tuple[float, int], told: ContextFilter
    ) -> CompatResult:
        rate, target_token = wanted
        scored = [self._read(chunks) for chunks in chunked]
        means = [self._mean_unforced(read) for read in scored]
        share = _context_rate(len(chunked), total, wanted, told)
        least = _percentile(means, int(100 * (1 - share)))
        stays = [mean >= least or i in told.force_context_ids for i, mean in enumerate(means)]
        reserved = [chunks for chunks, stay in zip(chunked, stays, strict=True) if stay]
        if target_token >= 0:
            left = sum(self._count(chunk) for chunk in chain(*reserved))
            rate = min(_divided(target_token, left), 1.0)
        kept = iter(self._compressed(reserved, max(0, 1 - rate)))
        texts, words = [], []
        for stay, read in zip(stays, scored, strict=True):
            if stay:
                text, chunks = next(kept)
                texts.append(text)
                words.append(chunks)
            else:
                every = [self._bare(word) for one in read for word in one.words]
                words.append([_Chunk("", every, [0] * len(every))])
        return self._result(texts, words, total)

    def _mean_unforced(self, read: list[_Words]) -> Probability:
        chances = [chance for one in read for chance in self._joined(one.unforced)]
        if not chances:
            raise CompressionError(
                f"{NAME} compat: the reference divides by zero where a context has no words"
            )
        mean: Probability = sum(chances) / len(chances)
        return mean

    def _compressed(self, chunked: list[list[str]], reduce: float) -> list[tuple[str, list[_Chunk]]]:
        if reduce <= 0:
            return [self._whole(chunks) for chunks in chunked]
        flat = iter(self._read(list(chain(*chunked))))
        done = [[self._chosen(next(flat), reduce) for _ in chunks] for chunks in chunked]
        return [("".join(one.text for one in chunks), chunks) for chunks in done]

    def _whole(self, chunks: list[str]) -> tuple[str, list[_Chunk]]:
        texts = [self._unmarked(chunk) for chunk in chunks]
        found = [_SPLIT.findall(text) for text in texts]
        return "".join(texts), [_Chunk("", words, [1] * len(words)) for words in found]

    def _read(self, chunks: list[str]) -> list[_Words]:
        windows = [self._window(chunk) for chunk in chunks]
        rows = self._classifier.probabilities(windows)
        return [self._words(ids, row) for ids, row in zip(windows, rows, strict=True)]

    def _window(self, chunk: str) -> NDArray[np.int64]:
        tokens = ["[CLS]", *self._tokenize(chunk), "[SEP]"][:_WINDOW]
        if "[PAD]" in tokens:
            raise CompressionError(f"{NAME} compat: the reference takes [PAD] in a text for padding")
        return np.asarray([self._id(token) for token in tokens], np.int64)

    def _words(self, ids: NDArray[np.int64], row: NDArray[np.float32]) -> _Words:
        """Put tokens together to words; what is forced has a chance of one."""
        found = _Words([], [], [])
        unforced: Probability = 0.0
        for number, chance in zip(ids.tolist(), row, strict=True):
            token = str(self._tokenizer.id_to_token(number))
            if token in self._specials:
                continue
            bare = token.lstrip("#" if self._bert else "▁")
            if self._opens(token, bare):
                # Once for a word: its other pieces repeat this, as the reference does.
                unforced = chance
                token = self._unmarked(token)
                found.words.append(token)
                found.chances.append([self._reserved(token, 1.0 if bare in self._begins else chance)])
                found.unforced.append([unforced])
            elif not found.words:
                raise CompressionError(
                    f"{NAME} compat: the reference fails where a chunk begins inside a word"
                )
            else:
                found.words[-1] += bare
                found.chances[-1].append(self._reserved(token, chance))
                found.unforced[-1].append(unforced)
        return found

    def _opens(self, token: str, bare: str) -> bool:
        if self._bert:
            return bare in self._begins or not token.startswith("##")
        return token in string.punctuation or token in self._begins or token.startswith("▁")

    def _reserved(self, token: str, chance: Probability) -> Probability:
        return 1.0 if self._options.force_reserve_digit and _DIGIT.search(token) else chance

    def _joined(self, chances: list[list[Probability]]) -> list[Probability]:
        if self._options.token_to_word is TokenToWord.FIRST:
            return [pieces[0] for pieces in chances]
        return [sum(pieces) / len(pieces) for pieces in chances]

    def _chosen(self, read: _Words, reduce: float) -> _Chunk:
        words, chances = read.words, self._joined(read.chances)
        if not words:
            raise CompressionError(f"{NAME} compat: the reference fails on a chunk without known words")
        if self._options.drop_consecutive:
            self._weaken_repeats(words, chances, _percentile(chances, int(100 * reduce)))
        spread = [
            chance for word, chance in zip(words, chances, strict=True) for _ in range(self._count(word))
        ]
        least = _percentile(spread, int(100 * reduce + 1))
        kept: list[str] = []
        labels = []
        for word, chance in zip(words, chances, strict=True):
            stays = bool(chance > least or (least == 1.0 and chance == least))
            if stays and self._options.drop_consecutive and word in self._force:
                stays = kept[-1:] != [word]
            if stays:
                kept.append(word)
            labels.append(int(stays))
        return _Chunk(self._detokenise(kept), [self._bare(word) for word in words], labels)

    def _weaken_repeats(self, words: list[str], chances: list[Probability], least: np.floating) -> None:
        between, previous = False, None
        for i, word in enumerate(words):
            if word not in self._force:
                between |= bool(chances[i] > least)
                continue
            if not between and word == previous:
                chances[i] = 0.0
            between, previous = False, word

    def _bare(self, word: str) -> str:
        return word if self._bert else word.lstrip("▁")

    def _result(self, texts: list[str], words: list[list[_Chunk]], total: int) -> CompatResult:
        every = list(chain(*words))
        return CompatResult(
            "\n\n".join(texts),
            tuple(texts),
            tuple(chain(*(one.words for one in every))),
            tuple(chain(*(one.labels for one in every))),
            total,
            sum(map(self._count, texts)),
        )


def _context_rate(count: int, total: int, wanted: tuple[float, int], told: ContextFilter) -> float:
    """Return the share of contexts that stays, as the reference works it out."""
    rate, target_token = wanted
    share, tokens = told.context_level_rate, told.context_level_target_token
    if told.target_context <= 0 and share >= 1.0 and tokens <= 0:
        if target_token < 0 and rate < 1.0:
            share = (rate + 1.0) / 2
        if target_token >= 0:
            tokens = target_token * 2
    if told.target_context >= 0:
        share = min(told.target_context / count, 1.0)
    if tokens >= 0:
        share = min(_divided(tokens, total), 1.0)
    return share


def _percentile(values: Sequence[Probability], percent: int) -> np.floating:
    if percent > 100:
        raise CompressionError(f"{NAME} compat: the reference fails where nothing is to be kept (rate 0)")
    if not values:
        raise CompressionError(f"{NAME} compat: the reference fails on a chunk without known words")
    # As numpy finds them: float32 where no chance is a Python float.
    found: np.floating = np.percentile(np.asarray(values), percent)
    return found


def _divided(tokens: int, total: int) -> float:
    if not total:
        raise CompressionError(f"{NAME} compat: the reference divides by zero on an empty text")
    return tokens / total
