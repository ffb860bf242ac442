"""`python -m kinema.cli.docs [docs/cli.md]` rewrites the help blocks of a page; a test checks that they are current.

A block stands between `<!-- help: kinema generate -->` and `<!-- end -->` and is replaced as a whole.
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

BLOCK = re.compile(r"(<!-- help: (kinema[a-z -]*?) -->\n).*?(<!-- end -->)", re.DOTALL)
WIDTH = 100
ENVIRONMENT = {
    "COLUMNS": str(WIDTH),
    "LINES": "50",
    "NO_COLOR": "1",
    "TERM": "linux",
    "TERMINAL_WIDTH": str(WIDTH),
}


def help_text(command: str) -> str:
    """Return what `<command> --help` prints on a plain terminal of 100 columns."""
    from typer import rich_utils
    from typer.testing import CliRunner

    from .main import app

    before = rich_utils.MAX_WIDTH, rich_utils.FORCE_TERMINAL
    rich_utils.MAX_WIDTH, rich_utils.FORCE_TERMINAL = WIDTH, False
    try:
        runner = CliRunner(charset="ascii")
        result = runner.invoke(app, [*command.split()[1:], "--help"], env=ENVIRONMENT, prog_name="kinema")
    finally:
        rich_utils.MAX_WIDTH, rich_utils.FORCE_TERMINAL = before
    plain = re.sub(r"\x1b\[[0-9;]*m", "", result.output)
    return "\n".join(line.rstrip() for line in plain.strip("\n").splitlines()).strip("\n")


def commands() -> list[str]:
    """Return every command with a help page: `kinema`, `kinema generate`, `kinema models list`, ..."""
    from typer.main import get_command

    from .main import app

    def walk(command: object, name: str) -> list[str]:
        below: dict[str, object] = getattr(command, "commands", {})
        return [name, *(found for word, child in below.items() for found in walk(child, f"{name} {word}"))]

    return walk(get_command(app), "kinema")


def refreshed(page: str) -> str:
    """Return the page with every help block updated."""
    return BLOCK.sub(lambda found: f"{found[1]}```text\n{help_text(found[2])}\n```\n{found[3]}", page)


def main() -> None:
    """Rewrite the pages named on the command line (docs/cli.md by default)."""
    for name in sys.argv[1:] or ["docs/cli.md"]:
        page = Path(name)
        page.write_text(refreshed(page.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
