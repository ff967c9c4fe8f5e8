/** Streams that the engine made: it holds one end, and the event loop watches the other. */

/** The watched end. Keeps the process alive only between `ref` and `unref`. */
export interface WatchedStream {
  ref(): void;
  unref(): void;
  /** Closes it. */
  terminate(): void;
}

/** Watches the descriptor, which it takes over; `onData` is called when bytes have come. */
export async function watchStream(
  descriptor: number,
  onData: (stream: WatchedStream) => void,
): Promise<WatchedStream> {
  const options: Bun.FdSocketOptions = {
    fd: descriptor,
    socket: { data: (stream) => onData(stream) },
  };
  // Bun takes a descriptor here, and has the type of these options, but no overload for them.
  const stream = await Bun.connect(options as unknown as Bun.UnixSocketOptions);
  stream.unref();
  return stream;
}
