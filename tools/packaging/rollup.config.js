/**
 * Puts the declarations that the compiler wrote, one for each source, into one for each entry, with
 * nothing that an entry does not lead to. `TYPES` is JSON: `from`, entries by name, and `to`.
 */
import { dts } from "rollup-plugin-dts";

const { from, to, head } = JSON.parse(process.env.TYPES);

export default {
  input: from,
  output: {
    dir: to,
    format: "es",
    banner: head,
    entryFileNames: "[name].ts",
    chunkFileNames: "shared.d.ts",
  },
  // Of the sources that no entry leads to.
  external: /^(bun|node):/,
  plugins: [dts()],
  onwarn(warning) {
    throw new Error(warning.message);
  },
};
