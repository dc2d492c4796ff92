// Light or dark: the system's choice, until the reader makes another here. Only a choice that
// differs from the system's is remembered, so that the page follows the system again otherwise.
(() => {
  "use strict";
  const NAME = "pharox-redis.theme";
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const other = { light: "dark", dark: "light" };

  function remembered() {
    try {
      return localStorage.getItem(NAME);
    } catch {
      return null; // storage is switched off: the choice lasts as long as the page
    }
  }

  function remember(theme) {
    try {
      if (theme) localStorage.setItem(NAME, theme);
      else localStorage.removeItem(NAME);
    } catch {
      // as above
    }
  }

  const systems = () => (system.matches ? "dark" : "light");
  const shown = () => root.dataset.theme || systems();

  function label() {
    const button = document.getElementById("theme");
    const text = `Switch to the ${other[shown()]} theme`;
    button?.setAttribute("aria-label", text);
    button?.setAttribute("title", text);
  }

  const chosen = remembered();
  if (chosen === "light" || chosen === "dark") root.dataset.theme = chosen;

  system.addEventListener("change", label);
  document.addEventListener("DOMContentLoaded", () => {
    label();
    document.getElementById("theme").addEventListener("click", () => {
      const next = other[shown()];
      if (next === systems()) {
        delete root.dataset.theme;
        remember(null);
      } else {
        root.dataset.theme = next;
        remember(next);
      }
      label();
    });
  });
})();
