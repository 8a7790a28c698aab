/**
 * One capture per installation: a named lock of the origin, on a session of its own.
 *
 * A process that is stopped (SIGSTOP, a swapping machine, a frozen VM) keeps its session, and with it the lock, until the
 * server finds the session idle. So the session may be idle for a few seconds only, and is kept alive by asking whether
 * it still has the lock. What such a process publishes when it goes on is not kept out by this, but by the plan.
 *
 * The lock is one server's. Two captures that reach two servers by one address both have it: again, the plan.
 */
import { hash } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { cellText } from '../../../shared/origin/cells.ts';
import { messageOf } from '../../../shared/errors/errors.ts';
import { quoteText } from '../../../shared/origin/table-name.ts';
import { OriginSession, type SessionOptions } from './capture-session.ts';

/** The server's patience with a silent holder. */
const IDLE_SECONDS = 3;
const ASK_EVERY_MS = 1_000;
/** How long one attempt waits in the server's queue; then it is seen whether we are to stop. */
const ATTEMPT_SECONDS = 1;
/** Both servers'. */
const NAME_LENGTH_MAX = 64;

export class LockLost extends Error {
  constructor(why: string, options?: ErrorOptions) {
    super(`the lock is lost: ${why}`, options);
    this.name = 'LockLost';
  }
}

export interface LockOptions extends SessionOptions {
  /** Of the installation. */
  readonly name: string;
  readonly signal: AbortSignal;
  /** Another has it; told once. */
  readonly onWaiting: (lock: string) => void;
}

export interface HeldLock {
  /** Settles when it is lost; never after `release`. */
  readonly lost: Promise<LockLost>;
  release(): void;
}

export function lockName(installation: string): string {
  const name = `ringfill:${installation}`;
  return name.length <= NAME_LENGTH_MAX ? name : `ringfill:${hash('sha256', installation, 'hex').slice(0, 40)}`;
}

/** Settles when we have it, however long that takes. Throws OriginUnavailable, and an AbortError. */
export async function acquireLock({ name, signal, onWaiting, ...options }: LockOptions): Promise<HeldLock> {
  const lock = quoteText(lockName(name));
  const session = await OriginSession.open(options);
  try {
    await session.query(`SET SESSION wait_timeout = ${IDLE_SECONDS}`);
    for (let attempt = 0; ; attempt += 1) {
      signal.throwIfAborted();
      const waitMs = ATTEMPT_SECONDS * 1000;
      const { rows } = await session.query(`SELECT GET_LOCK(${lock}, ${ATTEMPT_SECONDS})`, options.timeoutMs + waitMs);
      if (cellText(rows[0]?.[0]) === '1') return keep(session, lock);
      if (attempt === 0) onWaiting(lockName(name));
    }
  } catch (error) {
    session.destroy();
    throw error;
  }
}

function keep(session: OriginSession, lock: string): HeldLock {
  const { promise: lost, resolve } = Promise.withResolvers<LockLost>();
  const released = new AbortController();
  const { signal } = released;
  const watch = async () => {
    for (;;) {
      await sleep(ASK_EVERY_MS, undefined, { signal, ref: false });
      const { rows } = await session.query(`SELECT IS_USED_LOCK(${lock}) = CONNECTION_ID()`, IDLE_SECONDS * 1000);
      if (cellText(rows[0]?.[0]) !== '1') throw new Error('another session has it');
    }
  };
  // A server that goes takes the lock with it, and whoever stands by has it as soon as the server is back.
  const gone = session.ended.then((error): never => {
    throw error;
  });
  Promise.race([watch(), gone]).catch((error: unknown) => {
    session.destroy();
    if (!signal.aborted) resolve(new LockLost(messageOf(error), { cause: error }));
  });
  return {
    lost,
    release() {
      released.abort();
      // The server frees it with the session.
      session.destroy();
    },
  };
}
