// What the lines of a journal mean. Everybody who reads them comes to the same answers, so nobody
// has to ask anybody: that makes B1 true (at most one unexpired lease for each resource).
//
//   L1. Time is that of the lines, and never goes back: a line that was long on its way counts as
//       written when the line before it was.
//   L2. A resource is never forgotten: its last token and its last lease id stay (B2, B4).

/** All leases, as the lines read so far have made them. */
export class Leases {
  #rows = new Map();
  #nowUs = 0;

  /** Answers the questions of a line, in their order. */
  apply({ what, atUs, asks }) {
    this.#nowUs = Math.max(this.#nowUs, atUs); // L1
    switch (what) {
      case "acquire":
        return asks.map((ask) => this.#acquire(ask));
      case "renew":
        return asks.map((ask) => this.#renew(ask));
      case "release":
        return asks.map((ask) => this.#release(ask));
      default:
        return [...this.#rows.values()].filter((row) => this.#isHeld(row)).map(this.#lease);
    }
  }

  #acquire({ resource, leaseId, principal, ttlMs, reason, labels }) {
    const row = this.#rows.get(resource);
    const isSame = row?.leaseId === leaseId;
    if (row !== undefined && this.#isHeld(row)) {
      if (!isSame) return { kind: "held", holder: this.#lease(row) };
      return { kind: "granted", lease: this.#extend(row, ttlMs, 0), created: false }; // B5
    }
    if (isSame) return { kind: "spent" }; // B4
    const token = Math.max((row?.token ?? 0) + 1, this.#nowUs); // B2
    const endUs = this.#nowUs + ttlMs * 1000;
    const granted = {
      ...{ resource, leaseId, principal, ttlMs, reason, labels },
      ...{ token, revision: token, createdUs: this.#nowUs, endUs },
    };
    this.#rows.set(resource, granted);
    return { kind: "granted", lease: this.#lease(granted), created: true };
  }

  #renew({ resource, leaseId, ttlMs, ageMs = 0 }) {
    const row = this.#held(resource, leaseId);
    if (row === undefined) return { kind: "lost" };
    return { kind: "renewed", lease: this.#extend(row, ttlMs ?? row.ttlMs, ageMs) };
  }

  #release({ resource, leaseId, ifRevision }) {
    const row = this.#held(resource, leaseId);
    if (row === undefined) return { kind: "not-held" };
    if (ifRevision !== undefined && ifRevision !== row.revision) return { kind: "not-held" };
    row.endUs = 0; // L2
    return { kind: "released" };
  }

  #held(resource, leaseId) {
    const row = this.#rows.get(resource);
    return row?.leaseId === leaseId && this.#isHeld(row) ? row : undefined;
  }

  #isHeld({ endUs }) {
    return endUs > this.#nowUs;
  }

  // B3: never to an earlier time.
  #extend(row, ttlMs, ageMs) {
    row.endUs = Math.max(row.endUs, this.#nowUs + (ttlMs - ageMs) * 1000);
    row.ttlMs = ttlMs;
    row.revision += 1;
    return this.#lease(row);
  }

  // Microseconds since 1970 fit into a number; the port has them as bigint.
  #lease = ({ token, revision, createdUs, endUs, ...rest }) => ({
    ...rest,
    token: BigInt(token),
    revision: BigInt(revision),
    createdAtUs: BigInt(createdUs),
    expiresAtUs: BigInt(endUs),
    remainingMs: (endUs - this.#nowUs) / 1000,
  });
}
