// Runs one of the project's TypeScript files on a bare clone: `node stack/bootstrap.mjs <file.ts> [arguments…]`.
//
// The system's Node may be too old for TypeScript, and node_modules may be missing or out of date. So this file is plain
// JavaScript without dependencies, makes both right, and then gets out of the way: same terminal, same signals, same
// exit code.

import { spawn, spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmdirSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { constants } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
const modules = path.join(root, 'node_modules');
const lockfile = path.join(root, 'package-lock.json');
const stampFile = path.join(modules, '.ringfill-lock');
const installLock = path.join(root, '.ringfill', 'npm-ci.lock');
// The first release whose type stripping is stable.
const oldestNode = [24, 12];

/** @param {string} line */
function say(line) {
  process.stderr.write(`${line}\n`);
}

/** @param {string} line @returns {never} */
function fail(line) {
  say(line);
  process.exit(1);
}

// ---- node_modules ----------------------------------------------------------------------------------------------------

function wantedStamp() {
  const hash = createHash('sha256').update(readFileSync(lockfile)).digest('hex');
  return `${hash} ${process.platform}-${process.arch}\n`;
}

/** @param {string} file */
function readOr(file, otherwise = '') {
  try {
    return readFileSync(file, 'utf8');
  } catch {
    return otherwise;
  }
}

// npm writes node_modules/.package-lock.json when an installation is complete. A developer who ran `npm install` by hand
// has no stamp of ours, and need not pay for a second installation.
function installedByHand() {
  try {
    const wanted = JSON.parse(readFileSync(lockfile, 'utf8')).packages;
    const present = JSON.parse(readFileSync(path.join(modules, '.package-lock.json'), 'utf8')).packages;
    return Object.entries(wanted).every(([name, entry]) => {
      if (!name.startsWith('node_modules/') || entry.link || entry.optional) return true;
      return present[name]?.version === entry.version && existsSync(path.join(root, name));
    });
  } catch {
    return false;
  }
}

function modulesAreCurrent() {
  const wanted = wantedStamp();
  if (readOr(stampFile) === wanted) return true;
  if (!installedByHand()) return false;
  writeFileSync(stampFile, wanted);
  return true;
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return error.code === 'EPERM';
  }
}

/** @param {number} milliseconds */
const pause = (milliseconds) => new Promise((resolve) => setTimeout(resolve, milliseconds));

// Two runs that start at once must not install into one folder. The lock is a folder that holds one file, named after its
// holder's pid, so that each step is one atomic rename:
//   take     a folder made beforehand is renamed to the lock's name; that fails unless the lock is absent or empty
//   inherit  the file of a holder that is dead is renamed to one's own pid; only one of several heirs can succeed
//   release  the file goes; the folder is then empty, which is free
async function takeInstallLock() {
  mkdirSync(path.dirname(installLock), { recursive: true });
  const mine = String(process.pid);
  const offered = `${installLock}.${mine}`;
  rmSync(offered, { recursive: true, force: true });
  mkdirSync(offered);
  writeFileSync(path.join(offered, mine), '');
  let told = false;
  for (;;) {
    try {
      renameSync(offered, installLock);
      return;
    } catch (error) {
      if (error.code !== 'ENOTEMPTY' && error.code !== 'EEXIST') throw error;
    }
    const holder = holderOf(installLock);
    if (holder !== undefined && !isAlive(Number(holder))) {
      try {
        renameSync(path.join(installLock, holder), path.join(installLock, mine));
        rmSync(offered, { recursive: true, force: true });
        return;
      } catch {
        continue;
      }
    }
    if (!told && holder !== undefined) {
      say(`ringfill: waiting for process ${holder}, which is installing the dependencies here`);
      told = true;
    }
    await pause(100);
  }
}

/** @param {string} folder */
function holderOf(folder) {
  try {
    return readdirSync(folder)[0];
  } catch {
    return undefined;
  }
}

function releaseInstallLock() {
  rmSync(path.join(installLock, String(process.pid)), { force: true });
  try {
    rmdirSync(installLock);
  } catch {
    // Someone else's by now.
  }
}

// Under `npm start` the running npm is known; else the one on the PATH.
function npmCommand() {
  const running = process.env.npm_execpath ?? '';
  if (path.basename(running) === 'npm-cli.js' && existsSync(running)) return [process.execPath, running];
  return ['npm'];
}

