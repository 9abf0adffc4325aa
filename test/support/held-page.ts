import { get, type Agent } from "node:http";

export interface Page {
  readonly status: number;
  readonly body: Record<string, unknown>;
}

/** Asks a sidecar over HTTP; nothing when it does not answer within the time. */
export function pageOf(
  address: string,
  path: string,
  options: {
    readonly method?: string;
    readonly headers?: Record<string, string>;
    /** In ms; a second when left out. */
    readonly timeout?: number;
    /** For a connection that is used again; each has one of its own when left out. */
    readonly agent?: Agent;
  } = {},
): Promise<Page | undefined> {
  return new Promise((resolve) => {
    const asked = get(
      `http://${address}${path}`,
      { agent: false, timeout: 1000, ...options },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (piece: string) => (text += piece));
        response.on("end", () => {
          const body = text === "" ? {} : (JSON.parse(text) as Record<string, unknown>);
          resolve({ status: response.statusCode ?? 0, body });
        });
      },
    );
    asked.on("timeout", () => asked.destroy());
    asked.on("error", () => {
      resolve(undefined);
    });
  });
}
