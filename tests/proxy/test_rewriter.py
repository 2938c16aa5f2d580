"""The rewriter of a proxy without policies."""

from elision.proxy.rewriter import PassThrough


async def test_passing_through_reads_and_changes_nothing() -> None:
    """Every body streams."""
    rewriter = PassThrough()
    assert not rewriter.wants("POST", "/v1/chat/completions", "t")
    done = await rewriter.rewrite(b"body", "t")
    assert (done.body, done.changed) == (b"body", False)
