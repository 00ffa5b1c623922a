import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'chai';
import { keyScopes } from '../../src/words.ts';
import { createDatabase, type TestDatabase } from '../support/database.ts';
import { ruffinweb, temporaryFolder, testKeys } from '../support/program.ts';
import { runHere, runIn, withoutColours } from './terminal.ts';

describe('keys', () => {
  let db: TestDatabase;

  beforeEach(async () => {
    db = await createDatabase();
  });
  afterEach(async () => {
    await db[Symbol.asyncDispose]();
  });

  const run = (...args: string[]) => runHere(['keys', ...args], db);
  const create = async (...args: string[]) =>
    JSON.parse((await run('create', '--name', 'shop', '--scope', 'read', ...args, '--json')).stdout);

  it('are created, shown once, and stored only as a hash', async () => {
    const { code, stdout, stderr } = await ruffinweb(
      [
        'keys',
        'create',
        '--name',
        'The dashboard',
        '--scope',
        'write',
        'read',
        '--form',
        'contact',
        '--expires',
        '90d',
      ],
      { DATABASE_URL: db.url },
    );
    expect(code).to.equal(0);
    expect(stdout).to.match(/^rw_[0-9a-hjkmnp-tv-z]{10}_[\w-]{43}\n$/);
    expect(stderr).to.include('shown only this time').and.include('read and write messages and emails of contact');
    const secret = stdout.trim().split('_').slice(2).join('_');
    const [row] = await db.query<{ text: string; days: number }>(
      `select api_keys::text as text, round(extract(epoch from expires_at - created_at) / 86400)::int as days from api_keys`,
    );
    for (const form of [
      secret,
      Buffer.from(secret).toString('hex'),
      Buffer.from(secret, 'base64url').toString('hex'),
    ]) {
      expect(row?.text).to.not.include(form);
    }
    expect(row?.days).to.equal(90);
    const listed = await run('list', '--json');
    expect(listed.stdout).to.not.include(secret);
    const { items, next } = JSON.parse(listed.stdout);
    expect(next).to.equal(null);
    expect(items).to.deep.equal([
      {
        id: items[0].id,
        name: 'The dashboard',
        beginning: stdout.slice(0, 13),
        scopes: ['read', 'write'],
        forms: ['contact'],
        state: 'active',
        createdAt: items[0].createdAt,
        expiresAt: items[0].expiresAt,
        revokedAt: null,
        lastUsedAt: null,
      },
    ]);
  });

  it('expire at a day in the time zone of the terminal, whatever .env says', async () => {
    await using folder = await temporaryFolder();
    await writeFile(join(folder.path, '.env'), 'TZ=Asia/Tokyo\n');
    const args = ['keys', 'create', '--name', 'x', '--scope', 'read', '--expires', '2036-07-01'];
    const createIn = (TZ: string | undefined) =>
      runIn(folder.path, args, { DATABASE_URL: db.url, ENCRYPTION_KEYS: testKeys, TZ });
    const [berlin, system] = await Promise.all([createIn('Europe/Berlin'), createIn(undefined)]);
    expect(berlin.stderr).to.include('until 2036-07-01 (2036-07-01 00:00:00+02:00)');
    expect(system.stderr).to.include('until 2036-0').and.not.include('+09:00');
    const inUtc = await runHere([...args, '--utc'], db);
    expect(inUtc.stderr).to.include('until 2036-07-01 00:00:00Z.');
  });

  it('stop working at once when revoked, by prefix or id, once', async () => {
    const [one, other] = [await create(), await create()];
    expect((await run('revoke', one.beginning, '--yes', '--json')).stdout).to.include('"state": "revoked"');
    const again = await run('revoke', one.id, '--yes');
    expect(again).to.include({ code: 0 });
    expect(again.stderr).to.include('revoked before');
    const states = JSON.parse((await run('list', '--json')).stdout).items.map((it: { state: string }) => it.state);
    expect(states).to.deep.equal(['active', 'revoked']);
    await db.query(`update api_keys set expires_at = now() where id = $1`, [other.id]);
    const table = withoutColours((await runHere(['keys', 'list'], db, { columns: 80 })).stdout);
    expect(table)
      .to.match(/expired/)
      .and.match(/revoked/);
    for (const line of table.split('\n')) expect(line.length).to.be.at.most(80);
  });

  it('are not revoked without confirmation', async () => {
    const { beginning } = await create();
    const scripted = await run('revoke', beginning);
    expect(scripted).to.include({ code: 2, stdout: '' });
    const no = await runHere(['keys', 'revoke', beginning], db, { columns: 80, types: 'n\n' });
    expect(no.code).to.equal(1);
    expect(no.stderr).to.include('Revoke the key "shop"?');
    expect(await db.query('select from api_keys where revoked_at is null')).to.have.lengthOf(1);
  });

  it('are rejected if invalid, without repeating the input', async () => {
    const runs = await Promise.all([
      run('create', '--name', 'x', '--scope', 'all'),
      run('create', '--name', 'x'),
      run('create', '--scope', 'read'),
      run('create', '--name', ' ', '--scope', 'read'),
      run('create', '--name', 'x', '--scope', 'read', '--expires', '2020-01-01'),
      run('create', '--name', 'x', '--scope', 'read', '--form', 'nothing'),
      run('revoke', 'rw_0000000000_secret', '--yes'),
    ]);
    expect(runs.map((it) => it.code)).to.deep.equal([2, 2, 2, 2, 2, 1, 1]);
    expect(runs.at(-1)?.stderr).to.equal('there is no such key: see "ruffinweb keys list"');
    expect(await db.query('select from api_keys')).to.deep.equal([]);
  });

  it('accept the known scopes; an empty list says what to do', async () => {
    const help = (await run('create', '--help')).stdout.replace(/\s+/g, ' ');
    expect(help).to.include(`(choices: ${keyScopes.map((it) => `"${it}"`).join(', ')})`);
    const empty = await run('list');
    expect(empty).to.include({ code: 0, stdout: '' });
    expect(empty.stderr).to.include('ruffinweb keys create');
  });
});
