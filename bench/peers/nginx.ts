/**
 * What a team picks for speed: nginx with Lua, which asks Redis itself. Tuned as the documentation of lua-nginx-module and
 * lua-resty-redis advises: connections to Redis kept in a pool that is as large as the clients are many, one worker, code
 * cached, no access log.
 */
import { existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { spawnSync } from 'node:child_process';
import type { PeerProgram } from './start-peer.ts';
import { isLive } from './start-peer.ts';

const LUA = 'ngx_http_lua_module.so';
const MODULE_FOLDERS = ['/usr/lib/nginx/modules', '/usr/lib64/nginx/modules', '/usr/share/nginx/modules'];
/** Debian's lua-nginx-redis, and the same library where it came with OpenResty. */
const LIBRARIES = [
  { file: '/usr/share/lua/5.1/nginx/redis.lua', name: 'nginx.redis' },
  { file: '/usr/share/lua/5.1/resty/redis.lua', name: 'resty.redis' },
];
const NGINX = ['/usr/sbin/nginx', '/usr/bin/nginx', '/usr/local/sbin/nginx'];

export interface NginxParts {
  readonly file: string;
  readonly modules: readonly string[];
  readonly library: string;
  readonly version: string;
}

/** Nothing where nginx, its Lua module or its Redis library is not installed. */
export function findNginx(): NginxParts | undefined {
  const file = NGINX.find((path) => existsSync(path));
  const folder = MODULE_FOLDERS.find((path) => existsSync(join(path, LUA)));
  const library = LIBRARIES.find((one) => existsSync(one.file));
  if (file === undefined || folder === undefined || library === undefined) return undefined;
  const modules = ['ndk_http_module.so', LUA].map((name) => join(folder, name)).filter((path) => existsSync(path));
  const version = spawnSync(file, ['-v'], { encoding: 'utf8' }).stderr.trim();
  return { file, modules, library: library.name, version };
}

export interface NginxOptions {
  readonly parts: NginxParts;
  readonly name: string;
  /** `/db/table` */
  readonly path: string;
  /** What a row's id is put behind in Redis. */
  readonly keyPrefix: string;
  readonly redis: readonly { readonly host: string; readonly port: number }[];
  /** The most that will ask at once. */
  readonly connectionsMax: number;
}

export function nginxProgram(options: NginxOptions): PeerProgram {
  return {
    name: options.name,
    command: (port, folder) => {
      mkdirSync(folder, { recursive: true });
      const file = join(folder, 'nginx.conf');
      writeFileSync(file, nginxConfiguration(options, port, folder));
      return { file: options.parts.file, args: ['-p', folder, '-c', file, '-e', 'stderr'] };
    },
    askIfReady: isLive,
  };
}

export function nginxConfiguration(options: NginxOptions, port: number, folder: string): string {
  const { parts, path, keyPrefix, redis, connectionsMax } = options;
  const [{ host } = { host: '127.0.0.1' }] = redis;
  const ports = redis.map((server) => server.port).join(', ');
  // Its worker would be nobody, who may not write here.
  const user = process.getuid?.() === 0 ? 'user root;\n' : '';
  return `${parts.modules.map((module) => `load_module ${module};\n`).join('')}${user}worker_processes 1;
daemon off;
pid ${folder}/nginx.pid;
error_log stderr warn;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
  access_log off;
  server_tokens off;
  tcp_nodelay on;
  keepalive_timeout 75s;
  keepalive_requests 1000000000;
  client_body_temp_path ${folder}/body; proxy_temp_path ${folder}/proxy; fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi; scgi_temp_path ${folder}/scgi;
  lua_package_path "/usr/share/lua/5.1/?.lua;;";
  lua_code_cache on;
  lua_socket_log_errors off;
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location = /-/live { return 200; }
    location ${path}/ {
      default_type "application/json; charset=utf-8";
      content_by_lua_block {
        local redis = require "${parts.library}"
        local ports = {${ports}}
        local key = "${keyPrefix}" .. string.sub(ngx.var.uri, ${path.length + 2})
        local red = redis:new()
        red:set_timeout(250)
        local ok = red:connect("${host}", ports[ngx.crc32_short(key) % ${redis.length} + 1])
        if not ok then return ngx.exit(503) end
        local row = red:get(key)
        if not row then return ngx.exit(503) end
        red:set_keepalive(60000, ${connectionsMax})
        if row == ngx.null then return ngx.exit(404) end
        ngx.header.content_length = #row
        ngx.print(row)
      }
    }
  }
}
`;
}
