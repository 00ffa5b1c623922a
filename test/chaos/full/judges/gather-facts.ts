import { readFileSync } from 'node:fs';
import { ruffinweb } from '../../../support/program.ts';
import type { World } from '../world.ts';
import { badLinesIn, type Facts, type StoredDelivery, type StoredEmail, type StoredMessage } from './oracle.ts';

/** Reads the ledgers, the database and the logs of a world whose mail has left. */
export async function gatherFacts(world: World, logs: readonly string[], forms: Facts['forms']): Promise<Facts> {
  const { outside, load, canary, ended } = world;
  const { code, stdout, stderr } = await ruffinweb(['messages', 'export', '--format', 'jsonl'], outside.settings);
  if (code !== 0) throw new Error(`messages export: ${code} ${stderr}`);
  const lines = stdout.split('\n').filter((it) => it !== '');
  const emails = await world.query<StoredEmail>(
    `select id, message_id as "messageId", kind, state, failure, internet_message_id as header,
       (select count(*)::int from attempts where email_id = emails.id and outcome = 'unknown') as uncertain,
       (select count(*)::int from attempts where email_id = emails.id and outcome = 'accepted') as accepted
     from emails`,
  );
  const deliveries = await world.query<StoredDelivery>(
    `select id, case when event = 'message.accepted' then message_id end as "messageId", state,
       (select count(*)::int from hook_attempts where delivery_id = d.id and outcome in ('unknown', 'away')) as uncertain,
       (select count(*)::int from hook_attempts where delivery_id = d.id and outcome = 'accepted') as accepted
     from hook_deliveries d`,
  );
  const miscounted = await world.query<{ id: string }>(
    `select id from senders where message_count <> (select count(*) from messages where sender_id = senders.id)`,
  );
  return {
    visits: load.ledger.read(),
    messages: lines.map((it) => JSON.parse(it) as StoredMessage),
    emails,
    deliveries,
    mails: outside.mail.ledger.read(),
    calls: outside.hooks.ledger.read().filter((it) => it.at >= world.openedAt),
    forms,
    owner: String(outside.settings.NOTIFY_TO),
    clocksJumped: world.clocksJumped,
    miscounted: miscounted.map((it) => it.id),
    stuck: world.stuck,
    badLines: [
      ...logs.flatMap((path) => badLinesIn(readFileSync(path, 'utf8'), canary)),
      ...badLinesIn(outside.alerts.ledger.map((it) => JSON.stringify(it)).join('\n'), canary),
      ...(await tablesWith(world)),
    ],
    ended,
  };
}

/** Tables that have the visitors' word in clear, in a text or in bytes. */
async function tablesWith(world: World): Promise<string[]> {
  const tables = await world.query<{ name: string }>(
    `select tablename as name from pg_tables where schemaname = 'public'`,
  );
  const found: string[] = [];
  for (const { name } of tables) {
    const [first] = await world.query<{ row: string }>(
      `select it::text as row from "${name}" it
         where position($1 in it::text) > 0 or position(encode(convert_to($1, 'UTF8'), 'hex') in it::text) > 0 limit 1`,
      [world.canary],
    );
    if (first) found.push(`table ${name}: ${first.row}`);
  }
  return found;
}
