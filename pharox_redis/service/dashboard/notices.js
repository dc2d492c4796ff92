// What the page has to say beside its figures: a banner, toasts, a question, and a panel for what
// there is instead of figures.

import { byId, el, setText } from "./dom.js";

const TOAST = 6000; // ms

/** A line under the bar, until it is null. */
export function banner(text) {
  const node = byId("banner");
  setText(node, text ?? "");
  node.hidden = !text;
}

/** A short message in the corner; read out by screen readers. Errors stay until they are closed. */
export function toast(text, { failed = false } = {}) {
  const close = el("button", { type: "button", class: "icon", "aria-label": "Close the message" }, "×");
  const node = el("div", { class: failed ? "toast failed" : "toast" }, el("p", {}, text), close);
  close.addEventListener("click", () => node.remove());
  const all = byId("toasts");
  all.append(node);
  while (all.children.length > 4) all.firstElementChild.remove();
  if (!failed) setTimeout(() => node.remove(), TOAST);
}

/** Asks; true if the answer is yes. Escape is no, and the focus goes back where it was. */
export function ask(title, text, yes) {
  const dialog = byId("confirm");
  setText(byId("confirm-title"), title);
  setText(byId("confirm-text"), text);
  setText(byId("confirm-yes"), yes);
  return new Promise((answer) => {
    const ended = new AbortController();
    const on = (node, event, listener) => node.addEventListener(event, listener, { signal: ended.signal });
    dialog.returnValue = "";
    on(byId("confirm-yes"), "click", () => dialog.close("yes"));
    on(byId("confirm-no"), "click", () => dialog.close(""));
    on(dialog, "click", (event) => {
      if (event.target === dialog) dialog.close(""); // beside it
    });
    on(dialog, "close", () => {
      ended.abort();
      answer(dialog.returnValue === "yes");
    });
    dialog.showModal();
    byId("confirm-no").focus(); // so that a second Enter does no harm
  });
}

/** What stands where figures would: a headline, what to do, perhaps a command or a link. */
export function panel(title, text, ...more) {
  return el("section", { class: "state" }, el("h2", {}, title), el("p", {}, text), ...more);
}
