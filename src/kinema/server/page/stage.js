// The stage while a request is prepared: the input, the drawing tools, and the welcome.

import { call, mediaPath, shown, upload } from "./api.js";
import { Drawing } from "./drawing.js";
import { cardFor, inputKind, TOOLS, VERBS } from "./verbs.js";
import { sizesOf } from "./request.js";
import { element, put } from "./words.js";

const $ = (id) => document.getElementById(id);
const LONGEST_SENDING_MS = 300;

export const EXAMPLES = [
  { prompt: "a red ball rolls left over a green hill at sunset" },
  { prompt: "a blue star at night", profile: "fast" },
  { prompt: "a yellow star at night", path: [[0.12, 0.78], [0.3, 0.56], [0.5, 0.4], [0.7, 0.34], [0.88, 0.36]], note: "with a drawn path" },
];

export class Stage {
  #draft; #cards = []; #shownMedia = ""; #sending = "";
  isCovered = false;  // by a job

  constructor(draft, say) {
    this.#draft = draft;
    this.say = say;
    this.drawing = new Drawing(draft);
    this.drawing.onBegin = () => this.#rewind();
    this.#welcome();
    this.#tools();
    this.#media();
    this.#drops();
    draft.addEventListener("change", () => this.render());
  }

  setCards(cards) {
    this.#cards = cards;
    this.render();
  }

  /** Text below the stage: what to do, or what is wrong. */
  hint(text, isBad = false) {
    put($("hint"), text);
    $("hint").dataset.kind = isBad ? "bad" : "";
  }

