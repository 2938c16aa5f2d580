"""Metrics as Prometheus reads them."""

from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families


@dataclass(frozen=True)
class Samples:
    """Samples of one answer."""

    values: dict[tuple[str, frozenset[tuple[str, str]]], float]

    def value(self, name: str, **labels: str) -> float:
        """Return one sample's value; KeyError if there is none."""
        return self.values[name, frozenset(labels.items())]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a name's samples that have these labels among theirs."""
        wanted = set(labels.items())
        return sum(value for (told, had), value in self.values.items() if told == name and wanted <= had)

    def names(self) -> set[tuple[str, frozenset[str]]]:
        """Return the names of samples with the names of their labels."""
        return {(name, frozenset(label for label, _ in labels)) for name, labels in self.values}


def samples_of(text: bytes) -> Samples:
    """Return the samples in Prometheus' text format."""
    families = text_string_to_metric_families(text.decode())
    return Samples({(s.name, frozenset(s.labels.items())): s.value for f in families for s in f.samples})
