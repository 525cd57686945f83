const TRANSIENT = new Set([429, 502, 503, 504]);
/** A longer pause than this is left to the caller. */
const MAX_PAUSE_MS = 60_000;
const FIRST_PAUSE_MS = 500;

/** Decides whether an attempt that was rejected is repeated. */
export function isTransient(status: number, type: string | null, isRepeatable: boolean): boolean {
  // API Gateway rejects with 429 before a function starts: nothing was done yet.
  if (status === 429) return true;
  // An earlier attempt with the same idempotency key is still running.
  return isRepeatable && (TRANSIENT.has(status) || type === "idempotency-key-in-progress");
}

/** Returns the pause after an attempt, counted from 1, or null if it is too long to wait here. */
export function pause(attempt: number, retryAfter: string | null): number | null {
  // A date is possible in HTTP, but Tenon sends seconds.
  const asked = retryAfter === null ? Number.NaN : Number(retryAfter) * 1000;
  if (asked >= 0) return asked <= MAX_PAUSE_MS ? asked : null;
  return FIRST_PAUSE_MS * 2 ** (attempt - 1) * (0.5 + Math.random() / 2);
}
