// Entry point: sign-in and navigation.

import { h, badge, button, announce, field, form } from "./dom.js";
import { API_KEY_PATTERN, session, newSession, startSession, endSession, call } from "./api.js";
import { errorsPage } from "./errors.js";
import { settingsPage } from "./settings.js";
import { usersPage } from "./users.js";

export { environmentBadge };

const PAGES = { errors: ["Error logs", errorsPage], users: ["Users", usersPage], settings: ["Settings", settingsPage] };
const app = document.getElementById("app");
let environment = null;
let currentPage = null;

// Name and kind of the environment, always visible.
const environmentBadge = () => environment && h("span", { class: "where" }, h("strong", {}, environment.name),
  badge(environment.kind, environment.kind === "live" ? "bad" : "good"));

function showSignIn() {
  endSession();
  currentPage?.stop();
  currentPage = null;
  environment = null;
  document.querySelectorAll("dialog").forEach((open) => open.close());
  document.title = "Tenon console";
  announce("");
  app.replaceChildren(h("main", { class: "sign-in" }, h("div", { class: "card" },
    h("h1", {}, "Tenon console"),
    form([field("API key", "key", { class: "secret", wide: true, required: true, placeholder: "tn_live_… or tn_test_…" },
      "Requires the manage scope. Kept in the memory of this page only.")], "Sign in", async ({ key }) => {
      if (!API_KEY_PATTERN.test(key.trim())) throw Object.assign(new Error(), { errors: [{ pointer: "/key", detail: "must be an API key" }] });
      const candidate = newSession(key.trim());
      environment = await call("GET", "environment", undefined, candidate);
      startSession(candidate);
      showConsole();
    }))));
  app.querySelector("input").focus();
}

function showConsole() {
  const links = Object.entries(PAGES).map(([name, [title]]) => h("a", { href: `#${name}` }, title));
  app.replaceChildren(
    h("header", {}, h("h1", {}, "Tenon"), environmentBadge(), h("nav", { "aria-label": "Console" }, links),
      h("button", { type: "button", onclick: showSignIn }, "Sign out")),
    h("main", {}), h("footer", {}, `Tenon ${environment.version}`));
  route();
}

function route() {
  if (!session) return;
  const name = Object.hasOwn(PAGES, location.hash.slice(1)) ? location.hash.slice(1) : "errors";
  currentPage?.stop();
  const [title, create] = PAGES[name];
  currentPage = create();
  document.title = `${title} · ${environment.name} · Tenon console`;
  for (const link of app.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const { page, load } = currentPage;
  app.querySelector("main").replaceChildren(page);
  page.querySelector("h2").focus();
  // A loading problem is shown in the page until a retry succeeds.
  const notice = h("div", { class: "notice", role: "alert", hidden: true }, h("p", {}), button("Try again", () => tryLoad()));
  page.querySelector("h2").after(notice);
  const tryLoad = async () => {
    try {
      await load();
      notice.hidden = true;
    } catch (problem) {
      notice.querySelector("p").textContent = problem.message;
      notice.hidden = Boolean(problem.stale);
    }
  };
  tryLoad();
}

addEventListener("hashchange", route);
// A page in the back/forward cache would keep its key.
addEventListener("pagehide", showSignIn);
showSignIn();
