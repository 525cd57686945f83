// Entry point: sign-in, navigation, and the page of the present address.

import { Fragment, h, render, useEffect, useErrorBoundary, useRef, useState } from "./preact.js";
import { restoreSession, signIn, signOut, useSession } from "./api.js";
import { refresh, usePolling } from "./data.js";
import { loadDestinations, refreshDestinations, useDestinations } from "./destination_store.js";
import { DestinationPage } from "./destination.js";
import { DestinationsPage } from "./destinations.js";
import { confirmAction, Dialogs } from "./dialogs.js";
import { EnvironmentPage } from "./environment.js";
import { ErrorsPage } from "./errors.js";
import { EventsPage } from "./events.js";
import { Field, Form } from "./forms.js";
import { InstallationsPage } from "./installations.js";
import { hasDrafts } from "./integration_editor.js";
import { IntegrationPage, IntegrationsPage } from "./integrations.js";
import { announce, Messages } from "./messages.js";
import { go, isReturn, link, useAddress, useTitle } from "./route.js";
import { Badge, Button, Icon, Notice } from "./ui.js";
import { UserPage, UsersPage } from "./users.js";
import { WorkflowPage } from "./workflows.js";

// Pages by the first part of their address: title, page, and page of the item that a second part
// names.
const PAGES = {
  errors: ["Errors", ErrorsPage],
  destinations: ["Destinations", DestinationsPage, DestinationPage],
  events: ["Events", EventsPage],
  integrations: ["Integrations", IntegrationsPage, IntegrationPage],
  installations: ["Installations", InstallationsPage],
  users: ["Users", UsersPage, UserPage],
  environment: ["Environment", EnvironmentPage],
};
// Pages of items that have no list of their own, with the page that is marked in the navigation.
const ITEM_PAGES = { workflows: ["users", WorkflowPage] };
// Pause between updates of the health of all destinations, on pages that show only a summary of it.
const HEALTH_MS = 60000;

const EnvironmentName = ({ environment: { name, kind } }) =>
  h(
    "span",
    { class: "environment" },
    h("strong", {}, name),
    h(Badge, { kind: kind === "live" ? "bad" : "info" }, kind),
  );

function SignIn({ reason }) {
  const [isKept, setKept] = useState(false);
  useEffect(() => {
    document.title = "Tenon console";
    document.querySelector("input").focus();
  }, []);
  return h(
    Fragment,
    {},
    h(
      "main",
      { class: "sign-in" },
      h(
        "div",
        { class: "card" },
        h("h1", {}, "Tenon"),
        h("p", { class: "quiet" }, "Sign in with an API key of the environment."),
        reason && h(Notice, { kind: "warn", role: "alert" }, h("p", {}, reason)),
        h(
          Form,
          { submit: "Sign in", send: ({ key }) => signIn(key.trim().replace(/^Bearer\s+/i, ""), isKept) },
          h(Field, {
            label: "API key",
            name: "key",
            class: "secret",
            isWide: true,
            required: true,
            placeholder: "tn_live_… or tn_test_…",
            hint: "With the scope read, or manage to change things.",
          }),
          h(
            "label",
            { class: "check wide" },
            h("input", {
              type: "checkbox",
              checked: isKept,
              onChange: (event) => setKept(event.currentTarget.checked),
            }),
            h(
              "span",
              {},
              "Stay signed in while this tab is open ",
              h("span", { class: "quiet" }, "(only for keys with the scope read)"),
            ),
          ),
        ),
      ),
    ),
    h(Messages),
  );
}

