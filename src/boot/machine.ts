/**
 * The boot decision as a state machine: which steps lead from a data directory to an attached
 * session, and what each outcome leads to. Pure: `transition` says what to do next, `run.ts` does
 * it.
 *
 * ```
 * locking ─locked→ probing ─valid→ attaching ─attached→ ready (WarmAttach)
 *                     │ invalid       │ refused
 *                     └──────┬────────┘
 *                         counting ─unused→ creating ─created→ recovering
 *                                             recovering ─recovered→ publishing
 *                                             publishing ─published→ ready (ColdReplay)
 * ```
 *
 * Laws. Nothing is created, replaced or attached without the boot lock. A segment that cannot be
 * attached is replaced only when nobody uses it and nothing but it holds a commit. A segment gets
 * its name only when recovery is complete, so a death on the way leads to another cold replay. Any
 * failure ends in `failed`, with the lock released and the unfinished segment removed.
 */

/** What recovery did; zeros for a new database. */
export interface RecoveryReport {
  readonly rowsLoaded: number;
  readonly recordsReplayed: number;
  /** Bytes of a torn tail that were cut off the log. */
  readonly truncatedBytes: number;
  /** What there was to say about the files, or empty. */
  readonly note: string;
}

export type BootMode = "WarmAttach" | "ColdReplay";

/** What is known in each state. */
interface States {
  readonly initial: object;
  readonly locking: object;
  readonly probing: object;
  /** Whether everybody had closed the segment. */
  readonly attaching: { readonly wasClosed: boolean };
  /** Why the segment cannot be attached, and so on. */
  readonly counting: { readonly reason: string };
  readonly creating: { readonly reason: string };
  readonly recovering: { readonly reason: string };
  readonly publishing: { readonly reason: string; readonly recovery: RecoveryReport };
  readonly ready: {
    readonly mode: BootMode;
    readonly reason: string;
    readonly recovery: RecoveryReport;
  };
  readonly failed: { readonly error: Error };
}

/** What can happen. */
interface Events {
  readonly begin: object;
  readonly locked: object;
  readonly valid: { readonly wasClosed: boolean };
  readonly invalid: { readonly reason: string };
  readonly attached: object;
  readonly refused: { readonly reason: string };
  readonly unused: object;
  readonly created: object;
  readonly recovered: { readonly recovery: RecoveryReport };
  readonly published: object;
  readonly failed: { readonly error: Error };
}

type Tagged<M, K extends keyof M> = { [T in K]: { readonly kind: T } & M[T] }[K];
export type BootStateKind = keyof States;
export type BootEventKind = keyof Events;
export type BootState<K extends BootStateKind = BootStateKind> = Tagged<States, K>;
export type BootEvent<K extends BootEventKind = BootEventKind> = Tagged<Events, K>;

/** What to do next. Each effect ends in one event, except `discard` and `unlock`, which end it. */
export type BootEffect =
  | { readonly kind: "lock" }
  | { readonly kind: "probe" }
  | { readonly kind: "attach" }
  /** Find out who uses the segment: `unused`, or `failed`. */
  | { readonly kind: "count"; readonly reason: string }
  | { readonly kind: "create" }
  | { readonly kind: "recover" }
  | { readonly kind: "publish" }
  /** Close and remove what was begun. */
  | { readonly kind: "discard" }
  | { readonly kind: "unlock" };

export interface BootStep {
  readonly state: BootState;
  readonly effects: readonly BootEffect[];
}

type Handlers = { readonly [E in BootEventKind]?: (event: BootEvent<E>) => BootStep };
type Table = { readonly [S in BootStateKind]: (state: BootState<S>) => Handlers };

export const nothingRecovered: RecoveryReport = {
  rowsLoaded: 0,
  recordsReplayed: 0,
  truncatedBytes: 0,
  note: "",
};

const attachedReason = (wasClosed: boolean): string =>
  wasClosed
    ? "the segment is valid, and was closed in order"
    : "the segment is valid, and is in use or was left without closing";

const fail = ({ error }: BootEvent<"failed">): BootStep => ({
  state: { kind: "failed", error },
  effects: [{ kind: "discard" }, { kind: "unlock" }],
});

const count = ({ reason }: BootEvent<"invalid" | "refused">): BootStep => ({
  state: { kind: "counting", reason },
  effects: [{ kind: "count", reason }],
});

/** Every possible step; an event that has no entry for a state is a bug. */
const table: Table = {
  initial: () => ({
    begin: () => ({ state: { kind: "locking" }, effects: [{ kind: "lock" }] }),
  }),
  locking: () => ({
    locked: () => ({ state: { kind: "probing" }, effects: [{ kind: "probe" }] }),
    failed: ({ error }) => ({ state: { kind: "failed", error }, effects: [] }),
  }),
  probing: () => ({
    valid: ({ wasClosed }) => ({
      state: { kind: "attaching", wasClosed },
      effects: [{ kind: "attach" }],
    }),
    invalid: count,
    failed: fail,
  }),
  attaching: ({ wasClosed }) => ({
    attached: () => ({
      state: {
        kind: "ready",
        mode: "WarmAttach",
        reason: attachedReason(wasClosed),
        recovery: nothingRecovered,
      },
      effects: [{ kind: "unlock" }],
    }),
    refused: count,
    failed: fail,
  }),
  counting: ({ reason }) => ({
    unused: () => ({ state: { kind: "creating", reason }, effects: [{ kind: "create" }] }),
    failed: fail,
  }),
  creating: ({ reason }) => ({
    created: () => ({ state: { kind: "recovering", reason }, effects: [{ kind: "recover" }] }),
    failed: fail,
  }),
  recovering: ({ reason }) => ({
    recovered: ({ recovery }) => ({
      state: { kind: "publishing", reason, recovery },
      effects: [{ kind: "publish" }],
    }),
    failed: fail,
  }),
  publishing: ({ reason, recovery }) => ({
    published: () => ({
      state: { kind: "ready", mode: "ColdReplay", reason, recovery },
      effects: [{ kind: "unlock" }],
    }),
    failed: fail,
  }),
  ready: () => ({}),
  failed: () => ({}),
};

export const bootInitial: BootState = { kind: "initial" };

/** The step that `event` leads to. **Throws** `Error` for an event that `state` cannot get. */
export function transition(state: BootState, event: BootEvent): BootStep {
  const step = take(handlersOf(state), event);
  if (step === undefined) {
    throw new Error(`boot: the event "${event.kind}" is not possible while ${state.kind}`);
  }
  return step;
}

/** The events that `state` has an entry for. */
export function eventsOf(state: BootState): readonly string[] {
  return Object.keys(handlersOf(state));
}

function handlersOf<S extends BootStateKind>(state: BootState<S>): Handlers {
  return table[state.kind](state);
}

function take<E extends BootEventKind>(
  handlers: Handlers,
  event: BootEvent<E>,
): BootStep | undefined {
  return handlers[event.kind]?.(event);
}
