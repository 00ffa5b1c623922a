import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { checkMailDomain, openResolver } from '../../src/services/health/deep/mail-domain.ts';
import { checkClock, deepChecks } from '../../src/services/health/deep/smtp-and-clock.ts';
import type { Health } from '../../src/services/health/health.ts';
import type { HealthCheck, HealthParts } from '../../src/services/health/health-check.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase } from '../support/database.ts';
import { DnsServer, type Zone } from '../support/dns-server.ts';
import { RunningServer, temporaryFolder } from '../support/program.ts';
import { startSmtpServer } from '../support/smtp-server.ts';
import { runHere } from './terminal.ts';

const good: Zone = {
  'site.test TXT': ['google-site-verification=x', 'v=spf1 include:_spf.mail.test ~all'],
  '_spf.mail.test TXT': ['v=spf1 ip4:192.0.2.0/24 -all'],
  'site.test MX': ['20 backup.site.test', '10 mail.site.test'],
  'google._domainkey.site.test TXT': [`v=DKIM1; k=rsa; p=${'A'.repeat(392)}`],
  '_dmarc.site.test TXT': ['v=DMARC1; p=quarantine; rua=mailto:x@site.test'],
};

describe('health --deep: the From domain', () => {
  let dns: DnsServer;
  before(async () => {
    dns = await DnsServer.start(good);
  });
  after(async () => {
    await dns[Symbol.asyncDispose]();
  });

  const look = async (changes: Zone = {}, options: { domain?: string; selector?: string } = {}) => {
    dns.zone = { ...good, ...changes };
    const findings = checkMailDomain({
      domain: options.domain ?? 'site.test',
      resolver: openResolver(dns.address),
      dkimSelector: options.selector,
    });
    const [spf, dkim, dmarc, mx] = await Promise.all([findings.spf, findings.dkim, findings.dmarc, findings.mx]);
    const seen = { spf, dkim, dmarc, mx };
    return (name: keyof typeof seen) => seen[name];
  };

  it('is ok and shows the facts if SPF, DKIM, DMARC and MX exist', async () => {
    const seen = await look();
    for (const name of ['spf', 'dkim', 'dmarc', 'mx'] as const) {
      expect(seen(name), name).to.include({ status: 'ok', fix: null });
    }
    expect(seen('spf').fact).to.include('include:_spf.mail.test');
    expect(seen('dkim').fact).to.include('google');
    expect(seen('mx').fact).to.equal('site.test accepts mail at mail.site.test, backup.site.test');
  });

  for (const [title, name, status, changes, words] of [
    ['no SPF', 'spf', 'fail', { 'site.test TXT': ['x'] }, 'no SPF record'],
    ['two SPF records', 'spf', 'fail', { 'site.test TXT': ['v=spf1 -all', 'v=spf1 ~all'] }, '2 SPF records'],
    ['SPF for everybody', 'spf', 'fail', { 'site.test TXT': ['v=spf1 +all'] }, 'everybody'],
    ['SPF without an end', 'spf', 'warn', { 'site.test TXT': ['v=spf1 a'] }, 'nothing about others'],
    ['neutral SPF', 'spf', 'warn', { 'site.test TXT': ['v=spf1 a ?all'] }, 'neutral'],
    [
      'SPF with eleven look-ups',
      'spf',
      'fail',
      { 'site.test TXT': [`v=spf1 ${'include:_spf.mail.test '.repeat(11)}-all`] },
      'more than 10 look-ups',
    ],
    [
      'SPF whose includes come to eleven look-ups',
      'spf',
      'fail',
      {
        'site.test TXT': ['v=spf1 a mx ip4:192.0.2.1 include:small.test include:large.test ~all'],
        'small.test TXT': ['v=spf1 include:_spf.mail.test -all'],
        'large.test TXT': ['v=spf1 exists:%{i}.large.test ptr include:larger.test -all include:never.test'],
        'larger.test TXT': ['v=spf1 include:_spf.mail.test include:small.test ?all'],
      },
      'more than 10 look-ups',
    ],
    [
      'SPF that includes a domain without SPF',
      'spf',
      'fail',
      { 'site.test TXT': ['v=spf1 include:gone.test ~all'] },
      'has include:gone.test, but gone.test has no SPF record',
    ],
    [
      'SPF that includes a domain which includes one with two records',
      'spf',
      'fail',
      {
        'site.test TXT': ['v=spf1 include:a.test ~all'],
        'a.test TXT': ['v=spf1 include:b.test ~all'],
        'b.test TXT': ['v=spf1 -all', 'v=spf1 ~all'],
      },
      'has include:b.test, but b.test has 2 SPF records',
    ],
    [
      'SPF that includes itself in the end',
      'spf',
      'fail',
      { 'site.test TXT': ['v=spf1 include:a.test ~all'], 'a.test TXT': ['v=spf1 include:site.test ~all'] },
      'more than 10 look-ups',
    ],
    [
      'SPF that redirects to nothing',
      'spf',
      'fail',
      { 'site.test TXT': ['v=spf1 redirect=gone.test'] },
      'has redirect=gone.test, but gone.test has no SPF record',
    ],
    [
      'SPF that redirects to one which is neutral',
      'spf',
      'warn',
      { 'site.test TXT': ['v=spf1 redirect=a.test'], 'a.test TXT': ['v=spf1 ?all'] },
      'neutral',
    ],
    ['no DKIM key that we know of', 'dkim', 'warn', { 'google._domainkey.site.test TXT': [] }, 'usual names'],
    ['a revoked DKIM key', 'dkim', 'fail', { 'google._domainkey.site.test TXT': ['v=DKIM1; p='] }, 'revoked'],
    ['no DMARC', 'dmarc', 'warn', { '_dmarc.site.test TXT': [] }, 'no DMARC record'],
    ['DMARC without a policy', 'dmarc', 'fail', { '_dmarc.site.test TXT': ['v=DMARC1; rua=x'] }, 'no policy'],
    ['no MX', 'mx', 'warn', { 'site.test MX': [] }, 'bounces and replies'],
    ['a null MX', 'mx', 'fail', { 'site.test MX': ['0 .'] }, 'accepts no mail'],
  ] as const) {
    it(`${title}: ${name} is "${status}", with a fix; the others stay the same`, async () => {
      const seen = await look(changes as Zone);
      expect(seen(name).status).to.equal(status);
      expect(seen(name).fact).to.include(words);
      expect(seen(name).fix).to.be.a('string');
      for (const other of ['spf', 'dkim', 'dmarc', 'mx'] as const) {
        if (other !== name) expect(seen(other).status, other).to.equal('ok');
      }
    });
  }

  it('follows SPF includes, up to the limit', async () => {
    const redirected = await look({
      'site.test TXT': ['v=spf1 redirect=a.test include:_spf.mail.test'],
      'a.test TXT': ['v=spf1 ip6:2001:db8::/32 a:six.test -all'],
    });
    expect(redirected('spf')).to.include({ status: 'ok', fix: null });
    expect(redirected('spf').fact).to.include('(3 of 10 look-ups)');
    dns.asked.length = 0;
    const ended = await look({
      'site.test TXT': ['v=spf1 exists:%{i}.x.test include:%{d}.y.test ~all redirect=a.test'],
    });
    expect(ended('spf').fact).to.include('(2 of 10 look-ups)');
    expect(dns.asked.join()).to.not.match(/%|a\.test/);
    const endless = Object.fromEntries(
      Array.from({ length: 100 }, (_, i) => [`n${i}.test TXT`, [`v=spf1 include:n${i + 1}.test -all`]]),
    );
    dns.asked.length = 0;
    const long = await look({ 'site.test TXT': ['v=spf1 include:n0.test -all'], ...endless });
    expect(long('spf').fact).to.include('more than 10 look-ups');
    expect(dns.asked.filter((it) => it.startsWith('n'))).to.have.lengthOf(10);
  });

  it('names the domain whose SPF lookup got no DNS answer', async () => {
    dns.mute = 'mute.test';
    try {
      const spf = (await look({ 'site.test TXT': ['v=spf1 include:mute.test -all'] }, { selector: 'google' }))('spf');
      expect(spf).to.include({ status: 'warn' });
      expect(spf.fact).to.match(/^the DNS does not answer \(ETIMEOUT for mute\.test\)$/);
    } finally {
      dns.mute = '';
    }
  });

  it('uses the named DKIM selector, and DMARC of the parent domain', async () => {
    const named = await look({ 's77._domainkey.site.test TXT': ['v=DKIM1; p=AAAA'] }, { selector: 's77' });
    expect(named('dkim').fact).to.include('s77').and.not.include('google');
    expect((await look({}, { selector: 'other' }))('dkim')).to.include({ status: 'fail' });
    const below = await look({ 'forms.site.test TXT': ['v=spf1 -all'] }, { domain: 'forms.site.test' });
    expect(below('dmarc').fact).to.match(/^site\.test: v=DMARC1; p=quarantine/);
    const reserved = await look({}, { domain: 'localhost' });
    expect(reserved('mx')).to.include({ status: 'warn' });
  });

  it('blames a silent DNS server, not the domain', async () => {
    dns.isSilent = true;
    try {
      const seen = await look();
      for (const name of ['spf', 'dkim', 'dmarc', 'mx'] as const) {
        expect(seen(name).status, name).to.equal('warn');
        expect(seen(name).fix).to.include('DNS_SERVER');
      }
    } finally {
      dns.isSilent = false;
    }
  });
});

