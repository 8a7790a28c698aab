/**
 * One YAML file -> the configuration, or every problem in it at once, each with its line and what would be right.
 *
 * No message quotes a value or a line of the file: passwords stand there.
 */
import { createHash } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { isDeepStrictEqual } from 'node:util';
import { Ajv, type ErrorObject, type ValidateFunction } from 'ajv';
import { closest, distance } from 'fastest-levenshtein';
import { type Document, isCollection, isNode, isPair, isScalar, LineCounter, parseDocument, visit } from 'yaml';
import { ClientAddresses } from '../access/client-address.ts';
import { openToEverybody } from '../access/open-to-everybody.ts';
import { describeBroker } from '../broker/broker-url.ts';
import type { ErrorCode } from '../errors/catalogue.ts';
import { codeOf, messageOf, type Problem, SetupError } from '../errors/errors.ts';
import { mysqlOptions } from '../origin/mysql-url.ts';
import { type Endpoint, redisOptions } from '../shard/endpoint.ts';
import { ringHash } from '../ring/ring-hash.ts';
import { interpolate } from './interpolate.ts';
import { type Config, ConfigSchema, type FormerRingConfig, type RingConfig } from './schema.ts';

/** A problem at a place in the document. */
interface Fault {
  readonly code: ErrorCode;
  readonly path: readonly string[];
  readonly message: string;
  readonly mend?: string;
}

/** The configuration, and which one it is. */
export interface LoadedConfig {
  readonly config: Config;
  /** Of the file as it lies there, secrets not yet filled in; hex, as `sha256sum` prints it. */
  readonly sha256: string;
}

/** Throws SetupError: `config-unreadable`, `config-secret-missing`, `config-invalid`. */
export function loadConfig(path: string, env: NodeJS.ProcessEnv = process.env): Config {
  return loadConfigFile(path, env).config;
}

/** Throws as loadConfig does. */
export function loadConfigFile(path: string, env: NodeJS.ProcessEnv = process.env): LoadedConfig {
  const bytes = readConfigFile(path);
  const config = parseConfig(bytes.toString('utf8'), path, env);
  return { config, sha256: createHash('sha256').update(bytes).digest('hex') };
}

function readConfigFile(path: string): Buffer {
  try {
    return readFileSync(path);
  } catch (error) {
    const absent = codeOf(error) === 'ENOENT';
    const message = absent ? 'there is no such file' : messageOf(error);
    const mend = absent
      ? `name it with --config, or write a first one: ringfill init --mysql mysql://user@host:3306 --redis redis://host:6379 --out ${path}`
      : 'make it a file that this user may read';
    throw new SetupError([{ code: 'config-unreadable', where: path, message, mend }], { cause: error });
  }
}

/** @param path only for the messages. */
export function parseConfig(text: string, path: string, env: NodeJS.ProcessEnv = process.env): Config {
  const lines = new LineCounter();
  // Its pretty errors quote the line, and so do its warnings, on standard error.
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: false, logLevel: 'error' });
  refuse(document.errors.map((error) => unreadable(error.pos[0], error.message, path, lines)));

  const inFile = (faults: readonly Fault[]) => faults.map((fault) => problemOf(fault, path, document, lines));
  const missing: Fault[] = [];
  const value = interpolate(valueOf(document, path), env, (where, message) => {
    missing.push({ code: 'config-secret-missing', path: where, message, ...mendOf(message) });
  });
  refuse(inFile(missing));

  const validate = validator();
  if (!validate(value)) {
    const errors = validate.errors ?? [];
    refuse(inFile(errors.filter(isTelling).map(faultOf)));
    // Every branch of a union failed, and none tells more than the others.
    refuse(inFile(errors.slice(0, 1).map(faultOf)));
    throw new Error('the configuration was refused without a reason');
  }
  refuse(inFile([...unusableAddresses(value), ...contradictions(value)]));
  return value;
}

let compiled: ValidateFunction<Config> | undefined;

/** Compiled once: it takes longer than all the rest, and a reload happens while requests wait. */
function validator(): ValidateFunction<Config> {
  compiled ??= new Ajv({ allErrors: true, useDefaults: true, verbose: true, strict: false }).compile(ConfigSchema);
  return compiled;
}

function refuse(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first !== undefined) throw new SetupError([first, ...rest]);
}

