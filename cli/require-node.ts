/** Imported before everything else: on an older Node.js the rest fails in words that nobody can do anything with. */
const NEEDED = [24, 12] as const;

const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < NEEDED[0] || (major === NEEDED[0] && minor < NEEDED[1])) {
  process.stderr.write(
    `ringfill needs Node.js ${NEEDED.join('.')} or later; this is ${process.versions.node} (${process.execPath}).\n`,
  );
  process.exit(1);
}
