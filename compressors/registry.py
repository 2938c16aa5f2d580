"""Which methods there are, what options they take, and how each is made.

A method is a row of the table below, made by a function that imports its module when called, so
that naming the methods loads nothing. Installed packages add methods of their own by the
entry-point group `elision.compressors`: the entry's name is the method's, its value a `Maker`;
what such a method was made for stands in the group `elision.abilities`.
This module knows every method and no method's inside.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

from elision.compressors.base import Compressor, Method, OptionValue
from elision.compressors.errors import BadOption, UnknownMethod, nearest
from elision.compressors.vocabulary import ELSEWHERE

if TYPE_CHECKING:
    from elision.compressors.causal_lm import CausalLM
    from elision.compressors.token_classifier import TokenClassifier
    from elision.compressors.tokens import Counters

GROUP = "elision.compressors"
ABILITIES_GROUP = "elision.abilities"
DEFAULT_METHOD = "embedded"
"""What a policy's rule or a tag in a text means that names no method."""


@dataclass(slots=True)
class Resources:
    """What compressors are made from; weights that two methods share are loaded once.

    Attributes:
        counters: token counters by model name.
        cache_dir: where converted weights are kept; None for the user's cache folder.
        threads: CPU threads for tensor work; None leaves torch's own choice.
    """

    counters: "Counters"
    cache_dir: Path | None = None
    threads: int | None = None
    _models: dict[tuple[str, str], "CausalLM"] = field(default_factory=dict)
    _classifiers: dict[tuple[str, str], "TokenClassifier"] = field(default_factory=dict)

    def causal_lm(self, model: str, precision: str = "auto") -> "CausalLM":
        """Return a language model, loaded when first asked for.

        Args:
            model: as `elision.compressors.weights.resolve` takes it.
            precision: a `elision.compressors.precision.Precision`.
        Raises: WeightsMissing.
        """
        from elision.compressors.precision import Precision, chosen

        key = (model, chosen(Precision(precision)).value)
        if key not in self._models:
            from elision.compressors.causal_lm import CausalLM
            from elision.compressors.weights import resolve

            weights = resolve(model, self.cache_dir)
            self._models[key] = CausalLM.load(weights, self.threads, half=key[1] == Precision.HALF)
        return self._models[key]

    def token_classifier(self, model: str, engine: str) -> "TokenClassifier":
        """Return a token classifier, loaded when first asked for.

        Args:
            model: a prepared model's name, or a checkpoint's folder.
            engine: `auto`, `onnx` or `torch`.
        Raises: WeightsMissing.
        """
        if (model, engine) not in self._classifiers:
            from elision.compressors.checkpoints import Store
            from elision.compressors.token_classifier import Engine, load_classifier

            folder = Store(self.cache_dir).locate(model)
            self._classifiers[model, engine] = load_classifier(folder, Engine(engine), self.threads)
        return self._classifiers[model, engine]


Maker = Callable[[Resources, Mapping[str, OptionValue]], Compressor]


@dataclass(frozen=True, slots=True)
class Option:
    """What an option may be: its default, which also gives its type, and the words allowed."""

    default: OptionValue
    allowed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Ability:
    """What a method was made for; a policy gives it nothing else unless a rule names it.

    Attributes:
        languages: primary subtags, `en` for instance; None: any.
        text_kinds: what a text may look like, as `elision.policies.model.TextKind` names it; None:
            anything.
        needs_target: whether it must be told how far to go.
    """

    languages: frozenset[str] | None = None
    text_kinds: frozenset[str] | None = None
    needs_target: bool = True


@dataclass(frozen=True, slots=True)
class Row:
    """A built-in method."""

    make: Maker
    options: Mapping[str, Option]
    ability: Ability


FORCED_OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "force_tokens": Option(()),
        "force_reserve_digit": Option(False),
        "drop_consecutive": Option(False),
    }
)
"""What every extractive method takes beside its own options; `elision.compressors.forced` reads them."""

_PRECISIONS = ("auto", "full", "half")
_TEXT_LEVELS = ("word", "phrase", "sentence")
_LEVELS = ("sentence", "phrase", "word", "token")
_SENTENCE_OPTIONS: Mapping[str, Option] = MappingProxyType(
    {
        "use_sentence_level_filter": Option(False),
        "keep_first_sentence": Option(0),
        "keep_last_sentence": Option(0),
        "keep_sentence_number": Option(0),
        "high_priority_bonus": Option(100.0),
        "token_budget_ratio": Option(1.4),
        "keep_split": Option(False),
    }
)
_ENGLISH_PROSE = Ability(frozenset(("en",)), frozenset(("prose",)))


def method_names() -> tuple[str, ...]:
    """Return the names of all methods, installed packages' included."""
    return tuple(sorted({*_rows(), *(entry.name for entry in entry_points(group=GROUP))}))


