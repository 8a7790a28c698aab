/**
 * Errors by what the caller does with them: reject the request, go round a shard, wait for the origin, or stop.
 * Each carries a stable code; docs/errors.md says what to do about it.
 */
import type { AnswerCode, ErrorCode } from './catalogue.ts';

/** Reject: the client asked for something that cannot be answered, whatever the servers do. */
export class RequestRefused extends Error {
  readonly code: AnswerCode;
  /** Of the answer, beside those of every problem. */
  readonly headers: Readonly<Record<string, string>>;

  constructor(code: AnswerCode, detail: string, { headers = {} }: { headers?: Readonly<Record<string, string>> } = {}) {
    super(detail);
    this.name = 'RequestRefused';
    this.code = code;
    this.headers = headers;
  }
}

/**
 * - `out-of-use`: it was not asked, for it is down, slow or refuses everything. Nothing has been done there.
 * - `refused`: it is there and says no, or is known to, as a full Redis does to writes. Nothing has been done there.
 * - `silent`: it was asked and did not answer in time, or the connection broke. It may have been done, or will yet be.
 */
export type ShardTrouble = 'out-of-use' | 'refused' | 'silent';

/** Go round: this shard did not answer in time, or at all, or refused. Another layer or the origin can. */
export class ShardUnavailable extends Error {
  readonly shard: string;
  readonly kind: ShardTrouble;

  constructor(shard: string, why: string, options?: ErrorOptions & { kind?: ShardTrouble }) {
    super(`shard ${shard}: ${why}`, options);
    this.name = 'ShardUnavailable';
    this.shard = shard;
    this.kind = options?.kind ?? 'silent';
  }
}

export type OriginTrouble =
  | 'origin-unreachable'
  | 'origin-timeout'
  | 'origin-overloaded'
  | 'origin-refused'
  | 'origin-login-refused'
  | 'origin-untrusted';

/** Wait, or serve what has expired: MySQL cannot answer this read now. */
export class OriginUnavailable extends Error {
  readonly code: OriginTrouble;
  /** What the client is told to wait, in whole seconds, at least 1. */
  readonly retryAfterSeconds: number;

  constructor(code: OriginTrouble, detail: string, options?: ErrorOptions & { retryAfterSeconds?: number }) {
    super(detail, options);
    this.name = 'OriginUnavailable';
    this.code = code;
    this.retryAfterSeconds = options?.retryAfterSeconds ?? 1;
  }
}

/** One thing that is wrong with the set-up, where, and what mends it. */
export interface Problem {
  readonly code: ErrorCode;
  /** The place in the configuration, such as `tables.shop.orders.key`; empty if there is none. */
  readonly where: string;
  readonly message: string;
  /** A line or statement that mends it, ready to paste. */
  readonly mend?: string;
}

/** Stop: the set-up is wrong, and no waiting will mend it. */
export class SetupError extends Error {
  readonly problems: readonly Problem[];

  constructor(problems: readonly [Problem, ...Problem[]], options?: ErrorOptions) {
    super(problems.map(describeProblem).join('\n'), options);
    this.name = 'SetupError';
    this.problems = problems;
  }

  get code(): ErrorCode {
    // The constructor takes at least one problem.
    return (this.problems[0] as Problem).code;
  }
}

export function describeProblem(problem: Problem): string {
  const where = problem.where === '' ? '' : `${problem.where}: `;
  const mend = problem.mend === undefined ? '' : `\n    mend: ${problem.mend}`;
  return `${where}${problem.message} [${problem.code}]${mend}`;
}

/** The text of whatever was thrown. */
export function messageOf(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** MariaDB's own, whose names mysql2 does not know. */
const MARIADB_CODES: ReadonlyMap<unknown, string> = new Map([[1969, 'ER_STATEMENT_TIMEOUT']]);

/** The `code` that Node's and the drivers' errors carry (`ECONNREFUSED`, `ER_NO_SUCH_TABLE`), if there is one. */
export function codeOf(thrown: unknown): string | undefined {
  if (typeof thrown !== 'object' || thrown === null) return undefined;
  if ('code' in thrown && typeof thrown.code === 'string') return thrown.code;
  return 'errno' in thrown ? MARIADB_CODES.get(thrown.errno) : undefined;
}
