// All jobs of the server: a list that is asked for again and again, and the event streams of those that run.
//
// A browser opens at most six connections to one server, over all its tabs. So only a few jobs are streamed; the list
// brings the progress of the others.

import { ApiError, call, events, get, post } from "./api.js";
import { isEnded } from "./words.js";

const BUSY_MS = 1500, QUIET_MS = 6000, HIDDEN_MS = 20_000, PAGE = 24, MAX_STREAMS = 2, MAX_PAUSE_MS = 8000, PATIENCE_S = 4, TELL_MS = 60;
const OUTBOX = "kinema-outbox-1";

export class Jobs extends EventTarget {
  #all = new Map(); #streams = new Map(); #numbers = new Map(); #previews = new Map(); #told = new Set(); #timer = 0; #asking = false; #next = null; #again = false;
  isConnected = null;
  hasWorker = true;
  isLoaded = false;
  watched = "";

  start() {
    document.addEventListener("visibilitychange", () => this.refresh());
    addEventListener("online", () => this.refresh());
    return this.refresh();
  }

  /** Newest first. */
  get list() {
    return [...this.#all.values()].sort((a, b) => b.created_at - a.created_at || (a.id < b.id ? 1 : -1));
  }

  get hasOlder() {
    return this.#next !== null;
  }

  get(id) {
    return this.#all.get(id);
  }

  /** The job that is on the stage; it is streamed before others. */
  watch(id) {
    this.watched = id;
    this.#follow();
    this.dispatchEvent(new Event("change"));
    return id;
  }

  /** The media of the latest preview of a job; "" without one. */
  preview(id) {
    return this.#previews.get(id) ?? "";
  }

  async refresh() {
    if (this.#asking) {
      this.#again = true;
      return;
    }
    this.#asking = true;
    clearTimeout(this.#timer);
    try {
      await this.#flush();
      const { jobs, next } = await get(`/jobs?limit=${PAGE}`);
      if (!this.isLoaded) this.#next = next;
      this.#take(jobs, next);
      this.isLoaded = true;
      await this.#askForWorker();
      this.#connected(true);
    } catch (error) {
      if (!(error instanceof ApiError)) console.error(error);
      this.#connected(false);
    }
    this.#asking = false;
    this.#follow();
    this.dispatchEvent(new Event("change"));
    const isBusy = this.list.some((job) => !isEnded(job)) || !this.isConnected;
    this.#timer = setTimeout(() => this.refresh(), this.#again ? 0 : document.hidden ? HIDDEN_MS : isBusy ? BUSY_MS : QUIET_MS);
    this.#again = false;
  }

  async older() {
    const { jobs, next } = await get(`/jobs?limit=${PAGE}&before=${encodeURIComponent(this.#next)}`);
    for (const job of jobs) this.#all.set(job.id, job);
    this.#next = next;
    this.dispatchEvent(new Event("change"));
  }

  /** Load a job that the list does not hold. Raises ApiError. */
  async load(id) {
    const job = await get(`/jobs/${encodeURIComponent(id)}`);
    this.#all.set(id, job);
    this.dispatchEvent(new Event("change"));
    return job;
  }

  /** Submit a clip. If the server cannot be reached, the job waits in this browser and is sent later, once: its key
   *  makes a repeated submission the same job. Returns the job, or null while it waits. Raises ApiError for a refusal. */
  async submit(job) {
    const entry = { key: randomKey(), job };
    keepOutbox([...outbox(), entry]);
    return this.#send(entry);
  }

  async #send({ key, job }) {
    let made = null;
    try {
      made = await post("/jobs", job, { "idempotency-key": key });
    } catch (error) {
      if ([0, 502, 503, 504].includes(error.status)) return null;
      keepOutbox(outbox().filter((each) => each.key !== key));
      throw error;
    }
    keepOutbox(outbox().filter((each) => each.key !== key));
    this.#all.set(made.id, made);
    this.refresh();
    return made;
  }

  async #flush() {
    for (const entry of outbox()) await this.#send(entry).catch((error) => this.dispatchEvent(new CustomEvent("refused", { detail: error })));
  }