def abilities() -> dict[str, Ability]:
    """Return what each method was made for.

    An installed package says so by an entry point of the group `elision.abilities` that has its
    method's name and leads to an `Ability`; without one its method is taken for prose in English.
    """
    told = {entry.name: entry for entry in entry_points(group=ABILITIES_GROUP)}
    known = {name: row.ability for name, row in _rows().items()}
    for entry in entry_points(group=GROUP):
        if entry.name not in known:
            known[entry.name] = told[entry.name].load() if entry.name in told else _ENGLISH_PROSE
    return known


def check_method(method: Method) -> None:
    """Refuse a method that does not exist or has wrong options; load nothing.

    An installed package's options are checked by the package, when its compressor is made.
    Raises: UnknownMethod, BadOption.
    """
    row = _rows().get(method.name)
    if row is not None:
        read_options(method, row.options)
    elif method.name not in method_names():
        raise UnknownMethod(f"no method {method.name!r}{nearest(method.name, method_names())}")


def option_defaults(name: str) -> dict[str, OptionValue]:
    """Return the options of a built-in method with their defaults; none for another."""
    row = _rows().get(name)
    return {} if row is None else {option: told.default for option, told in row.options.items()}


def make_compressor(method: Method, resources: Resources) -> Compressor:
    """Make a method's compressor; loads weights.

    Raises: UnknownMethod, BadOption, WeightsMissing.
    """
    check_method(method)
    row = _rows().get(method.name)
    if row is not None:
        return row.make(resources, read_options(method, row.options))
    return _entry(method.name).load()(resources, dict(method.options))  # type: ignore[no-any-return]


def read_options(method: Method, known: Mapping[str, Option]) -> dict[str, OptionValue]:
    """Return a value for each known option.

    Raises: BadOption for an option that is not known, or a value of another type or word.
    """
    values = {name: option.default for name, option in known.items()}
    for name, told in method.options:
        if name not in known:
            hint = f": {ELSEWHERE[name]}" if name in ELSEWHERE else nearest(name, known) or "; it takes none"
            raise BadOption(f"{method.name} has no option {name!r}{hint}")
        option = known[name]
        value = float(told) if type(told) is int and type(option.default) is float else told
        if type(value) is not type(option.default):
            wanted = "a list of strings" if option.default == () else type(option.default).__name__
            raise BadOption(f"{method.name}: option {name!r} must be {wanted}, not {value!r}")
        if option.allowed and value not in option.allowed:
            raise BadOption(
                f"{method.name}: option {name!r} cannot be {value!r}{nearest(str(value), option.allowed)}"
            )
        values[name] = value
    return values


def _entry(name: str) -> EntryPoint:
    return next(iter(entry_points(group=GROUP, name=name)))


def _rows() -> dict[str, Row]:
    return {
        "lossless": Row(
            _lossless,
            {"inner_json": Option(True), "repeats": Option(False)},
            Ability(needs_target=False),
        ),
        "llmlingua2": Row(
            _llmlingua2,
            {
                "weights": Option("microsoft/llmlingua-2-bert-base-multilingual-cased-meetingbank"),
                "engine": Option("auto", ("auto", "onnx", "torch")),
                "profile": Option("fixed", ("fixed", "compat")),
                "token_to_word": Option("mean", ("mean", "first")),
                "chunk_end_tokens": Option(()),
                "overlap": Option(0),
                "window": Option(512),
                **FORCED_OPTIONS,
            },
            # The published checkpoints learnt from transcripts of meetings in English.
            _ENGLISH_PROSE,
        ),
        "embedded": Row(
            _embedded,
            {"level": Option("word", _TEXT_LEVELS), "window": Option(256), **FORCED_OPTIONS},
            # Its vocabulary and all that taught it are English.
            _ENGLISH_PROSE,
        ),
        "frequency": Row(
            _frequency,
            {
                "level": Option("phrase", _TEXT_LEVELS),
                "agg": Option("mean", ("mean", "sum")),
                "table": Option("built_in", ("built_in", "wordfreq")),
                "language": Option("en"),
                **FORCED_OPTIONS,
            },
            _ENGLISH_PROSE,
        ),
        **_causal_rows(),
    }


def _causal_rows() -> dict[str, Row]:
    """Return the methods that read with a causal model; SmolLM2, their default, learnt from English."""
    return {
        "longllmlingua": _longllmlingua_row(),
        "llmlingua": Row(
            _llmlingua,
            {
                "weights": Option("smollm2"),
                "precision": Option("auto", _PRECISIONS),
                "profile": Option("fixed", ("fixed", "compat")),
                "level": Option("word", ("word", "token")),
                "kv": Option("exact", ("exact", "fast")),
                "iterative_size": Option(200),
                "use_context_level_filter": Option(True),
                "use_token_level_filter": Option(True),
                "context_budget": Option("*2"),
                **_SENTENCE_OPTIONS,
                **FORCED_OPTIONS,
            },
            _ENGLISH_PROSE,
        ),
        "selective_context": Row(
            _selective_context,
            {
                "level": Option("sentence", _LEVELS),
                "reduce_level": Option("", ("", "sent", *_LEVELS)),
                "agg": Option("mean", ("mean", "sum")),
                "phrases": Option("rules"),
                "weights": Option("smollm2"),
                # Its batches hold many texts' sentences: in half precision a text's company would show.
                "precision": Option("full", _PRECISIONS),
                **FORCED_OPTIONS,
            },
            # SmolLM2 learnt from English; what it finds surprising in logs or code nobody has measured.
            _ENGLISH_PROSE,
        ),
    }


