/** A body of JSON as the answer to GET or HEAD, with its entity tag; 304 where the client has it already. */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { etagOf, matchesAny } from './etag.ts';

/**
 * To a text Node.js joins the headers and sends both in one write; to bytes it makes two writes of it. As latin1 every
 * byte stays what it is. Past this the second copy costs more than the second write.
 */
const SENT_AS_TEXT_BYTES_MAX = 16_384;

/**
 * Goes round Fastify's reply, which would look at each header and at the body again.
 * @param headers names and values, one after the other.
 */
export function sendJson(request: FastifyRequest, reply: FastifyReply, body: Buffer, headers: string[]): void {
  const etag = etagOf(body);
  // Others may keep the answer if they ask each time whether it still holds: only ringfill hears of changes.
  headers.push('etag', etag, 'cache-control', 'no-cache');
  const ifNoneMatch = request.headers['if-none-match'];
  const { raw } = reply.hijack();
  if (ifNoneMatch !== undefined && matchesAny(ifNoneMatch, etag)) {
    raw.writeHead(304, headers).end();
    return;
  }
  headers.push('content-type', 'application/json', 'content-length', String(body.length));
  raw.writeHead(200, headers);
  if (body.length > SENT_AS_TEXT_BYTES_MAX) raw.end(body);
  else raw.end(body.toString('latin1'), 'latin1');
}
