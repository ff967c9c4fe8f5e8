/** `demo`: the tour. */
import { runTour } from "../../demo/tour.ts";
import { type Command, done } from "../command.ts";

const aircraftMax = 100_000;
const secondsMax = 3_600;

export const demo: Command = {
  name: "demo",
  summary: "a tour: several processes, a kill, a restart, a proof, with figures",
  synopsis: "",
  options: {
    aircraft: { value: "N", help: "aircraft in the air (default 10000)" },
    seconds: { value: "S", help: "how long the feed streams (default 8)" },
  },
  notes: ["The database is a temporary one of the demo's own; nothing of it stays."],
  words: [0, 0],
  async run({ args, terminal, json }) {
    const aircraft = args.whole("aircraft", 1, aircraftMax) ?? 10_000;
    const seconds = args.whole("seconds", 1, secondsMax) ?? 8;
    const figures = await runTour({ aircraft, seconds, quietOutput: json }, terminal);
    if (json) terminal.print(JSON.stringify(figures));
    return done;
  },
};