function valueOf(document: Document, path: string): unknown {
  // The parser resolves many of these in more than quadratic time: minutes for a file of some kilobytes.
  if (hasAliasWithinItself(document)) throw tooDeep(path);
  let value: unknown;
  try {
    value = document.toJS();
  } catch (error) {
    // An alias without its anchor; its name may be a password's beginning, so it is not quoted.
    const message = 'an alias (*name) has no anchor; put quotes around a value that begins with * or &';
    throw new SetupError([{ code: 'config-unreadable', where: path, message }], { cause: error });
  }
  if (isDeeper(value, DEPTH_MAX)) throw tooDeep(path);
  return value;
}

function tooDeep(path: string): SetupError {
  const message = `it is nested more than ${DEPTH_MAX} deep, or an alias (*name) stands within what it names`;
  return new SetupError([{ code: 'config-unreadable', where: path, message }]);
}

/** An alias names what stands before it; so there is no other circle. */
function hasAliasWithinItself(document: Document): boolean {
  let isFound = false;
  visit(document, {
    Alias(_key, { source }, ancestors) {
      isFound ||= ancestors.some((ancestor) => isCollection(ancestor) && ancestor.anchor === source);
      return isFound ? visit.BREAK : undefined;
    },
  });
  return isFound;
}

/** The schema's own is 8 or so. */
const DEPTH_MAX = 32;

function isDeeper(value: unknown, depth: number): boolean {
  if (typeof value !== 'object' || value === null) return false;
  return depth === 0 || Object.values(value).some((item) => isDeeper(item, depth - 1));
}

function unreadable(offset: number, message: string, path: string, lines: LineCounter): Problem {
  const { line, col } = lines.linePos(offset);
  return { code: 'config-unreadable', where: `${path}:${line}:${col}`, message: `not YAML: ${message}` };
}

function problemOf(
  { code, path, message, mend }: Fault,
  file: string,
  document: Document,
  lines: LineCounter,
): Problem {
  const line = lineOf(document, lines, path);
  const place = `${file}${line === undefined ? '' : `:${line}`}`;
  const where = path.length === 0 ? place : `${place}: ${path.join('.')}`;
  return { code, where, message, ...(mend === undefined ? {} : { mend }) };
}

function mendOf(message: string): { mend?: string } {
  const variable = /the environment variable (\w+) is not set$/.exec(message)?.[1];
  return variable === undefined ? {} : { mend: `export ${variable}=…` };
}

/** The shape is right and the URL is not: all of them at once, not one at each start. */
function unusableAddresses({ http, origin, rings, sync }: Config): Fault[] {
  const addresses: [path: string[], parse: () => unknown][] = [
    [['http', 'trustedProxies'], () => new ClientAddresses(http.trustedProxies)],
    [['origin', 'url'], () => mysqlOptions(origin.url)],
    ...origin.replicas.map((url, index): [string[], () => unknown] => [
      ['origin', 'replicas', String(index)],
      () => mysqlOptions(url),
    ]),
    ...rings.flatMap((ring, index) =>
      definitionsOf(ring, index).flatMap(({ shards, path }) =>
        Object.entries(shards).map(([shard, endpoint]): [string[], () => unknown] => [
          [...path, 'shards', shard],
          () => redisOptions(endpoint),
        ]),
      ),
    ),
  ];
  if (sync !== undefined) {
    const { broker, originUrl } = sync;
    addresses.push([['sync', 'broker', 'url'], () => describeBroker(broker.url)]);
    if (originUrl !== undefined) addresses.push([['sync', 'originUrl'], () => mysqlOptions(originUrl)]);
    const outlet = sync.outlets?.redis;
    if (outlet !== undefined) addresses.push([['sync', 'outlets', 'redis', 'url'], () => redisOptions(outlet.url)]);
  }
  return addresses.flatMap(([path, parse]): Fault[] => {
    try {
      parse();
      return [];
    } catch (error) {
      const message = error instanceof SetupError ? (error.problems[0] as Problem).message : messageOf(error);
      return [{ code: 'config-invalid', path, message }];
    }
  });
}

