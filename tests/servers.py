"""A real `mlflow server` with basic authentication and proxied artifacts, on a free port of this machine.

    with mlflow_server(tmp_path) as server:
        run(…, **server.environment)

The store is SQLite below the folder, unless `store` names another database (see `tests.databases`).
"""

import os
import signal
import socket
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.clusters import wait_until

USERNAME = "admin"
PASSWORD = "correct horse battery staple"
_AUTH = """[mlflow]
default_permission = READ
database_uri = {database}
authorization_function = mlflow.server.auth:authenticate_request_basic_auth
"""


@dataclass
class Server:
    """A server at an address of its own, which it keeps when it is stopped and started again."""

    folder: Path
    store: str
    port: int
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def uri(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environment(self) -> dict[str, str]:
        """What a client needs. The password is no part of the URI."""
        return {
            "MLFLOW_TRACKING_URI": self.uri,
            "MLFLOW_TRACKING_USERNAME": USERNAME,
            "MLFLOW_TRACKING_PASSWORD": PASSWORD,
        }

    def start(self) -> None:
        """Start the server, and wait until it answers."""
        words = [
            *(sys.executable, "-m", "mlflow", "server", "--app-name", "basic-auth", "--workers", "1"),
            *("--backend-store-uri", self.store, "--artifacts-destination", str(self.folder / "artifacts")),
            *("--host", "127.0.0.1", "--port", str(self.port)),
        ]
        others = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
        own = {
            "MLFLOW_AUTH_CONFIG_PATH": str(self.folder / "auth.ini"),
            "MLFLOW_AUTH_ADMIN_USERNAME": USERNAME,
            "MLFLOW_AUTH_ADMIN_PASSWORD": PASSWORD,
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "a key for tests",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
        }
        with (self.folder / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                words,
                cwd=self.folder,
                env=others | own,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        wait_until(self._answers, f"an answer of {self.uri}", seconds=180)

    def stop(self) -> None:
        """Kill the server and its workers, as an outage does; a second time does nothing."""
        if self.process is not None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None

    def _answers(self) -> bool:
        if self.process is None or self.process.poll() is not None:
            log = (self.folder / "server.log").read_text(encoding="utf-8", errors="replace")
            raise AssertionError(f"mlflow server ended early:\n{log[-2000:]}")
        try:
            with urllib.request.urlopen(f"{self.uri}/health", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextmanager
def mlflow_server(folder: Path, *, store: str | None = None) -> Iterator[Server]:
    """Run a server below `folder` on a free port; stop it at the end."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "auth.ini").write_text(
        _AUTH.format(database=f"sqlite:///{folder / 'auth.db'}"), encoding="utf-8"
    )
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Server(folder, store or f"sqlite:///{folder / 'server.db'}", port)
    try:
        server.start()
        yield server
    finally:
        server.stop()
