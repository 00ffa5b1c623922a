import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { expect } from 'chai';
import { formatMailbox, readMailbox } from '../../src/address.ts';
import { ConfigFaulty } from '../../src/config/config.ts';
import { parseEnvFile } from '../../src/config/env-file.ts';
import { readConfig } from '../../src/config/read-config.ts';
import { withSecretFiles } from '../../src/config/secret-files.ts';
import { type VariableName, variable, variableNames } from '../../src/config/variables.ts';
import { readDatabaseUrl } from '../../src/database/connection.ts';
import { readTextFile, TextFileFault } from '../../src/text-file.ts';
import { temporaryFolder, testKeys } from '../support/program.ts';

function faultsOf(env: Record<string, string>): [string, string][] {
  try {
    readConfig(env);
    return [];
  } catch (error) {
    if (!(error instanceof ConfigFaulty)) throw error;
    return error.faults.map((it) => [it.variable, it.wrong]);
  }
}

describe('readConfig', () => {
  it('needs no settings outside production', () => {
    const config = readConfig({});
    expect(config).to.deep.include({
      host: '127.0.0.1',
      port: 3000,
      publicUrl: 'http://localhost:3000',
      autoReply: true,
      heldExcerpt: true,
      hasPublicUrl: false,
    });
    expect(config.databaseUrl.reveal()).to.equal('embedded');
    expect(config.smtp).to.equal(undefined);
    expect(config.notifyTo).to.deep.equal(['owner@localhost']);
  });

  it('reports all errors at once, with reasons and examples', () => {
    const faulty = {
      PORT: '70000',
      PUBLIC_URL: 'forms.example.com',
      DATABASE_URL: 'mysql://x/y',
      SMTP_PORT: 'smtp',
      SMTP_CONNECTIONS: '0',
      SMTP_HELLO: '[127.0.0.1]',
      MAIL_FROM: 'nobody',
      NOTIFY_TO: 'a@example.com, b',
      AUTO_REPLY: 'yes',
      HELD_EXCERPT: 'yes',
      ALLOWED_HOSTS: 'https://forms.example.com',
      ALLOWED_ORIGINS: 'https://example.com/contact',
      TRUST_PROXY: 'yes',
      RATE_LIMIT: '10',
      ENCRYPTION_KEYS: 'k1:short',
      LOG_LEVEL: 'loud',
      NODE_ENV: 'prod',
    };
    expect(faultsOf(faulty).map(([name]) => name)).to.have.members(Object.keys(faulty));
    try {
      readConfig(faulty);
      expect.fail('should have thrown');
    } catch (error) {
      const lines = (error as Error).message.split('\n').slice(1);
      expect(lines).to.have.lengthOf(Object.keys(faulty).length);
      for (const line of lines) expect(line).to.match(/^ {2}[A-Z_]+ (must|is) .*\(example: .+\)$/);
    }
  });

  it('requires in production what the docs mark as required', () => {
    const required = variableNames.filter((name) => variable(name).production);
    expect(faultsOf({ NODE_ENV: 'production' }).map(([name]) => name)).to.have.members(required);
    const examples = Object.fromEntries(required.map((name) => [name, variable(name).example]));
    expect(faultsOf({ NODE_ENV: 'production', ...examples, ENCRYPTION_KEYS: testKeys })).to.deep.equal([]);
  });

  it('accepts its own examples, but not those of secrets it checks', () => {
    const invalid: VariableName[] = ['ENCRYPTION_KEYS', 'METRICS_TOKEN'];
    for (const name of invalid) {
      expect(faultsOf({ [name]: variable(name).example }).map(([it]) => it)).to.deep.equal([name]);
    }
    for (const name of variableNames.filter((it) => !invalid.includes(it))) {
      const faults = faultsOf({ [name]: variable(name).example, SMTP_PASSWORD: 'x' }).map(([it]) => it);
      // A mail server needs a sender and an owner; a login also needs a password, which is given here.
      expect(
        faults.filter((it) => it !== 'MAIL_FROM' && it !== 'NOTIFY_TO' && it !== 'ENCRYPTION_KEYS'),
        name,
      ).to.not.include(name as VariableName);
    }
  });

  it('uses an address in SMTP_USER as From; else needs MAIL_FROM', () => {
    const smtp = { SMTP_HOST: 'smtp.example.com', SMTP_PASSWORD: 'x', NOTIFY_TO: 'owner@example.com' };
    expect(readConfig({ ...smtp, SMTP_USER: 'me@example.com' }).mailFrom).to.deep.equal({ address: 'me@example.com' });
    expect(faultsOf({ ...smtp, SMTP_USER: 'apikey' })).to.deep.equal([
      ['MAIL_FROM', 'is missing, while SMTP_HOST is set and SMTP_USER is not an address'],
    ]);
    for (const blank of [{}, { SMTP_PASSWORD: '' }, { SMTP_PASSWORD: ' ' }]) {
      expect(faultsOf({ SMTP_USER: 'me@example.com', ...blank }).map(([name]) => name)).to.deep.equal([
        'SMTP_PASSWORD',
      ]);
    }
    expect(readConfig({ MAIL_FROM: 'Ada Site <ada@example.com>' }).mailFrom).to.deep.equal({
      name: 'Ada Site',
      address: 'ada@example.com',
    });
  });

  it('requires NOTIFY_TO if mail leaves this machine', () => {
    const smtp = { SMTP_HOST: 'smtp.example.com', MAIL_FROM: 'forms@example.com' };
    expect(faultsOf(smtp).map(([name]) => name)).to.deep.equal(['NOTIFY_TO']);
    expect(faultsOf({ ...smtp, NOTIFY_TO: 'owner@example.com' })).to.deep.equal([]);
    expect(faultsOf({ ...smtp, SMTP_HOST: '127.0.0.1' })).to.deep.equal([]);
  });

  it('refuses web addresses that are two, lack slashes, or hold a login', () => {
    const wrong = [
      'https:https://forms.example.com',
      'https://https://forms.example.com',
      'https:forms.example.com',
      'https:/forms.example.com',
      'https:///forms.example.com',
      'https:https://me:secret@forms.example.com',
      'https://https//me:secret@forms.example.com',
      'https://forms.example.com//a',
    ];
    for (const value of wrong) {
      for (const name of ['PUBLIC_URL', 'CAPTCHA_VERIFY_URL'])
        expect(() => readConfig({ [name]: value }), `${name}=${value}`).to.throw(
          ConfigFaulty,
          `${name} must be an http or https address`,
        );
    }
    const { publicUrl } = readConfig({ PUBLIC_URL: 'HTTPS://Forms.Example.com:8443/a/b/' });
    expect(publicUrl).to.equal('https://forms.example.com:8443/a/b');
  });

  it('reads hosts; without ALLOWED_HOSTS, allows localhost and PUBLIC_URL', () => {
    const { allowedHosts } = readConfig({ PUBLIC_URL: 'https://Forms.Example.com:8443/base' });
    expect(allowedHosts).to.deep.equal(['forms.example.com', 'localhost', '127.0.0.1', '::1']);
    const named = readConfig({ ALLOWED_HOSTS: 'Forms.Example.com, bücher.example, [2001:DB8::1], 203.0.113.7' });
    expect(named.allowedHosts).to.deep.equal([
      'forms.example.com',
      'xn--bcher-kva.example',
      '2001:db8::1',
      '203.0.113.7',
    ]);
    expect(readConfig({}).hookAllowHosts).to.deep.equal([]);
    const inside = readConfig({ HOOK_ALLOW_HOSTS: 'Ntfy.lan., 0x7f.1, [::1]' }).hookAllowHosts;
    expect(inside).to.deep.equal(['ntfy.lan', '127.0.0.1', '::1']);
    for (const value of [
      'forms.example.com:8080',
      'a,,b',
      'http://a',
      'a b',
      'a/b',
      '*',
      'u@a',
      '[::1]:80',
      '[::zz]',
    ]) {
      expect(faultsOf({ ALLOWED_HOSTS: value }).length, value).to.equal(1);
      expect(faultsOf({ HOOK_ALLOW_HOSTS: value }).length, value).to.equal(1);
    }
  });

  it('allows PUBLIC_URL, and localhost if no origins are set', () => {
    const production = {
      ...Object.fromEntries(
        variableNames.filter((name) => variable(name).production).map((name) => [name, variable(name).example]),
      ),
      ENCRYPTION_KEYS: testKeys,
      NODE_ENV: 'production',
    };
    const originsOf = (env: Record<string, string>) => {
      const { allowedOrigins, loopbackOrigins } = readConfig(env);
      return [...allowedOrigins, loopbackOrigins];
    };
    expect(originsOf({})).to.deep.equal(['http://localhost:3000', true]);
    expect(originsOf({ ALLOWED_ORIGINS: 'https://a.test, HTTP://B.test:80/' })).to.deep.equal([
      'http://localhost:3000',
      'https://a.test',
      'http://b.test',
      false,
    ]);
    const apps = [
      'capacitor://localhost',
      'ionic://localhost/',
      'APP://My-Site.test:8080',
      'chrome-extension://abcdef',
    ];
    expect(originsOf({ ALLOWED_ORIGINS: apps.join(',') }).slice(1, -1)).to.deep.equal([
      'capacitor://localhost',
      'ionic://localhost',
      'app://my-site.test:8080',
      'chrome-extension://abcdef',
    ]);
    expect(originsOf(production)).to.deep.equal(['https://forms.example.com', false]);
    for (const value of [
      '*',
      'null',
      'a.test',
      'https://a.test/x',
      'https://a.test?x',
      'ftp://a.test',
      'https://u:p@a.test',
      'wss://a.test',
      'file:///a',
      'capacitor://',
      'capacitor:localhost',
      'capacitor://localhost/x',
      'capacitor://u:p@localhost',
      'capacitor://localhost:99999',
      '',
    ]) {
      expect(faultsOf({ ALLOWED_ORIGINS: value }).length, value).to.equal(value === '' ? 0 : 1);
    }
  });

  it('accepts every host name that can resolve', () => {
    for (const host of ['mail_server', '_smtp.example.com', 'stack_mail_1', 'mail.example.com.', 'localhost', '::1']) {
      const { smtp, host: listen } = readConfig({
        SMTP_HOST: host,
        HOST: host,
        MAIL_FROM: 'a@b.test',
        NOTIFY_TO: 'a@b.test',
      });
      expect([smtp?.host, listen]).to.deep.equal([host, host]);
    }
    for (const host of ['smtp://mail', 'mail:25', 'a b', 'a/b', '.mail', '-mail', 'mail-', '[::1]']) {
      expect(faultsOf({ HOST: host }).length, host).to.equal(1);
    }
  });

  it('reads a limit as a number of posts and a period', () => {
    expect(readConfig({}).rateLimit).to.deep.equal({ posts: 10, windowMs: 60_000 });
    expect(readConfig({ RATE_LIMIT: '5/30s' }).rateLimit).to.deep.equal({ posts: 5, windowMs: 30_000 });
    expect(readConfig({ RATE_LIMIT: '100/24h' }).rateLimit).to.deep.equal({ posts: 100, windowMs: 86_400_000 });
    expect(readConfig({ RATE_LIMIT: 'off' }).rateLimit).to.equal(undefined);
    for (const value of ['0/1m', '10/0m', '10/2d', '10', '10/m', '-1/1m', '1.5/1m', '10/1w', 'OFF', '10/1m ; off']) {
      expect(faultsOf({ RATE_LIMIT: value }).length, value).to.equal(1);
    }
    for (const value of ['-1', '1.5', 'true', '11', '0x1g']) {
      expect(faultsOf({ TRUST_PROXY: value }).length, value).to.equal(1);
    }
  });

  it('rejects database modes that silently fall back to plain text', () => {
    for (const mode of ['prefer', 'allow', 'on', '']) {
      expect(
        faultsOf({ DATABASE_URL: `postgresql://h/db?sslmode=${mode}` }).map(([name]) => name),
        mode,
      ).to.deep.equal(['DATABASE_URL']);
    }
  });

  it('rejects unknown database parameters and broken passwords', () => {
    const wrong = (url: string) => faultsOf({ DATABASE_URL: url });
    expect(wrong('postgresql://h/db?ssl=true')[0]?.[1]).to.include('sslmode=require');
    expect(wrong('postgresql://h/db?sslmode=require&password=x')[0]?.[1]).to.include('"password"');
    for (const [name, instead] of [
      ['channel_binding=require', 'sslmode=verify-full'],
      ['host=/run/postgresql', 'postgresql://user@%2Frun%2Fpostgresql/name'],
      ['pgbouncer=true', 'remove it'],
      ['options=endpoint%3Dx', 'remove it'],
    ] as const) {
      expect(wrong(`postgresql://h/db?sslmode=require&${name}`)[0]?.[1])
        .to.include(`"${name.split('=')[0]}"`)
        .and.include(instead);
    }
    for (const password of ['p#ss', 'p/ss', 'p?ss', '12#3', '12/3', '12?3', '#p', '/p@x', 'p#s@s']) {
      for (const [name, url] of [
        ['DATABASE_URL', `postgresql://u:${password}@h/db`],
        ['DATABASE_URL', `postgresql://u:${password}@h:5432/db?sslmode=require`],
        ['REDIS_URL', `rediss://:${password}@h:6379/0`],
      ] as const) {
        const [fault] = faultsOf({ [name]: url });
        expect(fault?.[1], url).to.include('write # as %23, / as %2F, ? as %3F');
        expect(fault?.[1], url).to.not.include(password);
      }
      const escaped = encodeURIComponent(password);
      expect(
        faultsOf({ DATABASE_URL: `postgresql://u:${escaped}@h/db`, REDIS_URL: `redis://:${escaped}@h` }),
      ).to.deep.equal([]);
    }
    // Azure's user names have an @, and so may a password with another such character.
    for (const login of ['u@corp:p/ss', 'u@corp:p?ss', 'u:p@s/s', 'u:p@s?s']) {
      expect(wrong(`postgresql://${login}@h/db`)[0]?.[1], login).to.include('@ as %40');
    }
    for (const [name, url] of [
      ['DATABASE_URL', 'postgresql://u:p@one,two/db'],
      ['DATABASE_URL', 'postgresql://u:p@one:5432,two:5433/db?sslmode=require'],
      ['DATABASE_URL', 'postgresql://one,two/db'],
      ['REDIS_URL', 'redis://:p@one:6379,two:6379'],
    ] as const) {
      expect(faultsOf({ [name]: url })[0]?.[1], url).to.include('several hosts');
    }
    // What is left of an unquoted value in .env.
    expect(wrong('postgresql://u:p')[0]?.[1]).to.include('in .env, put a value that contains # in quotes');
    for (const url of [
      'postgresql://h/a@b',
      'postgresql://u:p@h/a@b',
      'postgresql://u:p@ss@h/db',
      'postgresql://u:p,q@h/a,b',
      'postgresql://u@%2Frun%2Fpostgresql/db',
    ]) {
      expect(wrong(url), url).to.deep.equal([]);
    }
    expect(wrong('postgresql://u:50%off@h/db')[0]?.[1]).to.include('%25');
    expect(
      readConfig({ DATABASE_URL: 'postgresql://u:50%25off@h/db?sslmode=disable' }).databaseUrl.reveal(),
    ).to.include('%25');
  });

  /** Production settings without a fault and without a warning. */
  const inProduction = (changes: Record<string, string>) => ({
    ...Object.fromEntries(
      variableNames.filter((it) => variable(it).production).map((it) => [it, variable(it).example]),
    ),
    ...{ NODE_ENV: 'production', ENCRYPTION_KEYS: testKeys, ...changes },
  });
  const repeated = (byte: number) => Buffer.alloc(32, byte).toString('base64');
  const publicKeys = {
    published: '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=',
    'published, with other unused bits': '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFV=',
    zeros: repeated(0),
    'a letter': repeated(97),
    'all bits': repeated(255),
  };
  for (const [title, key] of Object.entries(publicKeys)) {
    it(`lets a public key decrypt only in production (${title})`, () => {
      const first = inProduction({ ENCRYPTION_KEYS: `x1:${key},${testKeys}` });
      expect(faultsOf(first)).to.have.lengthOf(1);
      expect(faultsOf(first)[0]).to.satisfy(([name, wrong]: [string, string]) => {
        return name === 'ENCRYPTION_KEYS' && wrong.includes('new key in front') && wrong.includes('encryption rotate');
      });
      expect(faultsOf({ ...first, NODE_ENV: 'development' })).to.deep.equal([]);
      const { warnings } = readConfig(inProduction({ ENCRYPTION_KEYS: `${testKeys},x1:${key}` }));
      expect(warnings.map((it) => it.variable)).to.deep.equal(['ENCRYPTION_KEYS']);
      expect(warnings[0]?.wrong + (warnings[0]?.fix ?? '')).to.match(/"x1".*encryption rotate.*remove "x1"/);
    });
  }

  it('names a malformed key in production too', () => {
    for (const keys of ['k1:short', `${testKeys},${testKeys}`]) {
      expect(faultsOf(inProduction({ ENCRYPTION_KEYS: keys })).map(([, wrong]) => wrong)[0]).to.match(
        /^must (be|not have)/,
      );
    }
  });

  it('refuses tokens that everybody knows or guesses', () => {
    for (const token of ['a-long-random-text', 'x'.repeat(20)])
      expect(
        faultsOf({ METRICS_TOKEN: token }).map(([name]) => name),
        token,
      ).to.deep.equal(['METRICS_TOKEN']);
  });

  it("warns in production about captcha providers' test secrets", () => {
    for (const secret of [
      '1x0000000000000000000000000000000AA',
      '0x0000000000000000000000000000000000000000',
      '6LeIxAcTAAAAAGG-vFI1TnRWxMZNFuojJ4WifJWe',
    ]) {
      const settings = inProduction({ CAPTCHA: 'turnstile', CAPTCHA_SITE_KEY: 'x', CAPTCHA_SECRET: secret });
      expect(
        readConfig(settings).warnings.map((it) => it.variable),
        secret,
      ).to.deep.equal(['CAPTCHA_SECRET']);
      expect(readConfig({ ...settings, NODE_ENV: 'development' }).warnings).to.deep.equal([]);
    }
    expect(readConfig(inProduction({ CAPTCHA_SECRET: '0x4AAAAAAA-secret' })).warnings).to.deep.equal([]);
  });

  const ownHosts = [
    ...['localhost', 'forms.localhost', '127.0.0.1', '127.1', '[::1]', '10.1.2.3', '172.16.0.1', '172.31.255.255'],
    ...['192.168.1.1', '169.254.9.9', '[fe80::1]', '[fd12::1]', '[::ffff:10.0.0.1]', 'db', 'db.'],
  ];
  const foreignHosts = [
    ...['db.example.com', 'db.internal', '203.0.113.7', '172.32.0.1', '100.64.0.1', '[2001:db8::1]', 'db.example.com.'],
    ...['localhost.example', '10.example.com', '192.168.1.1.nip.io', '134744072'],
  ];
  const clearText = {
    PUBLIC_URL: ['http://HOST', 'set PUBLIC_URL=https://'],
    CAPTCHA_VERIFY_URL: ['http://HOST/verify', 'set CAPTCHA_VERIFY_URL=https://'],
    REDIS_URL: ['redis://:canary@HOST:6379/1', 'set REDIS_URL=rediss://:***@'],
  } as const;
  for (const [name, [value, fix]] of Object.entries(clearText)) {
    it(`warns about clear text in ${name} that leaves our network`, () => {
      const warningsFor = (host: string, text: string = value) =>
        readConfig(inProduction({ [name]: text.replace('HOST', host) })).warnings;
      for (const host of ownHosts) expect(warningsFor(host), host).to.deep.equal([]);
      for (const host of foreignHosts) {
        const [warning, ...others] = warningsFor(host);
        expect([warning?.variable, ...others], host).to.deep.equal([name]);
        expect(warning?.fix, host).to.include(fix);
        expect(JSON.stringify(warning)).to.not.include('canary');
      }
      const encrypted = value.replace(/^(http|redis):/, '$1s:');
      expect(warningsFor('db.example.com', encrypted)).to.deep.equal([]);
    });
  }

  it('encrypts and verifies by default to databases outside our network', () => {
    const sslOf = (host: string, search = '') => readDatabaseUrl(`postgresql://u@${host}/x${search}`).ssl;
    for (const host of [...ownHosts, '%2Frun%2Fpg.1']) expect(sslOf(host), host).to.equal(false);
    expect(sslOf('db', '?sslrootcert=system'), 'a certificate').to.deep.equal({ rejectUnauthorized: true });
    expect(sslOf('db', '?sslrootcert=system&sslmode=disable')).to.equal(false);
    for (const host of foreignHosts) {
      expect(sslOf(host), host).to.deep.equal({ rejectUnauthorized: true });
      expect(sslOf(host, '?sslmode=disable'), host).to.equal(false);
      expect(sslOf(host, '?sslmode=require'), host).to.deep.equal({ rejectUnauthorized: false });
    }
    expect(readConfig({ DATABASE_URL: 'postgresql://u@db.example.com/x' }).warnings).to.deep.equal([]);
  });

  it('reads the time zone of mails and pages', () => {
    expect(readConfig({}).timeZone).to.equal('UTC');
    for (const zone of ['Europe/Berlin', 'Asia/Kolkata', 'UTC', '+05:45']) {
      expect(readConfig({ TIME_ZONE: zone }).timeZone).to.equal(zone);
    }
    for (const zone of ['Europe/Nowhere', 'CEST', 'GMT+2', 'Etc/Unknown', 'local']) {
      expect(faultsOf({ TIME_ZONE: zone }), zone).to.deep.equal([['TIME_ZONE', 'must be the name of a time zone']]);
    }
  });

  it('rejects a MAIL_FROM that no mail can be sent from', () => {
    for (const name of ['Firma \\ Sohn', 'a'.repeat(201), 'zero\u200bwidth']) {
      expect(
        faultsOf({ MAIL_FROM: `${name} <info@example.test>` }).map(([it]) => it),
        name,
      ).to.deep.equal(['MAIL_FROM']);
    }
    for (const from of ['Müller & Söhne <info@example.test>', '"Ada, Inc." <info@example.test>', 'info@example.test']) {
      const { mailFrom } = readConfig({ MAIL_FROM: from });
      expect(readMailbox(formatMailbox(mailFrom)), from).to.deep.equal(mailFrom);
    }
  });

  it('shows no secret when it is printed or serialised', () => {
    const config = readConfig({
      DATABASE_URL: 'postgresql://u:canary1@h/db',
      SMTP_PASSWORD: 'canary2',
      SMTP_HOST: 'h',
      SMTP_USER: 'a@b.test',
      NOTIFY_TO: 'a@b.test',
      ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 'canary3').toString('base64')}`,
    });
    const shown = inspect(config, { depth: 9 }) + JSON.stringify(config) + String(config.databaseUrl);
    expect(shown).to.not.match(/canary|Y2FuYXJ5/);
    expect(config.encryptionKeys?.reveal()[0]?.secret).to.have.lengthOf(32);
  });

  it('reads a secret from the NAME_FILE file unless NAME is set', () => {
    const readFile = (path: string) => `from ${path}\n`;
    expect(withSecretFiles({ SMTP_PASSWORD_FILE: '/run/p' }, readFile).values.SMTP_PASSWORD).to.equal('from /run/p');
    expect(
      withSecretFiles({ SMTP_PASSWORD_FILE: '/run/p', SMTP_PASSWORD: 'x' }, readFile).values.SMTP_PASSWORD,
    ).to.equal('x');
    const missing = () => {
      throw new Error('ENOENT');
    };
    const { values, faults } = withSecretFiles(
      { DATABASE_URL_FILE: '/none', NODE_ENV: 'production', PORT: 'x' },
      missing,
    );
    expect(() => readConfig(values, faults))
      .to.throw(/DATABASE_URL_FILE names \/none/)
      .with.property('message')
      .that.matches(/PORT must be/)
      .and.does.not.match(/DATABASE_URL is required/);
  });

  it('keeps a space in a secret file, but not the end of the line', () => {
    const read = () => ' a b \n\n';
    expect(withSecretFiles({ SMTP_PASSWORD_FILE: '/run/p' }, read).values.SMTP_PASSWORD).to.equal(' a b ');
  });
});

describe('parseEnvFile', () => {
  const read = (text: string) => parseEnvFile('.env', text);

  it('reads settings, comments and quotes', () => {
    const lines: [string, Record<string, string>][] = [
      ['', {}],
      ['\n# a comment = 1\n  # another\n\t\n', {}],
      ['# pasted\u2028text\nA=1 # more\u2029text\nB="\u2028"', { A: '1', B: '\u2028' }],
      ['A=1', { A: '1' }],
      ['  export A = a=b  \nB=2\n', { A: 'a=b', B: '2' }],
      ['A=\nB=2', { A: '', B: '2' }],
      ['A= \nB=2', { A: '', B: '2' }],
      ["A=it's", { A: "it's" }],
      ['A=1 # one\nB="a#b" # two\nC= # three', { A: '1', B: 'a#b', C: '' }],
      [`A=" x "\nB=' y '\nC=\`z\``, { A: ' x ', B: ' y ', C: 'z' }],
      ['A="one\ntwo"\nB="a\\nb"\nC=\'a\\nb\'', { A: 'one\ntwo', B: 'a\nb', C: 'a\\nb' }],
      ['\uFEFFA=1\nA=2', { A: '2' }],
    ];
    for (const [text, values] of lines)
      expect(read(text), JSON.stringify(text)).to.deep.equal({ values, warnings: [] });
  });

  it('warns about a # that ends a value', () => {
    for (const value of ['ab#cd', '#cd', 'ab#', 'a b#c # d']) {
      expect(read(`# x\nA=${value}\nB=1`).warnings, value).to.deep.equal([
        '.env, line 2: the value of A ends before the #; if the # belongs to it, use quotes',
      ]);
    }
  });

  it('names the first line that means nothing, and never quotes it', () => {
    const neither = 'is neither NAME=value nor a comment, which starts with #';
    for (const [text, wrong] of [
      ['PORT', neither],
      ['PORT 3000', neither],
      ['PORT: 3000', neither],
      ['DATABASE_URL:postgresql://h/db?sslmode=require', neither],
      ['set PORT=3000', neither],
      ['=3000', neither],
      ['; comment', neither],
      ['// comment', neither],
      ['[section]', neither],
      ['\u200bPORT=1', neither],
      ['"PORT"=1', neither],
      ['A="secret', 'has a quote that is never closed'],
      ["A='secret\nB=2", 'has a quote that is never closed'],
      ['A="Ada" <a@b.test>', 'has text after its closing quote'],
      ['A="a\\"b"', 'has text after its closing quote'],
      ['A="secret\nB="2"', 'has text after its closing quote'],
    ] as const) {
      const run = () => read(`# first\nX="two\nlines"\n${text}\nLAST=1`);
      expect(run, text).to.throw(TextFileFault).with.property('message', `.env, line 4: ${wrong}`);
    }
  });
});

