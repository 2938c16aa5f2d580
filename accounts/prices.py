"""What a model's tokens cost at an upstream: the operator's word first, then the table of genai-prices.

Owns finding prices and remembering what was found; bills are `elision.accounts.bill`'s. The table is
the installed package's, as of its release; nothing is ever fetched. It is loaded when it is first
asked, or by `Prices.load` before, because that takes a third of a second, and some 6 MB.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from fnmatch import fnmatchcase
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

from elision.accounts.bill import ATTO, Rates, Tariff, Terms
from elision.config.accounts import PriceEntry, PriceTable
from elision.config.prefix_terms import PrefixEntry, PrefixTable, load_prefix_terms

if TYPE_CHECKING:  # loading it takes long
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice, Provider, TieredPrices

_REMEMBERED = 4096
"""Models that were asked for; their names are clients' to choose."""
_MAKERS = ("openai", "google", "mistral", "cohere", "voyageai")
"""Makers of embeddings, whose names no rule of the table claims. What many serve has no price here."""
_MTOK = 1_000_000
_MINUTE_S = 60


class Asked(NamedTuple):
    """Whose price is wanted.

    Attributes:
        model: as the request names it.
        answered: as the answer names it, "" where it does not, or not yet.
        upstream: its name in the settings.
        tier: the service tier that the answer names.
    """

    model: str
    answered: str = ""
    upstream: str = ""
    tier: str = ""


class Offer(NamedTuple):
    """A tariff, and what is believed of the provider's cache."""

    tariff: Tariff
    terms: Terms


@dataclass(slots=True)
class _Found:
    """What was found for a model.

    Attributes:
        model: of the table, where its price depends on the time.
        minute: for which `offer` holds; None: for all.
    """

    offer: Offer | None
    model: "ModelInfo | None" = None
    minute: int | None = None


