// The form that asks for an API key.

import * as api from "./api.js";
import { el, setAttribute, setText } from "./dom.js";

export class LoginPage {
  /** `entered(who)` is called with {name, role} once a key is accepted, which is stored then. */
  constructor(reason, entered) {
    this.title = "API key";
    this.entered = entered;
    this.input = el("input", {
      id: "key", type: "password", autocomplete: "off", spellcheck: "false", autocapitalize: "off", required: true,
      "aria-describedby": "key-error key-note",
    });
    this.error = el("p", { id: "key-error", class: "error", role: "alert" }, reason);
    this.button = el("button", { type: "submit", class: "primary" }, "Connect");
    this.heading = el("h1", { tabindex: "-1" }, "API key");
    this.root = el(
      "form",
      { class: "login", novalidate: true, on: { submit: (event) => this.#submit(event) } },
      this.heading,
      el("label", { for: "key" }, "Key of this lease service"),
      el("div", { class: "entry" }, this.input, this.button),
      this.error,
      el(
        "p",
        { id: "key-note", class: "note" },
        "Any role may look; a key with the role admin may also ban, unban and release. The key stays in this tab, until you forget it or close the tab.",
      ),
    );
  }

  start() {
    this.input.focus();
  }

  stop() {}
  update() {}

  async #submit(event) {
    event.preventDefault();
    const key = this.input.value.trim();
    if (!key) {
      this.#refuse("Enter a key first.");
      return;
    }
    this.button.disabled = true;
    setText(this.error, "");
    try {
      const who = await api.whoami(key);
      api.storedKey.set(key);
      this.entered(who);
    } catch (problem) {
      this.#refuse(problem.status === 401 ? "The service does not know this key." : problem.message);
    } finally {
      this.button.disabled = false;
    }
  }

  #refuse(text) {
    setText(this.error, text);
    setAttribute(this.input, "aria-invalid", "true");
    this.input.focus();
    this.input.select();
  }
}
