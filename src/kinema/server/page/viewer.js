// A job on the stage: its preview and progress, then the clip; its facts and what can be done with it.

import { mediaPath, shown } from "./api.js";
import { isPicture } from "./actions.js";
import { ago, capital, element, isEnded, put, short, size, status, title } from "./words.js";

const $ = (id) => document.getElementById(id);
const SAID_EVERY = 0.25;

export class Viewer {
  #jobs; #actions; #id = ""; #built = ""; #preview = ""; #said = ["", 0]; #parts = {};

  constructor(jobs, actions, stage, say) {
    this.#jobs = jobs;
    this.#actions = actions;
    this.stage = stage;
    this.say = say;
    jobs.addEventListener("change", () => this.#render());
    jobs.addEventListener("progress", (event) => event.detail.id === this.#id && this.#render());
    $("new-clip").addEventListener("click", () => {
      location.hash = "";
      $("prompt").focus();
    });
  }

  /** Show a job; "" shows the draft. */
  async show(id) {
    this.#id = id;
    this.#built = this.#preview = "";
    this.#said = ["", 0];
    const isJob = id !== "";
    this.stage.isCovered = isJob;
    $("stage").dataset.mode = isJob ? "job" : "draft";
    $("watch").hidden = $("watch-words").hidden = $("new-clip").hidden = !isJob;
    $("hint").hidden = isJob;
    $("watch").replaceChildren();
    $("watch-words").replaceChildren();
    this.#jobs.watch(id);
    if (!isJob) {
      this.stage.render();
      return;
    }
    for (const hidden of ["sheet", "welcome", "tools", "replace-input", "remove-input"]) $(hidden).hidden = true;
    if (!this.#jobs.get(id)) {
      try {
        await this.#jobs.load(id);
      } catch (error) {
        if (this.#id === id) this.#missing(error);
        return;
      }
    }
    this.#render();
  }

  #missing(error) {
    put($("stage-title"), "Not found");
    $("watch").replaceChildren(element("p", { className: "sorry", textContent: error.status === 404 ? "There is no such clip. It may have been deleted." : error.message }));
  }

  #render() {
    const job = this.#id && this.#jobs.get(this.#id);
    if (!job) return;
    put($("stage-title"), title(job));
    const key = JSON.stringify([job.state, job.paused, job.position > 0, job.result?.media]);
    if (key !== this.#built) {
      this.#built = key;
      this.#build(job);
    }
    this.#progress(job);
    this.#showPreview(job);
    this.#announce(job);
  }

  #build(job) {
    const had = document.activeElement?.closest("#watch-words") ? document.activeElement.dataset.does : null;
    if (job.state === "succeeded" && job.result) this.#showResult(job);
    else this.#showWork(job);
    const row = element("div", { className: "actions" }, ...this.#actions.buttons(job));
    const words = [row, this.#facts(job)];
    if (!isEnded(job)) words.unshift(this.#bar());
    $("watch-words").replaceChildren(...words);
    if (had) ([...row.children].find((each) => each.dataset.does === had) ?? row.firstElementChild)?.focus();
  }

  #bar() {
    const fill = element("i"), bar = element("div", { className: "progress", at: { role: "progressbar", "aria-label": "Progress", "aria-valuemin": 0, "aria-valuemax": 100 } }, fill);
    const text = element("p", { className: "status" });
    Object.assign(this.#parts, { fill, bar, text });
    return element("div", { className: "working" }, bar, text);
  }

  #progress(job) {
    if (isEnded(job)) return;
    const { fill, bar, text } = this.#parts, share = job.progress?.fraction ?? 0;
    fill.style.width = `${100 * share}%`;
    bar.setAttribute("aria-valuenow", Math.round(100 * share));
    bar.classList.toggle("waits", job.state === "running" && share === 0);
    put(text, status(job));
    const last = job.failures?.at(-1);
    if (last && text.parentElement) text.title = last.reason;
  }

  #showWork(job) {
    const image = element("img", { className: "preview", alt: "Preview", hidden: true });
    const blank = element("div", { className: "blank", at: { "data-state": job.state } });
    if (isEnded(job)) {
      const last = job.reason || job.failures?.at(-1)?.reason || "";
      blank.append(element("strong", { textContent: status(job) }), element("p", { textContent: last }));
    } else blank.append(element("span", { className: "pulse" }));
    Object.assign(this.#parts, { image, blank });
    this.#preview = "";
    $("watch").replaceChildren(blank, image);
  }

  async #showPreview(job) {
    const media = this.#jobs.preview(job.id);
    if (isEnded(job) || !media || media === this.#preview) return;
    this.#preview = media;
    const { image, blank } = this.#parts;
    try {
      const loaded = new Image();
      loaded.src = await shown(mediaPath(media), false);
      await loaded.decode();  // no flicker: the last preview stays until this one can be drawn
      image.style.setProperty("--shape", loaded.naturalWidth / loaded.naturalHeight);
      image.src = loaded.src;
      image.hidden = false;
      blank.hidden = true;
    } catch { /* a later one follows */ }
  }

  async #showResult(job) {
    const path = `/jobs/${encodeURIComponent(job.id)}/result`, isStill = isPicture(job);
    const node = isStill ? element("img", { alt: title(job) })
      : element("video", { controls: true, loop: true, muted: true, playsInline: true, autoplay: !matchMedia("(prefers-reduced-motion: reduce)").matches, at: { "aria-label": `Clip: ${title(job)}` } });
    const { result } = job;
    if (result.width) node.style.setProperty("--shape", result.width / result.height);
    const fit = () => {
      const [width, height] = isStill ? [node.naturalWidth, node.naturalHeight] : [node.videoWidth, node.videoHeight];
      if (width) node.style.setProperty("--shape", width / height);
    };
    node.addEventListener(isStill ? "load" : "loadedmetadata", fit);
    node.addEventListener("error", () => node.isConnected && node.replaceWith(element("p", { className: "sorry", textContent: "This browser cannot play the file. Save it instead." })));
    $("watch").replaceChildren(node);
    try {
      node.src = await shown(path, !isStill);
    } catch (error) {
      node.replaceWith(element("p", { className: "sorry", textContent: error.message }));
    }
    const save = $("watch-words").querySelector("a[download]");
    if (save && node.src.startsWith("blob:")) save.href = node.src;  // a link cannot send the token
  }

  #facts(job) {
    const { result, body = {} } = job, facts = [];
    const add = (name, value) => value !== undefined && value !== null && value !== "" && facts.push([name, String(value)]);
    add("Prompt", typeof body.prompt === "string" ? body.prompt : job.name);
    add("Model", result?.plan?.model ?? body.model);
    add("Seed", result?.plan?.seed ?? body.seed);
    if (result?.width) add("Size", `${result.width}x${result.height}${result.frames ? `, ${result.frames} frames` : ""}`);
    if (result?.bytes) add("File", `${result.name ?? "clip"}, ${size(result.bytes)}`);
    if (job.started_at && job.ended_at) add("Took", short(job.ended_at - job.started_at));
    add("Made", capital(ago(job.ended_at ?? job.created_at)));
    for (const failure of job.failures ?? []) if (failure.reason !== job.reason) add("Attempt failed", failure.reason);
    return element("dl", { className: "facts" }, ...facts.flatMap(([name, value]) => [element("dt", { textContent: name }), element("dd", { textContent: value })]));
  }

  /** Say a change of state, and every quarter of the work. */
  #announce(job) {
    const quarter = Math.floor((job.progress?.fraction ?? 0) / SAID_EVERY), [state, before] = this.#said;
    if (job.state !== state) this.say(`${status(job)}${job.reason ? `: ${job.reason}` : ""}.`);
    else if (!isEnded(job) && quarter > before) this.say(`${Math.round(100 * SAID_EVERY * quarter)} percent.`);
    this.#said = [job.state, quarter];
  }
}
