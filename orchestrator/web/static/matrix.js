// The matrix under the reader's hands: arrow keys walk through it, what is pointed at is told in a card, and the form
// asks for no more than it has to. Without this script every cell is a link and the form is a form.
"use strict";
{
  const CARD_DELAY_MS = 120;
  const card = document.getElementById("card");
  const tiles = (root) => root.querySelectorAll("td > a");
  const table = () => document.querySelector("table.matrix");
  let current = null; // the tile that the Tab key leads to
  let shown = null;
  let hint = "";
  let timer = null;

  // One tile is on the Tab key's way, not ten thousand.
  function prepare(part, address) {
    let chosen = null;
    for (const tile of tiles(part)) {
      tile.tabIndex = -1;
      if (chosen === null || tile.getAttribute("href") === address) chosen = tile;
    }
    if (chosen !== null) chosen.tabIndex = 0;
    return chosen;
  }

  function makeCurrent(tile) {
    if (current === tile) return;
    if (current !== null) current.tabIndex = -1;
    current = tile;
    current.tabIndex = 0;
  }

  const tileAt = (row, column) => table().rows[row]?.cells[column]?.querySelector("a") ?? null;

  // The next tile in a direction; slots without a run are passed over.
  function next(row, column, down, right) {
    const { rows } = table();
    for (;;) {
      row += down;
      column += right;
      if (row < 1 || row >= rows.length || column < 1 || column >= rows[0].cells.length) return null;
      const tile = tileAt(row, column);
      if (tile !== null) return tile;
    }
  }

  function outermost(row, column, down, right) {
    let found = null;
    for (let tile = next(row, column, down, right); tile !== null; ) {
      found = tile;
      tile = next(tile.closest("tr").rowIndex, tile.parentElement.cellIndex, down, right);
    }
    return found;
  }

  function target(event, tile) {
    const row = tile.closest("tr").rowIndex;
    const column = tile.parentElement.cellIndex;
    const everything = event.ctrlKey || event.metaKey;
    const page = Math.max(1, Math.floor(table().parentElement.clientHeight / tile.closest("tr").offsetHeight) - 2);
    switch (event.key) {
      case "ArrowUp":
        return next(row, column, -1, 0);
      case "ArrowDown":
        return next(row, column, 1, 0);
      case "ArrowLeft":
        return next(row, column, 0, -1);
      case "ArrowRight":
        return next(row, column, 0, 1);
      case "Home":
        return everything ? [...tiles(table())][0] : outermost(row, column, 0, -1);
      case "End":
        return everything ? [...tiles(table())].at(-1) : outermost(row, column, 0, 1);
      case "PageUp":
        return next(Math.max(1, row - page) + 1, column, -1, 0);
      case "PageDown":
        return next(Math.min(table().rows.length - 1, row + page) - 1, column, 1, 0);
      default:
        return undefined;
    }
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Escape") return hide();
    const tile = event.target.closest?.("table.matrix td > a");
    if (!tile || event.altKey || event.shiftKey) return;
    const found = target(event, tile);
    if (found === undefined) return;
    event.preventDefault();
    found?.focus();
  });

  document.addEventListener("focusin", ({ target: element }) => {
    const tile = element.closest("table.matrix td > a");
    if (tile) {
      makeCurrent(tile);
      if (tile.matches(":focus-visible")) show(tile);
    } else hide();
  });

  document.addEventListener("pointerover", ({ target: element, pointerType }) => {
    if (pointerType !== "mouse") return;
    const tile = element.closest?.("table.matrix td > a");
    if (tile) show(tile);
    else if (!element.closest?.("#card")) hide();
  });

  // An arrow key may have scrolled: the card goes along. Under a pointer that stays another tile comes to lie.
  document.addEventListener(
    "scroll",
    () => {
      if (shown === null) return;
      if (shown !== document.activeElement) hide();
      else if (card.matches(":popover-open")) place(shown);
    },
    { capture: true, passive: true },
  );

  function show(tile) {
    if (shown === tile) return;
    hide();
    shown = tile;
    // The browser's own hint would say beside the card what the card says.
    hint = tile.title;
    if (hint) {
      tile.ariaLabel = hint;
      tile.removeAttribute("title");
    }
    timer = setTimeout(() => {
      const address = tile.getAttribute("href");
      if (address.startsWith("/cells/")) {
        htmx.ajax("GET", `${address}/card`, { target: card, source: card, swap: "innerHTML" }).then(() => place(tile));
      } else {
        card.textContent = hint || tile.innerText;
        place(tile);
      }
    }, CARD_DELAY_MS);
  }

  function hide() {
    clearTimeout(timer);
    if (shown !== null && hint) {
      shown.title ||= hint;
      shown.removeAttribute("aria-label");
    }
    shown = null;
    if (card.matches(":popover-open")) card.hidePopover();
  }

  // Beside the tile, where there is room.
  function place(tile) {
    if (shown !== tile || !tile.isConnected) return;
    if (!card.matches(":popover-open")) card.showPopover();
    const at = tile.getBoundingClientRect();
    const { offsetWidth: width, offsetHeight: height } = card;
    const right = at.right + 8 + width <= innerWidth;
    card.style.left = `${Math.max(8, right ? at.right + 8 : at.left - 8 - width)}px`;
    card.style.top = `${Math.max(8, Math.min(at.top, innerHeight - height - 8))}px`;
  }

  function begin() {
    if (table() === null) return;
    current = prepare(table(), null);
  }

  // What comes in is made alike to what is there before the two are compared.
  document.addEventListener("live:fetched", ({ detail: { fresh } }) => {
    if (fresh.id === "matrix") prepare(fresh, current?.isConnected ? current.getAttribute("href") : null);
  });
  document.addEventListener("live:refreshed", () => {
    if (table() !== null) current = table().querySelector('td > a[tabindex="0"]');
  });
  document.addEventListener("htmx:afterSettle", ({ detail }) => {
    if (detail.target.id === "matrix") begin();
  });

  // An address to share says only what differs from the whole matrix.
  const form = document.getElementById("ask");
  const wholeMatrix = (name) => form.elements[name].options[0].value;
  document.addEventListener("htmx:configRequest", ({ detail }) => {
    if (detail.elt !== form) return;
    const asked = detail.formData;
    for (const [name, value] of [...asked.entries()]) {
      const isUsual = (name === "rows" || name === "columns") && value === wholeMatrix(name);
      if (value === "" || isUsual) asked.delete(name);
    }
  });
  // A menu closes when another one is opened, or when the reader goes on elsewhere.
  document.addEventListener("click", ({ target: element }) => {
    const own = element.closest("details.pick");
    for (const menu of form.querySelectorAll("details[open]")) if (menu !== own) menu.open = false;
  });

  begin();
}
