// Ports for private servers: a fixed one is checked before its server starts, a missing one is chosen.

import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { createServer } from 'node:net';
import { holderOfPort, type PortHolder } from './process-identity.ts';

export const loopback = '127.0.0.1';

export class PortTaken extends Error {
  override readonly name = 'PortTaken';
  readonly port: number;
  readonly holder: PortHolder | undefined;

  constructor(port: number, wantedBy: string, holder: PortHolder | undefined, advice: string) {
    const held =
      holder === undefined
        ? 'another process listens there'
        : `${holder.program} (pid ${String(holder.pid)}) listens there`;
    super(`Port ${String(port)}, wanted by ${wantedBy}, is taken: ${held}. ${advice}`);
    this.port = port;
    this.holder = holder;
  }
}

export interface PortClaim {
  readonly port: number;
  /** Who wants it, in the words of the message that says it is taken. */
  readonly wantedBy: string;
  readonly advice: string;
}

export class PortNotAllowed extends Error {
  override readonly name = 'PortNotAllowed';
}

type Attempt = 'free' | 'taken' | 'not allowed';

async function tryToListen(port: number): Promise<Attempt> {
  const server = createServer();
  server.listen({ host: loopback, port, exclusive: true });
  try {
    await once(server, 'listening');
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EACCES' ? 'not allowed' : 'taken';
  }
  server.close();
  await once(server, 'close');
  return 'free';
}

/** Throws PortTaken or PortNotAllowed for the first port that cannot be listened on. */
export async function requireFree(claims: readonly PortClaim[]): Promise<void> {
  for (const { port, wantedBy, advice } of claims) {
    const attempt = await tryToListen(port);
    switch (attempt) {
      case 'free':
        continue;
      case 'taken':
        throw new PortTaken(port, wantedBy, holderOfPort(port), advice);
      case 'not allowed':
        throw new PortNotAllowed(
          `Port ${String(port)}, wanted by ${wantedBy}, is not allowed to this user: the low ones are root's. ${advice}`,
        );
    }
  }
}

// Below the range from which systems take the local ports of outgoing connections (from 32768 on Linux): a server that is
// stopped and started again must find its port still free.
const lowestChosen = 20_000;
const highestChosen = 32_700;

/** A port that was free a moment ago. Whoever binds it must be ready to hear that it no longer is. */
export async function chooseFreePort(): Promise<number> {
  for (let attempt = 0; attempt < 200; attempt += 1) {
    const port = randomInt(lowestChosen, highestChosen);
    if ((await tryToListen(port)) === 'free') return port;
  }
  throw new Error(`No free port between ${String(lowestChosen)} and ${String(highestChosen)} on ${loopback}.`);
}

/** Starts something on the given port, or on a chosen one; another is chosen if someone was faster. */
export async function onPort<Started>(
  port: number | undefined,
  start: (port: number) => Promise<Started>,
): Promise<Started> {
  if (port !== undefined) return await start(port);
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await start(await chooseFreePort());
    } catch (error) {
      if (!(error instanceof PortTaken) || attempt === 5) throw error;
    }
  }
}
