/**
 * The configuration's JSON schema as editors use it (ringfill.schema.json). There, what has a default may be left out;
 * in the code it is always present.
 */
import { ConfigSchema } from './schema.ts';

export function publishedSchema(): string {
  const schema = { $schema: 'http://json-schema.org/draft-07/schema#', ...(withoutDefaulted(ConfigSchema) as object) };
  return `${JSON.stringify(schema, null, 2)}\n`;
}

function withoutDefaulted(schema: unknown): unknown {
  if (Array.isArray(schema)) return schema.map(withoutDefaulted);
  if (typeof schema !== 'object' || schema === null) return schema;
  const copy = Object.fromEntries(Object.entries(schema).map(([name, value]) => [name, withoutDefaulted(value)]));
  if (Array.isArray(copy['required'])) {
    const properties = (copy['properties'] ?? {}) as Record<string, { default?: unknown }>;
    copy['required'] = copy['required'].filter((name: string) => properties[name]?.default === undefined);
  }
  return copy;
}
