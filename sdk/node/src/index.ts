export { Tenon, type Method, type Result, type Settings } from "./client.js";
export { TenonError, type ProblemType } from "./errors.js";
export { verifyWebhook, WebhookVerificationError, type WebhookRecord } from "./webhooks.js";
export { KeySetError, tokenVerifier, type UserTokenClaims } from "./tokens.js";
export type { components, operations, paths } from "./api.js";
