"""A plan explained."""

import json
from dataclasses import replace

from elision.policies.model import Budget, Kind, Mode, Policy, PrefixTerms, Rule, Use, When
from elision.proxy.explanation import notes_of, plan_row, prefix_words
from elision.proxy.wishes import MALFORMED
from fakes.planned import DOCUMENT, planned


def test_a_plan_as_json_says_why_and_why_not() -> None:
    """Each segment with its place, its rule, and every rule that did not decide."""
    row = json.loads(json.dumps(plan_row(planned())))
    assert (row["team"], row["policy"], row["mode"]) == ("search", "team@abc", "audit")
    instruction, document, question = row["segments"]
    assert instruction["why"] == "kept: no rule names instruction segments"
    assert document["place"] == "/messages/1/content"
    assert (document["start"], document["end"]) == (0, question["start"])
    assert (document["rule"], document["rate"]) == ("[red]documents", 0.5)
    assert document["options"] == {"unit": "phrase"}
    assert document["why_not"] == [{"rule": "tools", "why": "it is for tool_result segments, not context"}]


def test_a_plan_tells_what_a_text_looks_like_and_what_gave_way() -> None:
    """In the words of policies: `segment` is what it is for, `kind` what it looks like."""
    policy = Policy("team", "abc", Mode.ENFORCE, 2.0, (Rule("all", When(), Use("selective_context")),))
    shown = planned(replace(policy, budget=Budget(rate=0.01, min_rates=((Kind.CONTEXT, 0.5),))), (MALFORMED,))
    row = plan_row(shown)
    malformed = "an x-elision header says what is no word or rate; it is passed over"
    assert row["notes"] == [malformed, *shown.plan.notes]
    parts = row["segments"]
    assert isinstance(parts, list)
    told = [(part["segment"], part["kind"], part["language"]) for part in parts]
    assert told[1] == ("context", "prose", "en")


def test_a_plan_tells_what_the_providers_prices_make_of_it() -> None:
    """Taken as a conversation's first request, and it says so; with the arithmetic."""
    half = Policy("team", "abc", Mode.ENFORCE, 2.0, (Rule("all", When(), Use("any", 0.5)),))
    shown = replace(planned(half), terms=PrefixTerms(0.1, 1.25, 512, 300, 1, "a page"))
    prefix = json.loads(json.dumps(plan_row(shown)))["prefix"]
    assert prefix["taken_as"] == "taken as a conversation's first request"
    assert (prefix["ruling"], prefix["expected_turns"]) == ("cache_minimum", 5)
    assert prefix["tokens"] == {"before": 738, "after": 378, "sent": 576}
    assert prefix["bill"] == {"before": 1291.5, "after": 2268.0, "sent": 1008.0}
    assert prefix["terms"]["source"] == "a page"
    assert prefix["shared_head"] == {"before": 2 + 720 + 4, "after": 2 + 720 + 4}
    assert json.loads(json.dumps(plan_row(shown, 0)))["prefix"]["ruling"] == "below_minimum"
    words = prefix_words(shown, 1)
    assert words.startswith("taken as a conversation's first request: 738 tokens would become 378")
    assert "; if other requests began with the same 726 tokens, " in words
    assert words.endswith("(prices: a page)")
    assert prefix_words(replace(shown, terms=PrefixTerms())).endswith("(prices: none known)")


def test_an_explanation_quotes_nothing_of_the_prompt() -> None:
    """It may be logged, and shown to whoever runs the gateway."""
    assert DOCUMENT[:30] not in json.dumps(plan_row(planned()))


def test_a_target_below_what_is_protected_is_told_with_its_classes() -> None:
    """In tokens, the largest classes first; a target that can be met is not mentioned."""
    rule = Rule("all", When(), Use("any", tokens=100))
    shown = planned(Policy("team", "abc", Mode.ENFORCE, 2.0, (rule,)))
    shares: dict[tuple[str, ...] | None, int] = {None: 150, ("numbers",): 120, ("negations",): 30}
    senses = replace(shown.senses, protected=lambda text, classes: shares.get(classes, 0))
    [note] = notes_of(replace(shown, senses=senses))
    assert note.startswith("/messages/1/content: about 150 of 720 tokens are protected")
    assert "(numbers 120, negations 30), so the target of 100 is not met" in note
    assert notes_of(replace(shown, senses=replace(senses, protected=lambda text, classes: 100))) == []
    assert json.loads(json.dumps(plan_row(replace(shown, senses=senses))))["notes"] == [note]
