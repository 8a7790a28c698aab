/** Reads at a steady rate, in a thread of their own. */
import { Worker } from 'node:worker_threads';
import { type FromThread, machineMsAtZero, type ReadSeen, type ReadSpec } from './read-spec.ts';

export interface Reading {
  /** performance.now() of the first request. */
  readonly startedAt: number;
  /** Settles when every request has been answered or has failed; in the order in which they were. */
  readonly seen: Promise<ReadSeen>;
}

/** Settles when the first request is due. Rejects where the thread fails; it ends with the signal. */
export async function startReading(spec: ReadSpec, signal: AbortSignal): Promise<Reading> {
  signal.throwIfAborted();
  const started = Promise.withResolvers<number>();
  const seen = Promise.withResolvers<ReadSeen>();
  // Whoever waits for the start hears of a failure first.
  seen.promise.catch(() => undefined);
  const failed = (why: unknown) => {
    started.reject(why);
    seen.reject(why);
  };
  const thread = new Worker(new URL('reader-thread.ts', import.meta.url), { workerData: spec });
  const stop = () => void thread.terminate();
  signal.addEventListener('abort', stop, { once: true });
  const atZero = machineMsAtZero();
  thread.on('message', (message: FromThread) => {
    if (message.kind === 'started') {
      started.resolve(message.machineMs - atZero);
      return;
    }
    const shiftMs = message.machineMsAtZero - atZero;
    const answers = message.answers.map((answer) => ({
      ...answer,
      dueAt: answer.dueAt + shiftMs,
      sentAt: answer.sentAt + shiftMs,
      endedAt: answer.endedAt + shiftMs,
    }));
    seen.resolve({ answers, unsent: message.unsent });
  });
  thread.once('error', failed);
  thread.once('exit', () => {
    signal.removeEventListener('abort', stop);
    failed(signal.aborted ? signal.reason : new Error('the reading thread has ended before it was through'));
  });
  return { startedAt: await started.promise, seen: seen.promise };
}