function Console({ environment, mayChange }) {
  const { parts } = useAddress();
  const [isMenuOpen, setMenuOpen] = useState(false);
  const { list = [] } = useDestinations();
  // Pages of destinations follow their health themselves, more closely.
  usePolling(loadDestinations, { first: HEALTH_MS, longest: HEALTH_MS, isActive: parts[0] !== "destinations" });
  useEffect(() => {
    refreshDestinations();
  }, []);
  const failing = list.filter(({ health }) => health.status === "failing").length;
  const [name, item] = parts;
  const [section, page] =
    Object.hasOwn(ITEM_PAGES, name ?? "") && item
      ? [ITEM_PAGES[name][0], h(ITEM_PAGES[name][1], { id: item, key: item })]
      : presentPage(name ?? "errors", item);
  useEffect(() => {
    setMenuOpen(false);
    document.querySelector("main h1")?.focus({ preventScroll: true });
    if (!isReturn()) scrollTo(0, 0);
  }, [name, item]);
  const menu = useRef(null);
  return h(
    "div",
    { class: `console ${isMenuOpen ? "menu-open" : ""}` },
    h(
      "a",
      {
        class: "skip",
        href: "#main",
        onClick: (event) => {
          event.preventDefault();
          document.querySelector("main h1")?.focus();
        },
      },
      "Skip to the page",
    ),
    h(
      "header",
      {
        class: "side",
        onKeyDown: ({ key }) => {
          if (key !== "Escape" || !isMenuOpen) return;
          setMenuOpen(false);
          menu.current.focus();
        },
      },
      h(
        "div",
        { class: "brand" },
        h("strong", {}, "Tenon"),
        h(EnvironmentName, { environment }),
        failing > 0 && h("a", { class: "badge bad phone", href: link(["destinations"]) }, `${failing} failing`),
        h(
          "button",
          {
            type: "button",
            class: "subtle square menu",
            ref: menu,
            "aria-label": "Menu",
            "aria-expanded": String(isMenuOpen),
            onClick: () => setMenuOpen(!isMenuOpen),
          },
          h(Icon, { name: "menu" }),
        ),
      ),
      h(
        "nav",
        { "aria-label": "Console" },
        Object.entries(PAGES).map(([path, [title]]) =>
          h(
            "a",
            {
              key: path,
              href: link([path]),
              "aria-current": path === section ? "page" : undefined,
              onClick: ({ currentTarget }) => {
                setMenuOpen(false);
                if (currentTarget.hash === location.hash) refresh().catch(() => {});
              },
            },
            h(Icon, { name: path }),
            title,
            path === "destinations" && failing > 0 && h(Badge, { kind: "bad" }, `${failing} failing`),
          ),
        ),
      ),
      h(
        "div",
        { class: "foot" },
        !mayChange && h(Badge, { kind: "info" }, "read only"),
        h("span", { class: "quiet" }, `Tenon ${environment.version}`),
        h(
          Button,
          {
            action: async () => {
              await refresh();
              announce("Refreshed.");
            },
          },
          "Refresh",
        ),
        h(Button, { action: async () => leave() }, "Sign out"),
      ),
    ),
    h("main", { id: "main" }, h(Boundary, { key: `${name}/${item}` }, page)),
    h(Messages),
    h(Dialogs),
  );
}

// Signs out, after a question if something is not saved. The address names what was shown, and is
// not left to the next one who signs in.
function leave() {
  const action = async () => {
    signOut();
    go("#/", { replace: true });
  };
  if (!hasDrafts()) return action();
  return confirmAction({
    title: "Discard your changes?",
    submit: "Discard and sign out",
    text: h("p", {}, "Changes of integrations are not saved."),
    action,
  });
}

// Shows that a page has failed, instead of nothing.
function Boundary({ children }) {
  const [failure, retry] = useErrorBoundary((error) => console.error(error));
  return failure
    ? h(
        Fragment,
        {},
        h("h1", { tabIndex: -1 }, failure.status === 404 ? "Not found" : "This page has failed"),
        h(
          Notice,
          { kind: "bad", role: "alert" },
          h("p", {}, failure.message),
          h(Button, { action: async () => retry() }, "Try again"),
        ),
      )
    : children;
}

function presentPage(name, item) {
  if (!Object.hasOwn(PAGES, name)) return [null, h(UnknownPage)];
  const [, list, single] = PAGES[name];
  return [name, item && single ? h(single, { id: item, key: item }) : h(list)];
}

function UnknownPage() {
  useTitle("Page not found");
  return h(
    Fragment,
    {},
    h("h1", { tabIndex: -1 }, "Page not found"),
    h("p", {}, h("a", { href: link(["errors"]) }, "Go to Errors")),
  );
}

function App() {
  const { key, environment, mayChange, reason, isRestoring } = useSession();
  if (isRestoring) return h("main", { class: "sign-in" }, h("p", { role: "status" }, "Signing in…"));
  return key ? h(Console, { key, environment, mayChange }) : h(SignIn, { reason });
}

// A control that disappears leaves the focus to the title of the page, or of the last dialog.
let focused = null;
addEventListener("focusin", ({ target }) => {
  focused = target;
});
addEventListener("pointerdown", ({ target }) => {
  focused = target.closest?.("a, button, input, select, textarea, summary");
});
new MutationObserver(() => {
  if (!focused || focused.isConnected || document.activeElement !== document.body) return;
  focused = null;
  const titles = document.querySelectorAll("main h1, dialog[open] h2");
  [...titles].at(-1)?.focus({ preventScroll: true });
}).observe(document.body, { childList: true, subtree: true });

// A page in the back/forward cache would keep its key.
addEventListener("pageshow", (event) => {
  if (event.persisted) location.reload();
});
render(h(App), document.getElementById("app"));
restoreSession();
