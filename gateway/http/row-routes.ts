/**
 * `GET /:db/:table/:id` and `GET /:db/:table?ids=…`: from the target on the wire to the journey, and from its answer to
 * the reply. HEAD comes with GET.
 *
 *     a plain request, as most are ─▶ taken here ─┐
 *     all others ─▶ Node's HTTP ─▶ the router ────┴─▶ the target ─▶ journey ─▶ reply
 *
 * A hit takes less than what Fastify does around one. So nothing here waits for a promise: the request's exchange is itself
 * what the journey tells its end to.
 */
import type { FastifyInstance } from 'fastify';
import type { ClientRequest } from '../../shared/access/client-address.ts';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import { RequestRefused } from '../../shared/errors/errors.ts';
import { percentEncode } from '../../shared/key/row-id.ts';
import type { PlainRequest } from '../../shared/listener/plain-connection.ts';
import { NodeReply, type Reply } from '../../shared/listener/reply.ts';
import { parseWritePosition, type WritePosition } from '../../shared/stamp/write-position.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { Generation } from '../generation.ts';
import type { Answer, Story } from '../journey/answer.ts';
import { readRow, type RowReader } from '../journey/read-row.ts';
import type { RowRequest, Terms } from '../journey/row-request.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import { termsOf } from './cache-control.ts';
import { cacheStatus, cacheStatusOfMany } from './cache-status.ts';
import type { ErrorAnswers } from './error-answers.ts';
import { problem } from './problem.ts';
import type { Admit, ManyRows, RowTargets } from './row-targets.ts';
import { sendJson } from './send-json.ts';

export interface RowRoutesOptions {
  readonly generation: () => Generation;
  readonly telemetry: GatewayTelemetry;
  readonly log: Log;
  readonly errors: ErrorAnswers;
}

const NULL = Buffer.from('null');
const COMMA = Buffer.from(',');
const ROWS_HEAD = Buffer.from('{"rows":[');
const ROWS_TAIL = Buffer.from(']}');

/** A request, and what serves it. */
interface Asked {
  readonly url: string;
  readonly request: ClientRequest;
  readonly reply: Reply;
  readonly serving: Generation;
  readonly options: RowRoutesOptions;
}

/** What is not for rows is beneath it. */
const OPERATIONS = '/-/';
const ONE = /^\/[^/?]+\/[^/?]+\/[^/?]+$/;
const MANY = /^\/[^/?]+\/[^/?]+\?/;

export class RowRoutes {
  readonly #options: RowRoutesOptions;

  constructor(options: RowRoutesOptions) {
    this.#options = options;
  }

  addTo(app: FastifyInstance): void {
    app.get('/:db/:table/:id', ({ raw }, reply) => {
      this.#begin(raw.url ?? '', raw, new NodeReply(reply.hijack().raw), readOne);
    });
    app.get('/:db/:table', ({ raw }, reply) => {
      this.#begin(raw.url ?? '', raw, new NodeReply(reply.hijack().raw), readMany);
    });
  }

  /** @returns whether it is for rows, and answered; all others are the router's. */
  takes({ url, headers, socket }: PlainRequest, reply: Reply): boolean {
    if (url.startsWith(OPERATIONS)) return false;
    const read = ONE.test(url) ? readOne : MANY.test(url) ? readMany : undefined;
    if (read !== undefined) this.#begin(url, { headers, socket }, reply, read);
    return read !== undefined;
  }

  #begin(url: string, request: ClientRequest, reply: Reply, read: (asked: Asked) => void): void {
    const options = this.#options;
    try {
      read({ url, request, reply, serving: options.generation(), options });
    } catch (error) {
      options.errors.answer(reply, error);
    }
  }
}

function readOne(asked: Asked): void {
  const { serving, request } = asked;
  const named = targetsOf(asked).one(asked.url, admitting(asked));
  const row = onTerms(named, terms(request));
  serving.began();
  readRow(serving.ports, row, new RowExchange(asked, row));
}

function readMany(asked: Asked): void {
  const { serving, request } = asked;
  const many = targetsOf(asked).many(asked.url, admitting(asked));
  const accepted = terms(request);
  const exchange = new ManyExchange(asked, many);
  serving.began();
  for (const [index, named] of many.requests.entries()) {
    readRow(serving.ports, onTerms(named, accepted), exchange.readerOf(index));
  }
}

class RowExchange implements RowReader {
  readonly #asked: Asked;
  readonly #row: RowRequest;
  readonly #startedAt = performance.now();

  constructor(asked: Asked, row: RowRequest) {
    this.#asked = asked;
    this.#row = row;
  }

