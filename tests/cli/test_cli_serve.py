"""`kinema serve` on a machine without the extra `server`."""

from __future__ import annotations

import subprocess
import sys

WITHOUT = """
import sys
for name in ("starlette", "uvicorn", "websockets", "blake3", "multipart", "python_multipart"):
    sys.modules[name] = None
from kinema.cli.main import main
sys.argv[0] = "kinema"
main()
"""


def test_what_is_missing_is_named_with_the_command_that_installs_it(tmp_path) -> None:
    (tmp_path / "index.html").touch()
    for more in ([], ["--ui", str(tmp_path)]):
        found = subprocess.run(
            [sys.executable, "-c", WITHOUT, "serve", *more], capture_output=True, text=True, timeout=60, check=False
        )
        assert found.returncode == 2 and "Traceback" not in found.stderr, found.stderr
        assert "starlette" in found.stderr and "[server]'" in found.stderr
