"""What can go wrong while methods are compared, sorted by whose fault it is.

What the operator wrote wrongly is a `ConfigError`, what a method cannot do a `CompressionError`.
This module owns the rest and raises nothing itself.
"""


class PackageMissing(Exception):
    """A package that only evaluation needs is not installed; the message says what to install."""


class ReaderFailed(Exception):
    """The reader could not be asked, or what it said is no answer. What was answered is kept.

    Attributes:
        status: of HTTP, as it came last; 0 where nothing came.
    """

    def __init__(self, message: str, status: int = 0) -> None:
        super().__init__(message)
        self.status = status