  /** name: cancel, retry, pause, resume, move. */
  async act(id, name, body = {}) {
    const job = await post(`/jobs/${encodeURIComponent(id)}/${name}`, body);
    if (job?.id === id) this.#all.set(id, job);
    this.refresh();
  }

  async delete(id) {
    await call(`/jobs/${encodeURIComponent(id)}`, { method: "DELETE" });
    this.#all.delete(id);
    this.dispatchEvent(new Event("change"));
    this.refresh();
  }

  #take(jobs, next) {
    const found = new Set(jobs.map((job) => job.id));
    const oldest = jobs.at(-1)?.created_at ?? 0;
    for (const [id, job] of this.#all) {  // what is missing in the range of the answer is deleted
      if (!found.has(id) && (next === null || job.created_at > oldest)) this.#all.delete(id);
    }
    for (const job of jobs) {
      const known = this.#all.get(job.id);
      if (known && !isEnded(job) && this.#streams.has(job.id) && known.state === job.state) job.progress = known.progress ?? job.progress;
      this.#all.set(job.id, job);
    }
  }

  /** Whether a worker takes jobs; asked for while jobs wait and none runs. */
  async #askForWorker() {
    const waits = this.list.some((job) => job.state === "queued" && !job.paused && Date.now() / 1000 - job.created_at > PATIENCE_S);
    const runs = this.list.some((job) => job.state === "running");
    const before = this.hasWorker;
    this.hasWorker = !waits || runs || (await get("/readyz").then(({ ready }) => ready, () => false));
    if (before !== this.hasWorker) this.dispatchEvent(new Event("connection"));
  }

  #connected(is) {
    if (is === this.isConnected) return;
    this.isConnected = is;
    this.dispatchEvent(new Event("connection"));
  }

  #follow() {
    const wanted = document.hidden ? [] : this.list.filter((job) => job.state === "running" || job.state === "canceling");
    wanted.sort((a, b) => (b.id === this.watched) - (a.id === this.watched));
    const chosen = new Set(wanted.slice(0, MAX_STREAMS).map((job) => job.id));
    for (const [id, stream] of this.#streams) if (!chosen.has(id)) stream.abort();
    for (const id of chosen) if (!this.#streams.has(id)) this.#stream(id);
  }

  async #stream(id) {
    const stop = new AbortController();
    this.#streams.set(id, stop);
    let pause = 300;
    while (!stop.signal.aborted) {
      try {
        for await (const event of events(id, this.#numbers.get(id) ?? 0, stop.signal)) {
          pause = 300;
          this.#numbers.set(id, event.number);
          this.#event(id, event);
        }
        break;  // the job has ended
      } catch {
        if (stop.signal.aborted) break;
        await new Promise((resolve) => { setTimeout(resolve, pause); });
        pause = Math.min(2 * pause, MAX_PAUSE_MS);
      }
    }
    this.#streams.delete(id);
    if (!stop.signal.aborted) this.refresh();
  }

  #event(id, { kind, data }) {
    const job = this.#all.get(id);
    if (!job) return;
    if (kind === "progress") job.progress = data;
    else if (kind === "preview" && data?.media) this.#previews.set(id, data.media);
    else if (kind === "state") {
      this.refresh();
      return;
    }
    this.#tell(id);
  }

  /** Announce progress, but not each of many events that come at once, as after a reconnect. */
  #tell(id) {
    if (this.#told.has(id)) return;
    this.#told.add(id);
    setTimeout(() => {
      this.#told.delete(id);
      const job = this.#all.get(id);
      if (job) this.dispatchEvent(new CustomEvent("progress", { detail: job }));
    }, TELL_MS);
  }
}

function outbox() {
  try { return JSON.parse(localStorage.getItem(OUTBOX)) ?? []; } catch { return []; }
}

function keepOutbox(entries) {
  try { localStorage.setItem(OUTBOX, JSON.stringify(entries)); } catch { /* storage is off */ }
}

/** crypto.randomUUID exists only on secure origins; the server may be reached by plain HTTP. */
function randomKey() {
  return [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
