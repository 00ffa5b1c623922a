import { inspect } from 'node:util';
import { expect } from 'chai';
import { ConfigFaulty, readConfig } from '../../src/config.ts';
import { withSecretFiles } from '../../src/environment.ts';
import { type VariableName, variable, variableNames } from '../../src/variables.ts';

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
  it('needs nothing outside production', () => {
    const config = readConfig({});
    expect(config).to.deep.include({
      host: '127.0.0.1',
      port: 3000,
      publicUrl: 'http://localhost:3000',
      autoReply: true,
    });
    expect(config.databaseUrl.reveal()).to.equal('embedded');
    expect(config.smtp).to.equal(undefined);
    expect(config.notifyTo).to.deep.equal(['owner@localhost']);
  });

  it('reports every fault at once, each with its name, what is wrong and an example', () => {
    const faulty = {
      PORT: '70000',
      PUBLIC_URL: 'forms.example.com',
      DATABASE_URL: 'mysql://x/y',
      SMTP_PORT: 'smtp',
      MAIL_FROM: 'nobody',
      NOTIFY_TO: 'a@example.com, b',
      AUTO_REPLY: 'yes',
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

  it('asks in production for exactly what the documentation marks as required', () => {
    const required = variableNames.filter((name) => variable(name).production);
    expect(faultsOf({ NODE_ENV: 'production' }).map(([name]) => name)).to.have.members(required);
    const examples = Object.fromEntries(required.map((name) => [name, variable(name).example]));
    expect(faultsOf({ NODE_ENV: 'production', ...examples })).to.deep.equal([]);
  });

  it('accepts its own example of every variable', () => {
    for (const name of variableNames) {
      const faults = faultsOf({ [name]: variable(name).example, SMTP_PASSWORD: 'x' }).map(([it]) => it);
      // A mail server alone needs a sender; a login alone needs a server's password, which is given here.
      expect(
        faults.filter((it) => it !== 'MAIL_FROM' && it !== 'ENCRYPTION_KEYS'),
        name,
      ).to.not.include(name as VariableName);
    }
  });

  it('takes SMTP_USER for From where it is an address, and asks for MAIL_FROM where it is none', () => {
    const smtp = { SMTP_HOST: 'smtp.example.com', SMTP_PASSWORD: 'x' };
    expect(readConfig({ ...smtp, SMTP_USER: 'me@example.com' }).mailFrom).to.deep.equal({ address: 'me@example.com' });
    expect(faultsOf({ ...smtp, SMTP_USER: 'apikey' })).to.deep.equal([
      ['MAIL_FROM', 'is missing, while SMTP_HOST is set and SMTP_USER is not an address'],
    ]);
    expect(faultsOf({ SMTP_USER: 'me@example.com' }).map(([name]) => name)).to.deep.equal(['SMTP_PASSWORD']);
    expect(readConfig({ MAIL_FROM: 'Ada Site <ada@example.com>' }).mailFrom).to.deep.equal({
      name: 'Ada Site',
      address: 'ada@example.com',
    });
  });

  it('refuses database modes that fall back to plain text without a word', () => {
    for (const mode of ['prefer', 'allow', 'on', '']) {
      expect(
        faultsOf({ DATABASE_URL: `postgresql://h/db?sslmode=${mode}` }).map(([name]) => name),
        mode,
      ).to.deep.equal(['DATABASE_URL']);
    }
  });

  it('shows no secret when it is printed or serialised', () => {
    const config = readConfig({
      DATABASE_URL: 'postgresql://u:canary1@h/db',
      SMTP_PASSWORD: 'canary2',
      SMTP_HOST: 'h',
      SMTP_USER: 'a@b.test',
      ENCRYPTION_KEYS: `k1:${Buffer.alloc(32, 'canary3').toString('base64')}`,
    });
    const shown = inspect(config, { depth: 9 }) + JSON.stringify(config) + String(config.databaseUrl);
    expect(shown).to.not.match(/canary|Y2FuYXJ5/);
    expect(config.encryptionKeys?.reveal()[0]?.secret).to.have.lengthOf(32);
  });

  it('reads a secret from the file that NAME_FILE names; a variable that is set wins', () => {
    const readFile = (path: string) => `from ${path}\n`;
    expect(withSecretFiles({ SMTP_PASSWORD_FILE: '/run/p' }, readFile)['SMTP_PASSWORD']).to.equal('from /run/p');
    expect(withSecretFiles({ SMTP_PASSWORD_FILE: '/run/p', SMTP_PASSWORD: 'x' }, readFile)['SMTP_PASSWORD']).to.equal(
      'x',
    );
    const missing = () => {
      throw new Error('ENOENT');
    };
    expect(() => withSecretFiles({ DATABASE_URL_FILE: '/none' }, missing)).to.throw(/DATABASE_URL_FILE names \/none/);
  });
});
