/**
 * What ends a call early: its deadline, or its caller's signal.
 *
 * `signal` tells the sockets, but the call itself does not wait for them to hear: undici looks at the signal of a
 * request that still waits for a connection only once it gets one, which behind a hung gateway is never.
 */
import { RingfillError } from './errors.ts';

export interface Bounds {
  readonly signal: AbortSignal;
  /** By performance.now(). */
  readonly endsAtMs: number;
}

export interface BoundsOptions {
  readonly deadlineMs: number;
  readonly signal?: AbortSignal | undefined;
}

/** Throws `deadline-exceeded`, the signal's reason, or what `work` throws. */
export async function withinBounds<T>(options: BoundsOptions, work: (bounds: Bounds) => Promise<T>): Promise<T> {
  const { deadlineMs, signal: caller } = options;
  caller?.throwIfAborted();
  const controller = new AbortController();
  const { promise: ended, reject } = Promise.withResolvers<never>();
  let settled = false;
  const end = (reason: unknown) => {
    if (settled) return;
    controller.abort(reason);
    reject(reason);
  };
  const late = () =>
    end(new RingfillError({ code: 'deadline-exceeded', detail: `No answer within ${deadlineMs} ms.` }));
  // Timers run before sockets are read: a process that was itself held up would blame an answer that already is here.
  const timer = setTimeout(() => setImmediate(late), deadlineMs);
  const cancelled = () => end(caller?.reason);
  caller?.addEventListener('abort', cancelled, { once: true });
  try {
    return await Promise.race([work({ signal: controller.signal, endsAtMs: performance.now() + deadlineMs }), ended]);
  } finally {
    settled = true;
    clearTimeout(timer);
    caller?.removeEventListener('abort', cancelled);
  }
}