class Prices:
    """Knows what tokens cost.

    Args:
        own: the operator's entries; the first that matches model and upstream counts.
        table: whether the package's table is asked beside.
        urls: of upstreams, by name.
        prefix_terms: what the operator knows of providers' caches.
    """

    def __init__(
        self,
        own: Sequence[PriceEntry] = (),
        table: PriceTable = "genai",
        urls: Mapping[str, str] | None = None,
        prefix_terms: Sequence[PrefixEntry] = (),
    ) -> None:
        self._own = tuple(own)
        self._asks_table = table == "genai"
        self._urls = dict(urls or {})
        self._prefix_entries = tuple(prefix_terms)
        self._found: dict[Asked, _Found] = {}

    def load(self) -> None:
        """Load what is looked into, ahead of the first question; from any thread."""
        _ = self._terms
        if self._asks_table:
            _snapshot()

    def of(self, asked: Asked, at: float) -> Offer | None:
        """Return what a request at the time `at` (seconds since 1970) pays; None where nobody knows."""
        found = self._found.get(asked)
        if found is None:
            if len(self._found) >= _REMEMBERED:
                self._found.clear()
            found = self._found[asked] = self._look_up(asked)
        if found.model is not None and found.minute != (minute := int(at) // _MINUTE_S):
            # The table's prices change at full minutes.
            tariff = _tariff(_prices_at(found.model, minute * _MINUTE_S, asked.tier))
            found.offer = Offer(tariff, self._terms_of(asked)) if tariff is not None else None
            found.minute = minute
        return found.offer

    @cached_property
    def _terms(self) -> PrefixTable:
        return load_prefix_terms(self._prefix_entries)

    def _terms_of(self, asked: Asked) -> Terms:
        row = self._terms.of(asked.model or asked.answered, asked.upstream)
        return Terms(row.read, row.minimum, row.granule, row.ttl_s, row.write)

    def _look_up(self, asked: Asked) -> _Found:
        for entry in self._own:
            if _matches(entry, asked):
                return _Found(Offer(_own_tariff(entry), self._terms_of(asked)))
        # The answer names the model that is billed, the request perhaps a deployment or an alias.
        for name in filter(None, (asked.answered, asked.model)):
            if self._asks_table and (model := self._in_table(name, asked.upstream)) is not None:
                return _Found(None, model)
        return _Found(None)

    def _in_table(self, name: str, upstream: str) -> "ModelInfo | None":
        """Return a model of the table, None if it is not there at the upstream's provider."""
        table = _snapshot()
        for provider, bare in _providers(table, name.lower(), upstream, self._urls.get(upstream, "")):
            for called in dict.fromkeys((name.lower(), bare)):
                if (model := provider.find_model(called, all_providers=table.providers)) is not None:
                    return model
        return None


def _snapshot() -> "DataSnapshot":
    """Return the table that is installed."""
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def _providers(
    table: "DataSnapshot", model: str, upstream: str, url: str
) -> Iterator[tuple["Provider", str]]:
    """Yield providers that may be behind an upstream, with the model's name there.

    A URL that is a provider's settles it. Of others, gateways of one's own mostly, the upstream's name
    may tell, or the vendor before a slash in the model's name, or the name itself.
    """
    from genai_prices.data_snapshot import find_provider_by_id

    vendor, slash, bare = model.rpartition("/")
    if (known := _by_rule(table, url=url)) is not None:
        yield known, bare
        return
    for word in filter(None, (upstream, vendor if slash else "")):
        if (named := find_provider_by_id(table.providers, word)) is not None:
            yield named, bare
    if (guessed := _by_rule(table, model=bare)) is not None:
        yield guessed, bare
    for provider in table.providers:
        if provider.id in _MAKERS and any(one.id == bare for one in provider.models):
            yield provider, bare


def _by_rule(table: "DataSnapshot", *, model: str | None = None, url: str = "") -> "Provider | None":
    try:
        return table.find_provider(model, None, url) if url else table.find_provider(model, None, None)
    except LookupError:
        return None


def _prices_at(model: "ModelInfo", at: int, tier: str) -> "ModelPrice":
    context = {"service_tier": tier} if tier else None
    return model.get_prices(datetime.fromtimestamp(at, UTC), context)


def _tariff(prices: "ModelPrice") -> Tariff | None:
    """Return a model's prices as a tariff; None where its tokens have none."""
    read, write = prices.cache_read_mtok, prices.cache_write_mtok
    each = (
        prices.input_mtok or Decimal(0),
        prices.output_mtok or Decimal(0),
        prices.input_mtok or Decimal(0) if read is None else read,
        prices.input_mtok or Decimal(0) if write is None else write,
        prices.cache_write_1h_mtok or write or prices.input_mtok or Decimal(0),
    )
    if prices.input_mtok is None and prices.output_mtok is None:
        return None
    starts = sorted({0, *(tier.start for price in each for tier in getattr(price, "tiers", ()))})
    tiers = tuple((start, Rates(*(_atto(_from(price, start)) for price in each))) for start in starts)
    calls = prices.requests_kcount
    per_request = int(_from(calls, 0) * ATTO) // 1000 if calls is not None else 0
    return Tariff(tiers, per_request, states_reads=read is not None)


def _from(price: "Decimal | TieredPrices", start: int) -> Decimal:
    """Return the price of prompts of more tokens than `start`."""
    if isinstance(price, Decimal):
        return price
    reached = [tier.price for tier in price.tiers if tier.start <= start]
    return reached[-1] if reached and start else price.base


def _own_tariff(entry: PriceEntry) -> Tariff:
    read = entry.input if entry.cache_read is None else entry.cache_read
    write = entry.input if entry.cache_write is None else entry.cache_write
    prices = (entry.input, entry.output, read, write, write)
    return Tariff(((0, Rates(*(_atto(Decimal(str(price))) for price in prices))),))


def _atto(dollars: Decimal) -> int:
    """Return dollars per million tokens as atto-dollars a token."""
    return int(dollars * (ATTO // _MTOK))


def _matches(entry: PriceEntry, asked: Asked) -> bool:
    if entry.upstreams and not any(fnmatchcase(asked.upstream, glob) for glob in entry.upstreams):
        return False
    names = [name.lower() for name in (asked.model, asked.answered) if name]
    names += [name.rpartition("/")[2] for name in names]
    return not entry.models or any(fnmatchcase(name, glob.lower()) for glob in entry.models for name in names)
