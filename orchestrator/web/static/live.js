// Keeps the parts marked data-live up to date: fetches the page again and swaps what has changed.
"use strict";

const PERIOD_MS = 5000;
const stale = document.getElementById("stale");

function isInUse(part) {
  const selection = document.getSelection();
  const selected = selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
  return selected || (part.contains(document.activeElement) && !document.activeElement.matches(".scroll"));
}

function swap(part, fresh) {
  const before = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
  const open = [...part.querySelectorAll("details")].map((details) => details.open);
  part.replaceChildren(...document.importNode(fresh, true).childNodes);
  part.querySelectorAll(".scroll").forEach((box, index) => {
    box.scrollLeft = before[index] ?? 0;
  });
  part.querySelectorAll("details").forEach((details, index) => {
    details.open = open[index] ?? false;
  });
}

async function refresh() {
  if (document.hidden) return;
  const response = await fetch(location.href, { signal: AbortSignal.timeout(10 * PERIOD_MS) });
  if (!response.ok) throw new Error(`HTTP ${response.status}`);
  const page = new DOMParser().parseFromString(await response.text(), "text/html");
  for (const part of document.querySelectorAll("[data-live]")) {
    const fresh = page.getElementById(part.id);
    if (fresh !== null && fresh.innerHTML !== part.innerHTML && !isInUse(part)) swap(part, fresh);
  }
}

async function loop() {
  for (;;) {
    await new Promise((resolve) => setTimeout(resolve, PERIOD_MS));
    try {
      await refresh();
      stale.hidden = true;
    } catch {
      stale.hidden = false;
    }
  }
}

if (document.querySelector("[data-live]") !== null) loop();
