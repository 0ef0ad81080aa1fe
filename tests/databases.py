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
def postgresql(binaries: Path, *, password: str = "the database's own") -> Iterator[str]:
    """Run a server; give its SQLAlchemy URL. It refuses to run as root, who lends it to its own user."""
    place = tempfile.mkdtemp(prefix="postgresql-")
    account: dict[str, Any] = {"cwd": place}
    if os.getuid() == 0:
        owner = pwd.getpwnam("postgres")
        os.chown(place, owner.pw_uid, owner.pw_gid)
        account |= {"user": owner.pw_uid, "group": owner.pw_gid}
    secret = Path(place, "password")
    secret.write_text(f"{password}\n", encoding="utf-8")
    secret.chmod(0o644)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def run(program: str, *words: str) -> None:
        command = [str(binaries / program), "-D", f"{place}/data", *words]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, **account)

    run("initdb", "-U", "postgres", "-A", "scram-sha-256", f"--pwfile={secret}", "--no-sync")
    options = f"-p {port} -k {place} -c listen_addresses=127.0.0.1 -c fsync=off"
    run("pg_ctl", "-w", "-o", options, "-l", f"{place}/log", "start")
    try:
        yield f"postgresql+psycopg://postgres:{quote(password, safe='')}@127.0.0.1:{port}/postgres"
    finally:
        run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(place)
