// The form: verb, prompt, model, settings; what it will cost; submitting.

import { get, post } from "./api.js";
import { storeMask } from "./brush.js";
import { lacking, requestOf, sizesOf, upscaleOf } from "./request.js";
import { choices } from "./stage.js";
import { cardFor, feature, inputKind, isPathed, needed, obstacle, VERBS, verbsFor } from "./verbs.js";
import { capital, duration, element, put } from "./words.js";

const $ = (id) => document.getElementById(id);
const PLAN_PAUSE_MS = 300, SURVEY_PAUSE_MS = 900, SLOW_PLAN_MS = 400, MAX_NAME_CHARS = 80, MAX_FILE_WORDS = 8;
const TEXTS = ["prompt", "seconds", "size", "seed", "steps", "guidance", "negative", "object"];
const SAME_FIELD = { negative: "negative_prompt", width: "size", height: "size", frames: "seconds", fps: "seconds" };

export class Composer {
  #draft; #stage; #jobs; #cards = []; #timer = 0; #planning = null; #areModelsKnown = false;

  constructor(draft, stage, jobs, { say, onSubmitted }) {
    this.#draft = draft;
    this.#stage = stage;
    this.#jobs = jobs;
    this.say = say;
    this.onSubmitted = onSubmitted;
    for (const id of TEXTS) $(id).addEventListener("input", () => draft.set({ [id]: $(id).value }));
    for (const id of ["model", "profile", "upscale"]) $(id).addEventListener("change", () => draft.set({ [id]: $(id).value }));
    for (const id of ["follow", "shadow"]) $(id).addEventListener("change", () => draft.set({ [id]: $(id).checked }));
    $("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.submit();
    });
    draft.addEventListener("change", () => this.render());
    jobs.addEventListener("change", () => this.#showAhead());
    if (/Mac|iPhone|iPad/.test(navigator.platform)) $("submit-key").textContent = "\u2318 Enter";
  }

  async loadModels() {
    const found = await get("/models");
    this.#cards = (Array.isArray(found) ? found : found.models).filter((card) => card.here !== false);
    this.#areModelsKnown = true;
    this.#stage.setCards(this.#cards);
    this.render();
  }

