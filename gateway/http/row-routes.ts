/**
 * `GET /:db/:table/:id` and `GET /:db/:table?ids=…`: from the target on the wire to the journey, and from its answer to
 * the reply. HEAD comes with GET.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { parseRowId, percentDecode, percentEncode, splitRowIds } from '../../shared/key/row-id.ts';
import type { ExposedTable } from '../../shared/origin/exposed-table.ts';
import { parseWritePosition, type WritePosition } from '../../shared/stamp/write-position.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { Answer, Story } from '../journey/answer.ts';
import type { Generation } from '../generation.ts';
import type { Ports } from '../journey/ports.ts';
import { readMirror } from '../journey/mirror.ts';
import { readThrough } from '../journey/read-through.ts';
import type { RowRequest, Terms } from '../journey/row-request.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import { termsOf } from './cache-control.ts';
import { cacheStatus, cacheStatusOfMany } from './cache-status.ts';
import { etagOf, matchesAny } from './etag.ts';
import { problem } from './problem.ts';
import { parseTarget, refuseUnknownParameters, type RequestTarget } from './request-target.ts';

export interface RowRoutesOptions {
  readonly generation: () => Generation;
  readonly telemetry: GatewayTelemetry;
  readonly log: Log;
}

export const IDS_MAX = 1_000;

const JSON_TYPE = 'application/json';
const NULL = Buffer.from('null');
const COMMA = Buffer.from(',');
const ROWS_HEAD = Buffer.from('{"rows":[');
const ROWS_TAIL = Buffer.from(']}');

export function addRowRoutes(app: FastifyInstance, options: RowRoutesOptions): void {
  const { generation, telemetry, log } = options;

  app.get('/:db/:table/:id', async (request, reply) => {
    const started = performance.now();
    const target = parseTarget(request.raw.url ?? '');
    refuseUnknownParameters(target, []);
    const serving = generation();
    const table = exposedTable(serving, target, request);
    const rowRequest = rowRequestOf(table, target.segments[2] ?? '', terms(request));
    const answer = await serving.serve(() => readRow(serving.ports, rowRequest));
    telemetry.answered(table.label, answer.story);
    if (answer.found.kind === 'absent') telemetry.failed('row-not-found');
    telemetry.took('row', (performance.now() - started) / 1000);
    log.debug({ key: rowRequest.cacheKey, found: answer.found.kind, ...answer.story }, 'row answered');
    return sendRow(request, reply, rowRequest, answer);
  });

  app.get('/:db/:table', async (request, reply) => {
    const started = performance.now();
    const target = parseTarget(request.raw.url ?? '');
    refuseUnknownParameters(target, ['ids']);
    const serving = generation();
    const table = exposedTable(serving, target, request);
    const requests = rowRequestsOf(table, target.parameters.get('ids'), terms(request));
    const answers = await serving.serve(() => readMany(serving.ports, requests));
    for (const answer of answers) telemetry.answered(table.label, answer.story);
    telemetry.took('batch', (performance.now() - started) / 1000);
    const body = bodyOfMany(answers);
    const stories = answers.map((answer): Story => answer.story);
    log.debug({ table: table.label, rows: answers.length }, 'rows answered');
    return sendBody(request, reply.header('cache-status', cacheStatusOfMany(stories)), body);
  });
}

function readRow(ports: Ports, request: RowRequest): Promise<Answer> {
  return request.table.settings.mode === 'mirror' ? readMirror(ports, request) : readThrough(ports, request);
}

function terms({ headers }: FastifyRequest): Terms {
  const cacheTerms = termsOf(headers['cache-control'], headers.pragma);
  const after = headers['ringfill-after'];
  return after === undefined ? cacheTerms : { ...cacheTerms, after: writePosition(String(after)) };
}

function writePosition(text: string): WritePosition {
  const position = parseWritePosition(text);
  if (position !== undefined) return position;
  throw new RequestRefused(
    'bad-write-position',
    'Ringfill-After is a GTID such as 0-1-42 or uuid:42, several with commas between, or file:position.',
  );
}

function exposedTable({ tables, admission }: Generation, target: RequestTarget, { raw }: FastifyRequest): ExposedTable {
  const { segments } = target;
  if (tables === undefined)
    throw new RequestRefused('starting', 'MySQL has not answered yet since the gateway started.');
  if (segments[0] === '-')
    throw new RequestRefused('route-not-found', 'There is no such page under /-/; /-/docs lists every route.');
  const [db, table] = [percentDecode(segments[0] ?? ''), percentDecode(segments[1] ?? '')];
  const exposed = tables.find(db, table);
  admission?.admit(raw, `${db}.${table}`, rowsAskedFor(target, exposed));
  if (exposed === undefined) {
    throw new RequestRefused('table-not-exposed', 'No table of this name is exposed (tables, in the configuration).');
  }
  return exposed;
}

/** Counted before anything is parsed, which is for those alone who may ask. */
function rowsAskedFor({ parameters }: RequestTarget, table: ExposedTable | undefined): number {
  const parts = parameters.get('ids')?.split(/,|%2C/i).length ?? 1;
  return Math.ceil(parts / (table?.schema.key.length ?? 1));
}

