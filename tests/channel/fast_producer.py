"""The producer's process with short intervals, for tests."""

from __future__ import annotations

import os
import sys

from kinema.channel.making import crew, kinds, producer
from kinema.jobs import claims, supervise
from kinema.jobs.kinds import JobKind


def worker_kinds() -> list[JobKind]:
    """The kinds of its worker, of the version that a test asks for."""
    kinds.VERSION = int(os.environ.get("KINDS_VERSION", kinds.VERSION))
    return kinds.channel_kinds()


if __name__ == "__main__":
    worker_kinds()
    crew.KINDS = "fast_producer:worker_kinds"
    claims.MAX_STUCK = int(os.environ.get("MAX_DEATHS", claims.MAX_STUCK))
    supervise.LONGEST_PAUSE_S = 0.5
    producer.LOOP_S, producer.LOOK_S, producer.EVICT_S = 0.05, 0.5, 0.2
    sys.exit(producer.main(sys.argv[1:]))
