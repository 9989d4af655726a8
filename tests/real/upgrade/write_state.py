"""Writes a state folder with the service of an earlier commit, for ``test_upgrade.py``.

    git worktree add /tmp/earlier 91dfe72
    python -m tests.real.upgrade.write_state /tmp/earlier

Its worker is stopped in the middle, so that jobs of every kind are left: done, failed, canceled,
expired, waiting, and one that runs. Nothing in the folder may age, so lifetimes are long, and those
that no setting governs are taken away.
"""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import redis
from PIL import Image

HERE = Path(__file__).parent
STATE, FACTS = HERE / "state-91dfe72.tar.xz", HERE / "state-91dfe72.json"
LONG = str(10 * 365 * 86400)
SETTINGS = {
    "MMML_JOB_DEADLINE": LONG,
    "MMML_RESULT_TTL": LONG,
    "MMML_IDEMPOTENCY_TTL": LONG,
    "MMML_CONCURRENCY": "1",
    "MMML_LEASE_TTL": "30",
}
ONCE = {"text": "a yellow bird", "seed": 4}


def main() -> None:
    checkout = Path(sys.argv[1])
    with tempfile.TemporaryDirectory(prefix="mmml-") as folder:
        state = Path(folder) / "state"
        port = _free_port()
        process = _start(checkout, state, port)
        key = ""
        try:
            key = _key(checkout, state)
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as http:
                http.headers["Authorization"] = f"Bearer {key}"
                _until(lambda: http.get("/readyz").status_code == 200)
                facts = {"key": key, **_live(http, state)}
            _forget_lifetimes(state)
        finally:
            process.terminate()
            process.wait(60)
        _pack(state, facts)


def _start(checkout: Path, state: Path, port: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, "-m", "app.cli", "serve", "--fake"]
    command += ["--port", str(port), "--state-dir", str(state)]
    return subprocess.Popen(command, cwd=checkout, env=_environment(checkout))


def _environment(checkout: Path) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if not k.startswith("MMML_")}
    return {**kept, **SETTINGS, "PYTHONPATH": str(checkout)}


def _key(checkout: Path, state: Path) -> str:
    _until((state / "valkey.sock").exists)
    command = [sys.executable, "-m", "app.cli", "keys", "--state-dir", str(state)]
    command += ["create", "earlier", "--max-active", "100"]
    done = subprocess.run(
        command,
        cwd=checkout,
        env=_environment(checkout),
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def _live(http: httpx.Client, state: Path) -> dict[str, Any]:
    """Jobs of every kind; returns what is to be found again."""
    done = [
        _post(http, "/synthesize?wait=30", json={"text": "a red bird", "seed": 7, "count": 2}),
        _post(http, "/inpaint?wait=30", data={"text": "a bird"}, files=_pictures()),
    ]
    failed = _post(http, "/synthesize?wait=30", json={"text": "a bird fail:bad_input"})
    once = _post(http, "/synthesize?wait=30", json=ONCE, headers={"Idempotency-Key": "earlier-1"})
    gone = _post(http, "/synthesize?wait=30", json={"text": "a grey bird"})
    http.delete(f"/jobs/{gone}").raise_for_status()
    http.post("/session").raise_for_status()
    cookie = http.cookies["mmml_session"]
    http.cookies.clear()
    running = _post(http, "/synthesize", json={"text": "a bird fail:slow=5"})
    _until(lambda: http.get(f"/jobs/{running}").json()["status"] == "running")
    os.kill(_worker(state), signal.SIGSTOP)
    queued = [_post(http, "/synthesize", json={"text": "a bird", "seed": n}) for n in range(3)]
    queued.append(_post(http, "/manipulate", data={"text": "a blue bird"}, files=_pictures(1)))
    canceled = _post(http, "/synthesize", json={"text": "a bird"})
    http.post(f"/jobs/{canceled}/cancel").raise_for_status()
    pictures = {job: http.get(f"/jobs/{job}/images/0").headers["etag"] for job in done}
    return {
        "done": pictures,
        "failed": failed,
        "once": once,
        "gone": gone,
        "cookie": cookie,
        "running": running,
        "queued": queued,
        "canceled": canceled,
    }


def _post(http: httpx.Client, path: str, **content: Any) -> str:
    response = http.post(path, **content)
    response.raise_for_status()
    return str(response.json()["id"])


def _pictures(count: int = 2) -> dict[str, bytes]:
    mask = Image.new("L", (40, 30))
    mask.paste(255, (5, 5, 15, 15))
    made = {"image": _png(Image.new("RGB", (40, 30), (200, 30, 40))), "mask": _png(mask)}
    return dict(list(made.items())[:count])


def _png(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return buffer.getvalue()


def _worker(state: Path) -> int:
    """The worker's own process, not the one that watches it."""
    client = redis.Redis(unix_socket_path=str(state / "valkey.sock"))
    (name,) = client.hkeys("mmml:workers")
    client.close()
    return int(name.decode().rsplit("-", 1)[1])


def _forget_lifetimes(state: Path) -> None:
    """Of sessions, of idempotency records and of tombstones."""
    client = redis.Redis(unix_socket_path=str(state / "valkey.sock"))
    for pattern in ("mmml:session:*", "mmml:once:*", "mmml:job:*"):
        for name in client.scan_iter(pattern):
            client.persist(name)
    client.close()


def _pack(state: Path, facts: dict[str, Any]) -> None:
    with tarfile.open(STATE, "w:xz") as archive:
        for name in ("valkey", "blobs"):
            archive.add(state / name, name)
    FACTS.write_text(json.dumps(facts, indent=1) + "\n")


def _until(condition: Callable[[], object], seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not _holds(condition):
        if time.monotonic() > deadline:
            raise TimeoutError("the earlier service did not get there in time")
        time.sleep(0.05)


def _holds(condition: Callable[[], object]) -> bool:
    try:
        return bool(condition())
    except httpx.TransportError:
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


if __name__ == "__main__":
    main()
