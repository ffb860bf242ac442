// Dark or light, before anything is painted: the viewer's choice, else the system's.
"use strict";

(() => {
  const root = document.documentElement;
  try {
    const kept = localStorage.getItem("look");
    if (kept === "dark" || kept === "light") root.dataset.look = kept;
  } catch { /* storage is off */ }

  addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("look");
    const isDark = () => (root.dataset.look ?? (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light")) === "dark";
    const tell = () => button.setAttribute("aria-label", isDark() ? "Use light colours" : "Use dark colours");
    button.addEventListener("click", () => {
      root.dataset.look = isDark() ? "light" : "dark";
      try { localStorage.setItem("look", root.dataset.look); } catch { /* storage is off */ }
      tell();
    });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", tell);
    tell();
  });
})();
