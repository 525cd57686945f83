// The page itself: sign-in, and which part of it is shown.

const PAGES = { errors: ["Error logs", errorsPage], users: ["Users", usersPage], settings: ["Settings", settingsPage] };
const app = document.getElementById("app");
let environment = null;
let shown = null;

// Does something again and again, one run after the other, until it is stopped.
function every(milliseconds, act) {
  let timer = null;
  let failing = false;
  const next = async () => {
    try {
      await act();
      failing = false;
    } catch (problem) {
      if (!failing) say(problem.message);
      failing = true;
    }
    if (timer !== null) timer = setTimeout(next, milliseconds);
  };
  timer = setTimeout(next, milliseconds);
  return () => {
    clearTimeout(timer);
    timer = null;
  };
}

function showSignIn() {
  shown?.stop();
  shown = null;
  document.querySelectorAll("dialog").forEach((open) => open.close());
  app.replaceChildren(h("main", { class: "sign-in" }, h("div", { class: "card" },
    h("h1", {}, "Tenon console"),
    form([field("API key", "key", { type: "password", wide: true, required: true, placeholder: "tn_live_… or tn_test_…" },
      "with the scope manage; it stays in this page's memory")], "Sign in", async ({ key: given }) => {
      signIn(given.trim());
      try {
        environment = await call("GET", "environment");
      } catch (refusal) {
        signOut();
        throw refusal;
      }
      showConsole();
    }))));
  app.querySelector("input").focus();
}

function showConsole() {
  const links = Object.entries(PAGES).map(([name, [title]]) => h("a", { href: `#${name}` }, title));
  app.replaceChildren(
    h("header", {},
      h("h1", {}, "Tenon"),
      h("p", { class: "where" }, h("strong", {}, environment.name), badge(environment.kind, environment.kind === "live" ? "bad" : "good")),
      h("nav", { "aria-label": "Console" }, links),
      h("button", { type: "button", onclick: () => { signOut(); showSignIn(); } }, "Sign out")),
    h("main", {}));
  route();
}

function route() {
  if (!signedIn()) return;
  const name = location.hash.slice(1) in PAGES ? location.hash.slice(1) : "errors";
  shown?.stop();
  const [title, make] = PAGES[name];
  shown = make();
  document.title = `${title} · ${environment.name} · Tenon console`;
  for (const link of app.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  app.querySelector("main").replaceChildren(shown.page);
  shown.page.querySelector("h2").focus();
  shown.load().catch((problem) => say(problem.message));
}

addEventListener("hashchange", route);
showSignIn();
