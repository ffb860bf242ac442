// Now and next, in sync with the viewer's picture; the schedule; the number of viewers.

const $ = (id) => document.getElementById(id);
const POLL_MS = 2500, DAY_MS = 60_000, STEP_MS = 200;

async function ask(path) {
  const answer = await fetch(path, { headers: { accept: "application/json" } });
  if (!answer.ok) throw new Error(answer.status);
  return answer.json();
}

const put = (element, text) => { if (element.textContent !== text) element.textContent = text; };
const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const capital = (text) => text.charAt(0).toUpperCase() + text.slice(1);

export function programme(player, onAir) {
  let known = null, failures = 0;

  function step() {
    // The date of the picture, some seconds in the past, selects the airing.
    if (!known) return;
    const at = player.date;
    const seen = at === null ? known.now : known.recent.filter((one) => one.at <= at && at < one.until).sort((a, b) => b.at - a.at)[0];
    const now = seen ?? (at === null ? null : known.recent.find((one) => one.at <= at)) ?? known.now;
    $("now").classList.toggle("empty", !now);
    if (!now) return;
    const later = [...known.recent.filter((one) => one.at > now.at).reverse(), ...known.coming.filter((one) => one.at === null)];
    const next = later.find((one) => one.title !== now.title) ?? later[0];
    put($("now-title"), now.kind === "filler" ? known.name : now.title);
    put($("now-prompt"), now.kind === "filler" ? "The next clips are being generated." : now.prompt.split(";")[0]);
    put($("next-title"), next ? (next.kind === "filler" ? known.name : next.title) : "\u2014");
    $("now").dataset.id = now.id;
    $("now").dataset.at = at ?? "";
    $("now").dataset.kind = now.kind;
    lately(now);
  }

  function lately(now) {
    const titles = [];
    for (const one of known.recent) {
      if (one.at < now.at && one.kind !== "filler" && one.title !== now.title && !titles.includes(one.title)) titles.push(one.title);
    }
    const rows = titles.slice(0, 4);
    const list = $("lately");
    if (list.dataset.rows === rows.join("\n")) return;
    list.dataset.rows = rows.join("\n");
    list.replaceChildren(...rows.map((title) => Object.assign(document.createElement("li"), { textContent: title })));
    $("lately-part").hidden = rows.length === 0;
  }

  function day(parts) {
    const rows = parts.filter((part) => part.theme).slice(0, 8).map((part, number) => {
      const row = document.createElement("li");
      const time = document.createElement("time");
      time.dateTime = new Date(part.begin * 1000).toISOString();
      time.textContent = number === 0 ? "Now" : clock.format(part.begin * 1000);
      const theme = document.createElement("span");
      theme.textContent = capital(part.theme);
      if (number === 0) row.setAttribute("aria-current", "true");
      row.append(time, theme);
      return row;
    });
    if (rows.length === 1) rows[0].querySelector("time").textContent = "All day";
    if (rows.length === 0) {
      const row = document.createElement("li");
      row.append(document.createElement("time"), "No schedule");
      row.firstChild.textContent = "All day";
      rows.push(row);
    }
    $("day").replaceChildren(...rows);
  }

  async function poll() {
    try {
      known = await ask("/api/now");
      failures = 0;
      put($("name"), known.name);
      document.title = known.name;
      document.documentElement.style.setProperty("--hue", known.hue);
      $("lamp").dataset.on = known.on_air;
      put($("lamp-text"), known.on_air ? "On air" : "Off air");
      $("watching").hidden = known.viewers < 1;
      put($("watching"), `${known.viewers} watching`);
      $("suggest").hidden = !known.suggestions;
      $("theme").maxLength = known.longest_theme;
      onAir(known.on_air);
    } catch {
      if (++failures > 2) {
        $("lamp").dataset.on = "false";
        put($("lamp-text"), "No connection");
        onAir(false);
      }
    }
    setTimeout(poll, document.hidden ? 4 * POLL_MS : POLL_MS);
  }

  async function pollDay() {
    let pause = DAY_MS;
    try {
      day((await ask("/api/schedule")).parts);
    } catch {
      pause = POLL_MS;
    }
    setTimeout(pollDay, pause);
  }

  poll();
  pollDay();
  setInterval(step, STEP_MS);
}
