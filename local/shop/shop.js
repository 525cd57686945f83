// The page of the shop. The part that an app needs for the modal is at the end.

const TEXTS = {
  en: {
    orders: "Orders",
    integrations: "Integrations",
    theme: "Theme",
    auto: "Automatic",
    light: "Light",
    dark: "Dark",
    language: "Language",
    signOut: "Sign out",
    pitch: "Connect your shop to the tools that you use. The dialog is part of Tenon.",
    inlinePitch: "The same page in place, as the element tenon-modal.",
    manage: "Manage integrations",
    connect: "Connect Shopify",
    errors: "What went wrong",
    today: "Today",
    week: "This week",
    open: "Open orders",
    order: "Order",
    customer: "Customer",
    date: "Date",
    status: "Status",
    total: "Total",
    log: "Events of the modal",
    noEvents: "None yet.",
    paid: "Paid",
    shipped: "Shipped",
    unpaid: "Unpaid",
    unavailable: "Tenon is not reachable, or does not serve the modal.",
    finished: "finished",
  },
  // German: typos:off
  de: {
    orders: "Bestellungen",
    integrations: "Integrationen",
    theme: "Farben",
    auto: "Automatisch",
    light: "Hell",
    dark: "Dunkel",
    language: "Sprache",
    signOut: "Abmelden",
    pitch: "Verbinden Sie Ihren Shop mit Ihren Werkzeugen. Der Dialog gehört zu Tenon.",
    inlinePitch: "Dieselbe Seite an Ort und Stelle, als Element tenon-modal.",
    manage: "Integrationen verwalten",
    connect: "Shopify verbinden",
    errors: "Was schiefging",
    today: "Heute",
    week: "Diese Woche",
    open: "Offene Bestellungen",
    order: "Bestellung",
    customer: "Kunde",
    date: "Datum",
    status: "Status",
    total: "Summe",
    log: "Ereignisse des Dialogs",
    noEvents: "Noch keine.",
    paid: "Bezahlt",
    shipped: "Versandt",
    unpaid: "Unbezahlt",
    unavailable: "Tenon ist nicht erreichbar oder liefert den Dialog nicht aus.",
    finished: "beendet",
  },
  // typos:on
};

// Number, customer, hours since the order, status and total of invented orders.
const ORDERS = [
  [10482, "Mira Olsen", 2, "unpaid", 128.9],
  [10481, "Tom Baker", 5, "paid", 64.5],
  [10480, "Studio Nord", 9, "paid", 1042],
  [10479, "Lena Hoff", 22, "shipped", 38.2],
  [10478, "Paul Weber", 27, "shipped", 219.99],
  [10477, "Café Central", 31, "shipped", 476.4],
  [10476, "Ida Lund", 49, "paid", 92.75],
  [10475, "Hotel Seeblick", 54, "shipped", 1318],
];

// Theme of the modal for each choice. An object has the colors of the shop.
const THEMES = {
  auto: "auto",
  light: "light",
  dark: "dark",
  brand: {
    light: { accent: "#6d28d9", onAccent: "#ffffff", radius: 12 },
    dark: { accent: "#c4b5fd", onAccent: "#1e1033", radius: 12 },
  },
};

const byId = (id) => document.getElementById(id);
const language = byId("language");
const theme = byId("theme");
const inline = location.pathname === "/inline";
const modals = new Set();
const logged = [];

function element(name, className, ...children) {
  const created = document.createElement(name);
  created.className = className;
  created.append(...children);
  return created;
}

function translate() {
  const texts = TEXTS[language.value];
  document.documentElement.lang = language.value;
  for (const node of document.querySelectorAll("[data-text]")) node.textContent = texts[node.dataset.text];
  const money = new Intl.NumberFormat(language.value, { style: "currency", currency: "EUR" });
  const date = new Intl.DateTimeFormat(language.value, { dateStyle: "medium", timeStyle: "short" });
  for (const node of document.querySelectorAll("[data-amount]")) node.textContent = money.format(node.dataset.amount);
  byId("rows").replaceChildren(
    ...ORDERS.map(([number, customer, hours, status, total]) =>
      element(
        "tr",
        "",
        element("td", "", `#${number}`),
        element("td", "", customer),
        element("td", "quiet", date.format(Date.now() - hours * 3_600_000)),
        element("td", "", element("span", `badge ${status === "unpaid" ? "open" : status}`, texts[status])),
        element("td", "number", money.format(total)),
      ),
    ),
  );
}

function log(name, detail) {
  logged.unshift(
    element(
      "li",
      "",
      element("time", "", new Date().toLocaleTimeString(language.value)),
      element("strong", "", name),
      element("code", "", JSON.stringify(detail, null, 1)),
    ),
  );
  byId("log").replaceChildren(...logged);
}

// Selects what was chosen before, and stores what is chosen.
function remember(select, apply) {
  const saved = localStorage.getItem(select.id);
  if ([...select.options].some(({ value }) => value === saved)) select.value = saved;
  select.addEventListener("change", () => {
    localStorage.setItem(select.id, select.value);
    apply();
  });
  apply();
}

remember(language, () => {
  translate();
  byId("inline").querySelector("tenon-modal").setAttribute("lang", language.value);
});
remember(theme, () => {
  document.documentElement.dataset.theme = theme.value;
  for (const modal of modals) modal.setTheme(THEMES[theme.value]);
});
byId(inline ? "inline" : "dashboard").hidden = false;
document.querySelector(`nav a[href="${location.pathname}"]`)?.setAttribute("aria-current", "page");

// ------------------------------------------------------------------------------------------
// The modal

const EVENTS = ["ready", "installed", "updated", "activated", "deactivated", "uninstalled", "failed", "close"];

// The shop's own route returns a token of the signed-in user.
async function token() {
  const response = await fetch("/my/tenon-token");
  if (response.status === 401) location.assign("/sign-in");
  if (!response.ok) throw new Error(`the shop returned status ${response.status}`);
  return response.text();
}

try {
  const { open } = await import(`${document.body.dataset.tenon}/tenon.js`);

  const show = async (options) => {
    const on = Object.fromEntries(EVENTS.map((name) => [name, (detail) => log(name, detail)]));
    const modal = open({ token, theme: THEMES[theme.value], lang: language.value, on, ...options });
    modals.add(modal);
    log(TEXTS[language.value].finished, await modal.finished);
    modals.delete(modal);
  };
  byId("manage").addEventListener("click", () => show({}));
  byId("connect").addEventListener("click", () => show({ integrationId: "shopify" }));
  byId("errors").addEventListener("click", () => show({ view: "errors" }));

  if (inline) {
    const page = document.querySelector("tenon-modal");
    for (const name of EVENTS) page.addEventListener(name, ({ detail }) => log(name, detail));
    page.theme = THEMES[theme.value];
    page.token = token;
    modals.add({
      setTheme: (value) => {
        page.theme = value;
      },
    });
  }
} catch (error) {
  console.error(error);
  byId("problem").textContent = TEXTS[language.value].unavailable;
  byId("problem").hidden = false;
}