function rowRequestOf(table: ExposedTable, rawSegment: string, rowTerms: Terms): RowRequest {
  const id = parseRowId(table.schema.key, rawSegment);
  return { table, id, cacheKey: table.cacheKey(id), terms: rowTerms };
}

function rowRequestsOf(table: ExposedTable, rawIds: string | undefined, rowTerms: Terms): RowRequest[] {
  const wanted = `/${percentEncode(table.name.db)}/${percentEncode(table.name.table)}?ids=…`;
  if (rawIds === undefined) throw new RequestRefused('ids-missing', `Name the rows: ${wanted}, at most ${IDS_MAX}.`);
  const segments = splitRowIds(table.schema.key, rawIds);
  if (segments.length > IDS_MAX) {
    throw new RequestRefused('too-many-ids', `${segments.length} ids in one request; at most ${IDS_MAX}.`);
  }
  return segments.map((segment) => rowRequestOf(table, segment, rowTerms));
}

/** One journey a key. The first trouble is everybody's, but all are waited for, so that none goes on unwatched. */
async function readMany(ports: Ports, requests: readonly RowRequest[]): Promise<Answer[]> {
  const settled = await Promise.allSettled(requests.map((request) => readRow(ports, request)));
  return settled.map((result) => {
    if (result.status === 'rejected') throw result.reason;
    return result.value;
  });
}

function sendRow(
  request: FastifyRequest,
  reply: FastifyReply,
  { table, cacheKey }: RowRequest,
  answer: Answer,
): FastifyReply {
  const { found, story } = answer;
  reply.header('cache-status', cacheStatus(story, cacheKey));
  if ('ageSeconds' in story) reply.header('age', String(story.ageSeconds));
  if (found.kind === 'absent') {
    const { status, headers, body } = problem('row-not-found', 'There is no row with this id.');
    return reply.code(status).headers(headers).send(Buffer.from(body));
  }
  if (found.canonicalId !== undefined) {
    const { db, table: name } = table.name;
    reply.header('content-location', `/${percentEncode(db)}/${percentEncode(name)}/${found.canonicalId.segment}`);
  }
  return sendBody(request, reply, found.body);
}

function sendBody(request: FastifyRequest, reply: FastifyReply, body: Buffer): FastifyReply {
  const etag = etagOf(body);
  // Others may keep the answer if they ask each time whether it still holds: only ringfill hears of changes.
  reply.header('etag', etag).header('cache-control', 'no-cache').header('content-type', JSON_TYPE);
  const ifNoneMatch = request.headers['if-none-match'];
  if (ifNoneMatch !== undefined && matchesAny(ifNoneMatch, etag))
    return reply.code(304).removeHeader('content-type').send();
  return reply.send(body);
}

function bodyOfMany(answers: readonly Answer[]): Buffer {
  const parts: Buffer[] = [ROWS_HEAD];
  for (const [index, { found }] of answers.entries()) {
    if (index > 0) parts.push(COMMA);
    parts.push(found.kind === 'row' ? found.body : NULL);
  }
  parts.push(ROWS_TAIL);
  return Buffer.concat(parts);
}
