"""Which methods are compared: the product's, by the registry, and baselines, by name and options.

This module owns how a method is written on the command line: `name`, or `name:option=value,...`,
which is also its label in tables.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from elision.compressors.base import Compressor, Method, OptionValue
from elision.compressors.errors import BadOption, UnknownMethod, nearest
from elision.compressors.registry import Resources, abilities, check_method, make_compressor, method_names
from elision.config.strict_yaml import parse_document
from elision.evaluation import baselines


@dataclass(frozen=True, slots=True)
class Chosen:
    """A method that is compared.

    Attributes:
        label: as it was written.
        method: its name and options.
        needs_target: whether it is told how far to go; else it has one line in the table.
    """

    label: str
    method: Method
    needs_target: bool

    @property
    def is_baseline(self) -> bool:
        return self.method.name in baselines.NAMES


def read_method(written: str) -> Chosen:
    """Read one method as the command line has it; loads nothing.

    Raises: UnknownMethod, BadOption.
    """
    name, _, told = written.partition(":")
    method = Method(name, tuple(sorted(_option(written, pair) for pair in told.split(",") if pair)))
    if name in baselines.NAMES:
        if method.options:
            raise BadOption(f"{name} takes no options, not {told!r}")
        return Chosen(written, method, name not in baselines.WITHOUT_TARGET)
    known = (*method_names(), *baselines.NAMES)
    if name not in known:
        raise UnknownMethod(f"no method {name!r}{nearest(name, known)}")
    check_method(method)
    return Chosen(written, method, abilities()[name].needs_target)


def make(chosen: Chosen, resources: Resources, seed: int, corpus: Sequence[str]) -> Compressor:
    """Make a method's compressor; loads its weights.

    Args:
        chosen: the method.
        resources: what methods are made from.
        seed: of random words.
        corpus: the evaluated texts, for TF-IDF.
    Raises: WeightsMissing.
    """
    if chosen.is_baseline:
        return baselines.make_baseline(chosen.method.name, resources.counters, seed, corpus)
    return make_compressor(chosen.method, resources)


def _option(written: str, pair: str) -> tuple[str, OptionValue]:
    name, equals, value = pair.partition("=")
    read = parse_document(value.encode(), f"--method {written}").data
    if not (name and equals) or not isinstance(read, (str, int, float, bool)):
        raise BadOption(f"--method {written}: an option is NAME=VALUE, not {pair!r}")
    return name, read
