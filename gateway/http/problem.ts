/**
 * Errors as RFC 9457 problem documents with a stable `code`; docs/errors.md says under each what to do.
 */
import { type AnswerCode, catalogue } from '../../shared/errors/catalogue.ts';
import { OriginUnavailable, RequestRefused } from '../../shared/errors/errors.ts';

export interface Problem {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  readonly code: AnswerCode;
}

/** Refusals that waiting mends. */
const PASSES: ReadonlySet<AnswerCode> = new Set([
  'starting',
  'sync-lost',
  'mirror-unavailable',
  'write-not-applied',
  'too-many-listeners',
]);

export const PROBLEM_TYPE = 'application/problem+json';

/** What any error is to a client. One that nobody expected says nothing of its inside. */
export function problemOf(error: unknown): Problem {
  if (error instanceof RequestRefused) {
    return problem(error.code, error.message, PASSES.has(error.code) ? { 'retry-after': '1' } : error.headers);
  }
  if (error instanceof OriginUnavailable) {
    return problem(error.code, publicDetail(error), { 'retry-after': String(error.retryAfterSeconds) });
  }
  return problem('internal', 'The gateway could not answer; its log says why.');
}

export function problem(code: AnswerCode, detail: string, headers: Readonly<Record<string, string>> = {}): Problem {
  const { status, title } = catalogue[code];
  const type = `urn:ringfill:problem:${code}`;
  return {
    code,
    status,
    headers: { 'content-type': PROBLEM_TYPE, 'cache-control': 'no-store', ...headers },
    body: JSON.stringify({ type, title, status, code, detail }),
  };
}

/** The server's own words name accounts and hosts; those go to the log. */
function publicDetail({ code }: OriginUnavailable): string {
  switch (code) {
    case 'origin-unreachable':
      return 'MySQL cannot be reached, and the cache alone cannot answer this request. Try again soon.';
    case 'origin-timeout':
      return 'MySQL did not answer in time, and the cache alone cannot answer this request. Try again soon.';
    case 'origin-overloaded':
      return 'Too many reads wait for MySQL already, and the cache alone cannot answer this request. Try again soon.';
    case 'origin-refused':
    case 'origin-login-refused':
    case 'origin-untrusted':
      return 'MySQL refused to read the row, and the cache alone cannot answer this request. The operator has to mend this.';
  }
}
