"""What requests cost and what was saved: an estimate before the answer, the bill after it.

Brings prices (`elision.accounts.prices`) and arithmetic (`elision.accounts.bill`) together, and
decides what there is to bill at all. A few microseconds for each request.
"""

import time
from dataclasses import replace

from elision.accounts.bill import (
    Saved,
    as_sent,
    bill,
    reconciled,
    unshortened,
    unshortened_bill,
)
from elision.accounts.money import Basis, Money
from elision.accounts.prices import Asked, Offer, Prices
from elision.accounts.records import Report, RequestRecord
from elision.accounts.usage import Usage

_ERRORS = 400
"""Statuses from here on are not billed."""


class Priced:
    """Knows what tokens cost.

    Args:
        prices: of models at upstreams.
    """

    def __init__(self, prices: Prices) -> None:
        self._prices = prices

    def estimate(self, report: Report, upstream: str) -> Money | None:
        """Return what is known before the answer, of the prompt alone; None where the price is not known."""
        if not report.tokens_before:
            return None
        offer = self._prices.of(Asked(report.model, "", upstream), time.time())
        return _money(offer, report, None, reconciled(report, None)) if offer is not None else None

    def settle(self, record: RequestRecord) -> RequestRecord:
        """Return a finished request with its `money` and `tokens_saved`, by what the upstream billed."""
        answered, report = record.answered, record.report
        usage = answered.usage
        is_error = not 0 < record.status < _ERRORS
        # Without bytes of an upstream's answer it is one of our own, or the client left before it.
        if is_error or (usage is None and not (record.body_bytes and report.tokens_before)):
            return replace(record, tokens_saved=0) if record.tokens_saved else record
        saved = reconciled(report, usage)
        asked = Asked(report.model, answered.model, record.upstream, answered.service_tier)
        offer = self._prices.of(asked, record.at)
        return replace(
            record,
            tokens_saved=saved.known + saved.new,
            basis=_basis(usage, saved),
            money=_money(offer, report, usage, saved) if offer is not None else None,
        )


def _basis(usage: Usage | None, saved: Saved) -> Basis:
    return Basis.BILLED if usage is not None and saved.is_billed else Basis.ESTIMATE


def _money(offer: Offer, report: Report, usage: Usage | None, saved: Saved) -> Money:
    """Return what was billed, or is expected to be, and what would have been."""
    tariff, terms = offer
    sent, discount = usage, _has_discount(offer, usage)
    if sent is None:
        sent = as_sent(report, terms, discount=discount)
    cost, basis = bill(tariff, sent), _basis(usage, saved)
    if not report.shortened and not report.stepped:
        return Money(cost, 0, basis)
    would = unshortened(sent, report, saved, terms, discount=discount)
    return Money(cost, unshortened_bill(tariff, terms, sent, would) - cost, basis)


def _has_discount(offer: Offer, usage: Usage | None) -> bool:
    """Whether the provider takes less for what it reads from its cache, as far as anybody knows."""
    tariff, terms = offer
    if usage is not None and (usage.cached_tokens or not tariff.states_reads):
        return bool(usage.cached_tokens)
    rates = tariff.tiers[0][1]
    return terms.read < 1 and (rates.read < rates.input or not tariff.states_reads)
