"""Is our profile `compat` the reference, to the letter? Same weights, same texts, outputs compared.

    .venv/bin/python -m benchmarks.parity_llmlingua2 --texts /work/shared/data --count 200

Weights are small and made here (`tests/fakes/tiny_classifier.py`), of BERT's and XLM-R's families;
texts are strings found in JSON and text files below a folder, which stay where they are, and
sentences of our own in twelve languages. Each text meets one of several sets of options in turn.
Compared: the text, words, labels and counts; where the reference crashes, whether we refuse.
`--golden FILE` writes what the reference made of our own sentences, for the tests.
"""

import argparse
import gzip
import hashlib
import json
import random
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from elision.compressors.errors import CompressionError
from elision.compressors.llmlingua2 import TokenToWord
from elision.compressors.llmlingua2_compat import Compat, CompatOptions, CompatResult, ContextFilter
from elision.compressors.tokens import Counters
from elision.compressors.torch_classifier import TorchClassifier

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "tests"))

from benchmarks.reference import Reference  # noqa: E402
from fakes.golden_texts import OPTIONS, SENTENCES, golden_contexts  # noqa: E402
from fakes.tiny_classifier import save_tiny_bert, save_tiny_xlmr  # noqa: E402

_MAKERS = {"bert-base-multilingual-cased": save_tiny_bert, "xlm-roberta-large": save_tiny_xlmr}
_LEAST, _MOST = 80, 20_000
_ARGUMENTS = ("rate", "target_token")
_FILTER = ("target_context", "context_level_rate", "context_level_target_token", "force_context_ids")


def ours(compat: Compat, contexts: Sequence[str], options: Mapping[str, Any]) -> CompatResult | str:
    """Return our answer to a request in the reference's words, or what we refuse it with."""
    told = {name: options[name] for name in _ARGUMENTS if name in options}
    if options.get("use_context_level_filter"):
        chosen = {name: options[name] for name in _FILTER if name in options}
        chosen["force_context_ids"] = tuple(chosen.get("force_context_ids", ()))
        told["context_filter"] = ContextFilter(**chosen)
    try:
        return compat.compress_prompt(contexts, **told)
    except CompressionError as error:
        return str(error)


def labelled(found: CompatResult) -> str:
    """Return words and labels as the reference writes them."""
    return "\t\t|\t\t".join(f"{word} {label}" for word, label in zip(found.words, found.labels, strict=True))


def same(found: CompatResult | str, wanted: Mapping[str, Any]) -> bool:
    """Whether an answer of ours is the reference's; a refusal answers a crash."""
    if isinstance(found, str) or "crash" in wanted:
        return isinstance(found, str) and "crash" in wanted
    return (
        found.compressed_prompt == wanted["compressed_prompt"]
        and list(found.compressed_prompt_list) == wanted["compressed_prompt_list"]
        and labelled(found) == wanted["fn_labeled_original_prompt"]
        and (found.origin_tokens, found.compressed_tokens)
        == (wanted["origin_tokens"], wanted["compressed_tokens"])
    )


def compat_of(folder: Path, counters: Counters, options: Mapping[str, Any]) -> Compat:
    """Return our compressor with the reference's options."""
    known = {name: options[name] for name in CompatOptions.__dataclass_fields__ if name in options}
    lists = {name: tuple(value) for name, value in known.items() if isinstance(value, list)}
    word = {"token_to_word": TokenToWord(options.get("token_to_word", "mean"))}
    return Compat(TorchClassifier.load(folder, 2), counters, CompatOptions(**{**known, **lists, **word}))


def strings(folder: Path) -> Iterator[str]:
    """Yield the longer strings of the JSON and text files below a folder."""
    for path in sorted(folder.rglob("*")):
        kinds = path.suffixes
        if not path.is_file() or not {".json", ".jsonl", ".txt"} & set(kinds):
            continue
        content = gzip.decompress(path.read_bytes()) if kinds[-1] == ".gz" else path.read_bytes()
        text = content.decode("utf-8", "replace")
        if ".txt" in kinds:
            yield from text.split("\n\n")
        elif ".jsonl" in kinds:
            yield from (one for line in text.split("\n") if line for one in _inside(json.loads(line)))
        else:
            yield from _inside(json.loads(text))


