"""A playout under its supervisor, as a process: python kept_playout.py FOLDER WIDTH HEIGHT."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from kinema.channel.airing.playout import PlayoutSettings
from kinema.channel.airing.supervisor import Supervisor
from kinema.channel.conform import Encoding

if __name__ == "__main__":
    folder, width, height = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3])
    encoding = Encoding(width=width, height=height, fps=24, gop=24, preset="ultrafast")
    supervisor = Supervisor(folder, PlayoutSettings(name="Test TV", encoding=encoding))
    signal.signal(signal.SIGTERM, lambda *_: supervisor.stop())
    supervisor.run()
