"""Tests of elision.policies.schema."""

import json
from typing import Any

import pytest
from pydantic import ValidationError

from elision.policies.model import (
    Budget,
    Endpoint,
    FewShot,
    History,
    Kind,
    Mode,
    Permissions,
    Policy,
    Position,
    Ranking,
    Rule,
    Scope,
    TextKind,
    Use,
    When,
)
from elision.policies.schema import PolicyFile, budget_of, build, merged

HALF: dict[str, Any] = {"method": "selective_context", "rate": 0.5}
KEY = "sha256:" + "0a" * 32


def read(data: object) -> PolicyFile:
    """Validate as the proxy does: strictly, as JSON."""
    return PolicyFile.model_validate_json(json.dumps(data), strict=True)


def meant(data: object) -> Policy:
    """Return the policy that a file means."""
    return build(read(data), "v1", "stem", "standard")


def test_a_file_becomes_the_policy_that_it_says() -> None:
    """Every key beside budget and rules arrives."""
    policy = meant(
        {
            "name": "search",
            "mode": "audit",
            "deadline_s": 1,
            "keys": [KEY],
            "few_shot": {"leading_pairs": 3, "inside": False},
            "requests": {"allow": ["rate"], "min_rate": 0.2},
        }
    )
    permissions = Permissions(off=False, audit=False, explain=False, rate=True, marks=False, min_rate=0.2)
    few_shot = FewShot(inside=False, leading_pairs=3)
    assert policy == Policy("search", "v1", Mode.AUDIT, 1.0, (), None, few_shot, permissions, (KEY,))


def test_a_condition_is_what_its_keys_say() -> None:
    """Names of headers in lower case, in one order."""
    when = {
        "role": ["user"],
        "segment": ["context"],
        "kind": ["prose"],
        "language": ["en", "de"],
        "model": ["gpt-4*"],
        "endpoint": ["chat"],
        "upstream": ["eu-*"],
        "min_tokens": 9,
        "max_tokens": 99,
        "position": ["first"],
        "min_turn": 1,
        "max_turn": 4,
        "header": {"X-Class": "batch*", "a": "b"},
    }
    [rule] = meant({"rules": [{"name": "documents", "when": when, "use": "keep"}]}).rules
    assert rule.name == "documents"
    assert rule.when == When(
        role=("user",),
        segment=(Kind.CONTEXT,),
        model=("gpt-4*",),
        min_tokens=9,
        max_tokens=99,
        text_kind=(TextKind.PROSE,),
        language=("en", "de"),
        endpoint=(Endpoint.CHAT,),
        upstream=("eu-*",),
        position=(Position.FIRST,),
        max_turn=4,
        header=(("a", "b"), ("x-class", "batch*")),
    )


def test_a_use_is_what_its_keys_say() -> None:
    """Options in one order, because they are part of what outcomes are cached by."""
    use = {
        **HALF,
        "options": {"unit": "phrase", "a": 1, "force_tokens": [".", "the"]},
        "protect": ["numbers"],
        "min_tokens": 50,
        "deadline_s": 0.5,
        "mode": "enforce",
    }
    [rule] = meant({"rules": [{"use": use}]}).rules
    options = (("a", 1), ("force_tokens", (".", "the")), ("unit", "phrase"))
    assert rule.use == Use("selective_context", 0.5, None, options, ("numbers",), 50, 0.5, Mode.ENFORCE)


def test_a_budget_is_what_its_keys_say() -> None:
    """Bounds in the order of the kinds."""
    budget = {
        "rate": 0.5,
        "scope": "request",
        "instruction_rate": 0.8,
        "question_rate": 0.95,
        "min_rate": {"context": 0.3},
        "max_rate": {"history": 0.9, "context": 0.8},
        "granularity": 3,
        "coarse": False,
        "min_examples": 2,
        "slope": 0.3,
        "ranking": "order",
    }
    assert meant({"budget": budget}).budget == Budget(
        rate=0.5,
        scope=Scope.REQUEST,
        instruction_rate=0.8,
        question_rate=0.95,
        min_rates=((Kind.CONTEXT, 0.3),),
        max_rates=((Kind.CONTEXT, 0.8), (Kind.HISTORY, 0.9)),
        granularity=3.0,
        coarse=False,
        min_examples=2,
        slope=0.3,
        ranking=Ranking.ORDER,
    )


