"""What tokens cost, and what a request would have cost as its client sent it. Pure, whole numbers.

Owns the arithmetic of `docs/accounts.md`: the bill of a usage by a tariff, and the usage that an
unshortened prompt would have had, the provider's cache of it included. Where that cannot be told
exactly, it is the cheaper one, so that nobody is shown more saved than was true. It knows neither
names of models nor where prices come from.
"""

from dataclasses import dataclass
from typing import NamedTuple

from elision.accounts.records import Report
from elision.accounts.usage import Usage

ATTO = 10**18
_ATTO_OF_A_NANO = 10**9
_FRAME_TOKENS = 4
"""About so many tokens stand around a message; 3 to 13, by the provider's template."""
_MOST_FRAME_TOKENS = 20
_MINIMUM_ERROR = 16
"""Our count of a prompt is held to be right within a sixteenth where a provider's minimum is near."""


class Rates(NamedTuple):
    """Prices in atto-dollars a token; dollars per million tokens times 10**12."""

    input: int
    output: int
    read: int
    write: int
    write_1h: int


@dataclass(frozen=True, slots=True)
class Tariff:
    """What a model's tokens cost at one time.

    Attributes:
        tiers: rates for all tokens of prompts of more than so many tokens, ascending; the first from 0.
        per_request: atto-dollars beside.
        states_reads: whether it says what reading from the cache costs; else `read` is `input`.
    """

    tiers: tuple[tuple[int, Rates], ...]
    per_request: int = 0
    states_reads: bool = True

    def rates(self, prompt: int) -> Rates:
        """Return the rates of a prompt of so many tokens."""
        found = self.tiers[0][1]
        if len(self.tiers) > 1:
            for start, rates in self.tiers[1:]:
                if prompt <= start:
                    break
                found = rates
        return found


class Terms(NamedTuple):
    """What is believed of the provider's cache, as `elision.config.prefix_terms` has it.

    Attributes:
        read: relative price of a token that comes from the cache.
        minimum: a shorter prefix is not cached.
        granule: hits come in steps of so many tokens.
        ttl_s: a prefix may be there for so long.
        write: relative price of a token that goes into it. Who takes a fee keeps whole messages; who
            takes none finds beginnings of messages as well.
    """

    read: float
    minimum: int
    granule: int
    ttl_s: float
    write: float = 1.0


