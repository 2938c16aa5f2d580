"""Several contexts are compressed as the documents of one prompt, by the reference's arguments."""

from pathlib import Path
from typing import Any

import pytest

from elision.compressors import PromptCompressor
from elision.compressors.base import Job, Method, Target
from elision.compressors.engine import Engine
from elision.compressors.errors import BadOption
from elision.compressors.tokens import Counters
from fakes.tiny_lm import save_tiny_lm

QUESTION = "Who jumps over the lazy dog?"
CONTEXTS = [
    "A witness said that the meeting was held late and that reports may be filed by anyone who was there.",
    "The quick brown fox jumps over the lazy dog and it was the best of times for all of them that day.",
    "Weather in the north is cold and dark in winter but the lights of the town are warm and bright too.",
    "He said of the dogs that they jump over foxes when times are best and meetings are held in May.",
]
RECIPE: dict[str, Any] = {
    "rate": 0.55,
    "condition_in_question": "after_condition",
    "reorder_context": "sort",
    "dynamic_context_compression_ratio": 0.3,
    "condition_compare": True,
    "context_budget": "+100",
    "rank_method": "longllmlingua",
}


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(save_tiny_lm(tmp_path_factory.mktemp("lm")))


@pytest.fixture(scope="module")
def engine() -> Engine:
    return Engine()


def tokens(text: str) -> int:
    return Counters().counter_for("gpt-3.5-turbo").count(text)


def test_longllmlinguas_recipe_runs_as_written(weights: str, engine: Engine) -> None:
    """No method is named: the arguments say which; the result has the reference's keys."""
    done = PromptCompressor(weights, engine=engine).compress_prompt(
        CONTEXTS, instruction="Answer the question.", question=QUESTION, **RECIPE
    )
    prompt = done["compressed_prompt"]
    assert prompt.startswith("Answer the question.\n\n")
    assert prompt.endswith("\n\n" + QUESTION)
    whole = "\n\n".join(["Answer the question.", *CONTEXTS, QUESTION])
    assert (done["origin_tokens"], done["compressed_tokens"]) == (tokens(whole), tokens(prompt))
    # Instruction and question are paid for out of the rate.
    assert 0.5 < done["compressed_tokens"] / done["origin_tokens"] <= 0.58
    assert set(done) >= {"compressed_prompt_list", "ratio", "rate", "saving"}
    assert "\n\n".join(done["compressed_prompt_list"]) in prompt


def test_the_target_is_kept_and_the_least_documents_go(weights: str, engine: Engine) -> None:
    """`target_token` is of the contexts; `context_budget` says how many documents that leaves."""
    compressor = PromptCompressor(weights, method="longllmlingua", engine=engine)
    asked = {"question": QUESTION, "target_token": 30, "context_budget": "*1", "concate_question": False}
    done = compressor.compress_prompt(CONTEXTS, **asked)
    assert 25 <= done["compressed_tokens"] <= 30
    assert len(done["compressed_prompt_list"]) < 4
    assert QUESTION not in done["compressed_prompt"]
    everything = compressor.compress_prompt(CONTEXTS, **{**asked, "use_context_level_filter": False})
    assert len(everything["compressed_prompt_list"]) == 4


def test_documents_can_be_forced_and_put_in_order(weights: str, engine: Engine) -> None:
    """By their numbers, so many of them, whole."""
    compressor = PromptCompressor(weights, engine=engine)
    told = {**RECIPE, "rate": 1, "use_token_level_filter": False, "question": QUESTION}
    done = compressor.compress_prompt(CONTEXTS, **told, force_context_ids=[2], force_context_number=2)
    assert len(done["compressed_prompt_list"]) == 2
    assert CONTEXTS[2] in done["compressed_prompt_list"]
    every = compressor.compress_prompt([*CONTEXTS, " "], **told)
    assert sorted(every["compressed_prompt_list"]) == sorted(CONTEXTS)