def test_an_empty_file_keeps_everything() -> None:
    """Its name is the file's, it is enforced, it has two seconds; all else is the model's own default."""
    assert meant({}) == Policy("stem", "v1", Mode.ENFORCE, 2.0, ())
    assert budget_of(read({"budget": {"rate": 0.5}}).budget) == Budget(rate=0.5)


def test_short_forms_mean_what_the_long_ones_do() -> None:
    """One value for a list of one; a method's name for what a rule does; a word for few-shot."""
    policy = meant(
        {
            "few_shot": "off",
            "keys": KEY,
            "requests": {"allow": "off"},
            "rules": [
                {"when": {"role": "user", "segment": "context", "model": "m"}, "use": "keep"},
                {"use": {"rate": 0.5, "protect": "numbers"}},
            ],
        }
    )
    first, second = policy.rules
    assert first == Rule("rule-1", When(("user",), (Kind.CONTEXT,), ("m",)), Use("keep"))
    assert second == Rule("rule-2", When(), Use("standard", 0.5, protect=("numbers",)))
    assert policy.few_shot == FewShot(named=False, inside=False)
    assert policy.keys == (KEY,)
    assert (policy.permissions.off, policy.permissions.audit) == (True, False)
    assert meant({"few_shot": "auto"}).few_shot == FewShot()


@pytest.mark.parametrize("budget", [{"tokens": 4000}, {"fit": True, "window": 128000, "reply": 2000}])
def test_a_number_of_tokens_is_the_whole_requests(budget: dict[str, Any]) -> None:
    """A turn has no context window of its own."""
    made = budget_of(read({"budget": budget}).budget)
    assert made is not None
    assert made.scope is Scope.REQUEST


@pytest.mark.parametrize(
    "data",
    [
        {"rule": []},
        {"deadline_s": 0},
        {"mode": "on"},
        {"name": "two words"},
        {"keys": ["sk-secret"]},
        {"keys": [KEY.upper()]},
        {"few_shot": "yes"},
        {"few_shot": {"pairs": 3}},
        {"budget": {"rate": 0}},
        {"budget": {"rate": 0.5, "min_rate": {"documents": 0.5}}},
        {"budget": {"rate": 0.5, "min_rate": 0.5}},
        {"requests": {"allow": ["all"]}},
        {"rules": [{}]},
        {"rules": [{"use": {**HALF, "rate": 0}}]},
        {"rules": [{"use": {**HALF, "rate": 1.1}}]},
        {"rules": [{"use": {**HALF, "rate": "0.5"}}]},
        {"rules": [{"use": {**HALF, "rate": True}}]},
        {"rules": [{"use": {**HALF, "options": {"k": [1]}}}]},
        {"rules": [{"when": {"segment": []}, "use": HALF}]},
        {"rules": [{"when": {"segment": "system"}, "use": HALF}]},
        {"rules": [{"when": {"role": "asistant"}, "use": HALF}]},
        {"rules": [{"when": {"kind": "text"}, "use": HALF}]},
        {"rules": [{"when": {"language": "en-US"}, "use": HALF}]},
        {"rules": [{"when": {"header": {"x class": "a"}}, "use": HALF}]},
        {"rules": [{"when": {"header": {}}, "use": HALF}]},
        {"rules": [{"when": {"min_tokens": 0}, "use": HALF}]},
        {"rules": [{"when": {"min_turn": 0}, "use": HALF}]},
        {"rules": [{"when": {"tokens": 5}, "use": HALF}]},
    ],
)
def test_what_is_out_of_shape_is_refused(data: object) -> None:
    """Unknown keys, wrong types and values out of range never become a policy."""
    with pytest.raises(ValidationError):
        read(data)


