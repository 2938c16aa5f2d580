"""Papers' figures can be read, and each says where it is from."""

import pytest

from elision.evaluation.published import figures
from elision.evaluation.tasks import tasks


@pytest.mark.parametrize("name", sorted({task.published for task in tasks().values()} - {""}))
def test_every_figure_has_a_source(name: str) -> None:
    """Nothing without a paper."""
    found = figures(name)
    assert found
    for figure in found:
        assert figure.source.startswith("arXiv:")
        assert float(figure.value) > 0
        assert figure.method
        assert figure.kept


def test_sets_that_no_paper_used_have_none() -> None:
    """An empty list, not an error."""
    assert figures("") == []
    assert figures("own") == []
