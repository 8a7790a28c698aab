/**
 * One YAML file -> the configuration, or every problem in it at once, each with its line and what would be right.
 */
import { readFileSync } from 'node:fs';
import { Ajv, type ErrorObject } from 'ajv';
import { closest, distance } from 'fastest-levenshtein';
import { type Document, isNode, LineCounter, parseDocument } from 'yaml';
import { messageOf, type Problem, SetupError } from '../errors/errors.ts';
import { interpolate } from './interpolate.ts';
import { type Config, ConfigSchema } from './schema.ts';

/** Throws SetupError: `config-unreadable`, `config-secret-missing`, `config-invalid`. */
export function loadConfig(path: string, env: NodeJS.ProcessEnv = process.env): Config {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const mend = 'ringfill init --mysql mysql://user@host:3306 --redis redis://host:6379 > ringfill.yml';
    throw new SetupError([{ code: 'config-unreadable', where: path, message: messageOf(error), mend }], {
      cause: error,
    });
  }
  return parseConfig(text, path, env);
}

/** @param path only for the messages. */
export function parseConfig(text: string, path: string, env: NodeJS.ProcessEnv = process.env): Config {
  const lines = new LineCounter();
  const document = parseDocument(text, { lineCounter: lines, prettyErrors: true });
  refuse(document.errors.map((error) => ({ code: 'config-unreadable', where: path, message: error.message })));

  const problems: Problem[] = [];
  const value = interpolate(document.toJS(), env, problems);
  refuse(problems.map((problem) => ({ ...problem, where: `${path}: ${problem.where}` })));

  const ajv = new Ajv({ allErrors: true, useDefaults: true, verbose: true, strict: false });
  const validate = ajv.compile<Config>(ConfigSchema);
  if (validate(value)) {
    refuse(contradictions(value).map((problem) => ({ ...problem, where: `${path}: ${problem.where}` })));
    return value;
  }
  refuse(
    (validate.errors ?? []).filter(isTelling).map((error) => {
      const at = pathOf(error);
      const line = lineOf(document, lines, at);
      const where = `${path}${line === undefined ? '' : `:${line}`}: ${at.join('.')}`;
      return { code: 'config-invalid', where, message: explain(error) };
    }),
  );
  throw new Error('the configuration was refused without a reason');
}

function refuse(problems: readonly Problem[]): void {
  const [first, ...rest] = problems;
  if (first !== undefined) throw new SetupError([first, ...rest]);
}

/** What the schema cannot say. */
function contradictions(config: Config): Problem[] {
  const problems: Problem[] = [];
  const seen = new Set<string>();
  for (const ring of config.rings) {
    for (const name of [ring.name, ...Object.keys(ring.shards)]) {
      if (seen.has(name)) {
        const message = `${name} is used twice; every ring and shard has a name of its own`;
        problems.push({ code: 'config-invalid', where: 'rings', message });
      }
      seen.add(name);
    }
  }
  for (const [where, settings] of [['defaults', config.defaults] as const, ...Object.entries(config.tables)]) {
    const ttlSeconds = settings.ttlSeconds ?? config.defaults.ttlSeconds;
    if (settings.softTtlSeconds !== undefined && settings.softTtlSeconds > ttlSeconds) {
      const message = `softTtlSeconds (${settings.softTtlSeconds}) is more than ttlSeconds (${ttlSeconds})`;
      problems.push({ code: 'config-invalid', where, message });
    }
  }
  return problems;
}

/** A value that fits no branch of a union also reports every branch's failure; those of the union say more. */
function isTelling(error: ErrorObject): boolean {
  if (error.keyword === 'anyOf' || error.keyword === 'if') return typeof error.data !== 'object';
  const inUnion = error.schemaPath.includes('/anyOf/');
  if (!inUnion) return true;
  const branchIsObject = error.schemaPath.includes('/sentinel') || error.keyword === 'additionalProperties' || error.keyword === 'required';
  return branchIsObject && typeof error.data === 'object' && error.keyword !== 'type';
}

function pathOf(error: ErrorObject): string[] {
  const path = error.instancePath.split('/').slice(1).map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'));
  if (error.keyword === 'additionalProperties') path.push(String(error.params['additionalProperty']));
  if (error.keyword === 'required') path.push(String(error.params['missingProperty']));
  return path;
}

function lineOf(document: Document, lines: LineCounter, path: readonly string[]): number | undefined {
  for (let depth = path.length; depth > 0; depth -= 1) {
    const node: unknown = document.getIn(path.slice(0, depth), true);
    if (isNode(node) && node.range) return lines.linePos(node.range[0]).line;
  }
  return undefined;
}

function explain(error: ErrorObject): string {
  const schema = (error.parentSchema ?? {}) as { properties?: Record<string, unknown>; anyOf?: { const?: unknown }[]; description?: string };
  const hint = schema.description === undefined ? '' : ` (${schema.description})`;
  switch (error.keyword) {
    case 'additionalProperties': {
      const unknown = String(error.params['additionalProperty']);
      const known = Object.keys(schema.properties ?? {});
      if (known.length === 0) return `${JSON.stringify(unknown)} is not a valid name here`;
      const nearest = closest(unknown, known);
      const close = distance(unknown.toLowerCase(), nearest.toLowerCase()) <= Math.max(2, unknown.length / 3);
      return `unknown key; ${close ? `did you mean ${nearest}?` : `known here: ${known.join(', ')}`}`;
    }
    case 'required':
      return 'is missing';
    case 'anyOf': {
      const constants = (schema.anyOf ?? []).flatMap((branch) => (branch.const === undefined ? [] : [String(branch.const)]));
      return constants.length > 0 ? `is not one of ${constants.join(', ')}${hint}` : `does not fit${hint}`;
    }
    case 'pattern':
      return `does not fit${hint === '' ? ` ${String(error.params['pattern'])}` : hint}`;
    default:
      return `${error.message ?? 'does not fit'}${hint}`;
  }
}
