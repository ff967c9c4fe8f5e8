/** Lines out of a stream of bytes, in latin1, without their ends and byte order marks. */

/** Longer lines are cut here. */
const lineSizeMax = 1 << 20;

export class LineSplitter {
  readonly #visit: (text: string, line: number) => void;
  #rest = "";
  #line = 0;

  /** `visit` is given each line that is not empty, with its number from 1. */
  constructor(visit: (text: string, line: number) => void) {
    this.#visit = visit;
  }

  push(bytes: Uint8Array): void {
    const piece = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("latin1");
    const lines = `${this.#rest}${piece}`.split("\n");
    this.#rest = (lines.pop() ?? "").slice(0, lineSizeMax);
    for (const line of lines) this.#take(line);
  }

  end(): void {
    if (this.#rest !== "") this.#take(this.#rest);
    this.#rest = "";
  }

  #take(raw: string): void {
    this.#line += 1;
    const text = raw
      .slice(0, lineSizeMax)
      .replace(/^\u00ef\u00bb\u00bf/, "")
      .replace(/\r$/, "");
    if (text !== "") this.#visit(text, this.#line);
  }
}
