/** Run by `npm pack` in a checkout, which would pack the sources without an engine. */
console.error("prepack: a checkout is not the package; `bun run package` makes it");
process.exit(1);
