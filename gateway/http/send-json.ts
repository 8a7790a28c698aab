/** A body of JSON as the answer to GET or HEAD, with its entity tag; 304 where the client has it already. */
import type { TaggedBody } from '../../shared/entry/tagged-body.ts';
import type { Reply } from '../../shared/listener/reply.ts';
import { matchesAny } from './if-none-match.ts';

/** @param headers names and values, one after the other; more are put behind them. */
export function sendJson(reply: Reply, ifNoneMatch: string | undefined, body: TaggedBody, headers: string[]): void {
  const { etag } = body;
  // Others may keep the answer if they ask each time whether it still holds: only ringfill hears of changes.
  headers.push('etag', etag, 'cache-control', 'no-cache');
  if (ifNoneMatch !== undefined && matchesAny(ifNoneMatch, etag)) {
    reply.send(304, headers);
    return;
  }
  headers.push('content-type', 'application/json');
  reply.send(200, headers, body);
}