  get card() {
    return cardFor(this.#draft.value, this.#cards);
  }

  render() {
    const draft = this.#draft.value, verb = VERBS[draft.verb];
    const verbs = verbsFor(draft.input, this.#cards);
    const shownVerbs = verbs.includes(draft.verb) ? verbs : [...verbs, draft.verb];
    choices($("verb-picks"), "verb", shownVerbs.map((name) => [name, VERBS[name].text]), draft.verb, (name) => this.#setVerb(name));
    for (const id of TEXTS) if ($(id).value !== draft[id]) $(id).value = draft[id];
    put($("prompt-label"), verb.asks);
    $("prompt").placeholder = verb.example;
    for (const id of ["follow", "shadow"]) $(id).checked = draft[id];
    $("profile").value = draft.profile;
    $("upscale").value = upscaleOf(draft, this.card);
    const isClip = inputKind(draft.input) === "clip";
    const hide = (field, is) => { $("form").querySelector(`[data-field="${field}"]`).hidden = is; };
    $("verbs").hidden = shownVerbs.length < 2;
    hide("follow", !(verb.isMasked && isClip && draft.tool !== "object"));
    hide("shadow", !(draft.verb === "remove" && isClip));
    hide("object", !isPathed(draft));
    hide("seconds", Boolean(verb.isEdit && !verb.isLonger));
    hide("upscale", Boolean(verb.isEdit));
    put($("submit-text"), verb.text === "Use as reference" ? "Generate" : verb.text);
    this.#showModels(draft);
    this.#showKept(draft);
    this.#plan();
  }

  #setVerb(name) {
    const { input, tool, path } = this.#draft.value, verb = VERBS[name];
    const suits = (each) => verb.tools.includes(each) && (each !== "object" || inputKind(input) === "clip");
    this.#draft.set({ verb: name, tool: suits(tool) ? tool : verb.isMasked ? "box" : verb.tools.includes("path") && path.length ? "path" : "" });
  }

  #showModels(draft) {
    const features = needed(draft), automatic = cardFor({ ...draft, model: "" }, this.#cards);
    const options = [["", automatic ? `Automatic: ${automatic.id}` : this.#areModelsKnown ? "Automatic: none can do this" : "Automatic", ""],
      ...this.#cards.map((card) => [card.id, card.id, obstacle(card, features)])];
    if (draft.model && !this.#cards.some((card) => card.id === draft.model)) options.push([draft.model, draft.model, "not on this machine"]);
    const key = JSON.stringify(options);
    if ($("model").dataset.key !== key) {
      $("model").dataset.key = key;
      $("model").replaceChildren(...options.map(([value, text, why]) => element("option", { value, textContent: why ? `${text} (${why})` : text, disabled: why !== "" && value !== draft.model })));
    }
    $("model").value = draft.model;
    put($("model-note"), this.card?.title ?? "");
    const sizes = sizesOf(this.card).map((size) => size.join("x"));
    if ($("sizes").dataset.key !== String(sizes)) {
      $("sizes").dataset.key = String(sizes);
      $("sizes").replaceChildren(...sizes.map((value) => element("option", { value })));
    }
    $("size").placeholder = sizes[0] ?? "default";
  }

  #showKept({ kept }) {
    const parts = [...kept.conditions.map((condition, index) => [feature(condition), () => ({ ...kept, conditions: kept.conditions.filter((_, at) => at !== index) })]),
      ...Object.keys(kept.fields).map((name) => [name, () => ({ ...kept, fields: Object.fromEntries(Object.entries(kept.fields).filter(([each]) => each !== name)) })])];
    $("kept").hidden = parts.length === 0;
    $("kept").replaceChildren(...(parts.length ? [element("span", { textContent: "Also:" })] : []), ...parts.map(([name, without]) => {
      const button = element("button", { type: "button", textContent: "\u00d7", at: { "aria-label": `Remove ${name}` } });
      button.addEventListener("click", () => this.#draft.set({ kept: without() }));
      return element("span", { className: "chip", textContent: name }, button);
    }));
  }

  /** Ask for the plan of the draft, once it has not changed for a moment; longer for edits, whose plan reads the clip. */
  #plan() {
    clearTimeout(this.#timer);
    this.#planning?.abort();
    if (this.#missing()) return;
    if ($("cost").dataset.state === "idle") this.#cost("Estimating the cost ...", "", "busy");
    this.#timer = setTimeout(() => this.#planNow(), VERBS[this.#draft.value.verb].isMasked ? SURVEY_PAUSE_MS : PLAN_PAUSE_MS);
  }

  /** Whether the draft cannot be planned yet; says why. */
  #missing() {
    const missing = lacking(this.#draft.value);
    if (!missing && this.#cards.length) return false;
    this.#clearErrors();
    $("plan-notes").hidden = true;
    this.#cost(missing ? missing[1] : this.#areModelsKnown ? "No model is on this machine." : "Connecting ...", "Its cost is shown here before anything starts.", "idle");
    return true;
  }

  async #planNow() {
    const draft = this.#draft.value;
    this.#clearErrors();
    $("plan-notes").hidden = true;
    const planning = this.#planning = new AbortController();
    const late = setTimeout(() => this.#cost("Estimating the cost ...", "Not required to start.", "busy"), SLOW_PLAN_MS);
    planning.signal.addEventListener("abort", () => clearTimeout(late));
    try {
      const { request } = await this.#request(draft);
      if (planning.signal.aborted) return;
      const plan = await post("/plan", request, {}, { signal: planning.signal });
      if (!planning.signal.aborted) this.#showPlan(plan);
    } catch (error) {
      if (error.name !== "AbortError" && !planning.signal.aborted) this.#refused(error);
    } finally {
      clearTimeout(late);
    }
  }

  async #request(draft) {
    const mask = draft.region?.kind === "brush" && VERBS[draft.verb].isMasked ? await storeMask(draft.region, draft.input) : undefined;
    return { request: requestOf(draft, this.card, mask), mask };
  }

  #showPlan(plan) {
    const { seconds, gb, device, start = 0 } = plan.estimate ?? {};
    const length = plan.frames === 1 ? "1 picture" : `${plan.frames} frames, ${Number((plan.frames / plan.fps).toFixed(2))} s`;
    const memory = gb === undefined ? "" : `; ${Number(gb.toPrecision(2))} GB on ${device === "cpu" ? "the CPU" : device}`;
    const load = start >= 1 ? `. ${capital(duration(start))} more if the model is not loaded` : "";
    this.#cost(seconds === undefined ? "Ready" : seconds < 1 ? "Less than a second" : `About ${duration(seconds)}`, `${length}, ${sizeOf(plan).join("x")}${memory}${load}`, "good");
    const notes = [...(plan.changes ?? []), ...(plan.outside ?? []), ...(plan.notes ?? [])].map((note) => (typeof note === "string" ? note : note.text ?? JSON.stringify(note)));
    $("plan-notes").hidden = notes.length === 0;
    $("plan-note-list").replaceChildren(...notes.map((note) => element("li", { textContent: note })));
  }

  #cost(main, more, state) {
    this.costMore = more;
    put($("cost-main"), main);
    $("cost").dataset.state = state;
    this.#showAhead();
  }

  #showAhead() {
    const ahead = this.#jobs.list.filter((job) => job.state === "queued" || job.state === "running").length;
    const wait = ahead && $("cost").dataset.state === "good" ? `. ${ahead === 1 ? "1 job" : `${ahead} jobs`} before it` : "";
    put($("cost-more"), (this.costMore ?? "\u00a0") + wait);
  }

  #clearErrors() {
    for (const node of $("form").querySelectorAll(".error")) put(node, "");
    for (const node of $("form").querySelectorAll("[aria-invalid]")) node.removeAttribute("aria-invalid");
  }

  /** Show an error at its field. */
  #refused(error) {
    this.#clearErrors();
    this.#cost("Not possible like this", "", "bad");
    if (error.status === 0) {
      this.#cost("The server cannot be reached", "The draft is kept in this browser.", "bad");
      return;
    }
    const text = error.legal && !error.message.includes(String(error.legal)) ? `${error.message} Legal: ${error.legal}.` : error.message;
    const [first, index] = error.field.split(".");
    const onStage = ["mask", "source", "image", "video", "clip", "trajectory", "region", "shown_as"].includes(first) || first === "conditions";
    const field = SAME_FIELD[first] ?? first;
    const node = document.getElementById(`${field}-error`);
    if (onStage && index !== undefined && text.includes("does not support the condition") && this.#draft.value.model) put($("model-error"), text);
    else if (onStage) this.#stage.hint(text, true);
    else put(node ?? $("form-error"), text);
    if (node) {
      const control = node.parentElement.querySelector("input, select, textarea");
      control?.setAttribute("aria-invalid", "true");
      if (control?.tagName === "INPUT" && error.nearest !== undefined && error.nearest !== null) node.append(" ", this.#nearest(control, String(error.nearest)));
      if (node.closest("details")) node.closest("details").open = true;
    }
    if (onStage || node) this.say(text);  // #form-error is announced by itself
  }

  /** A button that takes the nearest legal value. */
  #nearest(control, value) {
    const button = element("button", { type: "button", className: "take", textContent: `Use ${value}` });
    button.addEventListener("click", () => {
      this.#draft.set({ [control.id]: value });
      control.focus();
    });
    return button;
  }

  async submit() {
    const draft = structuredClone(this.#draft.value), missing = lacking(draft);
    if (missing) {
      const [field, why] = missing;
      if (field === "prompt") {
        put($("prompt-error"), why);
        $("prompt").setAttribute("aria-invalid", "true");
        $("prompt").focus();
      } else {
        location.hash = "";  // the marks are drawn on the input
        this.#stage.hint(`${why} ${$("hint").textContent}`.trim(), true);
        $("add-mark").focus();
      }
      this.say(why);
      return;
    }
    $("submit").disabled = true;
    try {
      const { request } = await this.#request(draft);
      const body = { ...request, file: fileOf(draft), ...(draft.input ? { shown_as: { [draft.input.media]: draft.input.name } } : {}) };
      const job = await this.#jobs.submit({ kind: "clip", body, name: nameOf(draft) });
      this.#clearErrors();
      this.onSubmitted(job);
    } catch (error) {
      this.#refused(error);
    }
    $("submit").disabled = false;
  }
}

/** The size of the finished clip. */
function sizeOf(plan) {
  if (plan.canvas !== "model" && plan.output?.every(Boolean)) return plan.output;
  return (plan.upscale ?? []).reduce((size, step) => (step.plan ? sizeOf(step.plan) : size.map((side) => Math.round(side * step.scale))), [plan.width, plan.height]);
}

function nameOf(draft) {
  const text = draft.prompt.trim().replace(/\s+/g, " ");
  const named = draft.verb === "generate" || (text && draft.verb !== "remove") ? text : `${capital(draft.verb)}: ${draft.input.name}`;
  return [...named].slice(0, MAX_NAME_CHARS).join("").replace(/\p{C}/gu, "");
}

/** The name of the file: the first words of the prompt, or the input and what is done with it. */
function fileOf(draft) {
  const { input, prompt, verb } = draft, begins = input ? input.name.replace(/\.\w+$/, "") : "";
  const words = { remove: `${begins} removed`, replace: `${begins} ${prompt}`, extend: `${begins} extended` }[verb] ?? (prompt || begins);
  const plain = words.normalize("NFKD").toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? ["clip"];
  const isStill = VERBS[verb].isMasked && inputKind(input) === "picture";
  return `${[...plain.slice(0, MAX_FILE_WORDS).join("-")].slice(0, MAX_NAME_CHARS).join("")}.${isStill ? "png" : "mp4"}`;
}
