/**
 * The engines that come with this code. A checkout carries none, it builds its own; packaging puts
 * another module in this one's place (`tools/bundle.ts`).
 */

export interface ShippedLibrary {
  readonly path: string;
  /** Of the file, as hexadecimal digits. */
  readonly sha256: string;
}

/** By processor, as `process.arch` names it; `undefined` in a checkout. */
export const shippedLibraries: Readonly<Record<string, ShippedLibrary>> | undefined = undefined;