/** What the schema cannot say. */
function contradictions(config: Config): Fault[] {
  const faults: Fault[] = [
    ...repeatedNames(config),
    ...config.rings.flatMap(impossibleFormers),
    ...sharedServers(config),
  ];
  const opening = openToEverybody(config.http.host, config);
  if (opening !== undefined) faults.push({ ...opening, path: ['http', 'host'] });
  if (config.sync !== undefined && 2 * config.sync.heartbeatMs > config.sync.stalenessBoundMs) {
    const { heartbeatMs, stalenessBoundMs } = config.sync;
    const message = `heartbeatMs (${heartbeatMs}) is more than half of stalenessBoundMs (${stalenessBoundMs}): between two heartbeats no shard would be believed`;
    faults.push({ code: 'config-invalid', path: ['sync', 'heartbeatMs'], message });
  }
  faults.push(...impossibleTables(config), ...impossibleOutlets(config));
  const places: [path: string[], settings: Config['tables'][string]][] = [
    [['defaults'], config.defaults],
    ...Object.entries(config.tables).map(([label, table]): [string[], typeof table] => [['tables', label], table]),
  ];
  for (const [path, settings] of places) {
    const ttlSeconds = settings.ttlSeconds ?? config.defaults.ttlSeconds;
    if (settings.softTtlSeconds !== undefined && settings.softTtlSeconds > ttlSeconds) {
      const message = `softTtlSeconds (${settings.softTtlSeconds}) is more than ttlSeconds (${ttlSeconds})`;
      faults.push({ code: 'config-invalid', path: [...path, 'softTtlSeconds'], message });
    }
  }
  return faults;
}

function impossibleTables({ tables, defaults, rings, sync }: Config): Fault[] {
  const faults: Fault[] = [];
  const layerCount = rings.length;
  const shards = new Set(rings.flatMap((ring) => Object.keys(ring.shards)));
  for (const [label, table] of Object.entries(tables)) {
    const fault = (setting: string, message: string) =>
      faults.push({ code: 'config-invalid', path: ['tables', label, setting], message });
    const { shard, copies, strategy } = table;
    if (copies !== undefined && copies > layerCount) {
      fault('copies', `${copies} copies need as many rings, and there are ${layerCount}`);
    }
    if ((table.mode ?? defaults.mode) !== 'mirror') {
      if (shard !== undefined) fault('shard', 'only a mirror (mode: mirror) can lie in one shard');
      continue;
    }
    if (sync === undefined) fault('mode', 'a mirror is written by the sync worker, and there is no sync section');
    if (!(table.follow ?? defaults.follow)) fault('follow', 'a mirror cannot be without its changes');
    if (strategy !== undefined && strategy !== 'overwrite') {
      fault('strategy', `a mirror is always overwritten; ${strategy} is for read-through`);
    }
    if (shard !== undefined && !shards.has(shard)) fault('shard', `there is no shard ${shard} in any ring`);
    if (shard !== undefined && copies !== undefined && copies > 1) fault('copies', 'a table in one shard has one copy');
  }
  return faults;
}

/** AMQP 0-9-1, shortstr. */
const ROUTING_KEY_BYTES_MAX = 255;

function impossibleOutlets({ tables, defaults, sync }: Config): Fault[] {
  const outlets = sync?.outlets;
  if (outlets === undefined) return [];
  const faults: Fault[] = [];
  const at = ['sync', 'outlets'];
  const fault = (path: readonly string[], message: string) =>
    faults.push({ code: 'config-invalid', path: [...at, ...path], message });
  const isFollowed = (label: string) => tables[label]?.follow ?? defaults.follow;
  for (const [index, label] of (outlets.tables ?? []).entries()) {
    const path = ['tables', String(index)];
    if (tables[label] === undefined) fault(path, `${label} is not among the exposed tables`);
    else if (!isFollowed(label)) fault(path, `${label} is not followed (follow: false), so its changes are not known`);
  }
  const told = outlets.tables ?? Object.keys(tables).filter(isFollowed);
  for (const label of told) {
    const isLong = Buffer.byteLength(`${label}.INSERT`) > ROUTING_KEY_BYTES_MAX;
    if (isLong) fault(['tables'], `${label} is too long a name for a routing key; name the others here`);
  }
  for (const [name, { tables: wanted, queueType, backlogMebibytesMax }] of Object.entries(outlets.subscribers)) {
    for (const [index, label] of (wanted ?? []).entries()) {
      const path = ['subscribers', name, 'tables', String(index)];
      if (!told.includes(label)) fault(path, `${label} is not among the tables whose changes are told`);
    }
    if (queueType === 'plain' && backlogMebibytesMax !== undefined) {
      const path = ['subscribers', name, 'backlogMebibytesMax'];
      fault(path, 'the broker bounds no plain queue; take backlogEventsMax, or queueType: classic or quorum');
    }
  }
  const { files } = outlets;
  if (files !== undefined && files.keepMebibytes < files.fileMebibytesMax) {
    const message = `keepMebibytes (${files.keepMebibytes}) is less than one file may take (fileMebibytesMax, ${files.fileMebibytesMax})`;
    fault(['files', 'keepMebibytes'], message);
  }
  return faults;
}