  answered(answer: Answer): void {
    const { serving, reply, options } = this.#asked;
    const { telemetry, log, errors } = options;
    serving.ended();
    try {
      const { table, cacheKey } = this.#row;
      telemetry.answered(table.label, answer.story);
      telemetry.took('row', (performance.now() - this.#startedAt) / 1000);
      if (log.isLevelEnabled('debug')) {
        log.debug({ key: cacheKey, found: answer.found.kind, ...answer.story }, 'row answered');
      }
      this.#send(answer);
    } catch (error) {
      errors.answer(reply, error);
    }
  }

  failed(error: unknown): void {
    const { serving, reply, options } = this.#asked;
    serving.ended();
    options.errors.answer(reply, error);
  }

  #send({ found, story }: Answer): void {
    const { request, reply, options } = this.#asked;
    const { table, cacheKey } = this.#row;
    const headers = ['cache-status', cacheStatus(story, cacheKey)];
    if ('ageSeconds' in story) headers.push('age', String(story.ageSeconds));
    if (found.kind === 'absent') {
      options.errors.send(reply, problem('row-not-found', 'There is no row with this id.'), headers);
      return;
    }
    if (found.canonicalId !== undefined) {
      const { db, table: name } = table.name;
      const path = `/${percentEncode(db)}/${percentEncode(name)}/${found.canonicalId.segment}`;
      headers.push('content-location', path);
    }
    sendJson(reply, request.headers['if-none-match'], found.body, headers);
  }
}

/** One journey a key. The first trouble is everybody's, but all are waited for, so that none goes on unwatched. */
class ManyExchange {
  readonly #asked: Asked;
  readonly #many: ManyRows;
  readonly #startedAt = performance.now();
  /** In the order asked; filled in whatever order they come. */
  readonly #answers: Answer[] = [];
  #missing: number;
  #trouble: { readonly error: unknown } | undefined;

  constructor(asked: Asked, many: ManyRows) {
    this.#asked = asked;
    this.#many = many;
    this.#missing = many.requests.length;
  }

  readerOf(index: number): RowReader {
    return new OneOfManyReader(this, index);
  }

  answered(index: number, answer: Answer): void {
    this.#answers[index] = answer;
    this.#oneLess();
  }

  failed(error: unknown): void {
    this.#trouble ??= { error };
    this.#oneLess();
  }

  #oneLess(): void {
    this.#missing -= 1;
    if (this.#missing > 0) return;
    const { serving, reply, options } = this.#asked;
    serving.ended();
    try {
      if (this.#trouble !== undefined) throw this.#trouble.error;
      this.#send();
    } catch (error) {
      options.errors.answer(reply, error);
    }
  }

  #send(): void {
    const { request, reply, options } = this.#asked;
    const { telemetry, log } = options;
    const { label } = this.#many.table;
    const answers = this.#answers;
    for (const { story } of answers) telemetry.answered(label, story);
    telemetry.took('batch', (performance.now() - this.#startedAt) / 1000);
    log.debug({ table: label, rows: answers.length }, 'rows answered');
    const stories = answers.map(({ story }): Story => story);
    sendJson(reply, request.headers['if-none-match'], new TaggedBody(bodyOfMany(answers)), [
      'cache-status',
      cacheStatusOfMany(stories),
    ]);
  }
}

class OneOfManyReader implements RowReader {
  readonly #exchange: ManyExchange;
  readonly #index: number;

  constructor(exchange: ManyExchange, index: number) {
    this.#exchange = exchange;
    this.#index = index;
  }

  answered(answer: Answer): void {
    this.#exchange.answered(this.#index, answer);
  }

  failed(error: unknown): void {
    this.#exchange.failed(error);
  }
}

/** Nothing where everybody may read. */
function admitting({ serving: { admission }, request }: Asked): Admit | undefined {
  return admission && ((table, rows) => admission.admit(request, table, rows));
}

/** Throws RequestRefused `starting`. */
function targetsOf({ serving: { targets } }: Asked): RowTargets {
  if (targets !== undefined) return targets;
  throw new RequestRefused('starting', 'MySQL has not answered yet since the gateway started.');
}

function onTerms(request: RowRequest, accepted: Terms): RowRequest {
  return accepted === request.terms ? request : { ...request, terms: accepted };
}

function terms({ headers }: ClientRequest): Terms {
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
    parts.push(found.kind === 'row' ? found.body.bytes : NULL);
  }
  parts.push(ROWS_TAIL);
  return Buffer.concat(parts);
}
