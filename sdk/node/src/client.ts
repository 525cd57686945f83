import { randomUUID } from "node:crypto";
import { setMaxListeners } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";

import type { paths } from "./api.js";
import { NOT_JSON, TenonError } from "./errors.js";
import { IN_PROGRESS, isTransient, MAX_RUN_MS, pause, secondsOf } from "./retries.js";
import { checkedUrl } from "./url.js";

export interface Settings {
  /** Base URL of the API. */
  url: string;
  /** API key, or a user token. */
  key: string;
  /** Time limit of each attempt. Default: 30 seconds. */
  timeoutMs?: number | undefined;
  /** Maximum number of repetitions of a request. Default: 3. */
  retries?: number | undefined;
}

export type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

interface Operation {
  parameters: { query?: unknown; header?: unknown; path?: unknown };
  requestBody?: unknown;
  responses: object;
}

/** Operation of a method and path in the OpenAPI document. */
type OperationOf<M extends Method, P extends keyof paths> = Extract<
  paths[P][Lowercase<M> & keyof paths[P]],
  Operation
>;

type Json<T> = T extends { content: { "application/json": infer Body } } ? Body : never;

/** Paths that have a method whose response is JSON. */
type PathOf<M extends Method> = {
  [P in keyof paths]: [OperationOf<M, P>] extends [never] ? never : [Result<M, P>] extends [never] ? never : P;
}[keyof paths];

/** Body of a successful response. */
export type Result<M extends Method, P extends keyof paths> = Json<
  OperationOf<M, P>["responses"][keyof OperationOf<M, P>["responses"] & (200 | 201 | 202)]
>;

type Body<B> = [B] extends [never] ? unknown : {} extends B ? { body?: B } : { body: B };

/** The same members, of which the optional ones may also be undefined: they are not sent. */
type Unset<T> = { [K in keyof T]: {} extends Pick<T, K> ? T[K] | undefined : T[K] };

type Input<O extends Operation> = {
  [K in keyof Pick<O["parameters"], "path" | "query" | "header">]: Unset<O["parameters"][K]>;
} & Body<Json<NonNullable<O["requestBody"]>>> & {
    /** Ends the call, also between its attempts. */
    signal?: AbortSignal | undefined;
  };

/**
 * Arguments after the path. They may be omitted if nothing is required. The type is distributive,
 * so that the compiler decides for the path of a call and not for all paths together.
 */
type Inputs<O> = O extends Operation ? ({} extends Input<O> ? [input?: Input<O>] : [input: Input<O>]) : never;

/** Input as it is sent; its type was checked by the caller's compiler. */
interface Sent {
  path?: Record<string, string> | undefined;
  query?: Record<string, unknown> | undefined;
  header?: Record<string, string> | undefined;
  body?: unknown;
  signal?: AbortSignal | undefined;
}

type Names<T> = T extends object ? keyof T : never;

/** Paths of lists in pages. */
type ListPath = {
  [P in PathOf<"GET">]: "cursor" extends Names<OperationOf<"GET", P>["parameters"]["query"]> ? P : never;
}[PathOf<"GET">];

type Item<Page> = Page extends { data: (infer T)[] } | { errors: (infer T)[] } ? T : never;

type KeyedPath = {
  [P in PathOf<"POST">]: "Idempotency-Key" extends Names<OperationOf<"POST", P>["parameters"]["header"]>
    ? P
    : never;
}[PathOf<"POST">];

/** Paths whose POST has an `Idempotency-Key`. The compiler compares them with the document. */
const KEYED: Record<KeyedPath, true> = {
  "/destinations": true,
  "/destinations/{destinationId}/replay": true,
  "/users": true,
  "/users/batch": true,
  "/users/{user}/credentials": true,
  "/workflows": true,
  "/workflows/{workflowId}/errors": true,
};

/** Version of the package, which the requests name. */
const VERSION = "0.1.0";
/** Longest time of a timer of Node.js. */
const MAX_TIMER_MS = 2 ** 31 - 1;

/** Client of the API with one API key. */
export class Tenon {
  readonly #url: string;
  readonly #key: string;
  readonly #timeoutMs: number;
  readonly #retries: number;

  constructor({ url, key, timeoutMs = 30_000, retries = 3 }: Settings) {
    this.#url = checkedUrl(url);
    this.#key = checkedKey(key);
    this.#timeoutMs = checkedNumber("timeoutMs", timeoutMs, 1);
    this.#retries = checkedNumber("retries", retries, 0);
  }

