// Theme: colors, radius and font become custom properties of the page, never markup.

export { applyTheme, setThemes };

const PROPERTIES = {
  accent: "--accent",
  onAccent: "--on-accent",
  background: "--background",
  surface: "--surface",
  text: "--text",
  mutedText: "--muted-text",
  border: "--border",
  danger: "--danger",
  radius: "--radius",
  font: "--font",
};

// Defaults of the colors whose contrast is checked. The style sheet and the API have the same ones.
const DEFAULT_COLORS = {
  light: {
    accent: "#0b5cad",
    onAccent: "#ffffff",
    background: "#ffffff",
    surface: "#f4f6f8",
    text: "#1c2024",
    mutedText: "#5b6570",
    danger: "#b3261e",
  },
  dark: {
    accent: "#7db8f5",
    onAccent: "#0d1a28",
    background: "#14171a",
    surface: "#1d2126",
    text: "#e7eaee",
    mutedText: "#a3adb8",
    danger: "#ff9d94",
  },
};
const TEXT_ON = [
  ["text", "background"],
  ["text", "surface"],
  ["mutedText", "background"],
  ["onAccent", "accent"],
  ["danger", "background"],
];
const MIN_CONTRAST = 4.5;

const isObject = (value) => typeof value === "object" && value !== null && !Array.isArray(value);

const isValidMember = (name, value) => {
  if (name === "radius") return Number.isInteger(value) && value >= 0 && value <= 24;
  if (typeof value !== "string") return false;
  return (name === "font" ? /^[A-Za-z0-9 ,'-]{1,100}$/ : /^#[0-9A-Fa-f]{6}$/).test(value);
};

// Relative luminance of a color (WCAG 2.2), from 0 to 1.
function luminance(color) {
  const [red, green, blue] = [1, 3, 5]
    .map((at) => parseInt(color.slice(at, at + 2), 16) / 255)
    .map((channel) => (channel <= 0.04045 ? channel / 12.92 : ((channel + 0.055) / 1.055) ** 2.4));
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function contrast(one, other) {
  const both = [luminance(one), luminance(other)];
  return (Math.max(...both) + 0.05) / (Math.min(...both) + 0.05);
}

// Returns why a theme is invalid, or null.
function themeProblem(theme) {
  if (["light", "dark", "auto"].includes(theme)) return null;
  if (!isObject(theme)) return "must be light, dark, auto or an object";
  for (const [scheme, palette] of Object.entries(theme)) {
    if (!["light", "dark"].includes(scheme)) return `${scheme} is unknown`;
    if (!isObject(palette)) return `${scheme} must be an object`;
    for (const [name, value] of Object.entries(palette)) {
      if (!Object.hasOwn(PROPERTIES, name)) return `${scheme}.${name} is unknown`;
      if (!isValidMember(name, value)) return `${scheme}.${name} is invalid`;
    }
    const colors = { ...DEFAULT_COLORS[scheme], ...palette };
    const low = TEXT_ON.find(([front, behind]) => contrast(colors[front], colors[behind]) < MIN_CONTRAST);
    if (low) return `${scheme}: the contrast of ${low[0]} on ${low[1]} is below ${MIN_CONTRAST}:1`;
  }
  return null;
}

const prefersDark = matchMedia("(prefers-color-scheme: dark)");
// Theme of the host, and that of the environment, which applies without the former.
let themes = { host: null, environment: null };

// Replaces one or both themes. An invalid theme of the host is ignored.
function setThemes(changed) {
  const problem = (changed.host ?? null) === null ? null : themeProblem(changed.host);
  if (problem) console.warn(`tenon: the theme is ignored: ${problem}`);
  themes = { ...themes, ...changed, ...(problem && { host: themes.host }) };
  applyTheme();
}

function applyTheme() {
  const theme = themes.host ?? themes.environment ?? "auto";
  const scheme = ["light", "dark"].includes(theme) ? theme : prefersDark.matches ? "dark" : "light";
  const palette = isObject(theme) ? (theme[scheme] ?? {}) : {};
  const root = document.documentElement;
  root.dataset.scheme = scheme;
  for (const [name, property] of Object.entries(PROPERTIES)) {
    const value = palette[name];
    if (value === undefined || value === null) root.style.removeProperty(property);
    else root.style.setProperty(property, name === "radius" ? `${value}px` : String(value));
  }
}

prefersDark.addEventListener("change", applyTheme);