  #welcome() {
    for (const example of EXAMPLES) {
      const { note, ...fields } = example;
      const button = element("button", { type: "button" }, element("span", { textContent: example.prompt }), note ? element("small", { textContent: note }) : null);
      button.addEventListener("click", () => {
        this.#draft.load({ ...fields, tool: fields.path ? "path" : "", object: "" });
        $("submit").focus();
      });
      $("examples").append(element("li", {}, button));
    }
  }

  #tools() {
    const { drawing } = this, draft = this.#draft;
    $("add-mark").addEventListener("click", () => drawing.add());
    $("undo").addEventListener("click", () => draft.undo());
    $("clear").addEventListener("click", () => draft.set(VERBS[draft.value.verb].isMasked ? { region: null } : { path: [] }, { marks: true }));
    $("erase").addEventListener("click", () => {
      drawing.erases = !drawing.erases;
      $("erase").setAttribute("aria-pressed", drawing.erases);
    });
    $("brush-width").addEventListener("input", () => { drawing.brushWidth = Number($("brush-width").value); });
    $("play-input").addEventListener("click", () => ($("clip").paused ? $("clip").play() : this.#rewind()));
    for (const name of ["play", "pause"]) $("clip").addEventListener(name, () => put($("play-input"), $("clip").paused ? "Play" : "Back to the start"));
    $("clip").addEventListener("ended", () => this.#rewind());
    $("remove-input").addEventListener("click", () => {
      draft.set({ input: null, verb: "generate", region: null, tool: draft.value.path.length ? "path" : "" });
      $("choose").focus();
    });
  }

  #rewind() {
    $("clip").pause();
    if ($("clip").currentTime > 0) $("clip").currentTime = 0;
  }

  #media() {
    const learn = (width, height, seconds) => {
      const { input } = this.#draft.value;
      if (!input || !width) return;
      if (input.width !== width || input.height !== height || input.seconds !== seconds) this.#draft.set({ input: { ...input, width, height, seconds } });
    };
    $("picture").addEventListener("load", () => learn($("picture").naturalWidth, $("picture").naturalHeight));
    $("clip").addEventListener("loadeddata", () => learn($("clip").videoWidth, $("clip").videoHeight, $("clip").duration));
    const unreadable = () => this.#draft.value.input && this.hint(`This browser cannot show ${this.#draft.value.input.name}, so nothing can be drawn on it. If it is a clip, it can still be extended.`, true);
    for (const id of ["picture", "clip"]) $(id).addEventListener("error", unreadable);
  }

  #drops() {
    const choose = () => $("file").click();
    for (const id of ["choose", "replace-input"]) $(id).addEventListener("click", choose);
    $("file").addEventListener("change", () => {
      if ($("file").files[0]) this.take($("file").files[0]);
      $("file").value = "";
    });
    let depth = 0;
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
    addEventListener("dragenter", (event) => { if (hasFiles(event)) document.body.classList.toggle("dragging", ++depth > 0); });
    addEventListener("dragleave", (event) => { if (hasFiles(event)) document.body.classList.toggle("dragging", --depth > 0); });
    addEventListener("dragover", (event) => { if (hasFiles(event)) event.preventDefault(); });
    addEventListener("drop", (event) => {
      depth = 0;
      document.body.classList.remove("dragging");
      if (!hasFiles(event)) return;
      event.preventDefault();
      this.take(event.dataTransfer.files[0]);
    });
    addEventListener("paste", (event) => {
      const { files = [], types = [] } = event.clipboardData ?? {};
      if (files[0] && !types.includes("text/plain")) this.take(files[0]);
    });
  }

  /** Upload a file and make it the input. */
  async take(file) {
    location.hash = "";
    const sending = this.#sending = `Sending ${file.name}`;
    const late = setTimeout(() => this.#sending === sending && this.hint(`${sending} ...`), LONGEST_SENDING_MS);
    try {
      const { media, media_type: type } = await upload(file, (share) => this.#sending === sending && share < 1 && this.hint(`${sending}, ${Math.round(100 * share)} %`));
      if (this.#sending === sending) this.use({ media, name: file.name, type: type || file.type });
    } catch (error) {
      if (this.#sending === sending) this.hint(error.message, true);
    } finally {
      clearTimeout(late);
      if (this.#sending === sending) this.#sending = "";
    }
  }

  /** Make stored media the input. verb: else the first that suits it. */
  use(input, verb) {
    const kind = inputKind(input), isPicture = kind === "picture";
    const chosen = verb ?? (isPicture ? "animate" : "remove");
    const prompt = isPicture && !VERBS[chosen].isEdit ? this.#draft.value.prompt : "";
    this.#draft.load({ ...this.#settings(), prompt, input, verb: chosen, tool: VERBS[chosen].isMasked ? "box" : "" });
    this.say(`${input.name} is on the stage.`);
  }

  #settings() {
    const { model, profile } = this.#draft.value;
    return { profile, model: this.#cards.some((card) => card.id === model) ? model : "" };
  }

  render() {
    const draft = this.#draft.value, verb = VERBS[draft.verb], isBlank = !draft.input && !draft.tool;
    const card = cardFor(draft, this.#cards);
    $("stage").dataset.filled = String(!isBlank);
    if (this.isCovered) return;
    put($("stage-title"), draft.input ? draft.input.name : "New clip");
    for (const id of ["replace-input", "remove-input"]) $(id).hidden = !draft.input;
    $("welcome").hidden = !isBlank;
    $("sheet").hidden = isBlank;
    const [width, height] = draft.input?.width ? [draft.input.width, draft.input.height] : sizesOf(card)[0] ?? [16, 9];
    $("sheet").style.setProperty("--shape", width / height);
    this.#showInput(draft.input);
    this.#showTools(draft, verb);
    this.drawing.render();
    if (!this.#sending) this.hint(this.#advice(draft, verb));
  }

  #advice(draft, verb) {
    if (draft.tool) return TOOLS[draft.tool].hint;
    if (draft.verb === "animate") return "The clip begins with this picture.";
    if (draft.verb === "reference") return "What the picture shows appears in the clip.";
    return verb.isLonger ? "The new part is added at the end." : "";
  }

  async #showInput(input) {
    const media = input?.media ?? "";
    if (media === this.#shownMedia) return;
    this.#shownMedia = media;
    for (const id of ["picture", "clip"]) {
      $(id).hidden = true;
      $(id).removeAttribute("src");
    }
    if (!input) return;
    try {
      if (!input.type) input.type = (await call(mediaPath(media), { method: "HEAD" })).headers.get("content-type") ?? "";
      const isImage = input.type.startsWith("image/"), node = $(isImage ? "picture" : "clip");
      const address = await shown(mediaPath(media), !isImage);
      if (this.#shownMedia !== media) return;
      node.src = address;
      node.hidden = false;
      if (isImage) node.alt = `The input, ${input.name}`;
      this.#draft.set({ input: { ...this.#draft.value.input, type: input.type } });
    } catch (error) {
      this.hint(error.status === 404 ? `${input.name} is no longer on the server. Choose it again.` : error.message, true);
    }
  }

  /** A mask has one kind of marks: another tool begins anew. */
  #pick(tool) {
    const { region, path, verb } = this.#draft.value;
    if (VERBS[verb].isMasked && region && region.kind !== tool) this.#draft.set({ tool, region: null }, { marks: true });
    else if (tool === "" && path.length) this.#draft.set({ tool, path: [] }, { marks: true });
    else this.#draft.set({ tool });
  }

  #showTools(draft, verb) {
    const isClip = inputKind(draft.input) === "clip";
    const isOffered = (tool) => (tool === "path" ? this.#cards.some((card) => card.accepts.includes("trajectory")) : tool !== "object" || isClip);
    const offered = verb.tools.filter(isOffered);
    $("tools").hidden = offered.length === 0;
    const picks = verb.isMasked ? offered.map((tool) => [tool, TOOLS[tool].text]) : offered.length ? [["", "No path"], ["path", "Draw a path"]] : [];
    choices($("tool-picks"), "tool", picks, draft.tool, (tool) => this.#pick(tool));
    const { tool } = draft;
    $("add-mark").hidden = !tool || tool === "brush";
    put($("add-mark"), { box: draft.region?.kind === "box" ? "New box" : "Add a box", object: "Add a point", path: "Add a point" }[tool] ?? "");
    for (const id of ["brush-width-field", "erase"]) $(id).hidden = tool !== "brush";
    for (const id of ["undo", "clear"]) $(id).hidden = !tool;
    $("undo").disabled = !this.#draft.canUndo;
    $("clear").disabled = tool === "path" ? draft.path.length === 0 : !draft.region;
    $("play-input").hidden = !isClip || $("clip").hidden;
  }
}

/** A group of radio buttons. picks: [value, text]. Rebuilt only if the picks change, so that the focus stays. */
export function choices(group, name, picks, chosen, onPick) {
  const key = JSON.stringify(picks);
  if (group.dataset.key !== key) {
    group.dataset.key = key;
    group.replaceChildren(...picks.map(([value, text]) => {
      const input = element("input", { type: "radio", name, value });
      input.addEventListener("change", () => input.checked && onPick(value));
      return element("label", { className: "pick" }, input, element("span", { textContent: text }));
    }));
  }
  for (const input of group.querySelectorAll("input")) input.checked = input.value === chosen;
}