  /**
   * Sends a request and returns the body of its response. Throws a `TenonError` if it is rejected.
   *
   * Repeats after network errors, 429, 502, 503, 504 and a 500 of API Gateway if the request is a
   * GET, reveals a credential, issues a token, or is a POST with an `Idempotency-Key`, which is
   * generated unless it is given; repeats any request after 429. While an earlier attempt with the
   * same key is still running, waits for it for up to half a minute. `signal` ends the call.
   */
  async call<M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    ...inputs: Inputs<OperationOf<M, P>>
  ): Promise<Result<M, P>> {
    return (await this.#send(method, path, inputs[0] as Sent | undefined)).body as Result<M, P>;
  }

  /**
   * Sends a request like `call`. Returns the body with the `ETag` of the response, for `If-Match`.
   */
  async callWithEtag<M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    ...inputs: Inputs<OperationOf<M, P>>
  ): Promise<{ body: Result<M, P>; etag: string | null }> {
    return (await this.#send(method, path, inputs[0] as Sent | undefined)) as { body: Result<M, P>; etag: string | null };
  }

  /**
   * Yields the items of a list, and requests its pages as needed. `limit` is the size of a page.
   */
  async *list<P extends ListPath>(
    path: P,
    ...inputs: Inputs<OperationOf<"GET", P>>
  ): AsyncGenerator<Item<Result<"GET", P>>, void> {
    const input = (inputs[0] ?? {}) as Sent;
    let { query } = input;
    for (;;) {
      const { body } = await this.#send("GET", path, { ...input, query });
      const page = body as { data?: unknown; errors?: unknown; cursor?: string | null };
      const items = page.data ?? page.errors;
      if (!Array.isArray(items)) {
        throw new TenonError(200, { detail: "the response is not a page of a list: check the URL of the API" });
      }
      yield* items as Item<Result<"GET", P>>[];
      if (!page.cursor) return;
      // The cursor is behind the items that were skipped.
      query = { ...query, cursor: page.cursor, skip: undefined };
    }
  }

  async #send(
    given: Method,
    path: string,
    { path: values, query, header, body, signal, ...others }: Sent = {},
  ): Promise<{ body: unknown; etag: string | null }> {
    const names = Object.keys(others).join(", ");
    if (names) throw new TypeError(`unknown options: ${names}; the options are path, query, header, body and signal`);
    // `fetch` does not do so for PATCH.
    const method = given.toUpperCase();
    const url = this.#url + fillIn(path, values) + queryString(query);
    const headers = new Headers({ authorization: `Bearer ${this.#key}`, "user-agent": `tenon-node/${VERSION}` });
    for (const [name, value] of Object.entries(header ?? {})) {
      // JavaScript would send the text "undefined".
      if (value !== undefined && value !== null) headers.set(name, value);
    }
    const content = body === undefined ? null : JSON.stringify(body);
    if (content !== null) headers.set("content-type", "application/json");
    const isKeyed = method === "POST" && hasKey(path);
    if (isKeyed && !headers.has("idempotency-key")) headers.set("idempotency-key", randomUUID());
    // Revealing a credential and issuing a token change nothing.
    const changesNothing = method === "GET" || /\/(reveal|token)$/.test(path);
    const isRepeatable = isKeyed || changesNothing;

    const wait = async (milliseconds: number) => {
      await sleep(milliseconds, undefined, signal && { signal }).catch(() => signal?.throwIfAborted());
    };
    let [attempt, waits, runsUntil] = [1, 0, 0];
    for (;;) {
      const isLast = attempt > this.#retries;
      let response: Response;
      let text: string;
      try {
        // Tenon does not redirect, and the key is for its URL alone.
        const request = { method, headers, body: content, redirect: "manual" } as const;
        [response, text] = await exchange(url, request, this.#timeoutMs, signal);
      } catch (error) {
        signal?.throwIfAborted();
        if (isLast || !isRepeatable) throw error;
        await wait(pause(attempt, null) ?? 0);
        attempt += 1;
        continue;
      }
      const parsed = parse(text);
      if (response.ok && parsed !== undefined) return { body: parsed, etag: response.headers.get("etag") };

      const problem = parsed ?? { detail: NOT_JSON };
      const retryAfter = secondsOf(response.headers.get("retry-after"));
      const error = new TenonError(response.status, problem, retryAfter, response.headers.get("apigw-requestid"));
      if (error.type === IN_PROGRESS && this.#retries > 0) {
        // This attempt was too early, and does not count.
        waits += 1;
        runsUntil ||= Date.now() + MAX_RUN_MS;
        const remaining = runsUntil - Date.now();
        if (remaining <= 0) throw error;
        await wait(Math.min(pause(waits, retryAfter) ?? remaining, remaining));
        continue;
      }
      const before = pause(attempt, retryAfter);
      if (isLast || before === null || !isTransient(error.status, error.type, isRepeatable)) throw error;
      await wait(before);
      attempt += 1;
    }
  }
}

