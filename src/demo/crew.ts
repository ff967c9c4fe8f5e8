/** The demo's processes together: who runs, what they have said, and how fast they are. */
import { Child, type Ending } from "./child.ts";
import type {
  DemoDatabase,
  Message,
  SearcherOptions,
  SearchFigures,
  WriterOptions,
} from "./messages.ts";
import type { Progress } from "./proof.ts";

/** Rows in one transaction of a writer. */
export const batch = 256;

/** A writer's share of the feed, whoever writes it. */
interface Share {
  readonly index: number;
  child: Child;
  lastTick: number;
  /** When that was heard, and how long the tick took. */
  heardAt: number;
  tickMs: number;
}

/** Starts, hears and ends the demo's processes. */
export class Crew {
  rows = 0;
  searches = 0;
  readonly figures: Readonly<Record<string, SearchFigures>>[] = [];
  readonly #database: DemoDatabase;
  readonly #aircraft: number;
  readonly #shares: Share[] = [];
  readonly #children: Child[] = [];
  readonly #killed = new Set<Child>();
  readonly #waiting = new Set<() => void>();
  #readyCount = 0;

  /** Starts `writers` and `searchers` processes. */
  constructor(database: DemoDatabase, aircraft: number, writers: number, searchers: number) {
    this.#database = database;
    this.#aircraft = aircraft;
    for (let index = 0; index < writers; index++) {
      const child = this.#startWriter(`writer ${index + 1}`, index, writers, 0);
      this.#shares.push({ index, child, lastTick: -1, heardAt: 0, tickMs: 0 });
    }
    for (let index = 0; index < searchers; index++) {
      const options: SearcherOptions = { ...database, aircraft };
      this.#start(`searcher ${index + 1}`, "demo-searcher", options, (message) => {
        if (message.kind === "searched") {
          this.searches += message.count;
        } else if (message.kind === "done") {
          this.figures.push(message.searches);
        }
      });
    }
  }

  /** How far each share has come. */
  get progress(): readonly Progress[] {
    const of = this.#shares.length;
    return this.#shares.map(({ index, lastTick }) => ({ index, of, lastTick }));
  }

  /** Resolves when every process has opened the database. */
  async ready(): Promise<void> {
    await this.until(() => this.#readyCount === this.#children.length);
  }

  /**
   * Resolves when `condition` holds, looking again whenever a process has said something.
   * **Throws** `Error` when a process ends that nobody asked to.
   */
  async until(condition: () => boolean): Promise<void> {
    while (!condition()) {
      for (const child of this.#children) {
        const { ending } = child;
        if (ending !== undefined && !this.#killed.has(child)) throw failure(child, ending);
      }
      await new Promise<void>((resolve) => this.#waiting.add(resolve));
    }
  }

  /**
   * Kills the writer of a share in the middle of its work, and waits until all that it said has
   * been heard, and everybody else has finished work begun after that; how long this took.
   */
  async killWriter(index: number): Promise<{ readonly pid: number; readonly gapMs: number }> {
    const share = this.#shareAt(index);
    const { child } = share;
    const others = this.#shares.filter((each) => each !== share);
    // Half a tick after one was acknowledged, the next is half done.
    const tick = share.lastTick;
    await this.until(() => share.lastTick > tick);
    await Bun.sleep(share.tickMs / 2);
    const before = others.map((each) => each.lastTick);
    this.#killed.add(child);
    const killedAt = performance.now();
    child.kill();
    const { searches } = this;
    await this.until(
      () =>
        this.searches > searches &&
        others.every((each, at) => each.lastTick > (before[at] ?? 0) + 1),
    );
    const gapMs = performance.now() - killedAt;
    const ending = await child.ended;
    if (ending.signal !== "SIGKILL") throw failure(child, ending);
    return { pid: child.pid, gapMs };
  }

  /** Starts a writer that takes over a share where its predecessor was last heard. */
  async replaceWriter(index: number): Promise<void> {
    const share = this.#shareAt(index);
    const of = this.#shares.length;
    share.child = this.#startWriter(`writer ${index + 1}b`, index, of, share.lastTick + 1);
    await this.ready();
  }

  /** Asks all to end, and waits for it. **Throws** `Error` when one fails. */
  async stop(): Promise<void> {
    const running = this.#children.filter((child) => !this.#killed.has(child));
    for (const child of running) {
      this.#killed.add(child);
      child.stop();
    }
    for (const child of running) {
      const ending = await child.ended;
      if (ending.status !== 0) throw failure(child, ending);
    }
  }

  /** Kills whoever still runs. */
  kill(): void {
    for (const child of this.#children) if (child.ending === undefined) child.kill();
  }

  #startWriter(name: string, index: number, of: number, firstTick: number): Child {
    const share = { index, of };
    const options: WriterOptions = {
      ...this.#database,
      aircraft: this.#aircraft,
      share,
      firstTick,
      batch,
    };
    return this.#start(name, "demo-writer", options, (message) => {
      if (message.kind !== "acknowledged") return;
      this.rows += message.rows;
      const share = this.#shareAt(index);
      const now = performance.now();
      share.tickMs = now - share.heardAt;
      share.heardAt = now;
      share.lastTick = message.tick;
    });
  }

  #start(name: string, program: string, options: object, hear: (message: Message) => void): Child {
    const child = new Child(name, program, options, (message) => {
      if (message.kind === "ready") this.#readyCount += 1;
      else hear(message);
      this.#wake();
    });
    this.#children.push(child);
    child.ended.finally(() => this.#wake()).catch(() => undefined);
    return child;
  }

  #wake(): void {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const resolve of waiting) resolve();
  }

  #shareAt(index: number): Share {
    const share = this.#shares[index];
    if (share === undefined) throw new RangeError(`there is no share ${index}`);
    return share;
  }
}

function failure(child: Child, { status, signal, errors }: Ending): Error {
  const how = signal === null ? `with status ${status}` : `by ${signal}`;
  return new Error(`${child.name} ended ${how}: ${errors.trim() || "it said nothing"}`);
}
