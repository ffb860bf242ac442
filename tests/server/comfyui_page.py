"""ComfyUI's official interface in a browser tab: the installed package, unchanged."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from once import once

PACKAGE = "comfyui-frontend-package==1.58.1"
PATIENCE_S = 90


def interface(factory: pytest.TempPathFactory) -> Path:
    """A folder with the interface, installed for the tests of this run (GPL-3.0: it is no dependency). Skips the test
    if it cannot be installed."""

    def install(folder: Path) -> None:
        done = subprocess.run(
            [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-compile", "--target", str(folder),
             PACKAGE], capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip
        if done.returncode:
            pytest.skip(f"cannot start ComfyUI's interface: {PACKAGE} cannot be installed ({done.stderr[-300:]})")

    return once(factory, "comfyui-interface", install)


class Page:
    """A tab with the interface, its errors and the addresses that it asked for."""

    def __init__(self, browser: Any, url: str, **how: Any) -> None:
        self.url, self.errors, self.asked = url.rstrip("/"), [], []
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **how})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: said.type == "error" and self.errors.append(f"{said.text} {said.location['url']}"),
        )
        self.page.on(
            "response", lambda answer: answer.status >= 400 and self.errors.append(f"{answer.status} {answer.url}")
        )

    def open(self, template: str, *, first: bool = False) -> None:
        """Start the interface with a template. first: choose it in the browser of templates, which the first start of
        an interface shows; else by the address."""
        self.page.goto(f"{self.url}/ui/" if first else f"{self.url}/ui/?template={template}")
        if first:
            self.page.get_by_test_id(f"template-workflow-{template}").click()
        self.until(f"window.app?.graph?.serialize().id === {self.template_id(template)!r}")

    def template_id(self, name: str) -> str:
        found: str = self.page.evaluate(f"fetch('templates/{name}.json').then((it) => it.json()).then((it) => it.id)")
        return found

    def until(self, condition: str) -> None:
        """Wait for a JavaScript condition, which may wait itself."""
        end = time.monotonic() + PATIENCE_S
        while not self.page.evaluate(f"(async () => Boolean({condition}))()"):
            assert time.monotonic() < end, (condition, self.errors)
            self.page.wait_for_timeout(50)

    def set(self, kind: str, **values: Any) -> None:
        """Change the values of the nodes of a class."""
        self.page.evaluate(
            """([kind, values]) => app.graph._nodes.filter((node) => node.type === kind).forEach((node) => {
                for (const [name, value] of Object.entries(values))
                    node.widgets.find((each) => each.name === name).value = value;
            })""",
            [kind, values],
        )

    def run(self) -> None:
        self.page.get_by_test_id("queue-button").click()

    def jobs(self) -> list[dict[str, Any]]:
        """The jobs as the interface lists them, the newest first."""
        found: list[dict[str, Any]] = self.page.evaluate(
            "fetch('api/jobs').then((it) => it.json()).then((it) => it.jobs)"
        )
        return found

    def close(self) -> None:
        """Nothing went wrong, and nothing was asked of another site."""
        assert self.errors == [], self.errors
        foreign = [url for url in self.asked if not url.startswith((self.url, "blob:", "data:"))]
        assert foreign == [], foreign
        self.context.close()