class Saved(NamedTuple):
    """Tokens that a prompt was made shorter by, in the upstream's tokens.

    Attributes:
        known, new: of messages that earlier requests had sent already, and of the others.
        is_billed: whether they rest on the upstream's usage.
        times, per: what our count was multiplied by.
    """

    known: int
    new: int
    is_billed: bool = False
    times: int = 1
    per: int = 1

    def of(self, tokens: int) -> int:
        """Return so many of our tokens in the upstream's, rounded up."""
        return -(-tokens * self.times // self.per)


def nanos(atto: int) -> int:
    """Return whole nano-dollars, rounded half up."""
    return (atto + _ATTO_OF_A_NANO // 2) // _ATTO_OF_A_NANO


def bill(tariff: Tariff, usage: Usage) -> int:
    """Return what a usage costs, in nano-dollars."""
    prompt = usage.prompt_tokens
    rates = tariff.rates(prompt)
    cost = rates.input * prompt + rates.output * usage.completion_tokens + tariff.per_request
    if usage.cached_tokens or usage.cache_write_tokens:
        read = min(usage.cached_tokens, prompt)
        written = min(usage.cache_write_tokens, prompt - read)
        cost += (rates.read - rates.input) * read + (rates.write - rates.input) * written
        cost += (rates.write_1h - rates.write) * min(usage.cache_write_1h_tokens, written)
    return nanos(cost)


def unshortened_bill(tariff: Tariff, terms: Terms, sent: Usage, would: Usage) -> int:
    """Return what an unshortened prompt would have cost, in nano-dollars.

    Args:
        sent: what was billed.
        would: what would have been. Where the tariff does not say what reading costs, what would have
            been read beyond what was is priced by the provider's terms.
    """
    more = would.cached_tokens - sent.cached_tokens
    if tariff.states_reads or more <= 0:
        return bill(tariff, would)
    price = tariff.rates(would.prompt_tokens).input
    return bill(tariff, would) - nanos(price * more) + nanos(int(price * terms.read) * more)


def reconciled(report: Report, usage: Usage | None) -> Saved:
    """Return the tokens saved, our count corrected by what the upstream counted.

    The upstream's count of the whole prompt says that ours of the texts was too high if it is lower;
    and too low if ours was an estimate and what stands around messages cannot explain the rest. What
    is more than twice our count holds something that we do not see, and corrects nothing.
    """
    total = report.tokens_saved
    known = min(report.known_before - report.known_after, total) if report.shortened else 0
    if usage is None or not total:
        return Saved(known, total - known, usage is not None)
    ours, theirs = report.tokens_after, usage.prompt_tokens
    is_estimate = report.encoding.startswith("~")
    if theirs < ours:
        return _scaled(known, total, theirs, ours)
    at_least = theirs - _MOST_FRAME_TOKENS * (report.messages + 1)
    if is_estimate and not report.has_more and ours < at_least <= 2 * ours:
        return _scaled(known, total, at_least, ours)
    # Within what frames explain, the upstream bears our estimate out; beside tools it cannot.
    return Saved(known, total - known, not is_estimate or (not report.has_more and theirs <= 2 * ours))


def _scaled(known: int, total: int, times: int, per: int) -> Saved:
    whole = total * times // per
    part = known * times // per
    return Saved(part, whole - part, is_billed=True, times=times, per=per)


def as_sent(report: Report, terms: Terms, *, discount: bool) -> Usage:
    """Return the usage that is expected of a prompt as it is sent.

    Args:
        discount: whether the provider takes less for what it reads from its cache.
    """
    warm = discount and not report.stepped and not _is_cold(report, terms)
    warm = warm and report.known_after >= terms.minimum + terms.minimum // _MINIMUM_ERROR
    return Usage(report.tokens_after, 0, _hit(report.known_after, terms) if warm else 0)


def unshortened(sent: Usage, report: Report, saved: Saved, terms: Terms, *, discount: bool) -> Usage:
    """Return the usage of the prompt as the client had it.

    Args:
        sent: of the prompt as it was sent, stated or expected.
        saved: by how much it was shorter.
        discount: whether the provider takes less for what it reads from its cache.
    """
    prompt = max(0, sent.prompt_tokens + saved.known + saved.new)
    is_cached = discount and prompt >= terms.minimum
    cached = _cached(sent, report, saved, terms) if is_cached else sent.cached_tokens
    if is_cached and report.alike and terms.write <= 1 and not sent.cache_write_tokens:
        # What stands around messages is counted in: it errs on the side of more that was alike.
        beside = max(0, sent.prompt_tokens - report.tokens_after)
        cached = max(cached, _hit(saved.of(report.alike) + beside, terms))
    cached = min(prompt, cached)
    if not sent.cache_write_tokens:
        return Usage(prompt, sent.completion_tokens, cached)
    plain = sent.prompt_tokens - sent.cached_tokens - sent.cache_write_tokens
    plain += _beyond_writes(sent, report, saved, plain)
    written = max(0, prompt - cached - plain)
    long = written * sent.cache_write_1h_tokens // sent.cache_write_tokens
    return Usage(prompt, sent.completion_tokens, cached, written, 0, long)


def _cached(sent: Usage, report: Report, saved: Saved, terms: Terms) -> int:
    """Return how much of the prompt as the client had it would have been read from the cache."""
    known = _known_end(sent, report)
    if report.stepped:
        return max(sent.cached_tokens, _broken(known + saved.known, report, terms))
    if not sent.cached_tokens:
        return _below_minimum(known, report, saved, terms)
    end = sent.cached_tokens + terms.granule - 1
    if sent.cached_tokens <= known < end:
        end = known
    read = _saved_before(end, sent, report)
    return _hit(end + saved.of(read), terms) if read else sent.cached_tokens


def _broken(known: int, report: Report, terms: Terms) -> int:
    """Return how much would have been read had nothing been sent otherwise than before.

    Args:
        known: tokens of what earlier requests had sent, as the client had it.
    """
    if known < terms.minimum or _is_cold(report, terms):
        return 0
    return _hit(known + report.answer_tokens, terms)


def _below_minimum(known: int, report: Report, saved: Saved, terms: Terms) -> int:
    """Return how much would have been read where nothing was: something, if only shortening prevented it.

    If what was known is large enough to be cached as it was sent, the cache was cold, for the client's
    prompt too. In doubt it was not large enough.
    """
    doubt = _MOST_FRAME_TOKENS * report.new_messages
    if not saved.known or known - doubt >= terms.minimum or _is_cold(report, terms):
        return 0
    warm = known + saved.known + report.answer_tokens
    return _hit(max(warm, terms.minimum), terms) if warm + doubt >= terms.minimum else 0


def _known_end(sent: Usage, report: Report) -> int:
    """Return where, in the prompt as it was sent, the messages end that earlier requests had sent.

    What stands around each of the others is taken for three quarters of the mean, so as to err on the
    side of more that was known.
    """
    beside = sent.prompt_tokens - report.tokens_after
    frame = 0 if report.has_more or not report.messages else max(0, beside // report.messages)
    new = report.tokens_after - report.known_after
    return max(0, sent.prompt_tokens - new - frame * 3 // 4 * report.new_messages)


def _saved_before(end: int, sent: Usage, report: Report) -> int:
    """Return what was saved, by our count, of messages that lie before a place in the prompt as it was sent.

    In doubt, a known message does, a new one does not: the provider cannot have seen it, unless it
    begins as another message did.
    """
    offset = sent.prompt_tokens - report.tokens_after + _MOST_FRAME_TOKENS
    frame = _MOST_FRAME_TOKENS - _FRAME_TOKENS
    read = 0
    for ahead, _, saved, left, known in report.shortened:
        if ahead < end if known else ahead + offset + frame * left < end:
            read += saved
    return read


def _beyond_writes(sent: Usage, report: Report, saved: Saved, plain: int) -> int:
    """Return what was taken from messages that, as they were sent, were not all written to the cache."""
    if plain <= _MOST_FRAME_TOKENS:
        return 0
    ends = sent.cached_tokens + sent.cache_write_tokens
    rest = sent.prompt_tokens - ends
    beyond = (o for o in report.shortened if report.tokens_after - o.ahead - o.after < rest and not o.known)
    return min(saved.new, saved.of(sum(one.saved for one in beyond)))


def _hit(tokens: int, terms: Terms) -> int:
    """Return how much a cache reads of a prefix that it could know so much of."""
    return 0 if tokens < terms.minimum else tokens - tokens % terms.granule


def _is_cold(report: Report, terms: Terms) -> bool:
    """Whether the messages that are known were sent too long ago for any cache."""
    return report.known_age_s > terms.ttl_s
