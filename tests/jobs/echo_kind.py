"""A kind of job without a model, for tests: it takes `steps` steps of `step_s` and returns its body."""

from __future__ import annotations

import os
import time
from typing import Any

from kinema.core.errors import RequestError
from kinema.jobs.built_in import BUILT_IN
from kinema.jobs.job import is_media
from kinema.jobs.kinds import JobKind, Kinds


def check(body: Any, _store: Any) -> None:
    pass


def media(body: Any) -> set[str]:
    if not isinstance(body, dict):
        raise RequestError("The body is not an object.", field="body")
    return {each for each in body.values() if is_media(each)}


def run(context: Any, body: Any) -> dict[str, Any]:
    if "fail" in body:
        raise RequestError(body["fail"])
    if "crash" in body:
        os._exit(9)
    for _ in range(body.get("steps", 0)):
        context.check()
        time.sleep(body.get("step_s", 0.01))
    return {"said": body}


ECHO = JobKind("echo", check, media, run)
KINDS = Kinds([*BUILT_IN, ECHO])
