"""POST /prompt: a prompt becomes a job. GET /prompt: how many wait."""

from __future__ import annotations

import asyncio
import contextlib
import json
import uuid
from collections.abc import Collection, Mapping
from typing import Any

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from ...core.errors import RequestError
from ...core.outside import for_terminal
from ...core.registry import find_card
from ...http.json_body import json_body
from ...jobs.job import KeyReused
from ...jobs.store import MAX_NAME_CHARS, JobStore
from ...weights.store import known_cards
from ..answers import answer, finite
from ..submissions import QueueFull, Submissions
from .outputs import ResultName, ResultNames
from .prompts import KIND, Prompts, prompt_id
from .validation import CheckedPrompt, FindInput, PromptRefused, checked_prompt

MAX_CLIENT_CHARS = 200


class PromptRoutes:
    """store: the jobs. models: the ids of the models that clients may use; empty: all. find_input: the media of a file
    in the input folder. max_body_bytes: of a prompt with its page. max_queued: jobs that wait."""

    def __init__(
        self, store: JobStore, *, models: Collection[str] = (), find_input: FindInput = lambda _name: None,
        max_body_bytes: int = 8 * 2**20, max_queued: int = 2000,
    ) -> None:  # fmt: skip
        self.store, self.prompts, self.results = store, Prompts(store), ResultNames(store.database)
        self.models, self.find_input, self.max_body_bytes = models, find_input, max_body_bytes
        self.submissions = Submissions(store, {KIND: _checked}, max_queued)
        self._checking = asyncio.Semaphore(2)

    def routes(self) -> list[BaseRoute]:
        return [Route("/prompt", self.submit_prompt, methods=["POST"]), Route("/prompt", self.remaining)]

    async def remaining(self, _request: Request) -> Response:
        num = await run_in_threadpool(self.prompts.remaining)
        return answer({"exec_info": {"queue_remaining": num}})

    async def submit_prompt(self, request: Request) -> Response:
        """Body: {"prompt", "client_id", "prompt_id", "extra_data", "number" or "front", "partial_execution_targets"}.
        200 also if only some of its outputs can run; 400 with ComfyUI's form of errors; 429: the queue is full."""
        data = await json_body(request, self.max_body_bytes, any_type=True)
        if isinstance(data, Response):
            return data
        try:
            return answer(await self._submitted(data))
        except PromptRefused as refused:
            return answer(refused.to_dict(), 400)
        except QueueFull as error:
            return answer(PromptRefused("queue_full", str(error)).to_dict(), 429, {"retry-after": "30"})

    async def _submitted(self, data: Mapping[str, Any]) -> dict[str, Any]:
        id = str(uuid.uuid4()) if data.get("prompt_id") is None else prompt_id(data["prompt_id"])
        if id is None:
            raise PromptRefused("invalid_prompt_id", "prompt_id is not a UUID.")
        client, extra = data.get("client_id"), data.get("extra_data")
        client = client[:MAX_CLIENT_CHARS] if isinstance(client, str) else ""
        extra = dict(extra) if isinstance(extra, dict) else {}
        number, front = data.get("number"), data.get("front") is True
        if isinstance(number, bool) or not isinstance(number, int | float):
            number = None
        async with self._checking:  # a prompt of ten thousand nodes takes seconds
            checked, body = await run_in_threadpool(self.checked_body, data, client, extra)
        page = await run_in_threadpool(self._page, extra)
        body["workflow"] = page[0] if page is not None else None
        workflow = page[1] if page is not None else ""
        try:
            await self.submissions.submit(
                KIND, body, f"prompt:{id}", name=title_of(checked.prompt),
                also=lambda do, job: self.prompts.add(do, job, id, client, workflow, number, front),
            )  # fmt: skip
        except KeyReused:
            raise PromptRefused("invalid_prompt_id", "prompt_id was used before, for another prompt.", id) from None
        except RequestError as error:  # too deep or too large in another way
            raise PromptRefused("invalid_prompt", "The prompt cannot be stored.", str(error)) from None
        record = await run_in_threadpool(self.prompts.find, id)
        return {"prompt_id": id, "number": 0 if record is None else record.number, "node_errors": checked.node_errors}

    def checked_body(
        self, data: Mapping[str, Any], client: str, extra: dict[str, Any], uploads: Mapping[str, str] | None = None
    ) -> tuple[CheckedPrompt, dict[str, Any]]:
        """Check the prompt; return also the body of its job. uploads: media by further names of inputs.
        PromptRefused."""
        targets = data.get("partial_execution_targets")
        targets = [each for each in targets if isinstance(each, str)] if isinstance(targets, list) else None
        models = self._models(extra.pop("kinema", None))
        more, prompt = uploads or {}, finite(data.get("prompt"))
        checked = checked_prompt(prompt, lambda name: more.get(name) or self._input(name), targets=targets,
                                 models=self.models, chosen=models)  # fmt: skip
        body = {
            "prompt": checked.prompt, "outputs": checked.outputs, "files": checked.files, "models": models,
            "client_id": client,
            "extra": finite({name: value for name, value in extra.items() if name != "extra_pnginfo"}),
        }  # fmt: skip
        return checked, body

    def _input(self, name: str) -> str | None:
        """The media of an input: "a/photo.png", or a result, "clip.mp4 [output]"."""
        for folder in ("output", "temp"):
            if name.endswith(f" [{folder}]"):
                with contextlib.suppress(RequestError):
                    return self.results.find(ResultName.of(folder, "", name.removesuffix(f" [{folder}]")))
                return None
        try:
            return self.find_input(name)
        except RequestError:
            return None

    def _models(self, kinema: Any) -> dict[str, str]:
        """The models that a client names for model files: {"models": {file: model}} of extra_data.kinema."""
        found = kinema.get("models") if isinstance(kinema, dict) else None
        chosen: dict[str, str] = {}
        for name, model in found.items() if isinstance(found, dict) else ():
            card = find_card(model, known_cards()) if isinstance(model, str) else None
            if model != "none" and (card is None or (self.models and card.id not in self.models)):
                shown = for_terminal(str(model), 100)
                raise PromptRefused("invalid_prompt", f"Clients may not use the model {shown!r}.", name)
            chosen[name] = model if card is None else card.id
        return chosen

    def _page(self, extra: Mapping[str, Any]) -> tuple[str, str] | None:
        """The saved page of a submission as media, and its id; None without one."""
        info = extra.get("extra_pnginfo")
        page = info.get("workflow") if isinstance(info, dict) else None
        if not isinstance(page, dict):
            return None
        content = json.dumps(finite(page), separators=(",", ":")).encode()
        id = page.get("id")
        return str(self.store.media.put(content, "application/json")), id[:100] if isinstance(id, str) else ""


async def _checked(_body: Any) -> None:
    """The prompt was checked before its body was made."""


def title_of(prompt: Mapping[str, Mapping[str, Any]]) -> str:
    """A name for people: the first text that it encodes."""
    texts = [node["inputs"].get("text") for node in prompt.values() if node["class_type"] == "CLIPTextEncode"]
    shown = [for_terminal(text, MAX_NAME_CHARS) for text in texts if isinstance(text, str)]
    title = next((text for text in shown if text.strip()), "workflow")
    return "".join(letter for letter in title[:MAX_NAME_CHARS] if letter.isprintable())
