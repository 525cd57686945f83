import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify } from "jose";

import type { components } from "./api.js";

/** Claims of a user token. */
export interface UserTokenClaims extends JWTPayload {
  /** Id of the user. */
  sub: string;
  /** Id of the environment. */
  env: string;
  mode?: components["schemas"]["TokenMode"];
  /** Integrations to which the token is limited. */
  integrations?: string[];
  origins?: string[];
  /** True if the token stems from an install link. */
  hosted?: boolean;
}

/** Tenon's documents ask to cache the key set for at most five minutes. */
const KEY_SET_MAX_AGE_MS = 300_000;
/** Tolerated difference of the clocks, also at the end of the lifetime. */
const CLOCK_TOLERANCE_S = 5;

/**
 * Returns a function that verifies user tokens of an environment, which pages send to your own
 * server. It returns the claims, or rejects with an error of `jose`.
 *
 * The key set is cached, and fetched again when a token has an unknown key. A valid token does not
 * prove that the user is still enabled.
 */
export function tokenVerifier(settings: {
  /** Base URL of the API. */
  url: string;
  /** Parameter `TokenIssuer` of the stack; its default is `urn:tenon:<account>:<region>:<stack>`. */
  issuer: string;
  environmentId: string;
}): (token: string) => Promise<UserTokenClaims> {
  const url = new URL(`${settings.url.replace(/\/+$/, "")}/.well-known/jwks.json`);
  const keySet = createRemoteJWKSet(url, { cacheMaxAge: KEY_SET_MAX_AGE_MS });
  return async (token) => {
    const { payload } = await jwtVerify<UserTokenClaims>(token, keySet, {
      algorithms: ["ES256"],
      audience: "tenon",
      clockTolerance: CLOCK_TOLERANCE_S,
      issuer: settings.issuer,
      requiredClaims: ["sub", "env", "exp"],
      typ: "tenon-user+jwt",
    });
    if (payload.env !== settings.environmentId) {
      throw new errors.JWTClaimValidationFailed("token of another environment", payload, "env", "check_failed");
    }
    return payload;
  };
}
