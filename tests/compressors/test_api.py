"""One text by one call; prompts by the names and results that LLMLingua's users know."""

import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from elision.compressors import PromptCompressor, compress
from elision.compressors.base import Compressor, Method, Units
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption, UnknownMethod
from elision.compressors.extractive import Extractive
from elision.compressors.tokens import Counters
from elision.compressors.units import words
from fakes.tiny_lm import save_tiny_lm

PROSE = "The fox was late. It jumps over lazy dogs. He said that the meeting was held. Reports may be filed. "
JSON = '{ "a": 1,\n  "b": [ 2, 3 ] }'
GOOD = "Berlin Tokyo Oslo Lima Quito Paris Delhi Cairo Rabat Accra " * 4
DULL = "of the and to in is was for on that with as by at from this " * 3


class Capitals:
    """A scorer that thinks much of words with capitals."""

    fingerprint = "capitals"
    reads_question = False

    def score(self, texts: Sequence[str], questions: Sequence[str]) -> list[Units]:
        found = [words(text) for text in texts]
        return [
            Units(bounds, np.array([float(text[a].isupper()) for a, _ in bounds.tolist()]))
            for text, bounds in zip(texts, found, strict=True)
        ]


class WithCapitals(Engine):
    """An engine whose every method keeps words with capitals, but `lossless` is what it is."""

    def compressor(self, method: Method) -> Compressor:
        if method.name == "lossless":
            return super().compressor(method)
        return Extractive("capitals", Capitals(), self.counters)


def tokens(text: str) -> int:
    return Counters().counter_for("gpt-3.5-turbo").count(text)


def capitals(*, use_llmlingua2: bool = False) -> PromptCompressor:
    return PromptCompressor(use_llmlingua2=use_llmlingua2, engine=WithCapitals())


def test_one_text_is_compressed_by_one_call(tmp_path: Path) -> None:
    """With the method's options; weights stay for the next call."""
    options = {"weights": str(save_tiny_lm(tmp_path)), "level": "phrase"}
    first, second = (compress(PROSE, rate=0.5, method="selective_context", options=options) for _ in range(2))
    assert first == second
    assert first.reason == ""
    assert first.tokens_after <= first.tokens_before / 2
    assert compress(JSON, method="lossless").text == '{"a":1,"b":[2,3]}'


def test_what_is_asked_wrongly_says_what_is_near() -> None:
    """A method, an option of it."""
    with pytest.raises(UnknownMethod, match="did you mean 'lossless'"):
        compress(PROSE, method="losless")
    with pytest.raises(BadOption, match="did you mean 'level'"):
        compress(PROSE, rate=0.5, method="selective_context", options={"levl": "word"})


def test_importing_the_package_is_light() -> None:
    """Neither numpy nor torch, until something is compressed by a model."""
    told = "import sys, elision.compressors; print([m for m in ('numpy', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_prompt_keeps_its_instruction_and_question_whole() -> None:
    """Between them the contexts, at a rate of the whole."""
    text = DULL + GOOD
    done = capitals().compress_prompt(text, instruction="Answer.", question="Which cities?", rate=0.5)
    assert done["compressed_prompt"].startswith("Answer.\n\n")
    assert done["compressed_prompt"].endswith("\n\nWhich cities?")
    whole = f"Answer.\n\n{text}\n\nWhich cities?"
    assert done["origin_tokens"] == tokens(whole)
    assert done["compressed_tokens"] == tokens(done["compressed_prompt"])
    assert 0.4 < done["compressed_tokens"] / done["origin_tokens"] <= 0.55
    ratio = done["origin_tokens"] / done["compressed_tokens"]
    assert (done["ratio"], done["rate"]) == (f"{ratio:.1f}x", f"{100 / ratio:.1f}%")
    assert done["saving"] == ", Saving $0.0 in GPT-4."


def test_llmlingua2_gives_back_the_contexts_only() -> None:
    """As the reference does, whose integrations count on it."""
    done = capitals(use_llmlingua2=True).compress_prompt(
        [DULL + GOOD, GOOD], instruction="Answer.", question="Which?", target_token=30
    )
    assert done["compressed_prompt"] == "\n\n".join(done["compressed_prompt_list"])
    assert "Answer." not in done["compressed_prompt"]
    assert 25 <= done["compressed_tokens"] <= 30
    assert done["origin_tokens"] == tokens(DULL + GOOD) + tokens(GOOD)


