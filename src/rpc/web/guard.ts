// Who may talk to the web door. A browser speaks for whatever page it shows, and reaches
// addresses that the page's author cannot.
//
//   G1. A page of another site is refused: by what browsers say of it themselves.
//   G2. On a loopback address only loopback names count: a stranger's name that has been made
//       to point here (DNS rebinding) would turn the stranger's page into our own site.
//   G3. No header is trusted to be well formed.

import type { IncomingHttpHeaders } from "node:http";
import { isLoopback, parseAddress, type Address } from "../../lock/address.js";

/** Why a request is refused. */
export interface Refusal {
  readonly status: 400 | 403;
  readonly message: string;
}

/** Where a request came in. */
export interface Entrance {
  /** The address as it was asked for. */
  readonly asked: Address;
  readonly isLoopback: boolean;
}

/** @returns undefined when the request may pass */
export function refusal(headers: IncomingHttpHeaders, entrance: Entrance): Refusal | undefined {
  const { host, origin } = headers;
  // HTTP/1.0 needs none, and no browser speaks it.
  if (host !== undefined) {
    const name = parseAddress(host);
    if (name.kind !== "tcp") return { status: 400, message: "the Host header is malformed" }; // G3
    if (!isKnownHost(name, entrance)) {
      return {
        status: 403,
        message:
          "this Host is not served here: use 127.0.0.1, localhost or the address listened on",
      };
    }
  }
  const site = headers["sec-fetch-site"];
  const isForeignSite = site !== undefined && site !== "same-origin" && site !== "none";
  if (isForeignSite || (origin !== undefined && !isOwnOrigin(origin, host))) {
    return { status: 403, message: "pages of other sites may not call this server" }; // G1
  }
  return undefined;
}

// G2
function isKnownHost(name: Address & { readonly kind: "tcp" }, entrance: Entrance): boolean {
  const { asked } = entrance;
  if (asked.kind === "unix" || !entrance.isLoopback) return true;
  const host = name.host.toLowerCase().replace(/\.$/u, "");
  return isLoopback({ ...name, host }) || host.endsWith(".localhost") || host === asked.host;
}

function isOwnOrigin(origin: string, host: string | undefined): boolean {
  return host !== undefined && (origin === `http://${host}` || origin === `https://${host}`);
}
