"""The rewriter of a proxy without policies."""

from elision.accounts.records import Report
from elision.proxy.rewriter import Ask, PassThrough

ASK = Ask("POST", "/v1/chat/completions", "t")


async def test_passing_through_reads_and_changes_nothing() -> None:
    """Every body streams."""
    rewriter = PassThrough()
    assert not rewriter.wants(ASK)
    assert rewriter.unread(ASK, "encoded_body") == Report(team="t", bypass=("encoded_body",))
    done = await rewriter.rewrite(b"body", ASK)
    assert (done.body, done.changed) == (b"body", False)