/** Sends a request and reads the response. Ends at the time limit, or with the signal. */
async function exchange(
  url: string,
  request: RequestInit,
  timeoutMs: number,
  signal: AbortSignal | undefined,
): Promise<[Response, string]> {
  // `AbortSignal.any` would leak memory in Node.js 20.
  const controller = new AbortController();
  const abort = () => controller.abort(signal?.reason);
  if (signal) {
    signal.throwIfAborted();
    // Any number of concurrent calls may share it.
    setMaxListeners(0, signal);
    signal.addEventListener("abort", abort);
  }
  // Unlike that of `AbortSignal.timeout`, it keeps the process running.
  const timer = setTimeout(() => {
    controller.abort(new DOMException("The operation was aborted due to timeout", "TimeoutError"));
  }, timeoutMs);
  // `fetch` never settles after some responses, such as one whose gzip is invalid.
  const ended = new Promise<never>((_, reject) => {
    controller.signal.addEventListener("abort", () => reject(controller.signal.reason));
  });
  const response = fetch(url, { ...request, signal: controller.signal });
  try {
    return await Promise.race([ended, response.then(async (one): Promise<[Response, string]> => [one, await one.text()])]);
  } finally {
    clearTimeout(timer);
    signal?.removeEventListener("abort", abort);
  }
}

/**
 * Returns whether the POST of a path has an `Idempotency-Key`. Throws if values are written into
 * the path of one: it would be sent without its key.
 */
function hasKey(path: string): boolean {
  if (Object.hasOwn(KEYED, path)) return true;
  for (const template of Object.keys(KEYED)) {
    if (!new RegExp(`^${template.replace(/\{\w+\}/, "[^/]+")}$`).test(path)) continue;
    throw new TypeError(`write the path ${path} as ${template} with path: ${template.match(/\{\w+\}/)}`);
  }
  return false;
}

// JavaScript callers may pass an unset variable of the environment, so that the types are checked
// too.

function checkedNumber(name: string, value: unknown, least: number): number {
  if (!Number.isInteger(value) || (value as number) < least || (value as number) > MAX_TIMER_MS) {
    throw new TypeError(`${name} must be a whole number from ${least} to ${MAX_TIMER_MS}`);
  }
  return value as number;
}

/** Returns the key. The error does not contain it, because errors are logged. */
function checkedKey(key: unknown): string {
  const text = typeof key === "string" ? key.trim() : "";
  if (!/^[!-~]+$/.test(text)) throw new TypeError("key is missing or invalid: is TENON_BACKEND_KEY set?");
  return text;
}

/** Replaces the names in a path by values. */
function fillIn(path: string, values: Record<string, string> = {}): string {
  // Otherwise the key could be sent to another server, or the request to another endpoint.
  if (!/^(\/[\w.{}-]*)+$/.test(path) || /\/\.+(\/|$)/.test(path)) throw new TypeError(`${path} is not a path of the API`);
  return path.replace(/\{(\w+)\}/g, (_, name: string) => {
    const value = values[name];
    // Such a value could lead to another endpoint: API Gateway decodes paths before it routes them.
    // No id or name contains these characters.
    if (typeof value !== "string" || !value || /^\.+$|[%/\\?#\p{Cc}]/u.test(value)) throw new TypeError(`invalid value of {${name}} in ${path}`);
    return encodeURIComponent(value);
  });
}

function queryString(query: Record<string, unknown> = {}): string {
  const pairs = Object.entries(query).filter(([, value]) => value !== undefined && value !== null);
  const text = new URLSearchParams(pairs.map(([name, value]) => [name, String(value)])).toString();
  return text && `?${text}`;
}

/** Returns the object in a text, or undefined if it has none. */
function parse(text: string): object | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === "object" && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
