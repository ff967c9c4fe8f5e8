/** What `import … from "aerostore"` loads; its types are those of `index.ts` (see package.json). */
const { findProgram } = require("./prebuilt.ts");

const source = "../src/index.ts";
const program = findProgram("index", source);
// Named a second time, so that a bundler finds it.
module.exports = program === source ? require("../src/index.ts") : require(program);