def test_llmlingua_named_is_the_method_that_policies_name(weights: str, engine: Engine) -> None:
    """One text of all contexts, by the method's own defaults; nothing is asked of the question."""
    compressor = PromptCompressor(weights, method="llmlingua", engine=engine)
    done = compressor.compress_prompt(CONTEXTS, rate=0.5)
    same = compressor.compress_prompt(
        CONTEXTS, rate=0.5, rank_method="llmlingua", condition_in_question="none", iterative_size=200
    )
    assert done == same
    whole = "\n\n".join(CONTEXTS)
    total = sum(tokens(context) for context in CONTEXTS)
    method = Method("llmlingua", (("weights", weights),))
    [outcome] = engine.run([Job(whole, method, Target(tokens=int(0.5 * total), model="gpt-3.5-turbo"))])
    assert done["compressed_prompt"] == outcome.text
    assert 0.45 < done["compressed_tokens"] / done["origin_tokens"] <= 0.5
    assert "".join("".join(done["compressed_prompt_list"]).split()) == "".join(outcome.text.split())
    fewer = compressor.compress_prompt(CONTEXTS, rate=0.2, context_budget="*1")
    assert fewer != compressor.compress_prompt(CONTEXTS, rate=0.2, use_context_level_filter=False)
    assert compressor.compress_prompt(["", " "])["compressed_prompt"] == ""


def test_llmlinguas_compat_profile_puts_its_text_together(weights: str, engine: Engine) -> None:
    """It rewrites: one text comes back, and no words can be labelled."""
    told: dict[str, Any] = {"profile": "compat", "iterative_size": 10}
    compressor = PromptCompressor(weights, method="llmlingua", engine=engine, options=told)
    done = compressor.compress_prompt(CONTEXTS, rate=0.5)
    assert done["compressed_prompt_list"] == [done["compressed_prompt"]]
    with pytest.raises(BadOption, match="no word labels"):
        compressor.compress_prompt(CONTEXTS, rate=0.5, return_word_label=True)


@pytest.mark.parametrize(
    "wrong",
    [
        {"rank_method": "bm25"},
        {"condition_compare": True},
        {"force_context_ids": [1]},
    ],
)
def test_llmlingua_refuses_what_only_the_other_does(
    weights: str, engine: Engine, wrong: dict[str, Any]
) -> None:
    """And says which method has it."""
    compressor = PromptCompressor(weights, method="llmlingua", engine=engine)
    with pytest.raises(BadOption, match="longllmlingua"):
        compressor.compress_prompt(CONTEXTS, rate=0.5, **wrong)


def test_llmlingua_leaves_words_alone_where_that_is_asked(weights: str, engine: Engine) -> None:
    """Contexts stay whole or go."""
    compressor = PromptCompressor(weights, method="llmlingua", engine=engine)
    told = {"use_token_level_filter": False, "context_budget": "+0", "target_token": 30}
    done = compressor.compress_prompt(CONTEXTS, **told)
    assert set(done["compressed_prompt_list"]) < set(CONTEXTS)
    kept = compressor.compress_prompt(CONTEXTS, use_context_level_filter=False, **told)
    assert kept["compressed_prompt_list"] == list(CONTEXTS)


def test_words_are_labelled(weights: str, engine: Engine) -> None:
    """In the order in which they came, whatever order they go in."""
    done = PromptCompressor(weights, engine=engine, options={"level": "word"}).compress_prompt(
        CONTEXTS, question=QUESTION, return_word_label=True, word_sep="|", label_sep=":", **RECIPE
    )
    labels = [pair.rsplit(":", 1) for pair in done["fn_labeled_original_prompt"].split("|")]
    assert [word for word, _ in labels] == " ".join(CONTEXTS).split()
    kept = " ".join(done["compressed_prompt_list"]).split()
    assert 0 < sum(label == "1" for _, label in labels) <= len(kept)


