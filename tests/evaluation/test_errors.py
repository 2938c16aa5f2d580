"""Evaluation's own errors are nobody else's."""

import pytest

from elision.compressors.errors import CompressionError
from elision.config.errors import ConfigError
from elision.evaluation.errors import PackageMissing, ReaderFailed


@pytest.mark.parametrize("kind", [PackageMissing, ReaderFailed])
def test_faults_are_told_apart(kind: type[Exception]) -> None:
    """Each has an exit code of its own on the command line."""
    assert not issubclass(kind, (ConfigError, CompressionError))
