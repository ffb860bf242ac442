// Dark or light mode, set before the first paint: the viewer's choice, else the system's.
"use strict";

(() => {
  const root = document.documentElement;
  try {
    const stored = localStorage.getItem("look");
    if (stored === "dark" || stored === "light") root.dataset.look = stored;
  } catch { /* storage is off */ }

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("look");
    const isDark = () => (root.dataset.look ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const label = () => button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    button.addEventListener("click", () => {
      root.dataset.look = isDark() ? "light" : "dark";
      try { localStorage.setItem("look", root.dataset.look); } catch { /* storage is off */ }
      label();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", label);
    label();
  });
})();
