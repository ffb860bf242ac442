"""A browser tab with the home page."""

from __future__ import annotations

import json
import time

PATIENCE_S, SAVED_MS = 20, 250
DESKTOP, PHONE = {"width": 1280, "height": 860}, {"width": 360, "height": 740}


class Tab:
    """A tab with the page, the addresses it asked for and its errors."""

    def __init__(self, browser, url: str, *, ready: bool = True, **how) -> None:
        self.url, self.asked, self.errors = url, [], []
        self.context = browser.new_context(**{"viewport": DESKTOP, **how})
        self.page = self.context.new_page()
        self.page.set_default_timeout(PATIENCE_S * 1000)
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on(
            "console",
            lambda said: (
                said.type in ("error", "warning") and self.errors.append(f"{said.text} {said.location['url']}")
            ),
        )
        self.page.goto(url)
        if ready:
            self.page.wait_for_selector("html[data-ready]")

    def text(self, id: str) -> str:
        return self.page.text_content(f"#{id}") or ""

    def until(self, condition: str, patience_s: float = PATIENCE_S) -> None:
        """Wait for a JavaScript condition. (wait_for_function requires eval, which the page's policy forbids.)"""
        end = time.monotonic() + patience_s
        while not self.page.evaluate(f"Boolean({condition})"):
            assert time.monotonic() < end, (condition, self.errors, self.page.inner_text("main"))
            self.page.wait_for_timeout(30)

    def give(self, name: str, media_type: str, data: bytes) -> None:
        """Choose a file, and wait until it is on the stage."""
        self.page.set_input_files("#file", {"name": name, "mimeType": media_type, "buffer": data})
        self.until(f"document.getElementById('stage-title').textContent === '{name}'")
        self.until("document.getElementById('picture').naturalWidth || document.getElementById('clip').readyState >= 2")

    def drag(self, *points: tuple[float, float]) -> None:
        """Drag over the stage, through points in fractions of the frame."""
        box = self.page.locator("#sheet").bounding_box()
        places = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in points]
        self.page.mouse.move(*places[0])
        self.page.mouse.down()
        for place in places[1:]:
            self.page.mouse.move(*place, steps=4)
        self.page.mouse.up()

    def tab_to(self, id: str) -> None:
        """Press Tab until this control has the focus."""
        for _ in range(60):
            self.page.keyboard.press("Tab")
            if self.page.evaluate("document.activeElement.id") == id:
                return
        raise AssertionError(f"Tab does not reach {id}")

    def draft(self) -> dict:
        self.page.wait_for_timeout(SAVED_MS)
        return json.loads(self.page.evaluate("localStorage.getItem('kinema-draft-1')"))

    def close(self) -> None:
        """Nothing went wrong, and nothing was fetched from elsewhere."""
        assert self.errors == [], self.errors
        foreign = [url for url in self.asked if not url.startswith((self.url, "blob:", "data:"))]
        assert foreign == [], foreign
        self.context.close()
