import type { components } from "./api.js";

type Problem = components["schemas"]["Problem"];

/** Rejected request: a problem document, or an error of API Gateway, which has no `type`. */
export class TenonError extends Error {
  override readonly name = "TenonError";
  /** Kind of problem without its prefix, such as `user-exists`; stable, for use in code. */
  readonly type: string | null;
  readonly title: string;
  readonly detail: string;
  /** Invalid, taken or unprocessed fields. */
  readonly errors: NonNullable<Problem["errors"]>;

  constructor(
    readonly status: number,
    /** Whole document. */
    readonly problem: Partial<Problem>,
    /** Seconds after which the API asks to repeat the request, if it does. */
    readonly retryAfter: number | null = null,
  ) {
    const detail = problem.detail ?? problem.message ?? "no description";
    // API Gateway rejects an invalid key without a problem document.
    const isUnauthorized = (status === 401 || status === 403) && !problem.type && problem.message !== undefined;
    super(`${status} ${detail}${isUnauthorized ? ": check the API key" : ""}`);
    this.detail = detail;
    // A proxy may answer with anything.
    this.type = typeof problem.type === "string" ? problem.type.replace("urn:tenon:problem:", "") : null;
    this.title = problem.title ?? `HTTP status ${status}`;
    this.errors = problem.errors ?? [];
  }
}
