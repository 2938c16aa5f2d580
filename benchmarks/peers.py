"""The proxies that are compared: how each is installed, and how it is started.

Every peer gets one worker process and its best case: no database, no callbacks, errors logged only,
caches and limits off where it has them.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from benchmarks.install import environment, installed_version, interpreter, nginx, run
from benchmarks.processes import Command

_HERE = Path(__file__).parent
_LITELLM = "litellm[proxy]==1.106.2"
_HEADROOM = "headroom-ai[proxy]==0.42.0"
_PYREQWEST = "pyreqwest==0.15.1"


@dataclass(frozen=True, slots=True)
class Place:
    """Where a peer listens, where it forwards to (a base URL without /v1), and a folder of its own."""

    port: int
    upstream: str
    folder: Path


class Peer(Protocol):
    """A proxy that can be compared."""

    @property
    def name(self) -> str:
        """Return the name in tables and on the command line."""
        ...

    def install(self) -> str:
        """Make it ready to be started; return its version.

        Raises:
            UnavailableError: it cannot be had here.
        """
        ...

    def command(self, place: Place) -> Command:
        """Return what starts it; may write files into the place's folder."""
        ...


@dataclass(frozen=True, slots=True)
class Elision:
    """This repository's proxy.

    Attributes:
        name: in tables.
        program: the `elision` command.
        policy: text of the default policy, "" for none.
        log_level: what it logs; by default a line per request.
    """

    name: str
    program: Path
    policy: str = ""
    log_level: str = "info"

    def install(self) -> str:
        return run([str(self.program), "--version"], f"asking {self.program} for its version").split()[-1]

    def command(self, place: Place) -> Command:
        words = [str(self.program), "serve", "--upstream", place.upstream, "--port", str(place.port)]
        if self.policy:
            policies = place.folder / "policies"
            policies.mkdir(exist_ok=True)
            (policies / "default.yaml").write_text(self.policy, encoding="utf-8")
            words += ["--policies", str(policies)]
        return Command(tuple(words), {"ELISION_LOG__LEVEL": self.log_level})


@dataclass(frozen=True, slots=True)
class Minimal:
    """`minimal_proxy.py` with the interpreter and the libraries that Elision has."""

    name: str = "minimal"

    def install(self) -> str:
        return f"aiohttp {installed_version(Path(sys.executable), 'aiohttp')}"

    def command(self, place: Place) -> Command:
        script = str(_HERE / "minimal_proxy.py")
        return Command((sys.executable, script, str(place.port), place.upstream))


@dataclass(frozen=True, slots=True)
class MinimalPyreqwest:
    """`clients.py`: the minimal proxy with a client written in Rust."""

    name: str = "minimal+pyreqwest"

    def install(self) -> str:
        own = Path(sys.executable)
        shared = [f"{package}=={installed_version(own, package)}" for package in ("aiohttp", "uvloop")]
        python = environment("pyreqwest", [_PYREQWEST, *shared])
        return f"pyreqwest {installed_version(python, 'pyreqwest')}"

    def command(self, place: Place) -> Command:
        python = str(interpreter("pyreqwest"))
        return Command((python, str(_HERE / "clients.py"), str(place.port), place.upstream))


@dataclass(frozen=True, slots=True)
class Nginx:
    """nginx with kept-alive connections both ways and no buffering."""

    name: str = "nginx"

    def install(self) -> str:
        return run([str(nginx()), "-v"], "asking nginx for its version").strip().rpartition("/")[2]

    def command(self, place: Place) -> Command:
        settings = place.folder / "nginx.conf"
        settings.write_text(_nginx_conf(place), encoding="utf-8")
        errors = str(place.folder / "error.log")
        return Command((str(nginx()), "-e", errors, "-p", str(place.folder), "-c", str(settings)))


@dataclass(frozen=True, slots=True)
class LiteLLM:
    """LiteLLM's proxy: production mode, a wildcard route, no database."""

    name: str = "litellm"

    def install(self) -> str:
        return installed_version(environment("litellm", [_LITELLM]), "litellm")

    def command(self, place: Place) -> Command:
        settings = place.folder / "litellm.yaml"
        settings.write_text(_litellm_yaml(place), encoding="utf-8")
        program = str(interpreter("litellm").with_name("litellm"))
        words = (program, "--config", str(settings), "--host", "127.0.0.1", "--port", str(place.port))
        env = {
            "LITELLM_MODE": "PRODUCTION",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            "LITELLM_LOG": "ERROR",
        }
        return Command((*words, "--num_workers", "1", "--telemetry", "False"), env)


@dataclass(frozen=True, slots=True)
class Headroom:
    """Headroom's proxy with its optimisation off."""

    name: str = "headroom"

    def install(self) -> str:
        return installed_version(environment("headroom", [_HEADROOM]), "headroom-ai")

    def command(self, place: Place) -> Command:
        program = str(interpreter("headroom").with_name("headroom"))
        words = (program, "proxy", "--host", "127.0.0.1", "--port", str(place.port), "--workers", "1")
        off = ("--no-optimize", "--no-cache", "--no-rate-limit", "--no-telemetry", "--stateless")
        target = ("--openai-api-url", place.upstream)
        return Command((*words, *off, *target), {"HF_HUB_OFFLINE": "1"})


def all_peers(program: Path) -> Sequence[Peer]:
    """Return every peer, ours first.

    Args:
        program: the `elision` command to measure.
    """
    return (
        Elision("elision", program),
        Elision("elision-planned", program, policy=_NEVER_MATCHES),
        Elision("elision-quiet", program, log_level="error"),
        Minimal(),
        MinimalPyreqwest(),
        Nginx(),
        LiteLLM(),
        Headroom(),
    )


_NEVER_MATCHES = """\
name: benchmark
rules:
  - name: never
    when: {segment: context, min_tokens: 1000000}
    use: {method: lossless}
"""
"""Bodies are read, parsed, cut and counted; nothing is long enough to be compressed."""


def _nginx_conf(place: Place) -> str:
    upstream = place.upstream.removeprefix("http://")
    return f"""\
daemon off;
worker_processes 1;
pid {place.folder}/nginx.pid;
events {{ worker_connections 2048; }}
http {{
    access_log off;
    client_body_temp_path {place.folder}/body;
    proxy_temp_path {place.folder}/proxy;
    fastcgi_temp_path {place.folder}/fastcgi;
    uwsgi_temp_path {place.folder}/uwsgi;
    scgi_temp_path {place.folder}/scgi;
    keepalive_requests 100000000;
    upstream mock {{ server {upstream}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{place.port} backlog=1024;
        location / {{
            proxy_pass http://mock;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering off;
        }}
    }}
}}
"""


def _litellm_yaml(place: Place) -> str:
    return f"""\
model_list:
  - model_name: "*"
    litellm_params: {{model: "openai/*", api_base: "{place.upstream}/v1", api_key: sk-benchmark}}
general_settings:
  dangerously_permit_weak_or_unset_master_key: true
"""
