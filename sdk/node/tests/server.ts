import { createServer, type IncomingHttpHeaders, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export interface Received {
  method: string;
  url: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export type Answer = (response: ServerResponse) => void;

/** Server that answers its requests one after the other with the given answers. */
export class FakeServer implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly #answers: Answer[];
  readonly #server = createServer((request, response) => {
    const chunks: Buffer[] = [];
    request.on("data", (chunk: Buffer) => chunks.push(chunk));
    request.on("end", () => {
      const { method = "", url = "", headers } = request;
      this.received.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
      const answer = this.#answers[this.received.length - 1] ?? json(500, { message: "unexpected request" });
      answer(response);
    });
  });

  private constructor(answers: Answer[]) {
    this.#answers = answers;
  }

  static async start(...answers: Answer[]): Promise<FakeServer> {
    const server = new FakeServer(answers);
    await new Promise<void>((resolve) => server.#server.listen(0, "127.0.0.1", resolve));
    return server;
  }

  get url(): string {
    return `http://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#server.closeAllConnections();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Answer {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };
}

export function problem(status: number, type: string, more: object = {}): Answer {
  return json(status, { type: `urn:tenon:problem:${type}`, title: type, status, detail: `detail of ${type}`, ...more });
}

/** Ends the connection without a response. */
export const disconnect: Answer = (response) => response.destroy();

/** Transient rejection after which the client need not wait. */
export const busy: Answer = json(503, { message: "busy" }, { "retry-after": "0" });