def test_a_files_values_are_laid_over_its_presets() -> None:
    """What it says wins, what it does not say stays, budget and requests key by key."""
    preset = read(
        {
            "mode": "audit",
            "deadline_s": 5,
            "budget": {"rate": 0.5, "scope": "request", "slope": 0.3},
            "requests": {"allow": ["rate"], "min_rate": 0.4},
        }
    )
    both = merged(read({"mode": "enforce", "requests": {"min_rate": 0.2}, "few_shot": "off"}), preset)
    assert (both.mode, both.deadline_s, both.few_shot.named) == (Mode.ENFORCE, 5.0, False)
    assert both.budget == preset.budget
    assert (both.requests.allow, both.requests.min_rate) == (preset.requests.allow, 0.2)


@pytest.mark.parametrize(
    ("over", "left"),
    [
        ({"tokens": 4000}, {"tokens": 4000, "slope": 0.3}),
        ({"rate": 0.4}, {"rate": 0.4, "slope": 0.3}),
        ({"slope": 0.1}, {"rate": 0.5, "scope": "request", "slope": 0.1}),
        (None, None),
    ],
)
def test_another_size_of_budget_leaves_nothing_of_the_presets(over: object, left: object) -> None:
    """Two sizes would exclude one another; `budget: null` has none."""
    preset = read({"budget": {"rate": 0.5, "scope": "request", "slope": 0.3}})
    assert merged(read({"budget": over}), preset) == read({"budget": left})


def test_a_files_rules_come_before_its_presets_and_replace_those_of_the_same_name() -> None:
    """The first match wins, so the file's own do."""
    preset = read({"rules": [{"name": "a", "use": "keep"}, {"name": "b", "use": "keep"}]})
    both = merged(read({"rules": [{"use": HALF}, {"name": "b", "use": "lossless"}]}), preset)
    names = [rule.name for rule in build(both, "v", "n", "standard").rules]
    assert names == ["rule-1", "b", "a"]
    assert both.rules[1].use.method == "lossless"


@pytest.mark.parametrize(
    ("told", "history"),
    [
        ("keep", History()),
        ("compress", History(compress_unknown=True)),
        ({"expected_turns": 0}, History(expected_turns=0)),
        (
            {"older_than_turns": 8, "step": 3, "rate": 0.4, "options": {"b": 1, "a": 2}, "protect": "urls"},
            History(
                older_than_turns=8,
                step=3,
                use=Use("standard", 0.4, options=(("a", 2), ("b", 1)), protect=("urls",)),
            ),
        ),
        (
            {"unknown": "compress", "older_than_turns": 1, "method": "lossless", "min_tokens": 50},
            History(compress_unknown=True, older_than_turns=1, use=Use("lossless", min_tokens=50)),
        ),
    ],
)
def test_earlier_turns_are_treated_as_the_file_says(told: object, history: History) -> None:
    """By a word or in particular; a rate without a method is for the default one."""
    assert meant({"history": told}).history == history


def test_a_file_without_a_word_on_history_leaves_it_alone() -> None:
    """Turns that are not known go out as they are, and nothing is shortened twice."""
    assert meant({}).history == History()
    assert (History().compress_unknown, History().older_than_turns) == (False, None)


@pytest.mark.parametrize(
    "told",
    [
        "shorten",
        {"older_than": 8},
        {"older_than_turns": 0},
        {"step": 0},
        {"expected_turns": -1},
        {"unknown": 1},
    ],
)
def test_a_wrong_word_on_history_is_refused(told: object) -> None:
    """Unknown words and keys, and numbers out of range."""
    with pytest.raises(ValidationError):
        read({"history": told})


def test_a_files_history_takes_the_place_of_a_presets() -> None:
    """As a whole: what is right for one method's old turns is not for another's."""
    preset = read({"history": {"older_than_turns": 8, "rate": 0.4}})
    assert merged(read({"history": {"expected_turns": 9}}), preset).history.older_than_turns is None
    assert merged(read({}), preset).history.older_than_turns == 8


def test_answers_are_recovered_only_where_a_policy_says_so() -> None:
    """It costs the byte-transparency of answers, so that nobody has it unasked; a preset's word gives way."""
    assert meant({}).recover is False
    assert meant({"recover": True}).recover is True
    assert merged(read({"recover": False}), read({"recover": True})).recover is False
    assert merged(read({}), read({"recover": True})).recover is True
