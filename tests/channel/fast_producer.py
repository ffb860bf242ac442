"""The producer's process with short intervals, for tests."""

from __future__ import annotations

import os
import sys

from kinema.channel.making import durable, producer

durable.MAX_DEATHS = int(os.environ.get("MAX_DEATHS", durable.MAX_DEATHS))
durable.VERSION = os.environ.get("STEPS_VERSION", durable.VERSION)
durable.POLL_S = 0.1
producer.LOOP_S, producer.LOOK_S, producer.EVICT_S = 0.05, 0.5, 0.2
sys.exit(producer.main(sys.argv[1:]))
