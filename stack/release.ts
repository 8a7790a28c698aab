/** Do the tag, package.json, package-lock.json and CHANGELOG.md tell of one release? */

export interface ReleaseParts {
  /** Of the commit that is released: `v1.2.3`. Nothing where it has none. */
  readonly tag: string | undefined;
  /** Texts of the files. */
  readonly manifest: string;
  readonly lockfile: string;
  readonly changelog: string;
}

/** What is wrong, for people; nothing where it may be published. */
export function releaseProblems({ tag, manifest, lockfile, changelog }: ReleaseParts): readonly string[] {
  const { version } = JSON.parse(manifest) as { version: string };
  const { version: locked, packages } = JSON.parse(lockfile) as {
    version: string;
    packages: Readonly<Record<string, { readonly version?: string }>>;
  };
  const sections = sectionsOf(changelog);
  const problems: string[] = [];
  if (tag === undefined) problems.push(`this commit has no tag; git tag -a v${version}`);
  else if (tag !== `v${version}`) problems.push(`the tag is ${tag}, and package.json says ${version}`);
  if (locked !== version || packages['']?.version !== version)
    problems.push(`package-lock.json says ${locked}, and package.json ${version}; npm version writes both`);
  const [first] = sections;
  if (first?.title === 'Unreleased')
    problems.push(`CHANGELOG.md begins with Unreleased; name it \`## ${version} (YYYY-MM-DD)\``);
  const own = sections.find(({ title }) => title.split(' ')[0] === version);
  if (own === undefined) problems.push(`CHANGELOG.md has no section ${version}`);
  else if (!/^\S+ \(\d{4}-\d\d-\d\d\)$/.test(own.title))
    problems.push(`CHANGELOG.md does not date ${version}: (YYYY-MM-DD)`);
  else if (own.text === '') problems.push(`CHANGELOG.md says nothing of ${version}`);
  return problems;
}

function sectionsOf(changelog: string): readonly { readonly title: string; readonly text: string }[] {
  return changelog
    .split(/^## /m)
    .slice(1)
    .map((section) => {
      const end = section.indexOf('\n');
      return { title: section.slice(0, end).trim(), text: section.slice(end).trim() };
    });
}