describe('health --deep: the rest', () => {
  const look = async (db: Awaited<ReturnType<typeof createDatabase>>, settings: Record<string, string>) => {
    const { code, stdout } = await runHere(['health', '--deep', '--json'], db, { settings });
    const health = JSON.parse(stdout) as Health;
    expect(code).to.equal(health.status === 'fail' ? 4 : 0);
    return (name: HealthCheck['name']) => health.checks.find((it) => it.name === name) as HealthCheck;
  };

  it('logs in to SMTP, tries the ports and compares clocks', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    await using dns = await DnsServer.start(good);
    await using smtp = await startSmtpServer({ auth: { user: 'site', password: 'p4ss' } });
    const settings = {
      DATA_DIR: folder.path,
      DNS_SERVER: dns.address,
      SMTP_HOST: smtp.host,
      SMTP_PORT: String(smtp.port),
      SMTP_USER: 'site',
      SMTP_PASSWORD: 'p4ss',
      MAIL_FROM: 'site@site.test',
    };
    const seen = await look(db, settings);
    for (const name of ['clock', 'spf', 'dkim', 'dmarc', 'mx', 'smtp', 'smtp-ports', 'held'] as const) {
      expect(seen(name), name).to.include({ status: 'ok' });
    }
    expect(seen('smtp').fact).to.match(/^connect: 220.*login: 235.*mail: 250/);
    expect(seen('smtp-ports').fact).to.include(`${smtp.port} open`);
    expect(smtp.messages).to.have.lengthOf(0);
    expect(smtp.commands.join()).to.include('MAIL').and.to.not.include('RCPT');

    const wrong = await look(db, { ...settings, SMTP_PASSWORD: 'no' });
    expect(wrong('smtp')).to.include({ status: 'fail' });
    expect(wrong('smtp').fact).to.include('login: 535');
    const closed = await look(db, { ...settings, SMTP_PORT: '1' });
    expect(closed('smtp-ports').fact).to.include('1 closed');
    expect(closed('smtp-ports').status).to.equal('fail');
  });

  it('warns about certificates, clock drift and old held messages', async () => {
    await using db = await createDatabase();
    await using context = await openTestContext(db);
    const em = context.orm.em.fork();
    const apart = (ms: number) => checkClock({ now: () => new Date(Date.now() + ms) }, em);
    expect(await apart(0)).to.include({ status: 'ok' });
    expect(await apart(30_000)).to.include({ status: 'warn', fact: '30 s ahead of the clock of the database' });
    expect(await apart(-600_000)).to.include({ status: 'fail', fact: '600 s behind the clock of the database' });

    const lasting = async (days: number) => {
      const config = {
        ...context.config,
        smtp: { host: '127.0.0.1', port: 1, user: undefined, password: undefined, connections: 1, hello: undefined },
      };
      const walked = {
        outcome: { result: 'accepted', reply: '250 ok' },
        certificateEndsAt: new Date(Date.now() + (days + 0.5) * 86_400_000),
      };
      const mailer = { walk: async () => walked };
      const parts = { config, now: () => new Date(), mailer: () => mailer } as unknown as HealthParts;
      return await deepChecks(parts).smtp;
    };
    expect(await lasting(30)).to.include({ status: 'ok' });
    expect(await lasting(3)).to.include({ status: 'warn' });
    expect((await lasting(3)).fact).to.include('expires in 3 days');

    await buildMessages(context, 3, (i) => (i > 0 ? { _gotcha: 'x' } : {}));
    await using folder = await temporaryFolder();
    const held = async () => {
      const { stdout } = await runHere(['health', '--json'], db, { settings: { DATA_DIR: folder.path } });
      return (JSON.parse(stdout) as Health).checks.find((it) => it.name === 'held');
    };
    expect(await held()).to.include({ status: 'ok', fact: '2 held, 0 of them longer than a day' });
    await db.query(
      `update messages set received_at = now() - interval '25 hours' where id = (select min(id::text)::uuid from messages where status = 'held')`,
    );
    expect(await held()).to.include({ status: 'warn', fact: '2 held, 1 of them longer than a day' });
  });

  it("tests the operator's own templates separately", async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const templates = join(folder.path, 'templates');
    const look = async (name: HealthCheck['name']) => {
      const { stdout } = await runHere(['health', '--json'], db, { settings: { DATA_DIR: folder.path } });
      return (JSON.parse(stdout) as Health).checks.find((it) => it.name === name) as HealthCheck;
    };
    expect(await look('templates')).to.include({ status: 'ok', fact: `none of your own in ${templates}` });
    await mkdir(templates);
    await writeFile(join(templates, 'auto-reply.text.liquid'), 'Ours, {{ receipt }}');
    expect(await look('templates')).to.include({
      status: 'ok',
      fact: `auto-reply.text.liquid in ${templates}: it renders`,
    });
    await writeFile(join(templates, 'auto-reply.text.liquid'), 'Ours,\n{{ message }}');
    const wrong = await look('templates');
    expect(wrong).to.include({ status: 'fail', fix: 'fix that file, or delete it to use ours' });
    expect(wrong.fact).to.include('auto-reply.text.liquid, line 2: unknown variable "message"');
    expect(await look('mail')).to.include({ status: 'ok' });
  });

  it('--watch repeats the checks until stopped', async () => {
    await using db = await createDatabase();
    await using folder = await temporaryFolder();
    const settings = { DATABASE_URL: db.url, DATA_DIR: folder.path };
    await using watching = await RunningServer.startCommand(['health', '--watch', '--every', '1'], settings);
    await watching.said(/(?:checked at[\s\S]*){3}/);
    expect((await watching.stop('SIGINT')).code).to.equal(0);
  });
});
