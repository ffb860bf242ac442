"""A kind of job without a model, for tests: `steps` steps of `step_s`, each kept. It returns its body, and a hash of
all its steps, which differs if one was left out or done twice."""

from __future__ import annotations

import hashlib
import json
import time
from typing import Any

from kinema.core.by_hash import is_media
from kinema.core.errors import RequestError
from kinema.jobs.built_in import BUILT_IN
from kinema.jobs.kinds import JobKind, Kinds

ERRORS = {
    "memory": MemoryError("16 GB"),
    "exit": SystemExit(3),
    "gpu": RuntimeError("CUDA error: an illegal memory access"),
}


def check(body: Any, _store: Any) -> None:
    pass


def media(body: Any) -> set[str]:
    if not isinstance(body, dict):
        raise RequestError("The body is not an object.", field="body")
    return {each for each in body.values() if is_media(each)}


def run(context: Any, body: Any) -> dict[str, Any]:
    if "fail" in body:
        raise RequestError(body["fail"])
    if "error" in body and context.job.attempts <= body["times"]:
        raise ERRORS[body["error"]]
    done, chain = 0, json.dumps(body, sort_keys=True)
    if (kept := context.kept()) is not None:
        path, facts = kept
        done, chain = facts["done"], path.read_text()
        context.outbox.event("resumed", {"step": done})
    if body.get("hangs") and context.job.attempts == 1:
        time.sleep(60)
    for step in range(done, body.get("steps", 0)):
        time.sleep(body.get("step_s", 0.01))
        chain = hashlib.sha256(f"{chain} {step}".encode()).hexdigest()
        if context.due_to_keep():
            context.keep(lambda path, text=chain: path.write_text(text), {"done": step + 1})
        context.check()
    return {"said": body, **({"chain": chain} if "steps" in body else {})}


ECHO = JobKind("echo", check, media, run)
ALL = (*BUILT_IN, ECHO)
KINDS = Kinds(ALL)
