/**
 * Every error leaves as a problem document, whoever found it, and is counted; the log hears of those that nobody expected.
 */
import { codeOf, messageOf, OriginUnavailable, RequestRefused } from '../../shared/errors/errors.ts';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';
import type { Reply } from '../../shared/listener/reply.ts';
import type { Log } from '../../shared/telemetry/log.ts';
import type { GatewayTelemetry } from '../telemetry.ts';
import { type Problem, problem, problemOf } from './problem.ts';

export interface ErrorAnswersOptions {
  readonly telemetry: Pick<GatewayTelemetry, 'failed'>;
  readonly log: Log;
  /** Of a path's segment, in characters; longer ones Fastify refuses. */
  readonly segmentMax: number;
}

export class ErrorAnswers {
  readonly #options: ErrorAnswersOptions;

  constructor(options: ErrorAnswersOptions) {
    this.#options = options;
  }

  answer(reply: Reply, error: unknown): void {
    const { log } = this.#options;
    const answer = this.#problemOf(error);
    if (error instanceof OriginUnavailable) {
      log.debug({ code: error.code, reason: error.message }, 'row not answered');
    } else if (answer.status >= 500 && !(error instanceof RequestRefused)) {
      log.error({ err: error }, 'request failed');
    }
    this.send(reply, answer);
  }

  /** @param more headers beside its own: names and values, one after the other. */
  send(reply: Reply, { status, headers, body, code }: Problem, more: readonly string[] = []): void {
    this.#options.telemetry.failed(code);
    reply.send(status, [...more, ...Object.entries(headers).flat()], new TaggedBody(Buffer.from(body)));
  }

  /** Fastify's own errors carry a status; ours are told apart by class. */
  #problemOf(error: unknown): Problem {
    if (error instanceof RequestRefused || error instanceof OriginUnavailable) return problemOf(error);
    switch (codeOf(error)) {
      case 'FST_ERR_BAD_URL':
        return problem('bad-encoding', 'The percent-encoding of the path is broken, or is not UTF-8.');
      case 'FST_ERR_MAX_PARAM_LENGTH':
        return problem('uri-too-long', `A path segment is longer than ${this.#options.segmentMax} characters.`);
      default: {
        const status = (error as { statusCode?: unknown } | undefined)?.statusCode;
        if (typeof status === 'number' && status >= 400 && status < 500)
          return problem('bad-request', messageOf(error));
        return problemOf(error);
      }
    }
  }
}