/** What a ring is now, and what it was, each with its place in the document. */
function definitionsOf(ring: RingConfig, index: number): (FormerRingConfig & { readonly path: readonly string[] })[] {
  const at = ['rings', String(index)];
  const former = (ring.former ?? []).map((definition, number) => ({
    ...definition,
    path: [...at, 'former', String(number)],
  }));
  return [{ ...ring, path: at }, ...former];
}

/** Every shard of a ring once: where the newest definition names it. */
function shardsOf(ring: RingConfig, index: number): Map<string, { endpoint: Endpoint; path: readonly string[] }> {
  const shards = new Map<string, { endpoint: Endpoint; path: readonly string[] }>();
  for (const definition of definitionsOf(ring, index)) {
    for (const [shard, endpoint] of Object.entries(definition.shards)) {
      if (!shards.has(shard)) shards.set(shard, { endpoint, path: [...definition.path, 'shards', shard] });
    }
  }
  return shards;
}

function repeatedNames({ rings }: Config): Fault[] {
  const faults: Fault[] = [];
  const seen = new Set<string>();
  for (const [index, ring] of rings.entries()) {
    const names: [name: string, path: readonly string[]][] = [
      [ring.name, ['rings', String(index), 'name']],
      ...[...shardsOf(ring, index)].map(([shard, { path }]): [string, readonly string[]] => [shard, path]),
    ];
    for (const [name, path] of names) {
      if (seen.has(name)) {
        const message = `${name} is used twice; every ring and shard has a name of its own`;
        faults.push({ code: 'config-invalid', path, message });
      }
      seen.add(name);
    }
  }
  return faults;
}

/** A name is one server in all of a ring's definitions, and no two definitions place keys alike. */
function impossibleFormers(ring: RingConfig, index: number): Fault[] {
  const faults: Fault[] = [];
  const fault = (path: readonly string[], message: string) => faults.push({ code: 'config-invalid', path, message });
  const shards = shardsOf(ring, index);
  const seen = new Map<string, string>();
  for (const [number, definition] of definitionsOf(ring, index).entries()) {
    const { path, until } = definition;
    for (const [shard, endpoint] of Object.entries(definition.shards)) {
      if (isDeepStrictEqual(endpoint, shards.get(shard)?.endpoint)) continue;
      const message = `${shard} is elsewhere in a newer definition of the ring; a name is one server, so give it one address in all of them`;
      fault([...path, 'shards', shard], message);
    }
    const hash = ringHash(Object.keys(definition.shards), definition.placement ?? 'balanced');
    const same = seen.get(hash);
    if (same === undefined) seen.set(hash, number === 0 ? 'the ring as it is now' : `former ${number - 1}`);
    else fault(path, `is the same as ${same}, with the same shards and placement: leave it out`);
    if (until !== undefined && Number.isNaN(Date.parse(until))) fault([...path, 'until'], 'there is no such time');
  }
  return faults;
}

/** With sync every shard has a stamp of its own, and a Redis database has one place for it. */
function sharedServers({ rings, sync }: Config): Fault[] {
  const faults: Fault[] = [];
  const seen = new Map<string, string>();
  for (const [index, ring] of rings.entries()) {
    for (const [shard, { endpoint, path }] of shardsOf(ring, index)) {
      const address = JSON.stringify(endpoint);
      const other = seen.get(address);
      if (sync !== undefined && other !== undefined) {
        const message = `is the same Redis as ${other}; with sync, every shard needs a server or a database number of its own`;
        faults.push({ code: 'config-invalid', path, message });
      }
      seen.set(address, shard);
    }
  }
  return faults;
}

