"""Whose request it is. Pure."""

_PREFIX = "/t/"


def split_team(path: str) -> tuple[str, str]:
    """Return the team that a path names and the path without it.

    `/t/search/v1/models` is team `search` and `/v1/models`; any other path names no team: "".
    """
    if not path.startswith(_PREFIX):
        return "", path
    team, slash, rest = path[len(_PREFIX) :].partition("/")
    return (team, slash + rest) if team and slash else ("", path)
