import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export interface Pair {
  readonly cert: Buffer;
  readonly key: Buffer;
}

/** An authority of a test's own, in a throw-away directory. */
export class Authority implements Disposable {
  readonly #directory = mkdtempSync(join(tmpdir(), "stormlock-ca-"));
  #serial = 1;

  constructor() {
    this.#openssl(
      ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ["-subj", "/CN=test authority", "-days", "2", "-keyout", "ca.key", "-out", "ca.crt"],
    );
  }

  get cert(): Buffer {
    return this.#read("ca.crt");
  }

  /** @param names e.g. `URI:spiffe://x/ann, email:ann@x`; none leaves the common name alone */
  issue(subject: string, names?: string): Pair {
    const name = `leaf-${String(this.#serial)}`;
    this.#openssl(
      ["req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"],
      ["-subj", subject, "-keyout", `${name}.key`, "-out", `${name}.csr`],
    );
    const extension = names === undefined ? "" : `subjectAltName=${names}\n`;
    writeFileSync(join(this.#directory, `${name}.ext`), extension);
    this.#openssl(
      ["x509", "-req", "-in", `${name}.csr`, "-CA", "ca.crt", "-CAkey", "ca.key", "-days", "2"],
      ["-set_serial", String(this.#serial++), "-extfile", `${name}.ext`, "-out", `${name}.crt`],
    );
    return { cert: this.#read(`${name}.crt`), key: this.#read(`${name}.key`) };
  }

  [Symbol.dispose](): void {
    rmSync(this.#directory, { recursive: true });
  }

  #read(file: string): Buffer {
    return readFileSync(join(this.#directory, file));
  }

  #openssl(...parts: readonly string[][]): void {
    try {
      execFileSync("openssl", parts.flat(), { cwd: this.#directory, stdio: "pipe" });
    } catch (cause) {
      const isMissing = (cause as NodeJS.ErrnoException).code === "ENOENT";
      throw isMissing ? new Error("openssl is not installed (Debian: openssl)", { cause }) : cause;
    }
  }
}
