import { createReadStream } from 'node:fs';
import { Command } from 'commander';
import { declareOutlets, outletTopologyOf } from '../../shared/broker/outlet-topology.ts';
import { PublishLost, PublishSession } from '../../shared/broker/publisher.ts';
import { topologyOf } from '../../shared/broker/topology.ts';
import { loadConfig } from '../../shared/config/load.ts';
import type { SyncConfig } from '../../shared/config/schema.ts';
import { messageOf, type Problem, SetupError } from '../../shared/errors/errors.ts';
import { readEvent } from '../../shared/event/event.ts';
import { createLog } from '../../shared/telemetry/log.ts';
import { askBroker } from '../ask-broker.ts';
import { wholeNumber } from '../whole-number.ts';

interface Options {
  readonly config: string;
  readonly to?: string;
  readonly fromLine: number;
  readonly json?: true;
}

interface Line {
  /** From 1 on. */
  readonly number: number;
  readonly text: string;
  /** How far in the file it ends. */
  readonly endBytes: number;
}

const BAD_LINES_SHOWN = 10;
const PROGRESS_EVERY_MS = 1_000;

export function replayCommand(): Command {
  return new Command('replay')
    .description('Send the events of a binlog_….log file once more, to every subscriber or to one.')
    .argument('<file>', 'as the files outlet writes it, or canal’s client')
    .option('-c, --config <file>', 'the configuration file', 'ringfill.yml')
    .option('--to <subscriber>', 'into this subscriber’s queue alone; default: to the exchange, for all of them')
    .option(
      '--from-line <number>',
      'begin here, such as where an earlier replay was interrupted',
      wholeNumber(1, 1e15),
      1,
    )
    .option('--json', 'the outcome as JSON, for scripts')
    .addHelpText(
      'after',
      `
The whole file is read first: if a line is no event, its number is said and nothing is sent. Then the events are sent in
the file's order, and each is confirmed by RabbitMQ. They come after what is told already: a subscriber that has newer
events of a row has to look at "version". The files outlet does not write them again.

  ringfill replay db_data/binlog_20261122.log --to canal_binlog_data`,
    )
    .action(async (file: string, { config: path, to, fromLine, json }: Options) => {
      const config = loadConfig(path);
      const { sync } = config;
      const outlets = sync && outletTopologyOf(config, sync);
      if (sync === undefined || outlets === undefined) {
        const message = 'there is nobody to send events to: this configuration has no sync.outlets';
        throw new SetupError([{ code: 'config-invalid', where: 'sync.outlets', message }]);
      }
      requireSubscriber(sync, to);
      const bytes = await requireEvents(file, fromLine);
      let sent = 0;
      await askBroker(sync, 'replay', async (connection) => {
        await declareOutlets(connection, outlets, createLog('warn'));
        const session = await PublishSession.open({ connection, topology: topologyOf(config, sync) });
        let [confirmed, doneBytes] = [fromLine - 1, 0];
        const progress = setInterval(() => {
          if (json !== true) process.stderr.write(`${confirmed} lines, ${percent(doneBytes, bytes)} %\n`);
        }, PROGRESS_EVERY_MS);
        try {
          let last: Promise<void> = Promise.resolve();
          for await (const { number, text, endBytes } of linesOf(file)) {
            if (number < fromLine) continue;
            await session.ready();
            last = send(session, to ?? { exchange: outlets.exchange }, text).then(() => {
              confirmed = number;
              doneBytes = endBytes;
            });
            last.catch(() => undefined);
            sent += 1;
          }
          await last;
        } catch (error) {
          if (!(error instanceof PublishLost)) throw error;
          throw interrupted(file, confirmed, error);
        } finally {
          clearInterval(progress);
          await session.close();
        }
      });
      if (json === true) process.stdout.write(`${JSON.stringify({ file, sent })}\n`);
      else process.stdout.write(`${sent} events sent again, all confirmed.\n`);
    });
}

/** @param to a queue, or an exchange. @returns settles when it and all before it are confirmed. */
function send(session: PublishSession, to: string | { readonly exchange: string }, text: string): Promise<void> {
  const read = readEvent(text);
  // It was one when the file was read before.
  if (read.kind === 'no event') throw new Error(`the file has changed meanwhile: ${read.why}`);
  const event = { ...read, content: Buffer.from(text, 'utf8'), isReplayed: true };
  return typeof to === 'string'
    ? session.publishEvent('', { ...event, routingKey: to })
    : session.publishEvent(to.exchange, event);
}

function requireSubscriber({ outlets }: SyncConfig, to: string | undefined): void {
  const known = Object.keys(outlets?.subscribers ?? {});
  if (to === undefined || known.includes(to)) return;
  const message = `there is no subscriber ${to}; there are ${known.length === 0 ? 'none' : known.join(', ')}`;
  throw new SetupError([{ code: 'subscriber-unknown', where: 'sync.outlets.subscribers', message }]);
}

/** @returns the file's length. Throws SetupError: `event-file-unreadable`, `not-an-event`. */
async function requireEvents(file: string, fromLine: number): Promise<number> {
  const bad: Problem[] = [];
  let badCount = 0;
  let bytes = 0;
  try {
    for await (const { number, text, endBytes } of linesOf(file)) {
      bytes = endBytes;
      if (number < fromLine) continue;
      const read = readEvent(text);
      if (read.kind === 'event') continue;
      badCount += 1;
      if (bad.length < BAD_LINES_SHOWN) {
        bad.push({ code: 'not-an-event', where: `${file}:${number}`, message: read.why });
      }
    }
  } catch (error) {
    throw new SetupError([{ code: 'event-file-unreadable', where: file, message: messageOf(error) }], { cause: error });
  }
  const [first, ...rest] = bad;
  if (first === undefined) return bytes;
  const more = badCount - bad.length;
  const mend = `nothing was sent; take ${badCount === 1 ? 'it' : 'these lines'} out${more === 0 ? '' : `, and ${more} more`}`;
  throw new SetupError([{ ...first, mend }, ...rest]);
}

/**
 * One in memory at a time. What stands behind the last line break is a line too; canal’s client ends them with \r\n. Node's
 * own lines would also end at U+2028, which a JSON text may hold as it is.
 */
async function* linesOf(file: string): AsyncGenerator<Line> {
  let [number, at] = [0, 0];
  let begun: Buffer[] = [];
  const line = (): Line => {
    number += 1;
    const bytes = Buffer.concat(begun);
    begun = [];
    return { number, text: bytes.toString('utf8').replace(/\r$/, ''), endBytes: at };
  };
  for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
    let start = 0;
    for (let end = chunk.indexOf(LINE_BREAK); end !== -1; end = chunk.indexOf(LINE_BREAK, start)) {
      begun.push(chunk.subarray(start, end));
      at += end + 1 - start;
      start = end + 1;
      yield line();
    }
    begun.push(chunk.subarray(start));
    at += chunk.length - start;
  }
  const last = line();
  if (last.text !== '') yield last;
}

const LINE_BREAK = 0x0a;

function interrupted(file: string, confirmed: number, cause: PublishLost): SetupError {
  const message = `interrupted after line ${confirmed} of ${file}: ${messageOf(cause)}`;
  const mend = `go on with --from-line ${confirmed + 1}`;
  return new SetupError([{ code: 'broker-unreachable', where: 'sync.broker.url', message, mend }], { cause });
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '100' : Math.min(100, (100 * part) / whole).toFixed(0);
}