async function installModules() {
  await takeInstallLock();
  // Also when npm fails and this process ends with it.
  process.once('exit', releaseInstallLock);
  try {
    if (modulesAreCurrent()) return;
    const startedAt = Date.now();
    say(
      `ringfill: installing the dependencies ${existsSync(modules) ? 'anew, as package-lock.json has changed' : 'once'} (npm ci)`,
    );
    const [command, ...args] = npmCommand();
    // NODE_ENV=production in the environment would leave out what the tests need.
    const npm = spawn(command, [...args, 'ci', '--include=dev', '--include=optional', '--no-audit', '--no-fund'], {
      cwd: root,
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    const output = [];
    npm.stdout.on('data', (chunk) => output.push(chunk));
    npm.stderr.on('data', (chunk) => output.push(chunk));
    const outcome = await passSignalsTo(npm);
    if (outcome.signal) endAs(outcome);
    if (outcome.error || outcome.code !== 0) {
      say(Buffer.concat(output).toString().trimEnd());
      fail(
        outcome.error
          ? `ringfill: npm could not be run (${outcome.error.message}). It comes with Node.js.`
          : 'ringfill: `npm ci` failed; its output is above.',
      );
    }
    writeFileSync(stampFile, wantedStamp());
    say(`ringfill: dependencies installed (${((Date.now() - startedAt) / 1000).toFixed(1)} s)`);
  } finally {
    releaseInstallLock();
  }
}

// ---- Node ------------------------------------------------------------------------------------------------------------

/** @param {string} version such as v24.12.0 */
function isNewEnough(version) {
  const [major, minor] = version.replace(/^v/, '').split('.').map(Number);
  return major > oldestNode[0] || (major === oldestNode[0] && minor >= oldestNode[1]);
}

function chooseNode() {
  if (isNewEnough(process.version)) return process.execPath;
  const pinned = path.join(modules, '.bin', 'node');
  if (existsSync(pinned)) {
    const asked = spawnSync(pinned, ['--version'], { encoding: 'utf8' });
    if (asked.status === 0 && isNewEnough(asked.stdout.trim())) return pinned;
  }
  const wanted = readOr(path.join(root, '.nvmrc'), oldestNode.join('.')).trim();
  return fail(
    [
      `ringfill: this needs Node.js ${oldestNode.join('.')} or newer; the one running is ${process.version}.`,
      `The project is tested with ${wanted} (.nvmrc). On Linux x64 a copy comes with the dependencies; here`,
      `(${process.platform}-${process.arch}) it does not. Get one, then run the same command again:`,
      '  nvm install && nvm use      or      fnm use --install-if-missing      or      https://nodejs.org/en/download',
    ].join('\n'),
  );
}

// ---- the run ---------------------------------------------------------------------------------------------------------

// On Ctrl-C the terminal signals the whole process group: the child has the signal already, and needs time to clean up.
// Under npm, or from a script, only this process gets it. So it is always passed on, and this process never dies first.
/** @param {import('node:child_process').ChildProcess} child */
function passSignalsTo(child) {
  const signals = ['SIGINT', 'SIGTERM', 'SIGHUP'];
  const pass = (signal) => child.kill(signal);
  for (const signal of signals) process.on(signal, pass);
  // npm signals the shell that it runs its scripts with; where that shell stays in between, it dies and tells nobody.
  const parent = process.ppid;
  const watch = setInterval(() => {
    if (process.env.npm_lifecycle_event === undefined || process.ppid === parent) return;
    clearInterval(watch);
    pass('SIGTERM');
  }, 250);
  return new Promise((resolve) => {
    const settle = (outcome) => {
      clearInterval(watch);
      for (const signal of signals) process.off(signal, pass);
      resolve(outcome);
    };
    child.once('error', (error) => settle({ error }));
    child.once('exit', (code, signal) => settle({ code, signal }));
  });
}

// Whoever waits for this process sees the child's end as if it were its own.
function endAs({ code, signal }) {
  if (signal) {
    process.kill(process.pid, signal);
    // Reached only if the signal does not end this process.
    process.exit(128 + (constants.signals[signal] ?? 0));
  }
  process.exit(code ?? 1);
}

const [file, ...args] = process.argv.slice(2);
if (file === undefined) fail('usage: node stack/bootstrap.mjs <file.ts> [arguments…]');
if (!existsSync(lockfile)) fail(`ringfill: ${lockfile} is missing; is this a complete clone?`);
const script = path.resolve(root, file);
if (!existsSync(script) || !statSync(script).isFile()) fail(`ringfill: there is no file ${script}`);

if (!modulesAreCurrent()) await installModules();
const node = chooseNode();
const child = spawn(node, [script, ...args], {
  // The fourth is a channel that carries nothing: it closes when this process dies, even by SIGKILL, and so tells the
  // child ('disconnect') to stop what it started.
  stdio: ['inherit', 'inherit', 'inherit', 'ipc'],
  env: { ...process.env, PATH: `${path.join(modules, '.bin')}${path.delimiter}${process.env.PATH ?? ''}` },
});
const outcome = await passSignalsTo(child);
if (outcome.error) fail(`ringfill: ${node} could not be started: ${outcome.error.message}`);
endAs(outcome);