def _inside(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, list | dict):
        for one in value.values() if isinstance(value, dict) else value:
            yield from _inside(one)


def chosen(folder: Path | None, count: int) -> list[str]:
    """Return texts, a half of them mostly not in ASCII as far as there are such."""
    draw = random.Random(0)
    found = sorted({one[:_MOST] for one in strings(folder) if len(one) >= _LEAST}) if folder else []
    own = [" ".join(draw.sample(SENTENCES, k=draw.randint(3, len(SENTENCES)))) for _ in range(count)]
    foreign = [one for one in found if sum(ord(c) > 127 for c in one) > 0.3 * len(one)]
    foreign = draw.sample(foreign, min(count // 4, len(foreign)))
    plain = draw.sample(found, min(count // 2, len(found)))
    return [*plain, *foreign, *own][:count]


def compare(name: str, texts: Sequence[str], folder: Path) -> Counter[str]:
    """Ask both of each text; tell what differs."""
    outcome: Counter[str] = Counter()
    counters = Counters()
    compressors = [compat_of(folder, counters, options) for options in OPTIONS]
    with Reference(folder, 2) as reference:
        for i, text in enumerate(texts):
            at = i % len(OPTIONS)
            contexts = text.split("\n\n") if OPTIONS[at].get("use_context_level_filter") else [text]
            wanted = reference.ask(contexts, OPTIONS[at])
            found = ours(compressors[at], contexts, OPTIONS[at])
            kind = "crash" if "crash" in wanted else "text"
            outcome[f"{kind}, {'same' if same(found, wanted) else 'other'}"] += 1
            if not same(found, wanted):
                tell(f"{name}: text {i}, options {at}: {str(wanted)[:300]!r} but {str(found)[:300]!r}")
    return outcome


def golden(folder: Path, cases: Sequence[tuple[int, int, int]]) -> list[dict[str, Any]]:
    """Return what the reference makes of each case: sentences from, to, and the number of the options."""
    kept = {"compressed_prompt_list", "crash", "origin_tokens", "compressed_tokens"}
    rows = []
    with Reference(folder, 2) as reference:
        for first, last, at in cases:
            contexts = golden_contexts(first, last, at)
            answer = reference.ask(contexts, OPTIONS[at])
            row = {name: answer[name] for name in answer if name in kept}
            if "crash" not in answer:
                words = answer["fn_labeled_original_prompt"]
                row["labelled_sha256"] = hashlib.sha256(words.encode()).hexdigest()
            rows.append({"case": [first, last, at], **row})
    return rows


def tell(line: str) -> None:
    """Write one line at once: a run takes minutes."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> int:
    """Compare, or write golden outputs; 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--texts", type=Path, help="a folder of JSON and text files")
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--golden", type=Path, help="write golden outputs to this file")
    told = parser.parse_args()
    texts = chosen(told.texts, told.count)
    foreign = sum(sum(ord(c) > 127 for c in text) > 0.1 * len(text) for text in texts)
    wrong = 0
    rows: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as room:
        for name, make in _MAKERS.items():
            folder = make(Path(room) / name)
            if told.golden:
                every = range(len(OPTIONS))
                cases = [*((0, len(SENTENCES), at) for at in every), *((at, at + 4, at) for at in every)]
                rows[name] = golden(folder, cases)
                continue
            outcome = compare(name, texts, folder)
            wrong += sum(count for kind, count in outcome.items() if kind.endswith("other"))
            tell(f"{name}: {len(texts)} texts, {foreign} of them not in English: {dict(outcome)}")
    if told.golden:
        told.golden.write_text(json.dumps(rows, ensure_ascii=False, indent=1) + "\n", "utf-8")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
