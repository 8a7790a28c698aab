// For the servers of deploy/compose.yaml: loads the demo's rows into them, and writes a configuration for a gateway.

import { mkdirSync } from 'node:fs';
import path from 'node:path';
import { createConnection, type RowDataPacket } from 'mysql2/promise';
import { loadDemoData } from './demo-data/load.ts';
import { demoConfiguration, writeConfiguration } from './demo-files.ts';
import { loopback } from './ports.ts';
import { printTo } from './progress.ts';
import { demoPorts } from './stack.ts';

const root = { host: loopback, port: demoPorts.mysql, user: 'root', password: '' };

async function versionOf(): Promise<string> {
  const connection = await createConnection(root);
  try {
    const [rows] = await connection.query<RowDataPacket[]>('SELECT VERSION() AS version');
    return String(rows[0]?.['version']);
  } finally {
    await connection.end();
  }
}

const version = await versionOf();
const mysql = { ...root, version, flavour: /mariadb/i.test(version) ? ('mariadb' as const) : ('mysql' as const) };
const onProgress = printTo(process.stdout);
await loadDemoData(mysql, onProgress);

const shards = (['primary', 'fallback'] as const).flatMap((ring) =>
  demoPorts[ring].map((port, index) => {
    const name = `${ring === 'primary' ? 'r' : 'f'}${String(index + 1)}`;
    return { name, ring, server: { url: `redis://${loopback}:${String(port)}` } };
  }),
);
const folder = path.resolve('.ringfill');
const configFile = path.join(folder, 'ringfill.yml');
mkdirSync(folder, { recursive: true });
writeConfiguration(configFile, demoConfiguration({ mysql, shards }, { gateway: 8080, syncWorker: 8081 }, folder));
onProgress({
  kind: 'note',
  text: `Written: ${configFile}. Now: npm run ringfill -- gateway --config .ringfill/ringfill.yml`,
});