describe('readTextFile', () => {
  it('accepts UTF-8 with LF or CRLF, and names the line of anything else', async () => {
    await using folder = await temporaryFolder();
    const file = join(folder.path, 'text');
    const readBytes = (bytes: Buffer | string) => {
      writeFileSync(file, bytes);
      return readTextFile(file);
    };
    expect(readBytes('')).to.equal('');
    expect(readBytes('a\nü')).to.equal('a\nü');
    expect(readBytes('\uFEFFa\r\nb\r\n')).to.equal('a\nb\n');
    expect(readBytes('a\r')).to.equal('a');
    for (const [bytes, line, wrong] of [
      [Buffer.from('\uFEFFA=1', 'utf16le'), 1, /is UTF-16; save the file as UTF-8/],
      [Buffer.from('\uFEFFA=1', 'utf16le').swap16(), 1, /is UTF-16/],
      [Buffer.from('A=1\n', 'utf16le'), 1, /contains a zero byte/],
      [Buffer.from('a\nb\nGrüße', 'latin1'), 3, /is not UTF-8/],
      [Buffer.from('a\r\nb\u0000', 'utf8'), 2, /contains a zero byte/],
      [Buffer.from('a\nb\rc', 'utf8'), 2, /has a carriage return/],
      [Buffer.from('a\nb\r\r\nc', 'utf8'), 2, /has a carriage return/],
    ] as const) {
      expect(() => readBytes(bytes))
        .to.throw(TextFileFault, wrong)
        .with.property('message')
        .that.includes(`${file}, line ${line}: `);
    }
  });
});
