const TRANSIENT = new Set([429, 502, 503, 504]);
/** A longer `Retry-After` is left to the caller. */
const MAX_PAUSE_MS = 60_000;
const FIRST_PAUSE_MS = 500;
/** Pause after `Retry-After: 0`, so that pauses can grow. */
const LEAST_PAUSE_MS = 50;
/** Longest pause that does not follow from a `Retry-After`. */
const LONGEST_PAUSE_MS = 8_000;

/** Problem of a request whose earlier attempt with the same idempotency key is still running. */
export const IN_PROGRESS = "idempotency-key-in-progress";
/** Time after which that attempt has ended in any case: the time limit of API Gateway. */
export const MAX_RUN_MS = 30_000;

/** Decides whether an attempt that was rejected is repeated. */
export function isTransient(status: number, type: string | null, isRepeatable: boolean): boolean {
  // API Gateway rejects with 429 before a function starts: nothing was done yet.
  if (status === 429) return true;
  // API Gateway reports a function that crashed or ran out of time without a problem document.
  const isOfGateway = status === 500 && type === null;
  return isRepeatable && (TRANSIENT.has(status) || isOfGateway);
}

/** Returns the seconds of a `Retry-After`. A date is possible in HTTP, but Tenon sends seconds. */
export function secondsOf(retryAfter: string | null): number | null {
  return retryAfter !== null && /^\d+$/.test(retryAfter) ? Number(retryAfter) : null;
}

/**
 * Returns the pause after an attempt, counted from 1, or null if the seconds that are asked for are
 * too many. Grows, and differs between clients, so that they do not return together.
 */
export function pause(attempt: number, retryAfter: number | null): number | null {
  const growth = 2 ** (attempt - 1);
  if (retryAfter === null) return Math.min(FIRST_PAUSE_MS * growth, LONGEST_PAUSE_MS) * (0.5 + Math.random() / 2);
  const asked = Math.max(retryAfter * 1000, LEAST_PAUSE_MS);
  if (asked > MAX_PAUSE_MS) return null;
  return Math.max(asked, Math.min(asked * growth, LONGEST_PAUSE_MS)) * (1 + Math.random() / 2);
}
