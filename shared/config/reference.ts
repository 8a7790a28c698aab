/** docs/configuration.md: every setting with its default, bounds and meaning, from the schema. */
import { ConfigSchema } from './schema.ts';

interface Described {
  readonly type?: string;
  readonly const?: unknown;
  readonly description?: string;
  readonly default?: unknown;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly properties?: Readonly<Record<string, Described>>;
  readonly patternProperties?: Readonly<Record<string, Described>>;
  readonly items?: Described;
  readonly anyOf?: readonly Described[];
  readonly required?: readonly string[];
}

const HEAD = `# The configuration

Every setting, from the schema itself (\`ringfill.schema.json\` is the same for editors); \`ringfill check\` says what is wrong with a
file, and \`ringfill init\` writes a first one. A setting that the file does not have is at its default. In every text \`\${NAME}\` is an environment
variable, \`\${NAME:-default}\` one that may be missing, \`\${file:/path}\` a file's content, \`\${credential:name}\` a systemd credential, and
\`$\${\` a literal \`\${\`.

Written by \`npm run build\`.
`;

export function configurationReference(): string {
  const all = ConfigSchema as unknown as Described;
  const sections = sectionsOf('', all, new Set()).map(({ path, about, settings }) => {
    const title = path === '' ? 'At the top' : `\`${path}\``;
    const lines = settings.map(([name, setting, isRequired]) => row(name, setting, isRequired));
    return [
      `## ${title}`,
      ...(about === '' ? [] : [cell(about)]),
      ['| setting | default | values | what it is |', '| --- | --- | --- | --- |', ...lines].join('\n'),
    ].join('\n\n');
  });
  return `${[HEAD.trimEnd(), ...sections].join('\n\n')}\n`;
}

type Setting = readonly [name: string, setting: Described, isRequired: boolean];

interface Section {
  readonly path: string;
  readonly about: string;
  readonly settings: readonly Setting[];
}

/** Its own settings first, then those of what lies below it. @param told what has been told at another place. */
function sectionsOf(path: string, section: Described, told: Set<Described>): Section[] {
  if (told.has(section)) return [];
  told.add(section);
  const { properties, description = '', required = [] } = section;
  const settings = Object.entries(properties ?? {}).map(([name, setting]): Setting => [
    name,
    setting,
    required.includes(name) && setting.default === undefined,
  ]);
  const below = settings.flatMap(([name, setting]) => {
    const at = path === '' ? name : `${path}.${name}`;
    return objectsIn(at, setting).flatMap(([itsPath, object]) => sectionsOf(itsPath, object, told));
  });
  return settings.length === 0 ? below : [{ path, about: path === '' ? '' : description, settings }, ...below];
}

/** The objects that a setting is, holds by name, or lists; with the path to each. */
function objectsIn(path: string, setting: Described): (readonly [string, Described])[] {
  if (setting.properties !== undefined) return [[path, setting]];
  if (setting.items !== undefined) return objectsIn(`${path}[]`, setting.items);
  const named = Object.values(setting.patternProperties ?? {})[0];
  if (named !== undefined) return objectsIn(`${path}.<name>`, named);
  return (setting.anyOf ?? []).flatMap((one) => objectsIn(path, one));
}

function row(name: string, setting: Described, isRequired: boolean): string {
  const fallback = setting.default === undefined ? (isRequired ? 'required' : '') : code(setting.default);
  return `| \`${name}\` | ${fallback} | ${valuesOf(setting)} | ${cell(setting.description ?? '')} |`;
}

function valuesOf(setting: Described): string {
  const { minimum, maximum, type, anyOf, items, patternProperties } = setting;
  if (minimum !== undefined && maximum !== undefined) return `${shown(minimum)} … ${shown(maximum)}`;
  const literals = anyOf?.map((one) => one.const).filter((value) => value !== undefined) ?? [];
  if (literals.length > 0) return literals.map(code).join(', ');
  if (anyOf !== undefined) return anyOf.map(({ type: kind = '' }) => kind).join(' or ');
  if (items !== undefined) return items.properties === undefined ? 'a list' : 'a list of what is below';
  if (patternProperties !== undefined) return 'by name';
  return type === 'object' ? 'below' : (type ?? '');
}

function shown(value: number): string {
  return value.toLocaleString('en-US');
}

function code(value: unknown): string {
  return `\`${typeof value === 'string' ? value || '""' : JSON.stringify(value)}\``;
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ').replaceAll('<', '&lt;');
}
