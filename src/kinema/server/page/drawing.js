// Drawing on the stage: a box, an object's point, a path, a painted mask; by pointer and by keyboard.
//
// Marks live in the draft, in fractions of the frame. Every point has a button as its handle, so that Tab reaches it and
// the arrow keys move it.

import { loadBase, paint } from "./brush.js";
import { element } from "./words.js";

const STEP = 0.01, LEAP = 0.05, SMALLEST = 0.015, NUM_DRAWN = 14;
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
const inside = (value) => Math.min(1, Math.max(0, value));
const percent = (value) => `${Math.round(value * 100)} %`;

export class Drawing {
  #draft; #sheet; #lines; #canvas; #handles; #gesture = null;
  brushWidth = 0.07;
  erases = false;
  onBegin = () => {};

  constructor(draft) {
    this.#draft = draft;
    [this.#sheet, this.#lines, this.#canvas, this.#handles] = ["sheet", "lines", "brush", "handles"].map((id) => document.getElementById(id));
    this.#sheet.addEventListener("pointerdown", (event) => this.#begin(event));
    this.#sheet.addEventListener("pointermove", (event) => this.#move(event));
    for (const name of ["pointerup", "pointercancel"]) this.#sheet.addEventListener(name, () => this.#end());
    this.#handles.addEventListener("keydown", (event) => this.#key(event));
    new ResizeObserver(() => this.render()).observe(this.#sheet);
  }

  get tool() {
    return this.#draft.value.tool;
  }

  /** Add a mark without a pointer, and focus it. */
  add() {
    const { path } = this.#draft.value;
    if (this.tool === "box") this.#draft.set({ region: { kind: "box", box: [0.3, 0.3, 0.7, 0.7] } }, { marks: true });
    if (this.tool === "object") this.#draft.set({ region: { kind: "object", point: [0.5, 0.5] } }, { marks: true });
    if (this.tool === "path") {
      const [x, y] = path.at(-1) ?? [0.05, 0.5];
      this.#draft.set({ path: [...path, [inside(x + 0.15), y]] }, { marks: true });
    }
    [...this.#handles.querySelectorAll("button")].at(-1)?.focus();
  }

  /** Give up the gesture in progress; whether there was one. */
  cancel() {
    const was = this.#gesture !== null;
    if (was) {
      this.#gesture = null;
      this.#draft.undo();
    }
    return was;
  }

  #at({ clientX, clientY }) {
    const { left, top, width, height } = this.#sheet.getBoundingClientRect();
    return [inside((clientX - left) / width), inside((clientY - top) / height)];
  }

  #begin(event) {
    if (!this.tool || event.button !== 0 || this.#gesture) return;
    const handle = event.target.closest("button[data-mark]");
    const start = this.#at(event), { path, region } = this.#draft.value;
    this.#sheet.setPointerCapture(event.pointerId);
    this.onBegin();
    if (!handle) event.preventDefault();
    this.#draft.remember();
    const kind = handle ? handle.dataset.mark : this.tool;
    this.#gesture = { kind, start, index: Number(handle?.dataset.index), box: region?.box, drawn: [start], path, moved: false };
    if (kind === "brush") {
      const before = region?.kind === "brush" ? region : { kind: "brush", strokes: [] };
      const stroke = { points: [start], width: this.brushWidth, erases: this.erases };
      this.#draft.set({ region: { ...before, strokes: [...before.strokes, stroke] } });
    }
    if (kind === "object") this.#draft.set({ region: { kind: "object", point: start } });
  }

  #move(event) {
    const gesture = this.#gesture;
    if (!gesture) return;
    gesture.drawn.push(this.#at(event));
    gesture.frame ||= requestAnimationFrame(() => this.#apply(gesture));  // a pointer moves more often than a screen draws
  }

  /** Bring the draft up to date with the gesture. */
  #apply(gesture) {
    gesture.frame = 0;
    if (this.#gesture !== gesture) return;
    const { start, box, drawn, path, index } = gesture, now = drawn.at(-1);
    const by = [now[0] - start[0], now[1] - start[1]];
    gesture.moved ||= drawn.some(([x, y]) => Math.hypot(x - start[0], y - start[1]) > SMALLEST);
    switch (gesture.kind) {
      case "box": this.#draft.set({ region: { kind: "box", box: spanned(start, now) } }); break;
      case "box-move": this.#draft.set({ region: { kind: "box", box: shifted(box, by) } }); break;
      case "box-corner": this.#draft.set({ region: { kind: "box", box: spanned(opposite(box, index), now) } }); break;
      case "object": case "object-move": this.#draft.set({ region: { kind: "object", point: now } }); break;
      case "point": this.#draft.set({ path: path.map((point, at) => (at === index ? now : point)) }); break;
      case "brush": {
        const { region } = this.#draft.value;
        this.#draft.set({ region: { ...region, strokes: [...region.strokes.slice(0, -1), { ...region.strokes.at(-1), points: [...drawn] }] } });
        break;
      }
      case "path":
        if (gesture.moved) this.#draft.set({ path: [...drawn] });
    }
  }

  #end() {
    const gesture = this.#gesture;
    if (!gesture) return;
    if (gesture.frame) {
      cancelAnimationFrame(gesture.frame);
      this.#apply(gesture);
    }
    this.#gesture = null;
    if (gesture.kind === "path") this.#draft.set({ path: gesture.moved ? evenly(gesture.drawn, NUM_DRAWN) : [...gesture.path, gesture.start] });
    const { region } = this.#draft.value;
    if (gesture.kind.startsWith("box") && (!gesture.moved && gesture.kind === "box" || tooSmall(region?.box))) this.#draft.undo();
    this.render();
  }

  #key(event) {
    const handle = event.target.closest("button[data-mark]");
    if (!handle || event.ctrlKey || event.metaKey || event.altKey) return;
    const { region, path } = this.#draft.value, index = Number(handle.dataset.index), mark = handle.dataset.mark;
    const set = (changes) => {
      event.preventDefault();
      event.stopPropagation();
      this.#draft.set(changes, { marks: !event.repeat });
    };
    const arrow = ARROWS[event.key];
    if (arrow) {
      const [dx, dy] = arrow.map((side) => side * (event.shiftKey && mark !== "box-move" ? LEAP : STEP));
      if (mark === "point") set({ path: path.map((point, at) => (at === index ? moved(point, dx, dy) : point)) });
      else if (mark === "object-move") set({ region: { kind: "object", point: moved(region.point, dx, dy) } });
      else if (event.shiftKey) set({ region: { kind: "box", box: resized(region.box, dx * 2, dy * 2) } });
      else set({ region: { kind: "box", box: shifted(region.box, [dx, dy]) } });
    } else if (event.key === "Delete" || event.key === "Backspace") {
      set(mark === "point" ? { path: path.filter((_, at) => at !== index) } : { region: null });
      (this.#handles.querySelectorAll("button")[Math.max(0, index - 1)] ?? document.getElementById("add-mark")).focus();
    } else if (event.key === "Enter" && mark === "point") {
      const [x, y] = path[index], [nextX, nextY] = path[index + 1] ?? [inside(x + 0.2), y];
      set({ path: [...path.slice(0, index + 1), [(x + nextX) / 2, (y + nextY) / 2], ...path.slice(index + 1)] });
      this.#handles.querySelectorAll("button")[index + 1]?.focus();
    }
  }

  render() {
    const { region, path } = this.#draft.value, tool = this.tool;
    const isPath = tool === "path", box = tool === "box" && region?.kind === "box" ? region.box : null;
    const marks = [];
    if (isPath && this.#gesture?.kind !== "path") path.forEach((point, index) => marks.push({ mark: "point", at: point, index, label: `Point ${index + 1} of ${path.length}` }));
    if (tool === "object" && region?.kind === "object") marks.push({ mark: "object-move", at: region.point, index: 0, label: "Object" });
    if (box) {
      marks.push({ mark: "box-move", box, at: [box[0], box[1]], index: 0, label: `Box, ${percent(box[2] - box[0])} wide, ${percent(box[3] - box[1])} high` });
      for (let index = 0; index < 4; index++) marks.push({ mark: "box-corner", at: [box[index & 1 ? 2 : 0], box[index & 2 ? 3 : 1]], index });
    }
    this.#showHandles(marks);
    this.#showLines(isPath ? path : [], box);
    this.#showBrush(tool === "brush" && region?.kind === "brush" ? region : null);
    this.#sheet.dataset.tool = tool;
  }

  #showHandles(marks) {
    const buttons = [...this.#handles.children];
    marks.forEach(({ mark, at, index, label, box }, number) => {
      const button = buttons[number] ?? this.#handles.appendChild(element("button", { type: "button" }));
      Object.assign(button.dataset, { mark, index });
      button.tabIndex = mark === "box-corner" ? -1 : 0;
      if (label) button.setAttribute("aria-label", `${label}, at ${percent(at[0])} from the left, ${percent(at[1])} from the top`);
      button.toggleAttribute("aria-hidden", !label);
      button.style.left = `${at[0] * 100}%`;
      button.style.top = `${at[1] * 100}%`;
      button.style.width = box ? `${(box[2] - box[0]) * 100}%` : "";
      button.style.height = box ? `${(box[3] - box[1]) * 100}%` : "";
    });
    for (const extra of buttons.slice(marks.length)) extra.remove();
  }

  #showLines(path, box) {
    this.#lines.toggleAttribute("hidden", path.length === 0 && !box);
    const make = (name, attributes) => {
      const node = document.createElementNS("http://www.w3.org/2000/svg", name);
      for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
      return node;
    };
    const nodes = [];
    if (path.length) {
      const points = path.map(([x, y]) => `${x * 1000},${y * 1000}`).join(" ");
      nodes.push(make("polyline", { points, class: "under" }), make("polyline", { points, class: "line" }));
    }
    if (box) {
      const [left, top, right, bottom] = box.map((part) => part * 1000);
      nodes.push(make("path", { class: "shade", d: `M0 0H1000V1000H0ZM${left} ${top}V${bottom}H${right}V${top}Z` }));
    }
    this.#lines.replaceChildren(...nodes);
  }

  #showBrush(region) {
    this.#canvas.hidden = region === null;
    if (region === null) return;
    const { clientWidth, clientHeight } = this.#sheet, scale = Math.min(2, devicePixelRatio);
    const [width, height] = [Math.round(clientWidth * scale), Math.round(clientHeight * scale)];
    if (!width || !height) return;
    if (this.#canvas.width !== width || this.#canvas.height !== height) Object.assign(this.#canvas, { width, height });
    if (region.media) loadBase(region.media).then(() => this.#tint(region), () => {});
    this.#tint(region);
  }

  /** Stripes of two colours show on a picture of any colour. */
  #stripes() {
    const side = 16, tile = Object.assign(document.createElement("canvas"), { width: side, height: side }), pen = tile.getContext("2d");
    pen.fillStyle = "#ff4f2e";
    pen.fillRect(0, 0, side, side);
    pen.strokeStyle = "#fff";
    pen.lineWidth = 4;
    for (const x of [-side, 0, side]) {
      pen.moveTo(x, side);
      pen.lineTo(x + side, 0);
    }
    pen.stroke();
    return tile;
  }

  #tint(region) {
    paint(this.#canvas, region);
    const pen = this.#canvas.getContext("2d");
    pen.globalCompositeOperation = "source-in";
    pen.fillStyle = pen.createPattern(this.#stripes(), "repeat");
    pen.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    pen.globalCompositeOperation = "source-over";
  }
}

const moved = ([x, y], dx, dy) => [inside(x + dx), inside(y + dy)];
const spanned = ([ax, ay], [bx, by]) => [Math.min(ax, bx), Math.min(ay, by), Math.max(ax, bx), Math.max(ay, by)];
const opposite = (box, index) => [box[index & 1 ? 0 : 2], box[index & 2 ? 1 : 3]];
const tooSmall = (box) => !box || box[2] - box[0] < SMALLEST || box[3] - box[1] < SMALLEST;

function shifted([left, top, right, bottom], [dx, dy]) {
  const x = Math.min(1 - right, Math.max(-left, dx)), y = Math.min(1 - bottom, Math.max(-top, dy));
  return [left + x, top + y, right + x, bottom + y];
}

function resized([left, top, right, bottom], dx, dy) {
  return [left, top, inside(Math.max(left + 2 * SMALLEST, right + dx)), inside(Math.max(top + 2 * SMALLEST, bottom + dy))];
}

/** The drawn line as points at equal distances, so that the object moves at constant speed. */
function evenly(points, num) {
  const lengths = [0];
  for (let index = 1; index < points.length; index++) lengths.push(lengths[index - 1] + Math.hypot(points[index][0] - points[index - 1][0], points[index][1] - points[index - 1][1]));
  const whole = lengths.at(-1), count = Math.max(2, Math.min(num, Math.ceil(whole / 0.05) + 1));
  return Array.from({ length: count }, (_, number) => {
    const at = (whole * number) / (count - 1);
    const next = Math.max(1, lengths.findIndex((length) => length >= at - 1e-9));
    const share = (at - lengths[next - 1]) / (lengths[next] - lengths[next - 1] || 1);
    return [0, 1].map((side) => points[next - 1][side] + share * (points[next][side] - points[next - 1][side]));
  });
}
