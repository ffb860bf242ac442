// What is wrong with the page as it is shown now: texts with too little contrast (WCAG AA: 4.5), controls below 24 px or
// without a name, and whether it scrolls sideways.
() => {
  const parse = (text) => text.match(/[\d.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue]
    .map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    .reduce((sum, part, index) => sum + part * [0.2126, 0.7152, 0.0722][index], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const found = parse(getComputedStyle(at).backgroundColor);
      if ((found[3] ?? 1) > 0.99) return found;
    }
    return [255, 255, 255];
  };
  const wrong = [];
  const name = (node) => `${node.tagName} ${node.id || node.className} "${node.textContent.trim().slice(0, 30)}"`;
  for (const node of document.querySelectorAll("body *")) {
    const hasText = [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim());
    if (!hasText || node.disabled || !node.checkVisibility() || node.closest(".hidden, option, .watch, .skip")) continue;
    const [text, behind] = [light(parse(getComputedStyle(node).color)), light(ground(node))];
    const ratio = (Math.max(text, behind) + 0.05) / (Math.min(text, behind) + 0.05);
    if (ratio < 4.5) wrong.push(`contrast ${ratio.toFixed(2)}: ${name(node)}`);
  }
  for (const node of document.querySelectorAll("button, select, summary, textarea, a, .pick, input:not([type=radio], [type=file])")) {
    if (!node.checkVisibility() || node.closest(".skip") || node.getAttribute("aria-hidden")) continue;
    const isInLabel = node.type === "checkbox" && node.closest("label");
    if ((isInLabel || node).getBoundingClientRect().height < 24) wrong.push(`small: ${name(node)}`);
    if (!node.textContent.trim() && !node.labels?.length && !node.getAttribute("aria-label")) wrong.push(`no name: ${name(node)}`);
  }
  if (document.documentElement.scrollWidth > innerWidth) wrong.push(`scrolls sideways: ${document.documentElement.scrollWidth}`);
  return wrong;
}
