import { createRemoteJWKSet, errors, type JWTPayload, jwtVerify, type JWTVerifyGetKey } from "jose";

import type { components } from "./api.js";
import { checkedUrl } from "./url.js";

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
}

/** The key set cannot be read. This says nothing about the token. */
export class KeySetError extends Error {
  override readonly name = "KeySetError";
}

/** Tenon's documents ask to cache the key set for at most five minutes. */
const KEY_SET_MAX_AGE_MS = 300_000;
/** Tolerated difference of the clocks, also at the end of the lifetime. */
const CLOCK_TOLERANCE_S = 5;

/**
 * Returns a function that verifies user tokens of an environment, which pages send to your own
 * server. It returns the claims. It rejects with an error of `jose` if the token is not valid, and
 * with a `KeySetError` if the key set cannot be read.
 *
 * The key set is cached, and fetched again when a token has an unknown key. A valid token does not
 * prove that the user is still enabled. A token of an install link is refused: anyone who has the
 * link gets one.
 */
export function tokenVerifier(settings: {
  /** Base URL of the API. */
  url: string;
  /**
   * Parameter `TokenIssuer` of the stack; its default is `urn:tenon:<account>:<region>:<stack>`.
   */
  issuer: string;
  environmentId: string;
}): (token: string) => Promise<UserTokenClaims> {
  const url = new URL(`${checkedUrl(settings.url)}/.well-known/jwks.json`);
  const issuer = checked("issuer", settings.issuer);
  const environmentId = checked("environmentId", settings.environmentId);
  const remote = createRemoteJWKSet(url, { cacheMaxAge: KEY_SET_MAX_AGE_MS });
  const keySet: JWTVerifyGetKey = async (header, token) => {
    try {
      return await remote(header, token);
    } catch (error) {
      // The token names no key, or an unknown one.
      if (error instanceof errors.JWKSNoMatchingKey || error instanceof errors.JWKSMultipleMatchingKeys) throw error;
      throw new KeySetError("the key set of user tokens cannot be read", { cause: error });
    }
  };
  return async (token) => {
    const { payload } = await jwtVerify<UserTokenClaims>(token, keySet, {
      algorithms: ["ES256"],
      audience: "tenon",
      clockTolerance: CLOCK_TOLERANCE_S,
      issuer,
      requiredClaims: ["iss", "sub", "env", "exp"],
      typ: "tenon-user+jwt",
    });
    if (payload.env !== environmentId) {
      throw new errors.JWTClaimValidationFailed("token of another environment", payload, "env", "check_failed");
    }
    if (payload.hosted) {
      throw new errors.JWTClaimValidationFailed("token of an install link", payload, "hosted", "check_failed");
    }
    return payload;
  };
}

/** Returns a setting. A missing one, such as an unset variable, would not be compared. */
function checked(name: string, value: unknown): string {
  if (typeof value !== "string" || !value) throw new TypeError(`${name} is missing`);
  return value;
}
