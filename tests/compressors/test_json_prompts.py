"""An object's strings are shortened, its keys, numbers and structure are not."""

from typing import Any

import pytest

from elision.compressors import PromptCompressor
from elision.compressors.errors import BadOption
from elision.compressors.json_prompts import compress_pairs
from elision.compressors.prompts import CompressedPrompt

LONG = "A witness said that the meeting was held late and that reports may be filed by anyone who was there."
DATA: dict[str, Any] = {
    "id": 7,
    "title": "Fox",
    "body": LONG,
    "notes": [LONG, {"more": LONG, "ok": True}],
    "blank": " ",
    "none": None,
}


def test_strings_go_as_far_as_their_keys_say() -> None:
    """In lists and objects too; what is not to be compressed and what is no text stays."""
    config: dict[str, dict[str, object]] = {
        "body": {"rate": 0.4, "value_type": "str"},
        "notes": {"compress": False},
        "id": {"value_type": "int"},
    }
    done = PromptCompressor(method="frequency").compress_json(DATA, config, rate=0.6)
    made = done["compressed_prompt"]
    assert list(made) == list(DATA)
    assert {name: made[name] for name in ("id", "title", "notes", "blank", "none")} == {
        name: DATA[name] for name in ("id", "title", "notes", "blank", "none")
    }
    assert isinstance(made["body"], str)
    assert 0 < len(made["body"].split()) < 0.6 * len(LONG.split())
    assert done["compressed_tokens"] < done["origin_tokens"]
    every = PromptCompressor(method="frequency").compress_json(DATA)["compressed_prompt"]["notes"]
    assert every == [made_of(LONG), {"more": made_of(LONG), "ok": True}]


def made_of(text: str) -> str:
    """Return a text at half."""
    done = PromptCompressor(method="frequency").compress_json({"a": text})["compressed_prompt"]["a"]
    assert isinstance(done, str)
    assert done != text
    return done


def test_each_text_is_asked_for_at_its_rate() -> None:
    """With the arguments of the call."""
    asked: list[tuple[object, dict[str, object]]] = []

    def compress(context: object, **arguments: object) -> CompressedPrompt:
        asked.append((context, arguments))
        return CompressedPrompt(compressed_prompt_list=["x"])

    done = compress_pairs({"a": "b", "c": ["d"]}, {"a": {"rate": 0.2}}, {"question": "q"}, compress, len)
    assert done["compressed_prompt"] == {"a": "x", "c": ["x"]}
    assert asked == [
        (told, {"question": "q", "context_segs": [[told]], "context_segs_rate": [[rate]]})
        for told, rate in (("b", 0.2), ("d", 0.5))
    ]


@pytest.mark.parametrize(
    ("config", "arguments", "told"),
    [
        ({"bodi": {}}, {}, "did you mean 'body'"),
        ({"body": {"rates": 0.5}}, {}, "did you mean 'rate'"),
        ({"body": {"pair_remove": True}}, {}, "no pair is left out whole"),
        ({"body": {"value_type": "int"}}, {}, "the value is of type str"),
        ({"body": {"rate": 3}}, {}, "context_segs_rate"),
        ({}, {"target_token": 9}, "takes no target_token"),
    ],
)
def test_what_cannot_be_done_is_refused(config: dict[str, Any], arguments: dict[str, Any], told: str) -> None:
    """Each with what is wrong."""
    with pytest.raises(BadOption, match=told):
        PromptCompressor(method="frequency").compress_json(DATA, config, **arguments)
    with pytest.raises(BadOption, match="is not JSON"):
        PromptCompressor(method="frequency").compress_json({"a": {1, 2}})
