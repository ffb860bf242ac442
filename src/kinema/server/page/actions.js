// What can be done with a job, as buttons.

import { commandOf } from "./command.js";
import { draftOf } from "./request.js";
import { element, idInAddress, isEnded, put } from "./words.js";

const $ = (id) => document.getElementById(id);
const SURE_MS = 5000;

/** namesOf(job): the names of the files of its request, by media. */
export const namesOf = (job) => job.body?.shown_as ?? {};

/** The request of a job, without what its body holds beside it. */
export function requestIn(job) {
  const { shown_as: _names, file: _file, ...request } = job.body ?? {};
  return request;
}

export class Actions {
  #jobs; #draft; #stage;

  constructor(jobs, draft, stage, { say, toast, open }) {
    this.#jobs = jobs;
    this.#draft = draft;
    this.#stage = stage;
    Object.assign(this, { say, toast, open });
    $("command-copy").addEventListener("click", () => this.#copy());
  }

  /** The buttons of a job: [primary ones, further ones]. */
  buttons(job) {
    const isClip = job.kind === "clip", made = [];
    const add = (text, act, properties = {}) => made.push(this.#button(text, act, properties));
    if (job.state === "succeeded" && job.result) {
      made.push(element("a", { className: "primary", textContent: "Save", href: `/jobs/${job.id}/result`, download: job.result.name ?? "" }));
      if (isPicture(job)) add("Animate it", () => this.#useResult(job, "animate"));
      else add("Edit this clip", () => this.#useResult(job, "remove"));
      if (!isPicture(job)) add("Extend", () => this.#useResult(job, "extend"));
    }
    if (!isEnded(job)) {
      if (job.state === "queued" && job.position > 0) add("Make it next", () => this.#act(job, "move", { to: "front" }));
      if (job.state !== "canceling") {
        if (job.paused) add("Resume", () => this.#act(job, "resume"));
        else add("Pause", () => this.#act(job, "pause"));
        add("Cancel", () => this.#act(job, "cancel"));
      }
    } else if (job.state !== "succeeded") add("Retry", () => this.#act(job, "retry"), { className: "primary" });
    if (isClip && isEnded(job)) add("Run again", () => this.#again(job));
    if (isClip) {
      add("Edit settings", () => this.#edit(job));
      add("Command", () => this.#command(job));
    }
    if (isEnded(job)) made.push(this.#deleting(job));
    return made;
  }

  #button(text, act, { className = "quiet" } = {}) {
    const button = element("button", { type: "button", className, textContent: text, at: { "data-does": text } });
    button.addEventListener("click", act);
    return button;
  }

  /** Delete asks once more on the button itself. */
  #deleting(job) {
    const button = this.#button("Delete", async () => {
      if (button.dataset.sure !== "yes") {
        button.dataset.sure = "yes";
        put(button, "Delete for good?");
        this.say("Press again to delete it for good.");
        setTimeout(() => {
          button.dataset.sure = "";
          put(button, "Delete");
        }, SURE_MS);
        return;
      }
      await this.#tried(async () => {
        await this.#jobs.delete(job.id);
        this.say("Deleted.");
        if (idInAddress() === job.id) this.open("");
      });
    });
    return button;
  }

  async #tried(does) {
    try {
      return await does();
    } catch (error) {
      this.toast(error.message);
      this.#jobs.refresh();
      return null;
    }
  }

  #act(job, name, body) {
    return this.#tried(() => this.#jobs.act(job.id, name, body));
  }

  async cancel(job) {
    await this.#act(job, "cancel");
  }

  async retry(job) {
    await this.#act(job, "retry");
  }

  async #again(job) {
    const again = await this.#tried(() => this.#jobs.submit({ kind: job.kind, body: job.body, name: job.name }));
    if (again) this.open(again.id);
  }

  #edit(job) {
    this.#draft.load(draftOf(requestIn(job), namesOf(job)));
    if (this.#draft.value.region) this.#draft.set({ tool: this.#draft.value.region.kind });
    else if (this.#draft.value.path.length) this.#draft.set({ tool: "path" });
    this.open("");
    this.say("The settings of this clip are in the form.");
    $("prompt").focus();
  }

  #useResult(job, verb) {
    const { media, name, media_type: type } = job.result;
    this.open("");
    this.#stage.use({ media, name: name ?? "clip", type: type ?? "video/mp4" }, verb);
    $("prompt").focus();
  }

  #command(job) {
    const { text, note } = commandOf(requestIn(job), namesOf(job), location.origin);
    // A line breaks between words, not after the hyphens of an option.
    $("command-text").replaceChildren(...text.split(/(\s+)/).map((word) => (word.trim() ? element("span", { textContent: word }) : word)));
    put($("command-note"), note);
    put($("command-copy"), "Copy");
    $("command").showModal();
    $("command-copy").focus();
  }

  async #copy() {
    try {
      await navigator.clipboard.writeText($("command-text").textContent);
      put($("command-copy"), "Copied");
    } catch {  // only secure origins have a clipboard
      getSelection().selectAllChildren($("command-text"));
      put($("command-note"), "Selected: copy it with Ctrl C.");
    }
  }
}

export const isPicture = (job) => job.result?.media_type?.startsWith("image/") ?? false;
