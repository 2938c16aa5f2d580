"""Keys come from the environment, and stay out of sight."""

import base64
import pickle

import pytest

from elision.config.cache_keys import keys_of, with_cache_keys
from elision.config.errors import ConfigError
from elision.config.settings import Cache, Settings

KEY = bytes(range(200, 232))
OLD = bytes(range(32))


def read(cache: Cache, **environ: str) -> Settings:
    return with_cache_keys(Settings(cache=cache), environ)


def problems(cache: Cache, **environ: str) -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read(cache, **environ)
    return caught.value.problems


@pytest.mark.parametrize(
    "written",
    [
        KEY.hex(),
        KEY.hex().upper(),
        base64.b64encode(KEY).decode(),
        base64.b64encode(KEY).decode().rstrip("="),
        base64.urlsafe_b64encode(KEY).decode(),
        f" {KEY.hex()}\n",
    ],
)
def test_a_key_may_be_written_in_hexadecimal_or_base64(written: str) -> None:
    """With or without the signs at its end, and a line's end after it."""
    assert keys_of(read(Cache(key_env="K"), K=written).cache) == (KEY,)


def test_the_newest_key_comes_first() -> None:
    """It seals; the others are only read with."""
    settings = read(Cache(key_env="NEW", old_key_envs=("WAS",)), NEW=KEY.hex(), WAS=OLD.hex())
    assert keys_of(settings.cache) == (KEY, OLD)
    assert settings.cache.key_env == "NEW"


def test_keys_reach_a_worker_and_no_log() -> None:
    """Settings are pickled for the workers; their repr tells nothing."""
    settings = read(Cache(key_env="K"), K=KEY.hex())
    assert keys_of(pickle.loads(pickle.dumps(settings)).cache) == (KEY,)
    assert KEY.hex() not in repr(settings)
    assert repr(KEY) not in repr(settings)


def test_without_a_key_nothing_is_sealed() -> None:
    """The default."""
    assert keys_of(read(Cache()).cache) == ()


@pytest.mark.parametrize("value", ["", "too short", KEY.hex()[:-2], KEY.hex() + "00", "!" * 44])
def test_a_key_that_is_none_is_told_without_its_value(value: str) -> None:
    """By the variable's name, with the way to make one."""
    [problem] = problems(Cache(key_env="K"), K=value)
    assert problem.startswith("cache.key_env: the variable K ")
    assert problem.endswith("as `openssl rand -hex 32` makes them")
    assert not value or value not in problem


def test_all_that_is_wrong_is_told_at_once() -> None:
    """A line each."""
    found = problems(Cache(key_env="A", old_key_envs=("B",)))
    assert [line.split(";")[0] for line in found] == [
        "cache.key_env: the variable A is not set, or empty",
        "cache.old_key_envs: the variable B is not set, or empty",
    ]


def test_old_keys_alone_are_a_mistake() -> None:
    """There would be nothing to write with."""
    assert problems(Cache(old_key_envs=("B",)), B=OLD.hex())[0].startswith(
        "cache.old_key_envs: needs key_env"
    )


def test_a_key_that_is_named_twice_is_a_mistake() -> None:
    """A rotation that changed nothing."""
    found = problems(Cache(key_env="A", old_key_envs=("B",)), A=OLD.hex(), B=OLD.hex())
    assert found == ("cache.old_key_envs: two variables hold the same key; leave one out",)


def test_keys_that_were_not_read_are_no_plain_store() -> None:
    """Forgetting to read them must not mean to write in the clear."""
    with pytest.raises(ValueError, match="have not been read"):
        keys_of(Cache(key_env="K"))