/** A value that fits no branch of a union also reports every branch's failure; those of the union say more. */
function isTelling(error: ErrorObject): boolean {
  if (error.keyword === 'anyOf' || error.keyword === 'if') return typeof error.data !== 'object';
  const inUnion = error.schemaPath.includes('/anyOf/');
  if (!inUnion) return true;
  const branchIsObject =
    error.schemaPath.includes('/sentinel') || error.keyword === 'additionalProperties' || error.keyword === 'required';
  return branchIsObject && typeof error.data === 'object' && error.keyword !== 'type';
}

function faultOf(error: ErrorObject): Fault {
  return { code: 'config-invalid', path: pathOf(error), message: explain(error) };
}

function pathOf(error: ErrorObject): string[] {
  const path = error.instancePath
    .split('/')
    .slice(1)
    .map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (error.keyword === 'additionalProperties') path.push(String(error.params['additionalProperty']));
  if (error.keyword === 'required') path.push(String(error.params['missingProperty']));
  return path;
}

/** Of the key, which is what the message names; of the nearest one above it where it is missing. */
function lineOf(document: Document, lines: LineCounter, path: readonly string[]): number | undefined {
  for (let depth = path.length; depth > 0; depth -= 1) {
    const offset = offsetOf(document, path.slice(0, depth));
    if (offset !== undefined) return lines.linePos(offset).line;
  }
  return undefined;
}

function offsetOf(document: Document, path: readonly string[]): number | undefined {
  const value: unknown = document.getIn(path, true);
  const parent: unknown = path.length === 1 ? document.contents : document.getIn(path.slice(0, -1), true);
  if (!isNode(parent)) return undefined;
  let offset = isNode(value) ? value.range?.[0] : undefined;
  visit(parent, {
    Pair(_key, pair) {
      if (!isPair(pair) || !isScalar(pair.key) || String(pair.key.value) !== path.at(-1)) return visit.SKIP;
      offset = pair.key.range?.[0] ?? offset;
      return visit.BREAK;
    },
  });
  return offset;
}

interface Described {
  readonly type?: string;
  readonly properties?: Record<string, unknown>;
  readonly patternProperties?: Record<string, unknown>;
  readonly anyOf?: readonly { readonly const?: string }[];
  readonly description?: string;
}

function explain(error: ErrorObject): string {
  const schema = (error.parentSchema ?? {}) as Described;
  const hint = schema.description === undefined ? '' : ` (${schema.description})`;
  switch (error.keyword) {
    case 'additionalProperties': {
      const unknown = String(error.params['additionalProperty']);
      if (schema.properties === undefined) {
        const [pattern = ''] = Object.keys(schema.patternProperties ?? {});
        return `is not a valid name here; it must match ${pattern}${hint}`;
      }
      return `unknown key; ${nearestOf(unknown, Object.keys(schema.properties))}`;
    }
    case 'required':
      return `is missing${hintOf(schema.properties?.[String(error.params['missingProperty'])])}`;
    case 'anyOf': {
      const constants = (schema.anyOf ?? []).flatMap((branch) => (branch.const === undefined ? [] : [branch.const]));
      return constants.length > 0 ? `is not one of ${constants.join(', ')}${hint}` : `does not fit${hint}`;
    }
    case 'pattern':
      return `does not fit${hint === '' ? ` ${String(error.params['pattern'])}` : hint}`;
    case 'type':
      if (error.data === null)
        return `is empty; ${schema.type === 'object' ? 'write {} if there is nothing to say' : 'give it a value'}${hint}`;
      return `${error.message ?? 'does not fit'}${hint}`;
    default:
      return `${error.message ?? 'does not fit'}${hint}`;
  }
}

function hintOf(schema: unknown): string {
  const description = (schema as Described | undefined)?.description;
  return description === undefined ? '' : ` (${description})`;
}

function nearestOf(unknown: string, known: readonly string[]): string {
  const nearest = closest(
    unknown.toLowerCase(),
    known.map((name) => name.toLowerCase()),
  );
  const name = known.find((candidate) => candidate.toLowerCase() === nearest) ?? nearest;
  const close = distance(unknown.toLowerCase(), nearest) <= Math.max(2, unknown.length / 3);
  return close ? `did you mean ${name}?` : `known here: ${known.join(', ')}`;
}
