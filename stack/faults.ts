// What goes wrong with servers, on purpose: written once, for the tests and for the drills.
//
//   kill     the process is gone at once, its port refuses
//   hang     the process stands still: its port accepts, and nothing answers
//   resume   it goes on as if no time had passed
//   cut      the link is half open: both ends believe in a connection that carries nothing
//   delay    the link's answers take longer

import { once } from 'node:events';
import { connect, createServer, type AddressInfo, type Socket } from 'node:net';
import { Transform } from 'node:stream';
import { loopback } from './ports.ts';
import type { RunningServer } from './server-process.ts';

export async function kill(server: RunningServer): Promise<void> {
  server.kill('SIGKILL');
  await server.exited;
}

export function hang(server: RunningServer): void {
  if (!server.kill('SIGSTOP')) throw new Error(`${server.name} has ended and cannot hang`);
}

export function resume(server: RunningServer): void {
  if (!server.kill('SIGCONT')) throw new Error(`${server.name} has ended and cannot go on`);
}

export interface Link {
  readonly host: string;
  readonly port: number;
  /** Connections through the link now. */
  readonly connections: number;
  /** From now on nothing is carried either way; new connections are accepted and carry nothing. Nobody is told. */
  cut(): void;
  /** The same, of the connection that was made last alone; new ones go on as before. */
  cutLast(): void;
  /** What waited is carried after all, as TCP does after a pause. */
  heal(): void;
  /** From now on each answer comes this much later, in ms; 0: as soon as it can. */
  delay(ms: number): void;
  /** Every connection is reset, and new ones go on as before. */
  reset(): void;
  stop(): Promise<void>;
}

export interface LinkOptions {
  readonly to: { readonly host: string; readonly port: number };
  /** A free one if it is missing. */
  readonly port?: number;
}

interface Pair {
  readonly near: Socket;
  far: Socket | undefined;
  /** Holds back what the server says. */
  readonly answers: Transform;
}

/** A TCP link to a server that can be cut: point the client at it instead of at the server. */
export async function openLink({ to, port }: LinkOptions): Promise<Link> {
  const pairs = new Set<Pair>();
  let isCut = false;
  let delayMs = 0;

  const listener = createServer({ allowHalfOpen: true }, (near) => {
    const pair: Pair = { near, far: undefined, answers: holdingBack(() => delayMs) };
    pairs.add(pair);
    near.on('error', () => undefined);
    near.on('close', () => {
      pair.far?.destroy();
      pairs.delete(pair);
    });
    // Accepted by the kernel all the same, as on a line that has just gone dead.
    near.pause();
    if (!isCut) join(pair);
  });

  function join(pair: Pair): void {
    if (pair.far === undefined) {
      const far = connect({ ...to, allowHalfOpen: true });
      pair.far = far;
      // Over a dead line nobody hears that the server has hung up, either.
      far.on('error', () => isCut || pair.near.resetAndDestroy());
      far.on('close', () => isCut || pair.near.destroy());
    }
    if (pair.far.destroyed) {
      pair.near.resetAndDestroy();
      return;
    }
    pair.near.pipe(pair.far).pipe(pair.answers).pipe(pair.near);
  }

  listener.listen({ host: loopback, port: port ?? 0 });
  await once(listener, 'listening');
  // A TCP listener's address is never a string.
  const { port: listening } = listener.address() as AddressInfo;

  return {
    host: loopback,
    port: listening,
    get connections() {
      return pairs.size;
    },
    cut() {
      isCut = true;
      for (const pair of pairs) part(pair);
    },
    cutLast() {
      const last = [...pairs].at(-1);
      if (last !== undefined) part(last);
    },
    heal() {
      isCut = false;
      for (const pair of pairs) join(pair);
    },
    delay(ms) {
      delayMs = ms;
    },
    reset() {
      for (const { near, far } of pairs) {
        near.resetAndDestroy();
        far?.resetAndDestroy();
      }
    },
    async stop() {
      for (const { near, far } of pairs) {
        near.destroy();
        far?.destroy();
      }
      if (!listener.listening) return;
      listener.close();
      await once(listener, 'close');
    },
  };
}

function part({ near, far, answers }: Pair): void {
  near.unpipe().pause();
  far?.unpipe().pause();
  answers.unpipe().pause();
}

/** Lets each chunk through after a while, in order. */
function holdingBack(delayMs: () => number): Transform {
  const held: { readonly atMs: number; readonly release: () => void }[] = [];
  const releaseDue = () => {
    const now = performance.now();
    while (held[0] !== undefined && held[0].atMs <= now) held.shift()?.release();
    if (held[0] !== undefined) setTimeout(releaseDue, held[0].atMs - now);
  };
  const hold = (release: () => void) => {
    const ms = delayMs();
    if (ms === 0 && held.length === 0) {
      release();
      return;
    }
    const atMs = Math.max(held.at(-1)?.atMs ?? 0, performance.now() + ms);
    held.push({ atMs, release });
    if (held.length === 1) setTimeout(releaseDue, ms);
  };
  return new Transform({
    transform(chunk, _, done) {
      hold(() => this.push(chunk));
      done();
    },
    flush(done) {
      hold(done);
    },
  });
}
