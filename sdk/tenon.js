// Host side of the modal. Options, events and protocol: docs/modal.md.

// The API inserts `import.meta.url`. Other copies need the option `url`, and some test runners do
// not know `import.meta`.
const SCRIPT_URL = "";
const CHANGES = ["installed", "updated", "activated", "deactivated", "uninstalled"];
const EVENTS = ["ready", ...CHANGES, "failed", "close"];
// Time for the page to load, and for the token function.
const TIMEOUT_MS = 20_000;
// Time for the page to answer a request to close.
const CLOSE_MS = 5000;
const TEXTS = {
  en: { title: "Integrations", failed: "The integrations could not be loaded.", close: "Close" },
  de: { title: "Integrationen", failed: "Die Integrationen konnten nicht geladen werden.", close: "Schließen" },
  fr: { title: "Intégrations", failed: "Impossible de charger les intégrations.", close: "Fermer" },
  es: { title: "Integraciones", failed: "No se pudieron cargar las integraciones.", close: "Cerrar" },
  pt: { title: "Integrações", failed: "Não foi possível carregar as integrações.", close: "Fechar" },
  ja: { title: "連携", failed: "連携を読み込めませんでした。", close: "閉じる" },
};

// Returns the language of a code, with or without a region, if it has texts.
const languageOf = (code) => Object.keys(TEXTS).find((language) => language === code.toLowerCase().split("-")[0]);

const isObject = (value) => typeof value === "object" && value && !Array.isArray(value);
const isFunction = (value) => typeof value === "function";
// Proxies cannot be posted.
const toJson = (value) => JSON.parse(JSON.stringify(value) ?? null);

const ORIGIN = /^(https:\/\/[\w.:-]+|http:\/\/(localhost|127\.0\.0\.1)(:\d+)?)$/;

// Options: whether a value is valid, and the message otherwise.
const oneOf = (...values) => [(value) => values.includes(value), `must be ${values.join(", ")}`];
const object = [(value) => isObject(value) && toJson(value), "must be an object"];
const anyFunction = [isFunction, "must be a function"];
const RULES = {
  token: anyFunction,
  connect: anyFunction,
  url: [
    (value) => {
      const { href, origin } = new URL(value);
      return href.startsWith(origin) && ORIGIN.test(origin) && origin !== globalThis.origin;
    },
    "must be an https URL of another origin, or http on localhost and 127.0.0.1",
  ],
  integrationId: [(value) => typeof value === "string" && value, "must be a string"],
  view: oneOf("catalogue", "installation", "errors"),
  mode: oneOf("read", "install", "manage"),
  // The page ignores an invalid theme, with a warning.
  theme: [(value) => [toJson(value)], "must be JSON"],
  lang: [(value) => typeof value === "string", "must be a string"],
  texts: object,
  prefill: object,
  mount: [(value) => value.nodeType === 1, "must be an element"],
  origins: [
    (value) => value[0] === globalThis.origin && value.length <= 3 && value.every((origin) => ORIGIN.test(origin)),
    "must be one to three https origins, or http on localhost and 127.0.0.1, the first of this page",
  ],
  on: [
    (value) => isObject(value) && Object.keys(value).every((name) => EVENTS.includes(name) && (value[name] == null || isFunction(value[name]))),
    `must be an object of functions: ${EVENTS.join(", ")}`,
  ],
};

