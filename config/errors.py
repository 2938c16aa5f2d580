"""The operator's faults: what is wrong in a file, a variable or a flag.

This module owns one exception. Faults of clients, providers and our own are `elision.proxy`'s.
"""

from collections.abc import Iterable


class ConfigError(Exception):
    """Something that the operator wrote cannot be used.

    Attributes:
        problems: one line each, in the order of the text: where it is, what is wrong, and where
            that is possible how to mend it. Never empty; never holds a secret's value.
    """

    def __init__(self, problems: Iterable[str]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(self.problems))
