import type { components } from "./api.js";

type Problem = components["schemas"]["Problem"];
type NameOf<Uri> = Uri extends `urn:tenon:problem:${infer Name}` ? Name : never;

/** Kind of problem without its prefix, such as `user-exists`. */
export type ProblemType = NameOf<Problem["type"]>;

export const NOT_JSON = "the response is not a JSON object: check the URL of the API";

/** Rejected request: a problem document, or an error of API Gateway, which has no `type`. */
export class TenonError extends Error {
  override readonly name = "TenonError";
  /** Kind of problem; stable, for use in code. Later versions of Tenon may add others. */
  readonly type: ProblemType | (string & {}) | null;
  readonly title: string;
  readonly detail: string;
  /** Invalid, taken or unprocessed fields. */
  readonly errors: NonNullable<Problem["errors"]>;
  /** Id of the request, by which the operator finds it in the logs. */
  readonly requestId: string | null;

  constructor(
    readonly status: number,
    /** Whole document. */
    readonly problem: Partial<Problem>,
    /** Seconds after which the API asks to repeat the request, if it does. */
    readonly retryAfter: number | null = null,
    requestId: string | null = null,
  ) {
    // A proxy may answer with anything.
    const [type, title, detail, message] = [problem.type, problem.title, problem.detail, problem.message].map(textOf);
    // API Gateway rejects an invalid key without a problem document.
    const isUnauthorized = (status === 401 || status === 403) && !type && message;
    // Tenon itself explains what it does not find.
    const isElsewhere = status === 404 && !type && detail !== NOT_JSON;
    const hint = isUnauthorized ? ": check the API key" : isElsewhere ? ": check the URL of the API" : "";
    super(`${status} ${detail ?? message ?? NO_DETAIL}${hint}`);
    this.detail = detail ?? message ?? NO_DETAIL;
    this.type = type?.replace("urn:tenon:problem:", "") ?? null;
    this.title = title ?? `HTTP status ${status}`;
    this.requestId = textOf(problem.instance) ?? requestId;
    this.errors = Array.isArray(problem.errors) ? problem.errors : [];
  }
}

const NO_DETAIL = "no description";

function textOf(value: unknown): string | undefined {
  return typeof value === "string" && value ? value : undefined;
}
