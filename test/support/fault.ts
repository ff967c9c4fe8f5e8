/** Kill points of the fault library, for child processes that are to die. */
import { Status } from "../../src/ffi/abi.gen.ts";
import { loadLibrary } from "../../src/ffi/library.ts";

/** Arms the named point for the `count`-th time from now, or `any step`. **Throws** without any. */
export function armFault(point: string, count: number): void {
  const { symbols } = loadLibrary();
  const name = new TextEncoder().encode(point);
  const status =
    point === "any step"
      ? symbols.aerostore_fault_arm_steps(count)
      : symbols.aerostore_fault_arm(name, name, count);
  if (status !== Status.ok) throw new Error("this library has no kill points");
}
