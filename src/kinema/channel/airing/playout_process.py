"""The command line of a playout process. Settings come as options, or as JSON on standard input."""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ...core.errors import KinemaError, RequestError
from ..conform import Encoding
from ..lock import ChannelBusy
from .output_hls import HlsSettings
from .playout import PlayoutSettings, run
from .programme import Policy

BUSY, BAD = 3, 2
"""Exit codes: another playout is on air; illegal settings. Neither is retried."""


def settings_of(data: dict[str, Any]) -> PlayoutSettings:
    """Settings from plain JSON, the inverse of `plain`. RequestError: an illegal value or name."""
    fields = dict(data)
    try:
        encoding, policy = Encoding(**fields.pop("encoding", {})), Policy(**fields.pop("policy", {}))
        hls = fields.pop("hls", {})
        hls = None if hls is None else HlsSettings(**hls)
        schedule, timezone = fields.pop("schedule", None), fields.pop("timezone", "")
        theme_at = None
        if schedule:
            from ..day_parts import DayParts

            theme_at = DayParts.parse(schedule, timezone).theme_at
        return PlayoutSettings(encoding=encoding, policy=policy, hls=hls, theme_at=theme_at, **fields)
    except TypeError as error:
        raise RequestError(f"Illegal playout settings: {error}.", field="settings") from None


def plain(settings: PlayoutSettings, schedule: list[list[str]] | None = None, timezone: str = "") -> dict[str, Any]:
    """Settings as plain JSON for another process. The schedule is passed as day parts, since a function cannot be."""
    return {
        "name": settings.name, "encoding": asdict(settings.encoding), "policy": asdict(settings.policy),
        "hls": asdict(settings.hls) if settings.hls else None, "rtmp": list(settings.rtmp), "schedule": schedule,
        "rtmp_stall_s": settings.rtmp_stall_s, "timezone": timezone,
    }  # fmt: skip


def main(arguments: list[str] | None = None) -> int:
    reader = argparse.ArgumentParser(
        prog="python -m kinema.channel.airing.playout_process", description="Run the playout of a channel."
    )
    reader.add_argument("folder", type=Path)
    reader.add_argument("--name", default="Kinema")
    reader.add_argument("--size", default="576x320", help="WIDTHxHEIGHT of its clips")
    reader.add_argument("--fps", type=int, default=24)
    reader.add_argument(
        "--rtmp", action="append", default=[], metavar="@FILE", help="a file with addresses, one per line"
    )
    reader.add_argument("--settings", action="store_true", help="read settings as JSON from standard input instead")
    options = reader.parse_args(arguments)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO, stream=sys.stderr)
    try:
        if options.settings:
            import av  # noqa: F401  a standby process preloads these
            import PIL.Image  # noqa: F401

            line = sys.stdin.buffer.readline()
            if not line:
                return 0
            settings = settings_of(json.loads(line))
        else:
            settings = _from_options(options)
        run(options.folder, settings)
    except ChannelBusy as error:
        logging.getLogger("kinema.channel").error("%s", error)
        return BUSY
    except KinemaError as error:
        logging.getLogger("kinema.channel").error("%s", error)
        return BAD if isinstance(error, RequestError) else 1
    return 0


def _from_options(options: argparse.Namespace) -> PlayoutSettings:
    try:
        width, height = (int(part) for part in options.size.split("x"))
    except ValueError:
        raise RequestError(
            f"Illegal size: {options.size!r}.", field="size", value=options.size, legal="such as 576x320"
        ) from None
    addresses: list[str] = []
    for named in options.rtmp:
        if not named.startswith("@"):
            legal = "@FILE with addresses"
            raise RequestError(
                "An RTMP address on the command line is visible to all users of this machine.",
                field="rtmp",
                legal=legal,
            )
        addresses += [line.strip() for line in Path(named[1:]).read_text(encoding="utf-8").splitlines() if line.strip()]
    addresses += os.environ.get("KINEMA_RTMP", "").split()
    encoding = Encoding(width=width, height=height, fps=options.fps, gop=options.fps)
    return PlayoutSettings(name=options.name, encoding=encoding, rtmp=addresses)


if __name__ == "__main__":
    sys.exit(main())
