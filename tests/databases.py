"""A PostgreSQL server of the machine's own programs, on a free port, with a new and empty database."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote


def programs() -> Path | None:
    """The folder of initdb and pg_ctl; None where there is no server."""
    found = shutil.which("initdb") or next(Path("/usr/lib/postgresql").glob("*/bin/initdb"), None)
    return Path(found).resolve().parent if found else None


@contextmanager
def postgresql(binaries: Path, *, password: str | None = None) -> Iterator[str]:
    """Run a server; give its SQLAlchemy URL. It refuses to run as root, who lends it to its own user.

    With a password it asks for it, and the URL holds it.
    """
    place = tempfile.mkdtemp(prefix="postgresql-")
    account: dict[str, Any] = {"cwd": place}
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(place, owner.pw_uid, owner.pw_gid)
        account |= {"user": owner.pw_uid, "group": owner.pw_gid}
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    data = f"{place}/data"
    run(binaries / "initdb", "-D", data, "-U", "postgres", *_access(place, password), "--no-sync", **account)
    options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off"
    run(binaries / "pg_ctl", "-D", data, "-w", "-o", options, "-l", f"{place}/log", "start", **account)
    try:
        user = f"postgres:{quote(password, safe='')}" if password else "postgres"
        yield f"postgresql+psycopg://{user}@127.0.0.1:{port}/postgres"
    finally:
        run(binaries / "pg_ctl", "-D", data, "-m", "immediate", "stop", **account)
        shutil.rmtree(place)


def _access(place: str, password: str | None) -> list[str]:
    """Return initdb's options: anyone of this machine, or who knows the password."""
    if password is None:
        return ["-A", "trust"]
    file = Path(place, "password")
    file.write_text(f"{password}\n", encoding="utf-8")
    file.chmod(0o644)
    return ["-A", "scram-sha-256", f"--pwfile={file}"]


def run(*command: str | Path, **account: Any) -> None:
    subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL, **account)
