/** The io block of a session, seen from JavaScript. */
import { layouts } from "../ffi/layouts.gen.ts";
import { viewNative } from "../ffi/buffers.ts";
import { Memory } from "../schema/memory.ts";

/** Views over the io block at `address`, which stays mapped as long as the process lives. */
export function viewSessionBlock(address: number): Memory {
  return new Memory(viewNative(address, layouts.IoBlock.size));
}
