"""The peers of the gateway as processes: nginx, LiteLLM's proxy and Portkey's gateway, in front of one provider.

They are installed once, from the package indexes, into a folder of their own (`--peers`, default .bench-peers): LiteLLM
with pip into a venv, Portkey with npm. nginx is the system's. What is not there is left out, and said.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

LITELLM = "litellm[proxy]==1.106.2"
PORTKEY = "@portkey-ai/gateway@1.15.2"
START_SECONDS = 120.0
TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Served:
    """A gateway that answers. path, headers: what a chat must be sent to, and with. streams: whether it can stream."""

    pid: int
    url: str
    path: str
    headers: Mapping[str, str] = field(default_factory=dict)
    streams: bool = True

    def cpu_seconds(self) -> float:
        """User and system time of the process and all that it started, so far."""
        return sum(_cpu_seconds(pid) for pid in family(self.pid))

    def memory_mb(self) -> float:
        """Memory that is resident now, of all of them together."""
        return sum(_resident_kb(pid) for pid in family(self.pid)) / 1024


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    found, parents = [pid], {}
    for one in Path("/proc").iterdir():
        if one.name.isdigit():
            with contextlib.suppress(OSError):
                parents[int(one.name)] = int((one / "stat").read_text().rpartition(")")[2].split()[1])
    for known in found:
        found += [child for child, parent in parents.items() if parent == known]
    return found


def _cpu_seconds(pid: int) -> float:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / TICKS


def _resident_kb(pid: int) -> int:
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")), 0)


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


@contextlib.contextmanager
def process(
    command: list[str], folder: Path, answers: Callable[[], bool], environ: Mapping[str, str] | None = None
) -> Iterator[int]:
    """A process until the block ends; entered once it answers. What it says goes to a file in the folder."""
    with (folder / f"{Path(command[0]).name}.log").open("ab") as log:
        started = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env={**os.environ, **(environ or {})}, start_new_session=True
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not answers():
                if started.poll() is not None or time.monotonic() > deadline:
                    said = Path(log.name).read_bytes()[-2_000:].decode("utf-8", "replace")
                    raise RuntimeError(f"{' '.join(command)} did not start: {said}")
                time.sleep(0.1)
            yield started.pid
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                started.wait(20)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(started.pid, signal.SIGKILL)
            started.wait()


def answering(url: str) -> Callable[[], bool]:
    """Whether anything answers at a URL, whatever it says."""

    def answers() -> bool:
        try:
            urllib.request.build_opener(urllib.request.ProxyHandler({})).open(url, timeout=1).close()
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False
        return True

    return answers


@contextlib.contextmanager
def nginx(upstream: str, folder: Path, peers: Path) -> Iterator[Served | None]:
    """nginx with one worker and kept connections to the provider."""
    binary = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
    if binary is None:
        yield None
        return
    port, host = free_port(), upstream.removeprefix("http://").partition("/")[0]
    (folder / "nginx.conf").write_text(
        f"""daemon off; worker_processes 1; pid {folder}/nginx.pid; error_log {folder}/nginx-error.log;
events {{ worker_connections 4096; }}
http {{
  access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s; keepalive_requests 1000000;
  upstream provider {{ server {host}; keepalive 128; keepalive_requests 1000000; }}
  server {{ listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://provider; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""
    )
    url = f"http://127.0.0.1:{port}"
    with process([binary, "-p", str(folder), "-c", str(folder / "nginx.conf")], folder, answering(url)) as pid:
        yield Served(pid, url, "/v1/chat/completions")


@contextlib.contextmanager
def litellm(upstream: str, folder: Path, peers: Path) -> Iterator[Served | None]:
    """LiteLLM's proxy: one worker, a master key, prices of our own, no database."""
    home = peers / "litellm"
    if not (home / "bin" / "litellm").exists():
        subprocess.run([sys.executable, "-m", "venv", str(home)], check=True)
        subprocess.run([str(home / "bin" / "pip"), "install", "--quiet", LITELLM], check=True)
    (folder / "litellm.yaml").write_text(
        f"""model_list:
  - model_name: gpt-4o-mini
    litellm_params: {{model: openai/gpt-4o-mini, api_base: "{upstream}", api_key: sk-bench,
                     input_cost_per_token: 0.00000015, output_cost_per_token: 0.0000006}}
general_settings: {{master_key: sk-master}}
litellm_settings: {{telemetry: false}}
"""
    )
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [str(home / "bin" / "litellm"), "--config", str(folder / "litellm.yaml"), "--host", "127.0.0.1"]
    command += ["--port", str(port), "--num_workers", "1"]
    environ = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "LITELLM_LOG": "ERROR"}
    with process(command, folder, answering(f"{url}/health/liveliness"), environ) as pid:
        yield Served(pid, url, "/v1/chat/completions", {"authorization": "Bearer sk-master"})


@contextlib.contextmanager
def portkey(upstream: str, folder: Path, peers: Path) -> Iterator[Served | None]:
    """Portkey's gateway on Node."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        yield None
        return
    home = peers / "portkey"
    script = home / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    if not script.exists():
        home.mkdir(parents=True, exist_ok=True)
        subprocess.run([npm, "install", "--silent", "--no-audit", "--no-fund", PORTKEY], cwd=home, check=True)
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    host = upstream.removeprefix("http://").partition("/")[0]
    environ = {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": f"localhost,127.0.0.1,{host}"}
    with process([node, str(script), "--headless", f"--port={port}"], folder, answering(url), environ) as pid:
        headers = {
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": upstream,
            "authorization": "Bearer sk-bench",
        }
        # 1.15.2 on Node 20 answers every stream with 500: it changes headers that may not be changed.
        yield Served(pid, url, "/v1/chat/completions", headers, streams=False)
