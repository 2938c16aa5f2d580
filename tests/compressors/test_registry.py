"""Methods are found by name, options are read strictly, nothing loads before it is made."""

import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from elision.compressors.base import Method, Target
from elision.compressors.errors import BadOption, UnknownMethod
from elision.compressors.registry import (
    ABILITIES_GROUP,
    DEFAULT_METHOD,
    GROUP,
    Ability,
    Resources,
    abilities,
    check_method,
    make_compressor,
    method_names,
    read_options,
)
from elision.compressors.tokens import Counters
from fakes.tiny_lm import save_tiny_lm


def test_the_methods_have_names() -> None:
    """What a policy may say; `keep` is a decision, not a method."""
    assert {"lossless", "selective_context"} <= set(method_names())


def test_every_method_says_what_it_was_made_for() -> None:
    """Names alone are enough for a policy to be careful with them; the default is one of them."""
    known = abilities()
    assert set(known) == set(method_names())
    assert known["lossless"] == Ability(languages=None, text_kinds=None, needs_target=False)
    assert known["selective_context"].languages == frozenset({"en"})
    assert DEFAULT_METHOD in known


def test_an_unknown_method_names_the_nearest() -> None:
    """A slip of the keyboard is told what was meant."""
    with pytest.raises(UnknownMethod, match="did you mean 'lossless'"):
        check_method(Method("losless"))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((("levl", "phrase"),), "did you mean 'level'"),
        ((("level", "phrases"),), "did you mean 'phrase'"),
        ((("level", 3),), "must be str, not 3"),
        ((("level", True),), "must be str"),
        ((("force_tokens", "."),), "must be a list of strings, not '.'"),
        ((("zzz", 1),), "known: agg, drop_consecutive, .*, level, phrases, precision, reduce_level, weights"),
    ],
)
def test_wrong_options_are_refused(options: tuple[tuple[str, str | int], ...], message: str) -> None:
    """An unknown name, another type, another word: each says what would be right."""
    with pytest.raises(BadOption, match=message):
        check_method(Method("selective_context", options))


def test_a_method_without_options_says_so() -> None:
    """Rather than listing nothing."""
    with pytest.raises(BadOption, match="takes none"):
        read_options(Method("keep", (("level", "x"),)), {})


def test_weights_are_loaded_once_for_two_methods(tmp_path: Path) -> None:
    """Two levels share one model in memory."""
    resources = Resources(Counters(), tmp_path / "cache")
    model = str(save_tiny_lm(tmp_path / "lm"))
    for level in ("sentence", "phrase"):
        method = Method("selective_context", (("level", level), ("weights", model)))
        make_compressor(method, resources)
    assert resources.causal_lm(model) is resources.causal_lm(model)


def test_another_packages_method_is_found(tmp_path: Path) -> None:
    """An installed package's entry point is a method like our own."""
    (tmp_path / "reverser.py").write_text(
        "from elision.compressors.base import Outcome\n"
        "from elision.compressors.registry import Ability\n"
        "ability = Ability(text_kinds=frozenset({'log'}), needs_target=False)\n"
        "class Reverse:\n"
        "    fingerprint = 'reverse/1'\n"
        "    def compress(self, texts, targets):\n"
        "        return [Outcome(t[::-1], 1, 1, (), 'reverse', self.fingerprint) for t in texts]\n"
        "def make(resources, options):\n"
        "    assert options == {'loud': True}\n"
        "    return Reverse()\n"
    )
    info = tmp_path / "reverser-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: reverser\nVersion: 1.0\n")
    entries = f"[{GROUP}]\nreverse = reverser:make\n[{ABILITIES_GROUP}]\nreverse = reverser:ability\n"
    (info / "entry_points.txt").write_text(entries)
    assert EntryPoint("reverse", "reverser:make", GROUP).module == "reverser"
    code = (
        "from elision.compressors import compress\n"
        "from elision.compressors.registry import abilities\n"
        "print(compress('abc', method='reverse', rate=0.5, options={'loud': True}).text)\n"
        "print(abilities()['reverse'].needs_target, sorted(abilities()['reverse'].text_kinds))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == ("cba\nFalse ['log']\n", "")


def test_naming_and_checking_methods_loads_no_library() -> None:
    """The proxy lists methods at its start, in milliseconds."""
    code = (
        "import sys\n"
        "from elision.compressors.base import Method\n"
        "from elision.compressors.registry import check_method, method_names\n"
        "check_method(Method(method_names()[-1]))\n"
        "print([m for m in ('torch', 'transformers', 'numpy', 'tiktoken') if m in sys.modules])\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[]\n", "")


def test_a_method_is_made_ready_to_compress() -> None:
    """The table's rows lead to compressors."""
    made = make_compressor(Method("lossless"), Resources(Counters()))
    assert made.compress(['{"a": [1, 2, 3]}'], [Target()])[0].text == '{"a":[1,2,3]}'
