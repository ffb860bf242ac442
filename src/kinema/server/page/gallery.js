// Everything made here: a card for each job, newest first.

import { mediaPath, shown } from "./api.js";
import { isPicture } from "./actions.js";
import { address, ago, element, isEnded, put, status, title } from "./words.js";

const $ = (id) => document.getElementById(id);
const AGO_MS = 30_000;

export class Gallery {
  #jobs; #actions; #cards = new Map(); #seen;

  constructor(jobs, actions) {
    this.#jobs = jobs;
    this.#actions = actions;
    this.#seen = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) if (isIntersecting) this.#load(target);
    }, { rootMargin: "200px" });
    jobs.addEventListener("change", () => this.render());
    jobs.addEventListener("progress", (event) => this.#update(this.#cards.get(event.detail.id), event.detail));
    $("older").addEventListener("click", async () => {
      $("older").disabled = true;
      await jobs.older().catch(() => {});
      $("older").disabled = false;
    });
    setInterval(() => this.render(), AGO_MS);
  }

  render() {
    if (!this.#jobs.isLoaded) return;
    const list = this.#jobs.list, ids = new Set(list.map((job) => job.id));
    for (const [id, card] of this.#cards) {
      if (ids.has(id)) continue;
      card.item.remove();
      this.#cards.delete(id);
    }
    let before = null;
    for (const job of list) {
      const card = this.#cards.get(job.id) ?? this.#make(job);
      if (before ? before.nextElementSibling !== card.item : $("cards").firstElementChild !== card.item) {
        if (before) before.after(card.item);
        else $("cards").prepend(card.item);
      }
      before = card.item;
      this.#update(card, job);
    }
    const busy = list.filter((job) => !isEnded(job)).length;
    put($("made-count"), busy ? `${busy} in progress` : "");
    $("made-empty").hidden = list.length > 0;
    $("older").hidden = !this.#jobs.hasOlder;
  }

  #make(job) {
    const well = element("div", { className: "well" }), name = element("span", { className: "name" });
    const state = element("span", { className: "state" }), fill = element("i"), bar = element("span", { className: "progress", hidden: true }, fill);
    const link = element("a", { href: address(job.id) }, well, name, state, bar);
    const does = element("button", { type: "button", className: "quiet", hidden: true });
    does.addEventListener("click", () => {
      const now = this.#jobs.get(job.id);
      return isEnded(now) ? this.#actions.retry(now) : this.#actions.cancel(now);
    });
    const item = element("li", { className: "tile" }, link, does);
    const card = { item, well, name, state, bar, fill, does, media: "", link };
    for (const event of ["pointerenter", "focus"]) link.addEventListener(event, () => well.querySelector("video")?.play().catch(() => {}));
    for (const event of ["pointerleave", "blur"]) {
      link.addEventListener(event, () => {
        const video = well.querySelector("video");
        if (!video) return;
        video.pause();
        video.currentTime = 0;
      });
    }
    this.#cards.set(job.id, card);
    item.dataset.id = job.id;
    this.#seen.observe(item);
    return card;
  }

  #update(card, job) {
    if (!card) return;
    card.item.dataset.state = job.state;
    put(card.name, title(job));
    put(card.state, job.state === "succeeded" ? ago(job.ended_at ?? job.created_at) : status(job));
    card.link.title = job.reason || "";
    card.bar.hidden = isEnded(job) || job.state === "queued";
    card.fill.style.width = `${100 * (job.progress?.fraction ?? 0)}%`;
    const action = { queued: "Cancel", running: "Cancel", failed: "Retry", canceled: "Retry", expired: "Retry" }[job.state];
    card.does.hidden = !action;
    if (action) {
      put(card.does, action);
      card.does.setAttribute("aria-label", `${action}: ${title(job)}`);
    }
    if (this.#jobs.watched === job.id) card.link.setAttribute("aria-current", "true");
    else card.link.removeAttribute("aria-current");
    if (card.isSeen) this.#picture(card, job);
  }

  #load(item) {
    const card = this.#cards.get(item.dataset.id), job = this.#jobs.get(item.dataset.id);
    this.#seen.unobserve(item);
    if (!card || !job) return;
    card.isSeen = true;
    this.#picture(card, job);
  }

  /** The result, or the latest preview. */
  async #picture(card, job) {
    const isDone = job.state === "succeeded" && job.result, preview = this.#jobs.preview(job.id);
    const media = isDone ? job.result.media : isEnded(job) ? "" : preview;
    if (media === card.media) return;
    card.media = media;
    if (!media) {
      card.well.replaceChildren();
      return;
    }
    const isVideo = isDone && !isPicture(job);
    try {
      const source = await shown(isDone ? `/jobs/${encodeURIComponent(job.id)}/result` : mediaPath(media), isVideo);
      if (card.media !== media) return;
      const node = isVideo ? element("video", { muted: true, loop: true, playsInline: true, preload: "metadata", tabIndex: -1, at: { "aria-hidden": "true" } }) : new Image();
      node.src = isVideo ? `${source}#t=0.01` : source;  // phones draw a frame only of a position
      if (!isVideo) {
        node.alt = "";
        await node.decode();
      }
      if (card.media === media) card.well.replaceChildren(node);
    } catch {
      card.media = "";
    }
  }
}
