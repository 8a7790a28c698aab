/**
 * Waits for `work`, but no longer than `timeoutMs`; then throws what `late()` makes.
 *
 * Timers run before the sockets are read. A process that was itself held up would therefore blame a server whose
 * answer already lies in the socket; so a deadline that is up still lets one round of reading pass.
 */
export function withinDeadline<T>(work: Promise<T>, timeoutMs: number, late: () => Error): Promise<T> {
  const { promise, resolve, reject } = Promise.withResolvers<T>();
  let settled = false;
  const timer = setTimeout(() => {
    setImmediate(() => {
      if (!settled) reject(late());
    });
  }, timeoutMs);
  work.then(
    (value) => {
      settled = true;
      clearTimeout(timer);
      resolve(value);
    },
    (error: unknown) => {
      settled = true;
      clearTimeout(timer);
      reject(error instanceof Error ? error : new Error(String(error)));
    },
  );
  return promise;
}
