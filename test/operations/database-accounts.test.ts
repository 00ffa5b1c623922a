import { readFile } from 'node:fs/promises';
import { expect } from 'chai';
import { runHere } from '../cli/terminal.ts';
import { buildMessages } from '../support/build.ts';
import { openTestContext } from '../support/context.ts';
import { createDatabase } from '../support/database.ts';
import { temporaryFolder } from '../support/program.ts';

describe('deploy/database-accounts.sql', () => {
  for (const [title, migratedBefore] of [
    ['new', false],
    ['in use', true],
  ] as const) {
    it(`lets one migrate and another serve (${title})`, async () => {
      await using db = await createDatabase({ empty: true });
      await using folder = await temporaryFolder();
      const [owner, server] = [`${db.name}_owner`, `${db.name}_server`];
      const urlOf = (role: string) => Object.assign(new URL(db.url), { username: role, password: 'secret' }).href;
      const run = async (role: string, command: string) => {
        const settings = { DATA_DIR: folder.path };
        const done = await runHere(command.split(' '), { url: urlOf(role) }, { settings });
        return `${done.code} ${done.stderr}`;
      };
      await db.query(`create role ${owner} login password 'secret'; create role ${server} login password 'secret'`);
      try {
        if (migratedBefore) {
          await db.query(`alter database ${db.name} owner to ${server}`);
          expect(await run(server, 'migrate up')).to.equal('0 ');
        }
        const sql = await readFile(new URL('../../deploy/database-accounts.sql', import.meta.url), 'utf8');
        const names: Record<string, string> = { ruffinweb: server, ruffinweb_owner: owner };
        await db.query(
          sql
            .replace('database ruffinweb ', `database ${db.name} `)
            .replaceAll(/\bruffinweb(_owner)?\b/g, (name) => names[name] ?? name),
        );
        expect(await run(owner, 'migrate up')).to.equal('0 ');
        await using context = await openTestContext({ url: urlOf(server) });
        const receipt = (await buildMessages(context, 2))[0]?.receipt;
        const everyday = [
          ...['migrate up', 'migrate check', 'deliver --once', 'forms add other', 'keys create --name k --scope read'],
          ...[`messages hold ${receipt}`, `messages release ${receipt}`, 'emails pause', 'emails resume', 'purge'],
          ...['encryption rotate --yes', 'senders erase --email ada@example.test --yes', 'health'],
        ];
        for (const command of everyday) expect(await run(server, command), command).to.match(/^0 /);
        // The newest migration changed only rows.
        expect(await run(owner, 'migrate down --yes')).to.equal('0 ');
        expect(await run(server, 'migrate down --yes')).to.match(/^1 .*our database user may not do this/);
        expect(await run(owner, 'migrate down --yes')).to.equal('0 ');
      } finally {
        await db.query(`drop owned by ${server}; reassign owned by ${owner} to current_user`);
        await db.query(`drop owned by ${owner}; drop role ${owner}, ${server}`);
      }
    });
  }
});