def _longllmlingua_row() -> Row:
    return Row(
        _longllmlingua,
        {
            "weights": Option("smollm2"),
            "precision": Option("auto", _PRECISIONS),
            "rank_method": Option("longllmlingua", ("longllmlingua", "llmlingua", "bm25")),
            "condition_in_question": Option(
                "after_condition",
                ("none", "before", "after", "none_condition", "before_condition", "after_condition"),
            ),
            "condition_compare": Option(True),
            "reorder_context": Option("original", ("original", "sort", "two_stage")),
            "dynamic_context_compression_ratio": Option(0.3),
            "context_budget": Option("+100"),
            "use_context_level_filter": Option(True),
            "use_token_level_filter": Option(True),
            **_SENTENCE_OPTIONS,
            "level": Option("word", ("word", "token")),
            "iterative_size": Option(200),
            "kv": Option("exact", ("exact", "fast")),
            **FORCED_OPTIONS,
        },
        # SmolLM2 learnt from English.
        _ENGLISH_PROSE,
    )


def _lossless(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    from elision.compressors.lossless import Lossless, Rules

    return Lossless(resources.counters, Rules.read(options))


def _llmlingua2(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    classifier = resources.token_classifier(str(options["weights"]), str(options["engine"]))
    if options["profile"] == "compat":
        from elision.compressors.llmlingua2_compat import Compat, CompatOptions

        return Compat(classifier, resources.counters, CompatOptions.read(options))
    from elision.compressors.extractive import Extractive
    from elision.compressors.forced import Forced
    from elision.compressors.llmlingua2 import NAME, LLMLingua2, Options

    scorer = LLMLingua2(classifier, Options.read(options))
    return Extractive(NAME, scorer, resources.counters, Forced.read(options))


def _embedded(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    from elision.compressors.blend import Blend
    from elision.compressors.embedded_scorer import FOLDER, NAME, Embedded
    from elision.compressors.extractive import Extractive
    from elision.compressors.forced import Forced
    from elision.compressors.units import Level

    classifier = resources.token_classifier(str(FOLDER), "onnx")
    window, level = options["window"], Level(str(options["level"]))
    scorer = Embedded(classifier, Blend.read(FOLDER), window if isinstance(window, int) else 0, level)
    return Extractive(NAME, scorer, resources.counters, Forced.read(options))


def _frequency(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    from elision.compressors.extractive import Extractive
    from elision.compressors.forced import Forced
    from elision.compressors.frequency import NAME, Frequency, Table
    from elision.compressors.units import Agg, Level

    table = Table.read(str(options["table"]), str(options["language"]))
    scorer = Frequency(table, Level(str(options["level"])), Agg(str(options["agg"])))
    return Extractive(NAME, scorer, resources.counters, Forced.read(options))


def _longllmlingua(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    from elision.compressors.forced import Forced
    from elision.compressors.longllmlingua import LongLLMLingua
    from elision.compressors.longllmlingua_options import Options, forced_options

    lm = resources.causal_lm(str(options["weights"]), str(options["precision"]))
    forced = Forced.read(forced_options(options))
    return LongLLMLingua(lm, Options.read(options), resources.counters, forced)


def _llmlingua(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    from elision.compressors.extractive import Extractive
    from elision.compressors.forced import Forced
    from elision.compressors.llmlingua import NAME, Coarse, LLMLingua, Options
    from elision.compressors.longllmlingua_options import forced_options

    read = Options.read(options)
    precision = str(options["precision"])
    if options["profile"] == "compat":
        from elision.compressors.llmlingua_compat import Compat, CompatOptions

        # In half precision a few tokens near the threshold would not be those of the reference.
        lm = resources.causal_lm(str(options["weights"]), "full" if precision == "auto" else precision)
        return Compat(lm, resources.counters, CompatOptions.read(options))
    lm = resources.causal_lm(str(options["weights"]), precision)
    forced = Forced.read(forced_options(options))
    scorer = LLMLingua(lm, read)
    if not read.words:
        return Coarse(scorer, resources.counters, forced)
    return Extractive(NAME, scorer, resources.counters, forced)


def _selective_context(resources: Resources, options: Mapping[str, OptionValue]) -> Compressor:
    from elision.compressors.extractive import Extractive
    from elision.compressors.forced import Forced
    from elision.compressors.selective_context import NAME, Options, SelectiveContext

    scorer = SelectiveContext(
        resources.causal_lm(str(options["weights"]), str(options["precision"])), Options.read(options)
    )
    return Extractive(NAME, scorer, resources.counters, Forced.read(options))
