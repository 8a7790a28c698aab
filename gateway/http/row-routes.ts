/**
 * `GET /:db/:table/:id` and `GET /:db/:table?ids=…`: from the target on the wire to the journey, and from its answer to
 * the reply. HEAD comes with GET.
 *
 * A hit takes about as long as all that Fastify does around it, so nothing here waits for a promise: the request's
 * exchange is itself what the journey tells its end to.
 */
import type { FastifyInstance, FastifyReply, FastifyRequest } from 'fastify';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { percentEncode } from '../../shared/key/row-id.ts';
import { parseWritePosition, type WritePosition } from '../../shared/stamp/write-position.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { Generation } from '../generation.ts';
import type { Answer, Story } from '../journey/answer.ts';
import { readRow, type RowReader } from '../journey/read-row.ts';
import type { RowRequest, Terms } from '../journey/row-request.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import { termsOf } from './cache-control.ts';
import { cacheStatus, cacheStatusOfMany } from './cache-status.ts';
import { problem } from './problem.ts';
import { manyRows, type ManyRows, RowTargets } from './row-targets.ts';
import { sendJson } from './send-json.ts';

export interface RowRoutesOptions {
  readonly generation: () => Generation;
  readonly telemetry: GatewayTelemetry;
  readonly log: Log;
}

const NULL = Buffer.from('null');
const COMMA = Buffer.from(',');
const ROWS_HEAD = Buffer.from('{"rows":[');
const ROWS_TAIL = Buffer.from(']}');

export function addRowRoutes(app: FastifyInstance, options: RowRoutesOptions): void {
  const { generation } = options;
  const targets = new RowTargets();

  app.get('/:db/:table/:id', (request, reply) => {
    const serving = generation();
    const rowRequest = targets.one(request.raw.url ?? '', serving.tables, terms(request));
    const exchange = new RowExchange({ request, reply, options, serving }, rowRequest);
    serving.began();
    readRow(serving.ports, rowRequest, exchange);
  });

  app.get('/:db/:table', (request, reply) => {
    const serving = generation();
    const many = manyRows(request.raw.url ?? '', serving.tables, terms(request));
    const exchange = new ManyExchange({ request, reply, options, serving }, many);
    serving.began();
    for (const [index, rowRequest] of many.requests.entries()) {
      readRow(serving.ports, rowRequest, exchange.readerOf(index));
    }
  });
}

interface Exchange {
  readonly request: FastifyRequest;
  readonly reply: FastifyReply;
  readonly options: RowRoutesOptions;
  readonly serving: Generation;
}

class RowExchange implements RowReader {
  readonly #exchange: Exchange;
  readonly #rowRequest: RowRequest;
  readonly #startedAt = performance.now();

  constructor(exchange: Exchange, rowRequest: RowRequest) {
    this.#exchange = exchange;
    this.#rowRequest = rowRequest;
  }

  answered(answer: Answer): void {
    const { serving, reply, options } = this.#exchange;
    const { telemetry, log } = options;
    serving.ended();
    try {
      const { table, cacheKey } = this.#rowRequest;
      telemetry.answered(table.label, answer.story);
      telemetry.took('row', (performance.now() - this.#startedAt) / 1000);
      if (log.isLevelEnabled('debug')) {
        log.debug({ key: cacheKey, found: answer.found.kind, ...answer.story }, 'row answered');
      }
      this.#send(answer);
    } catch (error) {
      reply.send(error);
    }
  }

  failed(error: unknown): void {
    const { serving, reply } = this.#exchange;
    serving.ended();
    reply.send(error);
  }

  #send({ found, story }: Answer): void {
    const { request, reply, options } = this.#exchange;
    const { table, cacheKey } = this.#rowRequest;
    const headers = ['cache-status', cacheStatus(story, cacheKey)];
    if ('ageSeconds' in story) headers.push('age', String(story.ageSeconds));
    if (found.kind === 'absent') {
      options.telemetry.failed('row-not-found');
      const { status, headers: fields, body } = problem('row-not-found', 'There is no row with this id.');
      for (let at = 0; at < headers.length; at += 2) reply.header(headers[at] as string, headers[at + 1]);
      reply.code(status).headers(fields).send(Buffer.from(body));
      return;
    }
    if (found.canonicalId !== undefined) {
      const { db, table: name } = table.name;
      const path = `/${percentEncode(db)}/${percentEncode(name)}/${found.canonicalId.segment}`;
      headers.push('content-location', path);
    }
    sendJson(request, reply, found.body, headers);
  }
}

/** One journey a key. The first trouble is everybody's, but all are waited for, so that none goes on unwatched. */
class ManyExchange {
  readonly #exchange: Exchange;
  readonly #many: ManyRows;
  readonly #startedAt = performance.now();
  /** In the order asked; filled in whatever order they come. */
  readonly #answers: Answer[] = [];
  #missing: number;
  #trouble: { readonly error: unknown } | undefined;

  constructor(exchange: Exchange, many: ManyRows) {
    this.#exchange = exchange;
    this.#many = many;
    this.#missing = many.requests.length;
  }

  readerOf(index: number): RowReader {
    return {
      answered: (answer) => {
        this.#answers[index] = answer;
        this.#oneLess();
      },
      failed: (error) => {
        this.#trouble ??= { error };
        this.#oneLess();
      },
    };
  }

  #oneLess(): void {
    this.#missing -= 1;
    if (this.#missing > 0) return;
    const { serving, reply } = this.#exchange;
    serving.ended();
    try {
      if (this.#trouble === undefined) this.#send();
      else reply.send(this.#trouble.error);
    } catch (error) {
      reply.send(error);
    }
  }

  #send(): void {
    const { request, reply, options } = this.#exchange;
    const { telemetry, log } = options;
    const { label } = this.#many.table;
    const answers = this.#answers;
    for (const { story } of answers) telemetry.answered(label, story);
    telemetry.took('batch', (performance.now() - this.#startedAt) / 1000);
    log.debug({ table: label, rows: answers.length }, 'rows answered');
    const stories = answers.map(({ story }): Story => story);
    sendJson(request, reply, bodyOfMany(answers), ['cache-status', cacheStatusOfMany(stories)]);
  }
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

function bodyOfMany(answers: readonly Answer[]): Buffer {
  const parts: Buffer[] = [ROWS_HEAD];
  for (const [index, { found }] of answers.entries()) {
    if (index > 0) parts.push(COMMA);
    parts.push(found.kind === 'row' ? found.body : NULL);
  }
  parts.push(ROWS_TAIL);
  return Buffer.concat(parts);
}
