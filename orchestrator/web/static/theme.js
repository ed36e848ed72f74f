// The reader's choice of light or dark, before anything is painted; without one the system's holds.
"use strict";
{
  const root = document.documentElement;
  const choices = { auto: "light", light: "dark", dark: "auto" };
  const kept = () => {
    try {
      const theme = localStorage.getItem("theme");
      return Object.hasOwn(choices, theme) ? theme : "auto";
    } catch {
      return "auto"; // storage is switched off
    }
  };
  const show = (theme) => {
    if (theme === "auto") delete root.dataset.theme;
    else root.dataset.theme = theme;
  };
  show(kept());
  document.addEventListener("DOMContentLoaded", () => {
    const button = document.getElementById("theme");
    let theme = kept();
    const label = () => {
      button.textContent = `Theme: ${theme}`;
    };
    label();
    button.hidden = false;
    button.addEventListener("click", () => {
      theme = choices[theme];
      show(theme);
      label();
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // kept for this page alone
      }
    });
  });
}
