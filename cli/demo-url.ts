import { readFileSync } from 'node:fs';
import { join } from 'node:path';

/** Where the `npm start` of this folder says that its gateway is; where a gateway listens by default if none runs. */
export function demoUrl(folder = process.cwd()): string {
  try {
    const { gateway } = JSON.parse(readFileSync(join(folder, '.ringfill', 'stack.json'), 'utf8')) as {
      gateway: { url: string };
    };
    return gateway.url;
  } catch {
    return 'http://127.0.0.1:8080';
  }
}
