"""Plans made by hand."""

from elision.policies.model import DROP, Decision, Kind, Mode, Plan, Segment, Use

HALVE = Use(method="halve", rate=0.5)
LEFT_OUT = Use(DROP)
KEEP = Use()


def decision(
    text: str,
    use: Use = HALVE,
    *,
    source: int = 0,
    start: int = 0,
    tag: bool = False,
    mode: Mode = Mode.ENFORCE,
) -> Decision:
    """Decide on one segment; tokens are words."""
    kind = Kind.QUESTION if use is KEEP else Kind.CONTEXT
    segment = Segment(source, start, start + len(text), kind, "user", text, len(text.split(" ")), tag=tag)
    return Decision(segment, use, "r", "because", mode=mode)


def plan(*decisions: Decision, deadline_s: float = 5.0, mode: Mode = Mode.ENFORCE) -> Plan:
    """Collect decisions to a plan."""
    return Plan("p@1", mode, deadline_s, decisions)
