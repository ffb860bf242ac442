// The form for theme suggestions.

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
      say("Please describe what you would like to see, in a few words.", "bad");
      field.focus();
      return;
    }
    button.disabled = true;
    say("Sending\u2026", "");
    try {
      const answer = await fetch("/api/themes", {
        method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify({ theme }),
      });
      const data = await answer.json().catch(() => ({}));
      if (answer.ok) {
        field.value = "";
        const before = data.waiting - 1;
        const ahead = before === 1 ? "1 suggestion is" : `${before} suggestions are`;
        say(before > 0 ? `Thank you! ${ahead} ahead of yours.` : "Thank you! Your suggestion is next.", "good");
      } else {
        say(data.error ?? "Sending failed. Please try again.", "bad");
      }
    } catch {
      say("The channel cannot be reached. Please try again.", "bad");
    }
    button.disabled = false;
  });
}
