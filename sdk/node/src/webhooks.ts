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
 * `secret` is that of the destination.
 */
export function verifyWebhook(
  secret: string,
  body: string | Buffer,
  headers: IncomingHttpHeaders | Headers,
): WebhookRecord {
  if (typeof body !== "string" && !Buffer.isBuffer(body)) {
    throw new TypeError("body is not a string or Buffer: pass the raw body");
  }
  if (!secret) throw new WebhookVerificationError("secret is empty");
  const entries = headers instanceof Headers ? headers.entries() : Object.entries(headers);
  return new Webhook(secret).verify(body, Object.fromEntries(entries) as Record<string, string>) as WebhookRecord;
}
