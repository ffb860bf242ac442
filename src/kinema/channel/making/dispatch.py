"""The jobs of a channel's shots: submitted step by step, watched, canceled and deleted.

The ledger knows which shots are in progress and the store knows their jobs, found by keys that name channel, shot and
step. Nothing else is remembered, so a restarted producer goes on where the last one stopped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ...jobs.job import HELD, Job, NoSuchJob, NoSuchMedia, WrongState
from ...jobs.store import JobStore
from .continuity import awaited
from .kinds import name_of
from .ledger import Ledger, PlannedShot
from .pipeline import GENERATE, PUBLISH, STEPS, Next, next_step
from .publish import publish_step

RECENT = 100
"""Ended shots of each state whose jobs a new process looks for."""
FULL = -100
"""The priority of shots for the stock: other jobs go first. Drafts, which the channel needs soon, have that of others;
in both, a step goes before the earlier steps of other shots."""


class Dispatch:
    """token: of the channel. order_of: the body of a shot's first job."""

    def __init__(
        self, store: JobStore, ledger: Ledger, token: str, order_of: Callable[[PlannedShot], dict[str, Any]]
    ) -> None:  # fmt: skip
        self.store, self.ledger, self.token, self.order_of = store, ledger, token, order_of
        self._known: set[str] = set()
        """Shots that may have jobs."""

    def advance(self) -> None:
        """Submit the next step of every shot in progress, note those that ended, and drop the jobs of others."""
        making = {shot.id: shot for shot in self.ledger.in_state("making")}
        self._known |= making.keys()
        jobs = self.store.keyed(self._key(id, step) for id in self._known for step in STEPS)
        for id in sorted(self._known):
            own = {step: job for step in STEPS if (job := jobs.get(self._key(id, step))) is not None}
            if id in making:
                self._advance(making[id], own)
            elif not self._drop(id, own):
                self._known.discard(id)

    def recall(self) -> None:
        """Remember the shots that ended lately, whose jobs the next `advance` drops: the process that had them made
        may have died before."""
        for state in ("published", "aside", "banned"):
            self._known |= {shot.id for shot in self.ledger.lately(state, RECENT)}

    def tail_of(self, id: str) -> str:
        """The hash of the last frames of a shot; "" if they are not stored."""
        key = self._key(id, GENERATE)
        job = self.store.keyed([key]).get(key)
        tail = str(job.result.get("tail", "")) if job is not None and job.result is not None else ""
        return tail if tail and self.store.media.has(tail) else ""

    def kind_of(self, step: str) -> str:
        return name_of(publish_step(self.token) if step == PUBLISH else step)

    def _advance(self, shot: PlannedShot, jobs: dict[str, Job]) -> None:
        for step, job in [*jobs.items()]:
            if job.kind != self.kind_of(step) and job.state != "succeeded":  # of another version of Kinema
                self._remove(job)
                if not job.ended:
                    return
                del jobs[step]
        order = jobs[GENERATE].body if GENERATE in jobs else self.order_of(shot)
        found = next_step(order, jobs)
        running = next((step for step, job in jobs.items() if job.state in HELD), shot.step)
        if running != shot.step:
            self.ledger.at_step(shot.id, running)
        if found.failed:
            self.ledger.end(shot.id, "aside", found.failed)
        elif found.done:
            self.ledger.end(shot.id, "published")
        elif found.step:
            self._submit(shot, found)

    def _submit(self, shot: PlannedShot, found: Next) -> None:
        draft = found.body["quality"] == "draft"
        try:
            self.store.submit(
                self.kind_of(found.step), found.body, key=self._key(shot.id, found.step),
                priority=STEPS.index(found.step) + (0 if draft else FULL), name=f"{shot.id} {found.step}",
            )  # fmt: skip
        except NoSuchMedia as error:  # somebody deleted the clip of the step before
            self.ledger.end(shot.id, "aside", f"{found.step}: {error}")

    def _drop(self, id: str, jobs: dict[str, Job]) -> bool:
        """Cancel and delete the jobs of a shot that is not in progress; whether it still has some. The one with its
        last frames stays while the next shot awaits them."""
        shot = self.ledger.get(id) if jobs else None
        awaits = shot is not None and shot.state == "published" and awaited(self.ledger, id)
        kept = [job for job in jobs.values() if awaits and (job.result or {}).get("tail")]
        gone = [job for job in jobs.values() if job not in kept and self._remove(job)]
        self.store.media.drop_unused([media for job in gone for media in _media_of(job)])
        return len(gone) < len(jobs)

    def _remove(self, job: Job) -> bool:
        """Delete a job, or cancel it if it has not ended; whether it is deleted."""
        try:
            if not job.ended:
                job = self.store.cancel(job.id, "its shot is no longer wanted")
            if job.ended:
                self.store.delete(job.id)
        except (NoSuchJob, WrongState):  # it has just ended
            return False
        return job.ended

    def _key(self, id: str, step: str) -> str:
        return f"{self.token}/{id}/{step}"


def _media_of(job: Job) -> list[str]:
    """The media that a job was given or made."""
    found = [job.body.get("tail"), job.body.get("clip"), *((job.result or {}).get(name) for name in ("media", "tail"))]
    return [each for each in found if each]
