// One question to a server over TCP, and its answer as bytes: enough to hear that it is ready, without a client library.

import { connect } from 'node:net';

export interface Question {
  readonly host: string;
  readonly port: number;
  readonly send: Buffer | string;
  /** True once the answer so far is enough; throwing ends the exchange with that error. */
  readonly isAnswered: (answer: Buffer) => boolean | { readonly reply: Buffer };
  readonly timeoutMs: number;
}

/** Rejects when the port refuses, the connection ends before the answer is complete, or time is up. */
export async function askPort({ host, port, send, isAnswered, timeoutMs }: Question): Promise<Buffer> {
  return await new Promise((resolve, reject) => {
    let answer = Buffer.alloc(0);
    const socket = connect({ host, port });
    const settle = (error?: Error): void => {
      socket.destroy();
      if (error === undefined) resolve(answer);
      else reject(error);
    };
    socket.setTimeout(timeoutMs, () => settle(new Error(`port ${String(port)} did not answer in time`)));
    socket.once('connect', () => socket.write(send));
    socket.once('error', settle);
    socket.once('close', () => settle(new Error(`port ${String(port)} closed the connection`)));
    socket.on('data', (chunk) => {
      answer = Buffer.concat([answer, chunk]);
      try {
        const verdict = isAnswered(answer);
        if (verdict === true) settle();
        else if (verdict !== false) {
          answer = Buffer.alloc(0);
          socket.write(verdict.reply);
        }
      } catch (error) {
        settle(error instanceof Error ? error : new Error(String(error)));
      }
    });
  });
}
