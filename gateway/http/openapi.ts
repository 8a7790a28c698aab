/** The HTTP contract as an OpenAPI document, for `/-/docs`; the exposed tables are its examples. */
import { catalogue } from '../../shared/errors/catalogue.ts';
import type { ExposedTables } from '../../shared/origin/exposed-tables.ts';
import { IDS_MAX } from './row-targets.ts';

const REF_PROBLEM = { $ref: '#/components/schemas/Problem' };

const problemAnswer = (description: string) => ({
  description,
  content: { 'application/problem+json': { schema: REF_PROBLEM } },
});

const retryAnswer = (description: string) => ({
  ...problemAnswer(description),
  headers: {
    'Retry-After': { description: 'When to try again, in seconds.', schema: { type: 'integer', minimum: 1 } },
  },
});

const parameter = (name: string, where: 'path' | 'query' | 'header', description: string, required: boolean) => ({
  name,
  in: where,
  required,
  description,
  schema: { type: 'string' },
});

const ROW_HEADERS = {
  ETag: { description: 'Of the body; strong.', schema: { type: 'string' } },
  'Cache-Status': { description: 'How this answer came about (RFC 9211).', schema: { type: 'string' } },
  Age: {
    description: 'Seconds since the row was known to be what MySQL says; on hits.',
    schema: { type: 'integer' },
  },
  'Content-Location': {
    description: 'The row’s own URL, where the id was spelled otherwise.',
    schema: { type: 'string' },
  },
};

const TABLE_PARAMETERS = [
  parameter('db', 'path', 'An exposed database.', true),
  parameter('table', 'path', 'An exposed table of it.', true),
];

const CONDITIONS = [
  parameter('Cache-Control', 'header', 'no-cache, no-store, max-age=SECONDS or only-if-cached (RFC 9111).', false),
  parameter(
    'Ringfill-After',
    'header',
    'An answer that includes this write: its GTID, or file:position in the binlog. For followed tables.',
    false,
  ),
  parameter('If-None-Match', 'header', 'Entity tags; 304 if one still names the row (RFC 9110).', false),
];

const ERRORS = {
  '304': { description: 'Not modified.' },
  '400': problemAnswer('The request cannot be read, or the id is not in its canonical spelling.'),
  '401': problemAnswer('No API key, or none that is valid; where the gateway asks for one.'),
  '403': problemAnswer('The API key is not for this table.'),
  '429': retryAnswer('More rows a second than the address or the key may read.'),
  '404': problemAnswer('No such row, or the table is not exposed; `code` says which.'),
  '503': retryAnswer('Not cached, and MySQL cannot be asked now.'),
  '504': problemAnswer('Only the cache was asked, and it does not have the row.'),
};

const json = (description: string, schema: object) => ({
  '200': { description, content: { 'application/json': { schema } } },
});

export function openApiDocument(version: string, tables: ExposedTables | undefined) {
  return {
    openapi: '3.1.0',
    info: { title: 'ringfill', version, description: describe(tables) },
    paths: {
      '/{db}/{table}/{id}': {
        get: {
          summary: 'One row',
          parameters: [
            ...TABLE_PARAMETERS,
            parameter(
              'id',
              'path',
              'The key, in its canonical spelling; the parts of a composite key joined by commas.',
              true,
            ),
            ...CONDITIONS,
          ],
          responses: {
            '200': {
              description: 'The row.',
              headers: ROW_HEADERS,
              content: { 'application/json': { schema: { type: 'object' } } },
            },
            ...ERRORS,
          },
        },
      },
      '/{db}/{table}': {
        get: {
          summary: 'Many rows',
          parameters: [
            ...TABLE_PARAMETERS,
            parameter('ids', 'query', `At most ${IDS_MAX} ids, joined by commas.`, true),
            ...CONDITIONS,
          ],
          responses: {
            ...json('The rows in the order asked; null where there is none.', { $ref: '#/components/schemas/Rows' }),
            ...ERRORS,
          },
        },
      },
      '/-/live': { get: { summary: 'Is the process alive?', responses: json('Yes.', { type: 'object' }) } },
      '/-/ready': {
        get: {
          summary: 'Should it be sent requests?',
          responses: { ...json('Yes.', { type: 'object' }), '503': { description: 'No; `why` says why.' } },
        },
      },
      '/-/metrics': { get: { summary: 'Prometheus metrics', responses: { '200': { description: 'Text format.' } } } },
      '/-/status': {
        get: {
          summary: 'The gateway at a glance: the rings, the last minute, the sync worker on the same host',
          responses: json('As it is now.', { type: 'object' }),
        },
      },
      '/-/ring': {
        get: {
          summary: 'The rings, their shards and states',
          responses: json('The layers in order.', { type: 'object' }),
        },
      },
      '/-/ring/owner': {
        get: {
          summary: 'Which shards a cache key belongs to',
          parameters: [parameter('key', 'query', 'Such as test_users_1.', true)],
          responses: json('The owner in each layer.', { type: 'object' }),
        },
      },
      '/-/ring/story': {
        get: {
          summary: 'What lies under a key in each shard, what it is worth, and what MySQL says',
          parameters: [parameter('key', 'query', 'Such as test_users_1, or test/users/1.', true)],
          responses: {
            ...json('The candidates, and MySQL.', { type: 'object' }),
            '400': problemAnswer('The id is not in its canonical spelling.'),
            '404': problemAnswer('No exposed table has such a key.'),
          },
        },
      },
      '/-/ring/invalidate': {
        post: {
          summary: 'Take a cached row out of every shard where it may lie; for keys made with --admin',
          parameters: [parameter('key', 'query', 'Such as test_users_1, or test/users/1.', true)],
          responses: {
            ...json('What became of it in each shard: removed, none or unreached.', { type: 'object' }),
            '400': problemAnswer('The id is not in its canonical spelling.'),
            '401': problemAnswer('No API key, or none that is valid.'),
            '403': problemAnswer('The API key is not for administration.'),
            '404': problemAnswer('No exposed table has such a key; or the gateway has no admin routes.'),
            '409': problemAnswer('The table is a mirror.'),
          },
        },
      },
      '/-/ui': { get: { summary: 'The dashboard', responses: { '200': { description: 'A page for browsers.' } } } },
    },
    // Either none, or a key: it is for the operator to say.
    security: [{}, { key: [] }],
    components: {
      securitySchemes: { key: { type: 'http', scheme: 'bearer', description: 'An API key, rf_….' } },
      schemas: {
        Rows: {
          type: 'object',
          required: ['rows'],
          properties: { rows: { type: 'array', items: { type: ['object', 'null'] } } },
        },
        Problem: {
          type: 'object',
          description: 'RFC 9457.',
          required: ['type', 'title', 'status', 'code', 'detail'],
          properties: {
            type: { type: 'string' },
            title: { type: 'string' },
            status: { type: 'integer' },
            code: {
              type: 'string',
              enum: Object.entries(catalogue).flatMap(([code, entry]) => ('status' in entry ? [code] : [])),
            },
            detail: { type: 'string' },
          },
        },
      },
    },
  };
}

function describe(tables: ExposedTables | undefined): string {
  const rows = [...(tables?.all() ?? [])].map(({ label, schema }) => {
    const key = schema.key.map((part) => part.column).join(',');
    return `| \`${label}\` | \`${key}\` | ${schema.columns.map((column) => `\`${column.name}\``).join(' ')} |`;
  });
  return ['MySQL rows through a ring of Redis shards.', '', '| table | key | columns |', '|---|---|---|', ...rows].join(
    '\n',
  );
}
