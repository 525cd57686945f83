const LOOPBACK = new Set(["localhost", "127.0.0.1", "[::1]"]);

/**
 * Returns the base URL of the API without a slash at its end. The key, and the key set of user
 * tokens, must not be read or changed on their way, so that only this machine may be called without
 * TLS.
 */
export function checkedUrl(url: unknown): string {
  const text = typeof url === "string" ? url.trim() : "";
  const parsed = URL.canParse(text) ? new URL(text) : null;
  const isPrivate = parsed?.protocol === "https:" || (parsed?.protocol === "http:" && LOOPBACK.has(parsed.hostname));
  if (!parsed || !isPrivate || /[?#]/.test(text) || parsed.username || parsed.password) {
    throw new TypeError("url must be an https URL, or http for this machine: is TENON_URL set?");
  }
  return text.replace(/\/+$/, "");
}
