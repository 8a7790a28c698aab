// Lists the packages that production brings along, as CycloneDX: `npm run --silent sbom > sbom.json`.
//
// npm's own `--omit dev` leaves out what production shares with development tools, too. So all are listed by the lock file,
// and those that are for development alone are taken out here.

import { spawnSync } from 'node:child_process';
import path from 'node:path';

interface Component {
  readonly 'bom-ref': string;
  readonly properties?: readonly { readonly name: string; readonly value: string }[];
}

interface Bill {
  readonly components: readonly Component[];
  readonly dependencies: readonly { readonly ref: string; readonly dependsOn: readonly string[] }[];
}

const root = path.resolve(import.meta.dirname, '..');
const arguments_ = ['sbom', '--sbom-format', 'cyclonedx', '--package-lock-only'];
const npm = spawnSync('npm', arguments_, { cwd: root, encoding: 'utf8', maxBuffer: 2 ** 26 });
if (npm.error !== undefined) throw npm.error;
if (npm.status !== 0) throw new Error(`npm ${arguments_.join(' ')} failed: ${npm.stderr}`);
const all = JSON.parse(npm.stdout) as Bill;

const isForDevelopment = ({ properties = [] }: Component) =>
  properties.some(({ name, value }) => name === 'cdx:npm:package:development' && value === 'true');
const left = new Set(all.components.filter(isForDevelopment).map((component) => component['bom-ref']));
const bill: Bill = {
  ...all,
  components: all.components.filter((component) => !left.has(component['bom-ref'])),
  dependencies: all.dependencies
    .filter(({ ref }) => !left.has(ref))
    .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((one) => !left.has(one)) })),
};
process.stdout.write(`${JSON.stringify(bill, undefined, 2)}\n`);
