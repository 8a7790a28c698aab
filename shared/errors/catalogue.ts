/**
 * Every error that leaves ringfill, by its stable code: what it means and what to do about it.
 * docs/errors.md has one section a code, and a contract test holds the two together.
 *
 * `status` is the HTTP status where the error can be an answer; codes without one stop a command.
 */
export const catalogue = {
  // The client's request: reject.
  'bad-encoding': { status: 400, title: 'Broken percent-encoding' },
  'bad-id': { status: 400, title: 'The id is not in its canonical spelling' },
  'ids-missing': { status: 400, title: 'No ids given' },
  'too-many-ids': { status: 400, title: 'Too many ids in one request' },
  'unknown-parameter': { status: 400, title: 'Unknown query parameter' },
  'repeated-parameter': { status: 400, title: 'A query parameter is given twice' },
  'missing-parameter': { status: 400, title: 'A query parameter is missing' },
  'bad-write-position': { status: 400, title: 'Ringfill-After is not a place in the binlog' },
  'bad-request': { status: 400, title: 'The request cannot be read' },
  'table-not-exposed': { status: 404, title: 'This table is not exposed' },
  'row-not-found': { status: 404, title: 'No such row' },
  'route-not-found': { status: 404, title: 'Nothing here' },
  'table-is-mirror': { status: 409, title: 'The table is a mirror' },
  'method-not-allowed': { status: 405, title: 'Method not allowed' },
  'uri-too-long': { status: 414, title: 'The URL is too long' },
  unauthenticated: { status: 401, title: 'An API key is needed' },
  'not-permitted': { status: 403, title: 'The API key is not for this' },
  'request-timeout': { status: 408, title: 'The request did not arrive in time' },
  'rate-limited': { status: 429, title: 'Too many rows a second' },

  // The servers behind us: retry later.
  'origin-unreachable': { status: 503, title: 'MySQL cannot be reached' },
  'origin-timeout': { status: 503, title: 'MySQL did not answer in time' },
  'origin-overloaded': { status: 503, title: 'Too many reads are waiting for MySQL' },
  'origin-refused': { status: 503, title: 'MySQL refused the read' },
  'origin-login-refused': { status: 503, title: 'MySQL refused the login' },
  'origin-untrusted': { status: 503, title: 'MySQL’s certificate is not trusted' },
  'sync-lost': { status: 503, title: 'The changes of this table are not heard of just now' },
  'mirror-unavailable': { status: 503, title: 'No shard can say whether there is such a row' },
  'write-not-applied': { status: 503, title: 'The write that was asked for has not arrived yet' },
  'row-too-large': { status: 503, title: 'The row is too large for the mirror' },
  starting: { status: 503, title: 'The gateway is starting' },
  'too-many-listeners': { status: 503, title: 'Too many dashboards are open' },
  'not-cached': { status: 504, title: 'Not in the cache, and only the cache was asked' },
  internal: { status: 500, title: 'A mistake in ringfill' },

  // Set-up: stop, and say what to mend.
  'config-unreadable': { title: 'The configuration file cannot be read' },
  'config-invalid': { title: 'The configuration is not valid' },
  'config-secret-missing': { title: 'A secret that the configuration names is not there' },
  'config-unwritable': { title: 'The configuration file cannot be replaced' },
  'ring-change-refused': { title: 'The ring cannot be changed so' },
  'keys-collide': { title: 'Two exposed tables could use the same cache key' },
  'table-missing': { title: 'An exposed table does not exist' },
  'table-not-granted': { title: 'MySQL does not let us read an exposed table' },
  'table-unsupported': { title: 'An exposed table cannot be cached' },
  'column-missing': { title: 'The configuration names a column that the table does not have' },
  'key-unsuitable': { title: 'The columns named as key do not identify a row' },
  'binlog-not-granted': { title: 'MySQL does not tell us where its binlog ends' },
  'binlog-off': { title: 'The server writes no binlog' },
  'origin-unsupported': { title: 'This MySQL server cannot be the origin' },
  'broker-topology-differs': { title: 'A queue exists with other properties' },
  'broker-unreachable': { title: 'RabbitMQ cannot be reached' },
  'broker-refused': { title: 'RabbitMQ refuses the user or the virtual host' },
  'broker-untrusted': { title: 'RabbitMQ’s certificate is not trusted' },
  'subscriber-unknown': { title: 'There is no subscriber of this name' },
  'event-file-unreadable': { title: 'A file of events cannot be read' },
  'not-an-event': { title: 'A line of a file is no event' },
  'dead-letter-unknown': { title: 'There is no dead letter of this id' },
  'not-a-mirror': { title: 'The table is not a mirror' },
  'listen-failed': { title: 'The gateway cannot listen there' },
  'public-without-access': { title: 'Everybody could read the exposed rows' },
  'keys-unusable': { title: 'The file of API keys cannot be used' },
  'key-unknown': { title: 'There is no such API key' },
  'certificate-unusable': { title: 'The certificate to listen with cannot be used' },
} as const satisfies Record<string, { readonly status?: number; readonly title: string }>;

export type ErrorCode = keyof typeof catalogue;

/** The codes that can be an HTTP answer. */
export type AnswerCode = {
  [Code in ErrorCode]: (typeof catalogue)[Code] extends { readonly status: number } ? Code : never;
}[ErrorCode];
