"""Which methods are compared: the product's, by the registry, and baselines, by name and options.

This module owns how a method is written on the command line: `name`, or `name:option=value,...`,
which is also its label in tables. `@60` behind it has a slow method shorten 60 items of each set.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

from elision.compressors.base import Compressor, Method, OptionValue
from elision.compressors.errors import BadOption, UnknownMethod, nearest
from elision.compressors.registry import Resources, abilities, check_method, make_compressor, method_names
from elision.config.strict_yaml import parse_document
from elision.evaluation import baselines, reference

_LIMIT = re.compile(r"@(\d+)\Z")


@dataclass(frozen=True, slots=True)
class Chosen:
    """A method that is compared.

    Attributes:
        label: as it was written.
        method: its name and options.
        needs_target: whether it is told how far to go; else it has one line in the table.
        limit: at most so many items of each set, evenly spread; None: all.
    """

    label: str
    method: Method
    needs_target: bool
    limit: int | None = None


def read_method(written: str) -> Chosen:
    """Read one method as the command line has it; loads nothing.

    Raises: UnknownMethod, BadOption.
    """
    limit = _LIMIT.search(written)
    if limit and not int(limit[1]):
        raise BadOption(f"--method {written}: @ is followed by how many items, at least one")
    name, _, told = written[: limit.start() if limit else None].partition(":")
    method = Method(name, tuple(sorted(_option(written, pair) for pair in told.split(",") if pair)))
    return Chosen(written, method, _checked(method), int(limit[1]) if limit else None)


@contextmanager
def opened(chosen: Chosen, resources: Resources, seed: int, corpus: Sequence[str]) -> Iterator[Compressor]:
    """Make a method's compressor; loads its weights, and ends at last what it started.

    Args:
        chosen: the method.
        resources: what methods are made from.
        seed: of random words.
        corpus: the evaluated texts, for TF-IDF.
    Raises: WeightsMissing.
    """
    name, options = chosen.method.name, dict(chosen.method.options)
    if name == reference.NAME:
        with reference.Reference(reference.Options.read(options), resources.cache_dir) as compressor:
            yield compressor
    elif name in baselines.NAMES:
        yield baselines.make_baseline(name, resources.counters, seed, corpus)
    else:
        yield make_compressor(chosen.method, resources)


def _checked(method: Method) -> bool:
    """Refuse a method that there is not, or wrong options; return whether it needs a target."""
    name = method.name
    if name == reference.NAME:
        reference.Options.read(dict(method.options))
        return True
    if name in baselines.NAMES:
        if method.options:
            raise BadOption(f"{name} takes no options, not {method.options[0][0]!r}")
        return name not in baselines.WITHOUT_TARGET
    known = (*method_names(), *baselines.NAMES, reference.NAME)
    if name not in known:
        raise UnknownMethod(f"no method {name!r}{nearest(name, known)}")
    check_method(method)
    return abilities()[name].needs_target


def _option(written: str, pair: str) -> tuple[str, OptionValue]:
    name, equals, value = pair.partition("=")
    read = parse_document(value.encode(), f"--method {written}").data
    if not (name and equals) or not isinstance(read, (str, int, float, bool)):
        raise BadOption(f"--method {written}: an option is NAME=VALUE, not {pair!r}")
    return name, read
