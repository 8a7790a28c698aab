/**
 * What it means that a Redis answers, and says no. Its replies about itself begin with a word of their own:
 *
 * | reply                                         | what is done                                                            |
 * |-----------------------------------------------|-------------------------------------------------------------------------|
 * | LOADING, BUSY, MASTERDOWN, NOAUTH, CLUSTERDOWN | it can answer nothing: out of use until a trial passes                  |
 * | OOM, MISCONF, NOREPLICAS, READONLY            | it takes no writes, and what it holds can still be read                 |
 * | READONLY, where Sentinels say who is master   | it was deposed: out of use, and the Sentinels are asked anew            |
 * | anything else: NOPERM, WRONGTYPE, ERR, …      | this one command was refused, and says nothing of others                |
 */
import { messageOf } from '../errors/errors.ts';

export type RefusalMeans = 'out-of-use' | 'refuses-writes' | 'refuses-this';

export interface Refusal {
  readonly means: RefusalMeans;
  /** Redis' own words, without the place in the script. */
  readonly why: string;
}

const ANSWERS_NOTHING = new Set(['LOADING', 'BUSY', 'MASTERDOWN', 'NOAUTH', 'CLUSTERDOWN']);
const TAKES_NO_WRITES = new Set(['OOM', 'MISCONF', 'NOREPLICAS', 'READONLY']);

/** @returns nothing where the error is no reply: silence, or a broken connection. */
export function refusalIn(error: unknown, hasSentinels: boolean): Refusal | undefined {
  if (!(error instanceof Error) || error.name !== 'ReplyError') return undefined;
  // EXECABORT only says that one of the transaction's commands was refused.
  const why = messageOf(firstOfTransaction(error) ?? error).replace(/,? script: .*$/s, '');
  const [word = ''] = why.split(' ', 1);
  if (ANSWERS_NOTHING.has(word) || (word === 'READONLY' && hasSentinels)) return { means: 'out-of-use', why };
  return { means: TAKES_NO_WRITES.has(word) ? 'refuses-writes' : 'refuses-this', why };
}

/** As ioredis tells it. */
function firstOfTransaction(error: Error): unknown {
  if (!('previousErrors' in error) || !Array.isArray(error.previousErrors)) return undefined;
  return (error.previousErrors as readonly unknown[])[0];
}
