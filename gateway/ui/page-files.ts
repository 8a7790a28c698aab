/** The page's files, read once: they are small, and part of the program. */
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { TaggedBody } from '../../shared/entry/tagged-body.ts';

export interface PageFile {
  readonly path: string;
  readonly type: string;
  readonly body: TaggedBody;
}

const HTML = 'text/html; charset=utf-8';
const SCRIPT = 'text/javascript; charset=utf-8';
const STYLE = 'text/css; charset=utf-8';

const OURS: readonly (readonly [file: string, type: string])[] = [
  ['dashboard.css', STYLE],
  ['icon.svg', 'image/svg+xml'],
  ...['dashboard', 'stream', 'theme', 'figures', 'charts', 'ring', 'shards', 'journeys', 'story', 'words', 'dom'].map(
    (name) => [`${name}.js`, SCRIPT] as const,
  ),
];
const UPLOTS: readonly (readonly [file: string, type: string])[] = [
  ['uPlot.esm.js', SCRIPT],
  ['uPlot.min.css', STYLE],
];

export function pageFiles(): PageFile[] {
  const page = join(import.meta.dirname, 'page');
  const uplot = join(dirname(createRequire(import.meta.url).resolve('uplot/package.json')), 'dist');
  const fileOf = (path: string, type: string, file: string): PageFile => {
    return { path, type, body: new TaggedBody(readFileSync(file)) };
  };
  return [
    fileOf('/-/ui', HTML, join(page, 'dashboard.html')),
    ...OURS.map(([name, type]) => fileOf(`/-/ui/${name}`, type, join(page, name))),
    ...UPLOTS.map(([name, type]) => fileOf(`/-/ui/${name}`, type, join(uplot, name))),
  ];
}
