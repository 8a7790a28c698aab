/** A request that is refused for who sent it: the client hears a code, the log and the metrics the reason. */
import { RequestRefused } from '../errors/errors.ts';
import type { RefusalReason } from './access-metrics.ts';

export class AccessRefused extends RequestRefused {
  readonly reason: RefusalReason;
  /** Of the key that was sent, if it is one of ours: no secret. */
  readonly keyId: string | undefined;

  constructor(
    reason: RefusalReason,
    detail: string,
    { keyId, headers }: { readonly keyId?: string; readonly headers?: Readonly<Record<string, string>> } = {},
  ) {
    super(CODES[reason], detail, { headers: headers ?? {} });
    this.name = 'AccessRefused';
    this.reason = reason;
    this.keyId = keyId;
  }
}

const CODES = {
  'no-key': 'unauthenticated',
  'unknown-key': 'unauthenticated',
  'wrong-secret': 'unauthenticated',
  'expired-key': 'unauthenticated',
  'not-in-scope': 'not-permitted',
  'not-admin': 'not-permitted',
  'address-rate': 'rate-limited',
  'key-rate': 'rate-limited',
} as const satisfies Record<RefusalReason, string>;