// Returns the options with defaults. Throws an error that names all that are invalid.
function check(given) {
  const options = { token: "", url: "", origins: [globalThis.origin] };
  if (/^https?:[^?#]*\/tenon(\.global)?\.js([?#]|$)/.test(SCRIPT_URL)) options.url = SCRIPT_URL;
  const problems = [];
  for (const [name, value] of Object.entries(given ?? {})) {
    if (!Object.hasOwn(RULES, name)) problems.push(`${name} is unknown`);
    // A null is like an absent value, but not that of an element that was not found.
    else if (value != null || (name === "mount" && value === null)) options[name] = value;
  }
  for (const [name, value] of Object.entries(options)) {
    const [isValid, rule] = RULES[name];
    let valid = false;
    try {
      valid = isValid(value);
    } catch {
      // Of another type.
    }
    if (!valid) problems.push(`${name} ${value === "" ? "is required: it " : ""}${rule}`);
  }
  if (problems.length) throw new TypeError(`tenon: ${problems.join("; ")}`);
  return options;
}

// Returns the URL of the page, with the base path of a custom domain.
function pageUrl(url, origins) {
  const { origin, pathname } = new URL(url);
  const query = new URLSearchParams([["v", 1], ...origins.map((one) => ["origin", one])]);
  return new URL(`${origin}${pathname.replace(/\/+(tenon(\.global)?\.js)?$/, "")}/modal?${query}`);
}

// Sets styles that no CSP blocks and no host overrides.
function style(element, styles) {
  for (const [name, value] of Object.entries(styles)) element.style.setProperty(name, value, "important");
}

function create(name, properties, styles) {
  const element = Object.assign(document.createElement(name), properties);
  style(element, styles);
  return element;
}

// The page behind neither scrolls nor moves while a dialog exists.
let sheet;

function stopScrolling() {
  if (document.querySelector("dialog[data-tenon]")) return;
  sheet ??= new CSSStyleSheet();
  const gutter = innerWidth > document.documentElement.clientWidth ? "stable" : "auto";
  // The host may have replaced the list.
  if (!document.adoptedStyleSheets.includes(sheet)) document.adoptedStyleSheets.push(sheet);
  sheet.replaceSync(`html:has(dialog[data-tenon]) { overflow: hidden !important; scrollbar-gutter: ${gutter} !important }`);
}

function open(given) {
  const { token: tokenFunction, connect, url, origins, mount, on = {}, ...rest } = check(given);
  const options = toJson({ ...rest, inline: Boolean(mount), connects: connect && true });
  const page = pageUrl(url, origins);
  const lang = [options.lang ?? "", ...navigator.languages].map(languageOf).find(Boolean) ?? "en";
  if (options.lang && !languageOf(options.lang)) console.warn(`tenon: lang ${options.lang} has no texts`);
  const texts = { ...TEXTS[lang] };
  // That of replaced texts is not known.
  let language = { lang };
  for (const name of Object.keys(texts)) {
    if (typeof options.texts?.[name] === "string") {
      texts[name] = options.texts[name];
      language = {};
    }
  }
  const narrow = matchMedia("(max-width: 640px)");
  let height = mount ? 320 : 480;
  let port;
  // Whether the page can ask about input.
  let started;
  let closed;
  let unanswered;
  let lastChange = null;
  let notice;
  let finish;
  const finished = new Promise((resolve) => { finish = resolve; });

  const frame = create("iframe", {
    title: texts.title,
    ...language,
    src: page,
    sandbox: "allow-scripts allow-same-origin allow-forms allow-popups allow-popups-to-escape-sandbox",
    referrerPolicy: "no-referrer",
    // A blocked frame loads too.
    onload: () => {
      clearTimeout(timer);
      if (!port && !notice) timer = setTimeout(showFailure, 2000);
    },
  }, { margin: "0", border: "0", padding: "0", background: "Canvas" });
  let pressed = false;
  const opened = performance.now();
  // As large as the viewport: ::backdrop needs a style sheet.
  const dialog = mount ? null : create("dialog", {
    ariaLabel: texts.title,
    ...language,
    tabIndex: -1,
    oncancel: leave,
    onclose: close,
    // A second Escape would close without asking.
    onkeydown: (event) => { if (event.key === "Escape") leave(event); },
    // A click outside must also begin there. It does not move the focus.
    onpointerdown: ({ target }) => { pressed = target === dialog; },
    onmousedown: (event) => { if (event.target === dialog) event.preventDefault(); },
    // A double click that opens the dialog does not close it.
    onclick: (event) => { if (pressed && event.target === dialog && event.timeStamp - opened > 500) leave(event); },
  }, {
    display: "block", position: "fixed", inset: "0", width: "100%", height: "100%", "max-width": "none", "max-height": "none",
    margin: "0", border: "0", padding: "0", outline: "0", overflow: "hidden", background: "rgb(15 23 42 / .5)",
    // A dialog of the page may have disabled it for the body.
    "pointer-events": "auto",
  });

  // Until the page shows its own.
  const cross = mount ? null : create("button", { ariaLabel: texts.close, textContent: "×", onclick: close }, {
    position: "absolute", top: "8px", right: "8px", padding: "12px", font: "20px system-ui", "color-scheme": "light dark",
  });

  function layout() {
    const full = mount || narrow.matches;
    style(frame, {
      ...!mount && { position: "absolute", inset: "0", margin: "auto" },
      display: notice ? "none" : "block",
      width: full ? "100%" : "min(720px, 100%)",
      height: mount ? `${height}px` : full ? "100%" : `min(${height}px, 100% - 48px)`,
      "border-radius": full ? "0" : "12px",
      // The edge is visible on a dark page too.
      "box-shadow": full ? "none" : "0 0 0 1px rgb(128 128 128 / .5), 0 16px 48px rgb(0 0 0 / .3)",
      // Background until the page is shown.
      "color-scheme": /^(light|dark)$/.test(options.theme) ? options.theme : "light dark",
    });
  }

  // Calls a function of the app. The modal continues if it fails.
  async function attempt(handler, detail) {
    try {
      await handler?.(detail);
    } catch (error) {
      reportError(error);
    }
  }

  // Returns a new token, or null. Concurrent requests share a call of the function.
  let pendingToken;
  const newToken = () => pendingToken ??= callTokenFunction().finally(() => { pendingToken = null; });

  async function callTokenFunction() {
    let timer;
    try {
      const timeout = new Promise((_, reject) => { timer = setTimeout(reject, TIMEOUT_MS, "timeout"); });
      const token = await Promise.race([tokenFunction(), timeout]);
      // Not the page of an error, or a key.
      if (typeof token === "string" && /^\s*([\w-]+\.){2}[\w-]+\s*$/.test(token)) return token.trim();
      console.warn("tenon: the token function returned no user token");
    } catch (error) {
      console.warn("tenon: the token function failed:", error);
    } finally {
      clearTimeout(timer);
    }
    return null;
  }

  // Starts the page, which may load more than once.
  async function start() {
    clearTimeout(timer);
    cross?.remove();
    notice?.remove();
    notice = null;
    layout();
    port?.close();
    started = false;
    const { port1, port2 } = new MessageChannel();
    port = port1;
    port1.addEventListener("message", async ({ data }) => {
      if (port1 !== port || closed) return;
      if (data?.type === "renew") {
        port1.postMessage({ type: "token", token: await newToken() });
      } else if (data?.type === "connect") {
        await attempt(connect, data.detail);
        port1.postMessage({ type: "connected", detail: data.detail });
      } else {
        receive(data ?? {});
      }
    });
    port1.start();
    frame.contentWindow.postMessage({ tenon: "port", v: 1, inline: !dialog }, page.origin, [port2]);
    if (dialog) frame.contentWindow.focus();
    const token = await (firstToken ?? newToken());
    firstToken = null;
    if (port1 !== port) return;
    port1.postMessage({ type: "start", token, options });
    started = true;
  }

  function receive({ type, name, detail, height: newHeight }) {
    clearTimeout(unanswered);
    unanswered = null;
    if (type === "close") {
      close();
    } else if (type === "size" && newHeight >= 0 && Number.isFinite(newHeight)) {
      height = newHeight;
      layout();
    } else if (type === "event" && name !== "close" && EVENTS.includes(name)) {
      if (CHANGES.includes(name)) lastChange = { ...detail, type: name };
      attempt(on[name], detail);
    }
  }

  function hear({ source, origin, data }) {
    if (source && source === frame.contentWindow && origin === page.origin && data?.tenon === "ready") start();
  }

  // The page asks about unsaved input, then closes.
  function leave(event) {
    event.preventDefault();
    if (!started) {
      close();
      return;
    }
    port.postMessage({ type: "leave" });
    // A frame that has crashed does not answer.
    unanswered ??= setTimeout(close, CLOSE_MS);
  }

  function showFailure() {
    const button = create("button", { textContent: texts.close, onclick: close }, { font: "inherit" });
    notice = create("div", { role: "alert", ...language }, {
      ...!mount && { position: "absolute", inset: "0", margin: "auto", width: "fit-content", height: "fit-content" },
      padding: "24px", font: "16px system-ui", "text-align": "center", "color-scheme": "light dark", background: "Canvas", color: "CanvasText",
    });
    notice.append(create("p", { textContent: texts.failed }, { margin: "0 0 16px" }), button);
    layout();
    cross?.remove();
    frame.after(notice);
    if (dialog) button.focus();
    console.warn("tenon: load failed:", page.href);
    attempt(on.failed, { reason: "load" });
  }

  function close() {
    if (closed) return;
    closed = true;
    clearTimeout(timer);
    clearTimeout(unanswered);
    window.removeEventListener("message", hear);
    narrow.removeEventListener("change", layout);
    port?.close();
    dialog?.close();
    dialog?.remove();
    frame.remove();
    notice?.remove();
    attempt(on.close, {});
    finish(lastChange);
  }

  function setTheme(theme) {
    options.theme = toJson(theme);
    layout();
    if (started) port.postMessage({ type: "theme", theme: options.theme });
  }

  window.addEventListener("message", hear);
  narrow.addEventListener("change", layout);
  let timer = setTimeout(showFailure, TIMEOUT_MS);
  let firstToken = newToken();
  layout();
  (dialog || mount).append(frame);
  if (dialog) {
    stopScrolling();
    dialog.append(cross);
    dialog.dataset.tenon = "";
    document.body.append(dialog);
    dialog.showModal();
    // Handles keys until the page does.
    dialog.focus();
  }
  return { close, finished, setTheme };
}

// Servers can import the script too.
class TenonModal extends (globalThis.HTMLElement ?? class {}) {
  static observedAttributes = ["theme", "inline", "open", "url", "integration-id", "view", "mode", "lang"];
  #modal = null;
  #token;
  #theme;
  #due;

  constructor() {
    super();
    // A page can set properties before the script is loaded.
    for (const name of ["token", "theme"]) {
      const { value } = Object.getOwnPropertyDescriptor(this, name) ?? {};
      delete this[name];
      if (value) this[name] = value;
    }
  }

  get token() {
    return this.#token;
  }

  set token(value) {
    this.#token = value;
    if (!value) this.close();
    this.#openSoon();
  }

  get theme() {
    return this.#theme ?? this.getAttribute("theme");
  }

  set theme(value) {
    this.#theme = value;
    this.#modal?.setTheme(this.theme);
  }

  connectedCallback() {
    this.#openSoon();
  }

  disconnectedCallback() {
    this.#discard();
  }

  attributeChangedCallback(name, before, value) {
    if (name === "theme") {
      this.theme = this.#theme;
      return;
    }
    if (before === value) return;
    // An inline page is opened anew. A dialog keeps its options.
    if (name === "open") {
      if (value === null) this.close();
    } else if (name === "inline" || this.hasAttribute("inline")) {
      this.#discard();
    }
    this.#openSoon();
  }

  // Opens the modal if the attributes ask for it, after all present changes.
  #openSoon() {
    if (!this.#due) this.#due = setTimeout(() => {
      this.#due = 0;
      if (this.isConnected && this.token && (this.hasAttribute("inline") || this.hasAttribute("open"))) this.show();
    });
  }

  show() {
    if (this.#modal) return;
    // A function that is set later replaces the present one.
    const latest = (name) => isFunction(this[name]) ? (detail) => this[name]?.(detail) : this[name];
    const [url, integrationId, view, mode, lang] = ["url", "integration-id", "view", "mode", "lang"].map((name) => this.getAttribute(name));
    const { theme, texts, prefill, origins } = this;
    const mount = this.hasAttribute("inline") ? this : undefined;
    const on = Object.fromEntries(EVENTS.map((name) => [name, (detail) => {
      if (name === "close") {
        if (!this.#modal) return;
        this.#modal = null;
        this.removeAttribute("open");
      }
      this.dispatchEvent(new CustomEvent(name, { detail }));
    }]));
    this.#modal = open({ token: latest("token"), connect: latest("connect"), theme, texts, prefill, origins, url, integrationId, view, mode, lang, mount, on });
    if (!mount) this.setAttribute("open", "");
  }

  close() {
    this.#modal?.close();
  }

  // Closes the modal without an event, because the element may open it anew.
  #discard() {
    const modal = this.#modal;
    this.#modal = null;
    modal?.close();
  }
}

// Frameworks set a property only if the element has it, and an attribute otherwise.
Object.assign(TenonModal.prototype, { connect: null, texts: null, prefill: null, origins: null });

if (globalThis.customElements && !customElements.get("tenon-modal")) customElements.define("tenon-modal", TenonModal);

export { open };