def test_the_least_of_several_contexts_are_left_out() -> None:
    """By the mean importance of their words; those that must stay stay."""
    contexts = [DULL, GOOD, DULL + GOOD]
    few = capitals(use_llmlingua2=True)
    assert len(few.compress_prompt(contexts, rate=0.3)["compressed_prompt_list"]) == 2
    [best] = few.compress_prompt(contexts, target_context=1, target_token=20)["compressed_prompt_list"]
    assert set(best.split()) <= set(GOOD.split())
    assert 15 <= tokens(best) <= 20
    forced = few.compress_prompt(contexts, force_context_number=2, force_context_ids=[0], rate=0.5)
    assert forced["compressed_prompt_list"][0].split()[0] in DULL.split()
    everything = few.compress_prompt(contexts, rate=0.3, use_context_level_filter=False)
    assert len(everything["compressed_prompt_list"]) == 3


def test_contexts_can_be_chosen_without_touching_their_words() -> None:
    """`use_token_level_filter=False`: whole contexts, or none of them."""
    done = capitals(use_llmlingua2=True).compress_prompt(
        [DULL, GOOD], context_level_rate=0.5, use_token_level_filter=False
    )
    assert done["compressed_prompt_list"] == [GOOD]


def test_words_are_labelled_with_whether_they_stayed() -> None:
    """Those of contexts that were left out too."""
    done = capitals(use_llmlingua2=True).compress_prompt(
        [DULL, GOOD + DULL], target_context=1, target_token=tokens(GOOD), return_word_label=True
    )
    labels = [re.split(" ", pair) for pair in done["fn_labeled_original_prompt"].split("\t\t|\t\t")]
    assert [word for word, _ in labels] == (DULL + GOOD + DULL).split()
    assert {word for word, label in labels if label == "1"} <= set(GOOD.split())
    assert sum(label == "1" for _, label in labels) > 30


def test_a_method_that_rewrites_neither_labels_nor_ranks() -> None:
    """It says so, where it is asked to; without being asked it does what it can."""
    lossless = PromptCompressor(method="lossless", engine=WithCapitals())
    assert lossless.compress_prompt([JSON, JSON])["compressed_prompt_list"] == ['{"a":1,"b":[2,3]}'] * 2
    with pytest.raises(BadOption, match="ranks no contexts"):
        lossless.compress_prompt([JSON, JSON], target_context=1)
    with pytest.raises(BadOption, match="no word labels"):
        lossless.compress_prompt(JSON, return_word_label=True)


def test_a_rate_that_leaves_nothing_for_the_contexts_is_refused() -> None:
    """Where instruction and question alone are more than what may stay."""
    with pytest.raises(BadOption, match="leaves nothing for the contexts"):
        capitals().compress_prompt(PROSE, instruction=PROSE * 5, rate=0.2)


@pytest.mark.parametrize("contexts", ["", [], [""]])
def test_nothing_gives_nothing(contexts: str | list[str]) -> None:
    """Without a division by zero."""
    done = capitals(use_llmlingua2=True).compress_prompt(contexts)
    assert (done["compressed_prompt"], done["ratio"], done["rate"]) == ("", "1.0x", "100.0%")


def test_what_means_nothing_here_is_refused_when_a_compressor_is_made() -> None:
    """Rather than passed over."""
    with pytest.raises(BadOption, match="give the method `options`"):
        PromptCompressor(open_api_config={"api_key": "k"})
    with pytest.raises(BadOption, match="leave out `method`"):
        PromptCompressor(use_llmlingua2=True, method="lossless")
    with pytest.raises(BadOption, match="use_llmlingua2=True"):
        PromptCompressor(use_slingua=True)
    with pytest.raises(BadOption, match="did you mean 'max_batch_size'"):
        PromptCompressor(use_llmlingua2=True, llmlingua2_config={"max_batch": 50})
    with pytest.raises(BadOption, match="at least 1"):
        PromptCompressor(use_llmlingua2=True, llmlingua2_config={"max_force_token": 0})
    config = {"max_batch_size": 50, "max_force_token": 100}
    made = PromptCompressor("some/weights", "cuda", {}, {}, llmlingua2_config=config)
    assert made.device_map == "cuda"


def test_the_page_about_python_says_what_runs(capsys: pytest.CaptureFixture[str]) -> None:
    """Its samples, one after the other."""
    page = (Path(__file__).parent.parent.parent / "docs/python.md").read_text(encoding="utf-8")
    for sample in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(sample, "docs/python.md", "exec"), {})
    one, many = capsys.readouterr().out.split("Answer.", 1)
    assert one.startswith('{"place":"Oslo","degrees":[12,14,9]} ')
    assert '{"a":1}\n\n{"b":2}\n\nWhat is a? ' in many
