// The box for themes, with a clear answer to each.

const $ = (id) => document.getElementById(id);

export function suggest() {
  const field = $("theme"), button = $("send"), reply = $("reply");
  const say = (text, kind) => {
    reply.textContent = text;
    reply.dataset.kind = kind;
  };
  $("form").addEventListener("submit", async (event) => {
    event.preventDefault();
    const theme = field.value.trim();
    if (!theme) {
      say("Tell us what you would like to see, in a few words.", "bad");
      field.focus();
      return;
    }
    button.disabled = true;
    say("Sending\u2026", "");
    try {
      const answer = await fetch("/api/themes", {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ theme }),
      });
      const told = await answer.json().catch(() => ({}));
      if (answer.ok) {
        field.value = "";
        const before = told.waiting - 1;
        const ahead = before === 1 ? "1 idea is" : `${before} ideas are`;
        say(before > 0 ? `Thank you! It is noted; ${ahead} before it.` : "Thank you! It is noted, and next in line.", "good");
      } else {
        say(told.error ?? "That did not work. Please try again.", "bad");
      }
    } catch {
      say("The station cannot be reached just now. Please try again.", "bad");
    }
    button.disabled = false;
  });
}
