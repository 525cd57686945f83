import type { IncomingHttpHeaders } from "node:http";

import { Webhook, WebhookVerificationError } from "standardwebhooks";

import type { components } from "./api.js";

export { WebhookVerificationError };

/** Body of a webhook: an error or, with the member `type`, an event. */
export type WebhookRecord = components["schemas"]["Error"] | components["schemas"]["Event"];

/**
 * Returns the record of a webhook whose signature is valid, or throws a `WebhookVerificationError`.
 *
 * `body` is the body as it was received, before any parser; a parsed one throws a `TypeError`.
 * `secret` is that of the destination; an empty or malformed one counts as an invalid signature.
 */
export function verifyWebhook(
  secret: string,
  body: string | Uint8Array | ArrayBuffer,
  headers: IncomingHttpHeaders | Headers,
): WebhookRecord {
  if (typeof body !== "string" && !(body instanceof Uint8Array) && !(body instanceof ArrayBuffer)) {
    throw new TypeError("body is neither a string nor bytes: pass the raw body");
  }
  const text = typeof body === "string" ? body : Buffer.from(body as Uint8Array).toString();
  const entries = headers instanceof Headers ? [...headers] : Object.entries(headers);
  const joined = entries.map(([name, value]) => [name, Array.isArray(value) ? value.join(" ") : value]);
  return webhookOf(secret).verify(text, Object.fromEntries(joined) as Record<string, string>) as WebhookRecord;
}

/**
 * Returns the verifier of a secret. JavaScript callers may pass an unset variable, and files end
 * with a newline.
 */
function webhookOf(secret: unknown): Webhook {
  const text = typeof secret === "string" ? secret.trim() : "";
  if (!/^(whsec_)?[A-Za-z0-9+/]{4,}={0,2}$/.test(text)) {
    throw new WebhookVerificationError("secret is missing or malformed: is WEBHOOK_SECRET set?");
  }
  return new Webhook(text);
}
