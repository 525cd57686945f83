const TRANSIENT = new Set([429, 502, 503, 504]);
/** A longer pause than this is left to the caller, and none grows longer. */
const MAX_PAUSE_MS = 60_000;
const FIRST_PAUSE_MS = 500;

/** Decides whether an attempt that was rejected is repeated. */
export function isTransient(status: number, type: string | null, isRepeatable: boolean): boolean {
  // API Gateway rejects with 429 before a function starts: nothing was done yet.
  if (status === 429) return true;
  // An earlier attempt with the same idempotency key is still running.
  return isRepeatable && (TRANSIENT.has(status) || type === "idempotency-key-in-progress");
}

/** Returns the seconds of a `Retry-After`. A date is possible in HTTP, but Tenon sends seconds. */
export function secondsOf(retryAfter: string | null): number | null {
  return retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
}

/** Returns the pause after an attempt, counted from 1, or null if the seconds that are asked for are too many. */
export function pause(attempt: number, retryAfter: number | null): number | null {
  if (retryAfter !== null) return retryAfter * 1000 <= MAX_PAUSE_MS ? retryAfter * 1000 : null;
  return Math.min(FIRST_PAUSE_MS * 2 ** (attempt - 1), MAX_PAUSE_MS) * (0.5 + Math.random() / 2);
}
