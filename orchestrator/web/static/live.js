// Keeps parts of a page up to date. A part has an id, and `data-live`: the query of the event stream that it follows,
// such as `topic=run&job=…`. When something happens, the page is fetched again and what has changed is changed in place:
// scrolling, focus and what is folded open stay. `data-version` saves the way where nothing has changed.
"use strict";
{
  const LEAST_PAUSE_MS = 1000;
  const PAUSE_FACTOR = 5; // of what the last refresh took: a large page is not refreshed all the time
  const RETRY_MS = 10_000;
  const TOPICS = ["cell", "run", "job", "device", "reset"];
  const stale = document.getElementById("stale");

  const parts = () => [...document.querySelectorAll("[data-live]")];
  let streams = [];
  let waiting = null;
  let notBefore = 0;

  function follow() {
    if (document.hidden || streams.length > 0) return;
    const queries = new Set(parts().map((part) => part.dataset.live));
    streams = [...queries].map((query) => {
      const stream = new EventSource(`/api/v1/events?${query}`);
      for (const topic of TOPICS) stream.addEventListener(topic, ask);
      stream.addEventListener("open", ask); // what happened before it was open is not told
      stream.addEventListener("error", () => {
        if (stream.readyState === EventSource.CLOSED) comeBack();
        else ask(); // the browser comes back by itself; whether the coordinator is there shows meanwhile
      });
      return stream;
    });
  }

  // A browser has few connections to one host: pages that nobody looks at give theirs back.
  function leave() {
    for (const stream of streams) stream.close();
    streams = [];
  }

  function comeBack() {
    leave();
    setTimeout(() => {
      follow();
      ask();
    }, RETRY_MS);
  }

  function ask() {
    if (waiting !== null) return;
    const pause = Math.max(0, notBefore - performance.now());
    waiting = setTimeout(async () => {
      waiting = null;
      if (document.hidden) return;
      const began = performance.now();
      try {
        if (!(await refresh())) setTimeout(ask, LEAST_PAUSE_MS);
        stale.hidden = true;
      } catch {
        stale.hidden = false;
        setTimeout(ask, RETRY_MS);
      }
      const took = performance.now() - began;
      notBefore = performance.now() + Math.max(LEAST_PAUSE_MS, PAUSE_FACTOR * took);
    }, pause);
  }

  /** False where it has to be tried again, because the reader has something selected. */
  async function refresh() {
    const version = parts()[0]?.dataset.version;
    const headers = version ? { "If-None-Match": `W/"${version}"` } : {};
    const address = location.href;
    const response = await fetch(address, { headers, cache: "no-store", signal: AbortSignal.timeout(60_000) });
    if (response.status === 304) return true;
    if (!response.ok) throw new Error(`HTTP ${response.status}`);
    const page = new DOMParser().parseFromString(await response.text(), "text/html");
    if (address !== location.href) return false;
    if (parts().some(isSelected)) return false;
    for (const part of parts()) {
      const fresh = page.getElementById(part.id);
      if (fresh === null) continue;
      part.dispatchEvent(new CustomEvent("live:fetched", { bubbles: true, detail: { fresh } }));
      if (part.isEqualNode(fresh)) continue;
      Idiomorph.morph(part, fresh, { callbacks: { beforeNodeMorphed, beforeAttributeUpdated, afterNodeAdded } });
      part.dispatchEvent(new CustomEvent("live:refreshed", { bubbles: true }));
    }
    return true;
  }

  function isSelected(part) {
    const selection = document.getSelection();
    return selection !== null && !selection.isCollapsed && part.contains(selection.anchorNode);
  }

  // What a script has drawn into the page is that script's: `data-keep`.
  function beforeNodeMorphed(old, fresh) {
    return !old.isEqualNode(fresh) && !(old instanceof Element && old.hasAttribute("data-keep"));
  }

  function afterNodeAdded(node) {
    if (node instanceof Element) htmx.process(node);
  }

  // What the reader has opened, typed or walked to is the reader's.
  function beforeAttributeUpdated(name, element) {
    if (name === "open" || name === "tabindex") return false;
    return !(element === document.activeElement && name === "value");
  }

  if (parts().length > 0) {
    follow();
    document.addEventListener("visibilitychange", () => (document.hidden ? leave() : follow()));
    addEventListener("pagehide", leave);
    addEventListener("pageshow", follow);
  }
}
