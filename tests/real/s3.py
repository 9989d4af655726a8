"""A private S3 server: moto's, in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from dataclasses import dataclass, field

import httpx

from tests.ports import free_port

# The bucket is there before the first request can be answered.
_PROGRAM = """
import sys
from moto.backends import get_backend
from moto.server import main
get_backend("s3")["123456789012"]["aws"].create_bucket(sys.argv.pop(1), "us-east-1")
main(sys.argv[1:])
"""


@dataclass
class S3Server:
    """With one bucket, empty at each start: it forgets everything when it is stopped.

    ``environment`` is what a client of it needs.
    """

    bucket: str
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        return {
            "AWS_ENDPOINT_URL": self.url,
            "AWS_ACCESS_KEY_ID": "somebody",
            "AWS_SECRET_ACCESS_KEY": "something",
            "AWS_REGION": "us-east-1",
        }

    def start(self) -> None:
        command = [sys.executable, "-W", "ignore", "-c", _PROGRAM, self.bucket]
        command += ["-H", "127.0.0.1", "-p", str(self.port)]
        self.process = subprocess.Popen(
            command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, "the S3 server did not start"
            time.sleep(0.1)

    def stop(self) -> None:
        assert self.process
        self.process.kill()
        self.process.wait()

    def _answers(self) -> bool:
        try:
            httpx.get(f"{self.url}/moto-api/", timeout=5)
        except httpx.TransportError:
            return False
        return True
