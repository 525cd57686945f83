// Texts of the page in each language. The host can replace texts by their keys. `{name}` stands for
// a value; keys that end in `.one` and `.other` are the forms of a plural.

import { EN } from "./texts.en.js";
import { DE } from "./texts.de.js";
import { FR } from "./texts.fr.js";
import { ES } from "./texts.es.js";
import { PT } from "./texts.pt.js";
import { JA } from "./texts.ja.js";

export { text, plural, setLanguage, relativeTime, exactTime, formatNumber, parseNumber, formatList, compareNames };

const DICTIONARIES = { en: EN, de: DE, fr: FR, es: ES, pt: PT, ja: JA };

let language = "en";
// The language with the region of the browser, for times and lists.
let locale = "en";
// That of the numbers that people write: a page that lacks their language shows its texts in
// English.
let numberLocale = "en";
let replaced = {};

// Returns the language, script and region of a code, or null: some systems have codes such as
// "en-US@posix".
function canonicalLocale(code) {
  try {
    return new Intl.Locale(code).baseName;
  } catch {
    return null;
  }
}

// Chooses the first known language of the given ones, and the texts that the host replaces.
function setLanguage(wanted, texts = {}) {
  const languageOf = (code) => String(code).toLowerCase().split("-")[0];
  const found = wanted
    .filter(Boolean)
    .map(languageOf)
    .find((code) => Object.hasOwn(DICTIONARIES, code));
  language = found ?? "en";
  locale =
    navigator.languages
      .filter((code) => languageOf(code) === language)
      .map(canonicalLocale)
      .find(Boolean) ?? language;
  const first = wanted.map(canonicalLocale).find(Boolean);
  numberLocale = first && languageOf(first) !== language ? first : locale;
  const known = Object.entries(texts ?? {}).filter(
    ([key, value]) => Object.hasOwn(EN, key) && typeof value === "string",
  );
  replaced = Object.fromEntries(known);
  document.documentElement.lang = language;
}

// Returns a value that does not change the order of the text around it. Controls of the direction
// could let another sentence appear.
function isolated(value) {
  const plain = String(value).replace(/[\u202A-\u202E\u2066-\u2069]/g, "");
  // The blocks of scripts that are written from right to left.
  return /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFF\u{10800}-\u{10FFF}\u{1E800}-\u{1EFFF}]/u.test(plain)
    ? `\u2068${plain}\u2069`
    : plain;
}

function text(key, values = {}) {
  const template = replaced[key] ?? DICTIONARIES[language][key] ?? EN[key] ?? key;
  return template.replace(/\{(\w+)\}/g, (whole, name) =>
    Object.hasOwn(values, name) ? isolated(values[name]) : whole,
  );
}

// Up to 999,999 these languages have no other forms: `many` of French, Spanish and Portuguese is
// for millions.
const plural = (key, count, more = "") =>
  text(`${key}.${new Intl.PluralRules(language).select(count) === "one" ? "one" : "other"}`, {
    count: new Intl.NumberFormat(locale).format(count) + more,
  });

const UNITS = [
  ["day", 86_400],
  ["hour", 3600],
  ["minute", 60],
];

// Describes a time as, for example, "5 minutes ago".
function relativeTime(time) {
  const seconds = (Date.now() - Date.parse(time)) / 1000;
  const [unit, length] = UNITS.find(([, unitLength]) => seconds >= unitLength) ?? [];
  return unit ? new Intl.RelativeTimeFormat(locale).format(-Math.floor(seconds / length), unit) : text("justNow");
}

const exactTime = (time) =>
  new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "long" }).format(new Date(time));

const formatList = (names) => new Intl.ListFormat(locale).format(names);
const compareNames = (one, other) => one.localeCompare(other, locale);

const separator = () => (new Intl.NumberFormat(numberLocale).format(1.5)[1] === "," ? "," : ".");
const formatNumber = (number) => String(number).replace(".", separator());

// Returns a number, or null if the text is none, or so large that JavaScript would round it. Its
// characters may be full-width. Spaces and apostrophes may group digits.
function parseNumber(entered) {
  const narrow = entered
    .replace(/[\uFF01-\uFF5E]/g, (wide) => String.fromCharCode(wide.charCodeAt(0) - 0xfee0))
    .replace("\u2212", "-");
  const plain = narrow.replace(/^[+-]?[1-9]\d{0,2}(?:[\s'’]\d{3})+(?!\d)/, (grouped) => grouped.replace(/[\s'’]/g, ""));
  const [found, whole, mark, fraction = ""] = /^[+-]?(\d*)([.,](\d+))?(?:e[+-]?\d+)?$/i.exec(plain) ?? [];
  // "1,000" is 1000 for those who write 1.5, and 1 for the others.
  const mayGroup = mark && !mark.startsWith(separator()) && fraction.length === 3 && Number(whole) > 0;
  const number = found && (whole || fraction) && !mayGroup ? Number(plain.replace(",", ".")) : NaN;
  return Math.abs(number) <= Number.MAX_SAFE_INTEGER ? number : null;
}
