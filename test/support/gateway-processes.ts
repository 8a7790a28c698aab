/** Gateways as processes of their own, for what only several processes can show. They share one configuration. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after } from 'node:test';
import { type RingfillProcess, startGateway } from '../../stack/ringfill-process.ts';
import { chooseFreePort } from '../../stack/ports.ts';
import { type GatewaySettings, gatewayConfig } from './gateway.ts';
import { temporaryFolder, type TestStack } from './stack.ts';

export interface GatewayProcesses {
  readonly gateways: readonly RingfillProcess[];
  readonly keyPrefix: string;
}

export async function startGatewayProcesses(
  stack: TestStack,
  settings: GatewaySettings,
  count: number,
  start = startGateway,
): Promise<GatewayProcesses> {
  const folder = temporaryFolder();
  const { text, keyPrefix } = gatewayConfig(stack, settings);
  const gateways = await Promise.all(
    Array.from({ length: count }, async (_, index) => {
      const name = `gateway-${index + 1}`;
      const port = await chooseFreePort();
      mkdirSync(join(folder, name), { recursive: true });
      const configFile = join(folder, name, 'ringfill.yml');
      writeFileSync(configFile, JSON.stringify({ ...(JSON.parse(text) as object), http: { port } }));
      const gateway = await start({ folder, name, port, configFile });
      after(() => gateway.stop());
      return gateway;
    }),
  );
  return { gateways, keyPrefix };
}
