"""A PostgreSQL server for a test, on a free port, in a temporary folder."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

import pytest


class Server:
    def __init__(self) -> None:
        binaries = _binaries()
        if binaries is None:
            pytest.skip("cannot start PostgreSQL: initdb and postgres are not installed")
        self.user = "postgres" if os.getuid() == 0 else None  # it refuses to run as root
        self.folder = Path(tempfile.mkdtemp(prefix="kinema-pg-"))
        if self.user is not None:
            try:
                shutil.chown(self.folder, self.user)
            except LookupError:
                pytest.skip("cannot start PostgreSQL: no user postgres to run it as")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        data = self.folder / "data"
        made = subprocess.run(
            [binaries / "initdb", "-D", data, "-A", "trust", "-U", "kinema", "-N", "--locale=C", "-E", "UTF8"],
            capture_output=True, text=True, user=self.user, cwd=self.folder, check=False,
        )  # fmt: skip
        if made.returncode:
            shutil.rmtree(self.folder, ignore_errors=True)
            pytest.skip(f"cannot start PostgreSQL: {made.stderr.strip()[-300:]}")
        self.command = [binaries / "postgres", "-D", data, "-p", str(self.port), "-k", str(self.folder),
                        "-c", "fsync=off", "-c", "listen_addresses=127.0.0.1"]  # fmt: skip
        self.log = (self.folder / "log").open("wb")
        self.start()
        self.url = f"postgresql://kinema@127.0.0.1:{self.port}/postgres"
        end = time.monotonic() + 60
        while time.monotonic() < end:
            try:
                socket.create_connection(("127.0.0.1", self.port), 1).close()
                return
            except OSError:
                time.sleep(0.1)
        self.stop()
        pytest.skip("cannot start PostgreSQL: it did not respond within 60 s")

    def start(self) -> None:
        self.process = subprocess.Popen(
            self.command, stdout=self.log, stderr=self.log, user=self.user, cwd=self.folder
        )  # fmt: skip

    def crash(self) -> None:
        """End it as a crash does; `start` starts it again."""
        self.process.send_signal(signal.SIGQUIT)
        self.process.wait(20)

    def new_database(self) -> str:
        """The URL of a new, empty database."""
        import sqlalchemy as sa

        self.num_databases = getattr(self, "num_databases", 0) + 1
        name = f"test_{self.num_databases}"
        engine = sa.create_engine(self.url.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT")
        end = time.monotonic() + 60
        while True:
            try:
                with engine.connect() as connection:
                    connection.execute(sa.text(f"CREATE DATABASE {name} TEMPLATE template0"))
                break
            except sa.exc.OperationalError:  # it accepts connections before it is ready
                if time.monotonic() > end:
                    raise
                time.sleep(0.1)
        engine.dispose()
        return self.url.rpartition("/")[0] + f"/{name}"

    def stop(self) -> None:
        self.process.send_signal(signal.SIGQUIT)  # immediate shutdown
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.log.close()
        shutil.rmtree(self.folder, ignore_errors=True)


def _binaries() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    named = shutil.which("initdb")
    return found[-1].parent if found else Path(named).resolve().parent if named else None
