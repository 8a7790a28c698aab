/**
 * The request's target as it stood on the wire. Read by ourselves, for a router decodes too early: in a composite id
 * the commas between parts and the encoded commas inside a part must still differ.
 */
import { RequestRefused } from '../../shared/errors/errors.ts';
import { percentDecode } from '../../shared/key/row-id.ts';

export interface RequestTarget {
  /** Of the path, still percent-encoded. */
  readonly segments: readonly string[];
  /** Of the query, values still percent-encoded. */
  readonly parameters: ReadonlyMap<string, string>;
}

/** Throws RequestRefused: `bad-encoding`, `repeated-parameter`. */
export function parseTarget(target: string): RequestTarget {
  const url = originForm(target);
  const question = url.indexOf('?');
  const path = question === -1 ? url : url.slice(0, question);
  return {
    segments: path.split('/').slice(1),
    parameters: question === -1 ? NO_PARAMETERS : parseParameters(url.slice(question + 1)),
  };
}

/** `http://host/path` -> `/path`: a server must take both (RFC 9112, section 3.2.2). */
export function originForm(target: string): string {
  return target.startsWith('/') ? target : target.replace(/^https?:\/\/[^/?#]*/i, '');
}

const NO_PARAMETERS: ReadonlyMap<string, string> = new Map();

function parseParameters(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&')) {
    if (pair === '') continue;
    const equals = pair.indexOf('=');
    const name = percentDecode(equals === -1 ? pair : pair.slice(0, equals));
    if (parameters.has(name)) throw new RequestRefused('repeated-parameter', `${JSON.stringify(name)} is given twice.`);
    // In a query a plus is a space: so URLSearchParams and forms write it.
    parameters.set(name, equals === -1 ? '' : pair.slice(equals + 1).replaceAll('+', '%20'));
  }
  return parameters;
}

/** A misspelt parameter would otherwise be ignored, and the answer be to another question. */
export function refuseUnknownParameters({ parameters }: RequestTarget, known: readonly string[]): void {
  for (const name of parameters.keys()) {
    if (known.includes(name)) continue;
    const hint = known.length === 0 ? 'this route takes none' : `known: ${known.join(', ')}`;
    throw new RequestRefused('unknown-parameter', `${JSON.stringify(name)} is not a parameter here; ${hint}.`);
  }
}
