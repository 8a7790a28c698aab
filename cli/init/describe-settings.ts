/** The schema's own words as YAML comments: a setting's description, its bounds and its default. */
import { ConfigSchema } from '../../shared/config/schema.ts';

interface Described {
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
}

export type Section = 'http' | 'origin' | 'shards' | 'rings' | 'defaults' | 'tables' | 'sync' | 'log' | 'keyPrefix';

function sectionOf(section: Section): Described {
  return (ConfigSchema.properties as Readonly<Record<Section, Described>>)[section];
}

function settingOf(section: Section, name: string): Described {
  const setting = sectionOf(section).properties?.[name];
  if (setting === undefined) throw new Error(`the schema has no ${section}.${name}`);
  return setting;
}

export function describeSection(section: Section): string {
  return sectionOf(section).description ?? '';
}

/** `The longest that one read may take. Milliseconds. 50 … 60000.` */
export function describeSetting(section: Section, name: string): string {
  const { description = '', minimum, maximum } = settingOf(section, name);
  const bounds = minimum === undefined || maximum === undefined ? '' : ` ${minimum} … ${maximum}.`;
  return description + bounds;
}

export function defaultOf(section: Section, name: string): unknown {
  return settingOf(section, name).default;
}

/** Every setting of a section but those that the file says itself, as lines to uncomment. */
export function otherSettings(section: Section, said: readonly string[]): string[] {
  const names = Object.keys(sectionOf(section).properties ?? {}).filter((name) => !said.includes(name));
  const lines = names.map(
    (name) => [`${name}: ${shown(defaultOf(section, name))}`, describeSetting(section, name)] as const,
  );
  const width = Math.max(0, ...lines.map(([setting]) => setting.length));
  return lines.map(([setting, description]) => `${setting.padEnd(width)}  # ${description}`);
}

function shown(value: unknown): string {
  return value === undefined ? '…' : JSON.stringify(value);
}
