// The draft: what the next request is built from. Saved in the browser at every change.

const KEY = "kinema-draft-1", MAX_UNDO = 60, SAVE_MS = 150;

const EMPTY = {
  prompt: "", verb: "generate", input: null, tool: "", region: null, path: [], object: "", follow: true, shadow: false,
  model: "", profile: "balanced", seconds: "", size: "", upscale: null, seed: "", steps: "", guidance: "", negative: "",
  kept: { fields: {}, conditions: [] },
};
/* input: {media, name, type, width, height, seconds} | region: {kind: "box", box} | {kind: "object", point} |
   {kind: "brush", strokes: [{points, width, erases}]}, positions in fractions of the frame | upscale null: the default of
   the model | kept: parts of a request that the page has no control for, sent back unchanged. */

export class Draft extends EventTarget {
  #undo = []; #saving = 0;

  constructor() {
    super();
    this.value = structuredClone(EMPTY);
    try {
      const stored = JSON.parse(localStorage.getItem(KEY));
      if (stored && typeof stored === "object") this.value = { ...this.value, ...stored };
    } catch { /* storage is off, or not ours */ }
    addEventListener("pagehide", () => this.#save());
  }

  get isEmpty() {
    const { prompt, input, path } = this.value;
    return !prompt && !input && path.length === 0;
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  /** Change fields. marks: whether the change of region or path can be undone. */
  set(changes, { marks = false } = {}) {
    if (marks) this.remember();
    Object.assign(this.value, changes);
    this.#changed(Object.keys(changes));
  }

  /** Replace everything. */
  load(value) {
    this.#undo = [];
    this.value = { ...structuredClone(EMPTY), ...value };
    this.#changed(Object.keys(this.value));
  }

  clear() {
    this.load({ model: this.value.model, profile: this.value.profile });
  }

  remember() {
    this.#undo.push(JSON.stringify([this.value.region, this.value.path]));
    if (this.#undo.length > MAX_UNDO) this.#undo.shift();
  }

  undo() {
    const now = JSON.stringify([this.value.region, this.value.path]);
    while (this.#undo.at(-1) === now) this.#undo.pop();  // a gesture that changed nothing
    if (!this.canUndo) return;
    const [region, path] = JSON.parse(this.#undo.pop());
    Object.assign(this.value, { region, path });
    this.#changed(["region", "path"]);
  }

  #save() {
    try { localStorage.setItem(KEY, JSON.stringify(this.value)); } catch { /* storage is off or full */ }
  }

  #changed(fields) {
    clearTimeout(this.#saving);
    this.#saving = setTimeout(() => this.#save(), SAVE_MS);
    this.dispatchEvent(new CustomEvent("change", { detail: { fields } }));
  }
}
