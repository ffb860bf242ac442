"""A worker's process with short intervals, for tests."""

from __future__ import annotations

import sys
import threading

from kinema.channel import durable, workers

durable.POLL_S = 0.1
workers.BEAT_S = 0.5
workers.work(sys.argv[1], threading.Event(), lost_s=float(sys.argv[2]))
