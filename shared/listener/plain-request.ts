/**
 * A GET in its plainest form: a head that arrived whole and alone, of which nothing can be read in two ways. Whatever is
 * not surely that is none: it is Node's to read, or to refuse.
 *
 *     GET /target HTTP/1.1      one target in origin form, of visible ASCII
 *     name: value               no name twice, no folded line, nothing about a body or the connection but keep-alive
 *                               an empty line, and nothing after it
 */

/** Longer ones are no plain requests. Bytes. */
export const HEAD_BYTES_MAX = 8_192;

/** By name, in lower case. */
export type PlainHeaders = Readonly<Record<string, string>>;

const METHOD = 'GET ';
const VERSION = ' HTTP/1.1';
const LINE_END = '\r\n';
const TARGET = /^\/[!"$-~]*$/;
/** RFC 9110, sections 5.1 and 5.5; without obsolete bytes. */
const FIELD = /^([!#$%&'*+.^_`|~0-9A-Za-z-]+):([\t -~]*)$/;
/** A body, or a connection that is about to be something else. */
const NOT_PLAIN: ReadonlySet<string> = new Set([
  'content-length',
  'transfer-encoding',
  'trailer',
  'te',
  'expect',
  'upgrade',
  'http2-settings',
]);

/** The head's target and where its header lines begin; nothing where the first line is not plain. */
export function plainTarget(head: string): { readonly target: string; readonly fieldsAt: number } | undefined {
  if (!head.startsWith(METHOD)) return undefined;
  const end = head.indexOf(LINE_END);
  const target = head.slice(METHOD.length, Math.max(METHOD.length, end - VERSION.length));
  if (end < 0 || !head.startsWith(VERSION, METHOD.length + target.length) || !TARGET.test(target)) return undefined;
  return { target, fieldsAt: end + LINE_END.length };
}

/** @param fields the header lines and the empty line behind them. Nothing where they are not plain, or go on. */
export function plainHeaders(fields: string): PlainHeaders | undefined {
  const lines = fields.split(LINE_END);
  if (lines.pop() !== '' || lines.pop() !== '') return undefined;
  const headers = Object.create(null) as Record<string, string>;
  for (const line of lines) {
    const [, name = '', value = ''] = FIELD.exec(line) ?? [];
    const key = name.toLowerCase();
    if (key === '' || key in headers || NOT_PLAIN.has(key)) return undefined;
    headers[key] = value.trim();
  }
  const { host, connection = 'keep-alive' } = headers;
  return host !== undefined && host !== '' && connection.toLowerCase() === 'keep-alive' ? headers : undefined;
}
