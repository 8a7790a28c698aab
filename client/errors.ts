/**
 * What a call of the client can end with, by stable code. The gateway's codes come from its problem documents
 * (docs/errors.md has a section on each); the client's own say that no answer came, or none that can be used.
 */

/** The codes of a gateway's answers. A newer gateway may have more. */
export type GatewayCode =
  | 'bad-encoding'
  | 'bad-id'
  | 'ids-missing'
  | 'too-many-ids'
  | 'unknown-parameter'
  | 'repeated-parameter'
  | 'missing-parameter'
  | 'bad-write-position'
  | 'bad-request'
  | 'table-not-exposed'
  | 'row-not-found'
  | 'route-not-found'
  | 'table-is-mirror'
  | 'method-not-allowed'
  | 'uri-too-long'
  | 'unauthenticated'
  | 'not-permitted'
  | 'request-timeout'
  | 'rate-limited'
  | 'origin-unreachable'
  | 'origin-timeout'
  | 'origin-overloaded'
  | 'origin-refused'
  | 'origin-login-refused'
  | 'origin-untrusted'
  | 'sync-lost'
  | 'mirror-unavailable'
  | 'write-not-applied'
  | 'row-too-large'
  | 'starting'
  | 'too-many-listeners'
  | 'not-cached'
  | 'internal';

export type ClientCode =
  /** No connection to the gateway, or it broke before the answer was complete, and so did the retries. */
  | 'gateway-unreachable'
  /** The call's deadline passed; retries and waiting for a connection count. */
  | 'deadline-exceeded'
  /** Something answered, but not as a ringfill gateway does. Often a proxy, or a wrong `url`. */
  | 'answer-unreadable'
  /** The answer is longer than `responseBytesMax`. */
  | 'answer-too-large'
  /** `requestsMax` requests are under way or waiting. */
  | 'too-many-requests'
  /** The client was closed. */
  | 'client-closed';

// `string & {}` keeps the literals for editors' completion.
export type RingfillErrorCode = GatewayCode | ClientCode | (string & {});

export interface RingfillErrorFields {
  readonly code: RingfillErrorCode;
  readonly detail: string;
  readonly status?: number | undefined;
  readonly retryAfterSeconds?: number | undefined;
}

export class RingfillError extends Error {
  readonly code: RingfillErrorCode;
  /** For people; its words may change, `code` does not. */
  readonly detail: string;
  /** Of the answer; undefined where none came. */
  readonly status: number | undefined;
  /** What the gateway asked to wait, in seconds, if it did. */
  readonly retryAfterSeconds: number | undefined;

  constructor({ code, detail, status, retryAfterSeconds }: RingfillErrorFields, options?: ErrorOptions) {
    super(`${detail} [${code}]`, options);
    this.name = 'RingfillError';
    this.code = code;
    this.detail = detail;
    this.status = status;
    this.retryAfterSeconds = retryAfterSeconds;
  }
}
