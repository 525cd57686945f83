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
      if (!failing) sayProblem(problem);
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

// Where one is: always in sight.
const whereabouts = () => environment && h("span", { class: "where" }, h("strong", {}, environment.name),
  badge(environment.kind, environment.kind === "live" ? "bad" : "good"));

function showSignIn() {
  endSession();
  shown?.stop();
  shown = null;
  environment = null;
  document.querySelectorAll("dialog").forEach((open) => open.close());
  document.title = "Tenon console";
  say("");
  app.replaceChildren(h("main", { class: "sign-in" }, h("div", { class: "card" },
    h("h1", {}, "Tenon console"),
    form([field("API key", "key", { class: "secret", wide: true, required: true, placeholder: "tn_live_… or tn_test_…" },
      "with the scope manage; it stays in this page's memory")], "Sign in", async ({ key }) => {
      if (!KEY.test(key.trim())) throw Object.assign(new Error(), { errors: [{ pointer: "/key", detail: "is not an API key" }] });
      const candidate = newSession(key.trim());
      environment = await call("GET", "environment", undefined, candidate);
      session = candidate;
      showConsole();
    }))));
  app.querySelector("input").focus();
}

function showConsole() {
  const links = Object.entries(PAGES).map(([name, [title]]) => h("a", { href: `#${name}` }, title));
  app.replaceChildren(
    h("header", {}, h("h1", {}, "Tenon"), whereabouts(), h("nav", { "aria-label": "Console" }, links),
      h("button", { type: "button", onclick: showSignIn }, "Sign out")),
    h("main", {}));
  route();
}

function route() {
  if (!session) return;
  const name = Object.hasOwn(PAGES, location.hash.slice(1)) ? location.hash.slice(1) : "errors";
  shown?.stop();
  const [title, make] = PAGES[name];
  shown = make();
  document.title = `${title} · ${environment.name} · Tenon console`;
  for (const link of app.querySelectorAll("nav a")) {
    if (link.getAttribute("href") === `#${name}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const { page, load } = shown;
  app.querySelector("main").replaceChildren(page);
  page.querySelector("h2").focus();
  // What cannot be loaded is said in its place, until it can.
  const failed = h("div", { class: "notice", role: "alert", hidden: true }, h("p", {}), button("Try again", () => first()));
  page.querySelector("h2").after(failed);
  const first = async () => {
    try {
      await load();
      failed.hidden = true;
    } catch (problem) {
      failed.querySelector("p").textContent = problem.message;
      failed.hidden = Boolean(problem.stale);
    }
  };
  first();
}

addEventListener("hashchange", route);
// A page that is kept for the Back button would keep its key.
addEventListener("pagehide", showSignIn);
showSignIn();