def test_parts_go_as_far_as_they_are_told(weights: str, engine: Engine) -> None:
    """By lists or by tags; a context with a part that stays whole stays."""
    compressor = PromptCompressor(weights, engine=engine, options={"level": "word"})
    told = {**RECIPE, "dynamic_context_compression_ratio": 0.0, "question": QUESTION, "context_budget": "+0"}
    whole, less = "<llmlingua, compress=False>", "<llmlingua, rate=0.3>"
    tagged = [
        f"{whole}{CONTEXTS[0]}</llmlingua>{less} {CONTEXTS[1]}</llmlingua>",
        f"<llmlingua, rate=0.5>{CONTEXTS[2]}</llmlingua>",
        CONTEXTS[3],
    ]
    done = compressor.structured_compress_prompt(tagged, **told)
    assert CONTEXTS[0] in done["compressed_prompt"]
    segments = [[CONTEXTS[0], " " + CONTEXTS[1]], [CONTEXTS[2]], [CONTEXTS[3]]]
    listed = compressor.compress_prompt(
        ["".join(own) for own in segments],
        context_segs=segments,
        context_segs_rate=[[0.9, 0.3], [0.5], [0.55]],
        context_segs_compress=[[False, True], [True], [True]],
        **told,
    )
    assert listed == done
    expected = (
        tokens(CONTEXTS[0])
        + 0.3 * tokens(CONTEXTS[1])
        + 0.5 * tokens(CONTEXTS[2])
        + 0.55 * tokens(CONTEXTS[3])
    )
    assert done["compressed_tokens"] == pytest.approx(expected + tokens(QUESTION), abs=6)
    with pytest.raises(BadOption, match="joined they are not what context is"):
        compressor.compress_prompt(["x"], context_segs=[["y"]])


def test_structured_prompts_go_by_any_method(engine: Engine) -> None:
    """LLMLingua-2's too, which the reference does not do."""
    text = "".join(f"<llmlingua, rate={rate}>{CONTEXTS[0]} </llmlingua>" for rate in (0.5, 1, 0))
    for method in ("frequency", "embedded"):
        done = PromptCompressor(method=method, engine=engine).structured_compress_prompt(text)
        assert done["compressed_prompt"].count(CONTEXTS[0]) == 1
        assert done["compressed_tokens"] == pytest.approx(1.5 * tokens(CONTEXTS[0]), abs=4)


def test_what_the_method_cannot_do_is_refused(weights: str, engine: Engine) -> None:
    """A ranking that is not here, what belongs to LLMLingua-2, what belongs to another method."""
    compressor = PromptCompressor(weights, method="longllmlingua", engine=engine)
    for argument, told in (
        ({"rank_method": "bge_reranker"}, "rank_method cannot be"),
        ({"target_context": 3}, "belongs to LLMLingua-2"),
        ({"token_to_word": "first"}, "no option 'token_to_word'"),
        ({"context_budget": "target*2"}, "context_budget must be"),
        ({"condition_in_question": "behind"}, "condition_in_question"),
    ):
        with pytest.raises(BadOption, match=told):
            compressor.compress_prompt(CONTEXTS, question=QUESTION, **argument)
    with pytest.raises(BadOption, match="is not for frequency"):
        PromptCompressor(method="frequency", engine=engine).compress_prompt(CONTEXTS, reorder_context="sort")
    verbatim = {"token_to_word": "mean", "chunk_end_tokens": [".", "\n"], "force_tokens": [], "rate": 0.5}
    assert compressor.compress_prompt(CONTEXTS, question=QUESTION, **verbatim)["compressed_prompt"]


def test_perplexity_is_the_models(weights: str, engine: Engine, tmp_path: Path) -> None:
    """Mean or token by token, of all or of a part; the first token is after nothing."""
    compressor = PromptCompressor(weights, engine=engine)
    every = compressor.get_ppl(CONTEXTS[0], "token")
    assert isinstance(every, list)
    assert compressor.get_ppl(CONTEXTS[0]) == pytest.approx(sum(every) / len(every))
    assert compressor.get_ppl(CONTEXTS[0], "token", "after", 3) == pytest.approx(every[3:])
    assert compressor.get_ppl(CONTEXTS[0], "token", "before", 3) == pytest.approx(every[:3])
    for wrong in (("word", "none", 0), ("token", "behind", 0)):
        with pytest.raises(BadOption, match="must be"):
            compressor.get_ppl("a", *wrong)


def test_nothing_gives_nothing(weights: str, engine: Engine) -> None:
    """No context, or blank ones."""
    compressor = PromptCompressor(weights, method="longllmlingua", engine=engine)
    assert compressor.compress_prompt([], question="Who?")["compressed_prompt"] == "Who?"
    assert compressor.compress_prompt(["", " "], question="Who?")["compressed_prompt"] == "Who?"
