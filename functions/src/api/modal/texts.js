// Texts of the page in each language. The host can replace texts by their keys. `{name}` stands for a value;
// keys that end in `.one` and `.other` are the forms of a plural.

import { EN } from "./texts.en.js";
import { DE } from "./texts.de.js";
import { FR } from "./texts.fr.js";
import { ES } from "./texts.es.js";
import { PT } from "./texts.pt.js";
import { JA } from "./texts.ja.js";

export { text, plural, setLanguage, relativeTime, exactTime, formatNumber, parseNumber };

const DICTIONARIES = { en: EN, de: DE, fr: FR, es: ES, pt: PT, ja: JA };

let language = "en";
let replaced = {};

// Chooses the first known language of the given ones, and the texts that the host replaces.
function setLanguage(wanted, texts = {}) {
  const codes = wanted.filter(Boolean).map((code) => String(code).toLowerCase().split("-")[0]);
  language = codes.find((code) => Object.hasOwn(DICTIONARIES, code)) ?? "en";
  const known = Object.entries(texts ?? {}).filter(([key, value]) => Object.hasOwn(EN, key) && typeof value === "string");
  replaced = Object.fromEntries(known);
  document.documentElement.lang = language;
}

function text(key, values = {}) {
  const template = replaced[key] ?? DICTIONARIES[language][key] ?? EN[key] ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) => (Object.hasOwn(values, name) ? String(values[name]) : whole));
}

// Up to 999,999 these languages have no other forms: `many` of French, Spanish and Portuguese is for
// millions.
const plural = (key, count) =>
  text(`${key}.${new Intl.PluralRules(language).select(count) === "one" ? "one" : "other"}`, { count: new Intl.NumberFormat(language).format(count) });

const UNITS = [["day", 86_400], ["hour", 3600], ["minute", 60]];

// Describes a time as, for example, "5 minutes ago".
function relativeTime(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  const [unit, length] = UNITS.find(([, unitLength]) => seconds >= unitLength) ?? ["second", 1];
  const format = new Intl.RelativeTimeFormat(language, { numeric: "auto" });
  return unit === "second" ? format.format(0, "second") : format.format(-Math.floor(seconds / length), unit);
}

const exactTime = (time) => new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "long" }).format(new Date(time));

// Numbers have the decimal separator of the language and no other one: "1,000" is not 1.
const separator = () => new Intl.NumberFormat(language).format(1.5)[1];
const formatNumber = (number) => String(number).replace(".", separator());

// Returns a number, or null if the text is none.
function parseNumber(entered) {
  const isNumber = /^[+-]?(\d+|\d*[.,]\d+)(e[+-]?\d+)?$/i.test(entered) && !/[.,]/.test(entered.replace(separator(), ""));
  const number = isNumber ? Number(entered.replace(separator(), ".")) : NaN;
  return Number.isFinite(number) ? number : null;
}
