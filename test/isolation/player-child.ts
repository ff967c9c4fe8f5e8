/**
 * The child of the schedules across two processes: plays the transactions of templates, one at a
 * time, step by step as it is told over the channel to its parent.
 */
import { post } from "../support/post.ts";
import { LocalPlayer } from "./schedule.ts";
import type { Phase, Seen } from "./schedule.ts";
import { Cells, pairs } from "./templates.ts";

/** What the parent asks for: a new transaction by place, or what the last one does next. */
export type Order =
  | { readonly kind: "begin"; readonly template: string; readonly who: number }
  | { readonly kind: "next" }
  | { readonly kind: "abort" };

export interface Reply {
  readonly phase: Phase;
  readonly seen: Seen;
}

const db = await post.open({ tables: [Cells], maxBytes: 16 << 20 });
let player = new LocalPlayer(db, []);

function obey(order: Order): Phase {
  switch (order.kind) {
    case "begin": {
      const template = pairs.find(({ name }) => name === order.template);
      player = new LocalPlayer(db, template?.scripts[order.who] ?? []);
      return "open";
    }
    case "next":
      return player.next();
    case "abort":
      player.abort();
      return "lost";
  }
}

process.on("message", (order: Order) => {
  const phase = obey(order);
  process.send?.({ phase, seen: player.seen } satisfies Reply);
});
process.on("disconnect", () => db.close());
process.send?.({ phase: "open", seen: [] } satisfies Reply);
