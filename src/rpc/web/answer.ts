import type { ServerResponse } from "node:http";

const SAFE = { "x-content-type-options": "nosniff", "cache-control": "no-store" };

/** Answers with a line for people. */
export function sayText(response: ServerResponse, status: number, line: string): void {
  send(response, status, "text/plain; charset=utf-8", `${line}\n`);
}

/** Answers with an error as Connect clients read it. */
export function sayError(
  response: ServerResponse,
  status: number,
  code: string,
  message: string,
): void {
  send(response, status, "application/json", JSON.stringify({ code, message }));
}

export function send(
  response: ServerResponse,
  status: number,
  contentType: string,
  body: string,
): void {
  if (response.headersSent || response.destroyed) return;
  response.writeHead(status, {
    ...SAFE,
    "content-type": contentType,
    "content-length": Buffer.byteLength(body),
  });
  response.end(response.req.method === "HEAD" ? undefined : body);
}
