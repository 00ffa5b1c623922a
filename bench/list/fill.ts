import type { Context } from '../../src/context.ts';
import { sealContent } from '../../src/services/sealed-values.ts';
import { query } from '../support/machine.ts';

export const rareForm = '01a20000-0000-7000-8000-00000000f0f0';

/** The number of the sender of every thousandth message. */
export const busySender = 1;

/**
 * Stores `rows` messages from ninety days, an email for each, and a third as many senders. One message in a hundred
 * belongs to another form and one is held; one email in a hundred failed, and one in twenty is an auto-reply. Encrypted
 * columns hold random bytes of the usual length; `sealPage` encrypts real values for the pages that are read.
 */
export async function fill(url: string, rows: number): Promise<void> {
  const now = `'${new Date().toISOString()}'::timestamptz`;
  const time = `(${now} - (${rows} - n) * interval '90 days' / ${rows})`;
  const id = (kind: string, number = 'n') =>
    `(lpad(to_hex((extract(epoch from ${time}) * 1000)::bigint), 12, '0') || '7${kind}' || lpad(to_hex(${number}), 16, '8'))::uuid`;
  const bytes = (hashes: number) => `decode(repeat(md5(n::text), ${hashes}), 'hex')`;
  const senders = Math.floor(rows / 3);
  const senderOf = `case when n % 1000 = 0 then ${busySender} else n % ${senders} + 1 end`;
  await query(url, `insert into forms (id, slug, name) values ('${rareForm}', 'rare', 'Rare')`);
  await query(
    url,
    `insert into senders (id, address_index, address, name, message_count, first_message_at, last_message_at)
     select md5('sender ' || n)::uuid, decode(md5(n::text) || md5('x' || n), 'hex'), ${bytes(4)}, ${bytes(4)}, 3,
       now() - interval '90 days', now() - (${senders} - n) * interval '90 days' / ${senders}
     from generate_series(1, ${senders}) as n`,
  );
  await query(
    url,
    `insert into messages (id, receipt, form_id, sender_id, status, content, received_at)
     select ${id('001')}, 'RW-' || lpad(n::text, 10, '0'),
       case when n % 100 = 0 then '${rareForm}'::uuid else (select forms.id from forms where slug = 'contact') end,
       md5('sender ' || ${senderOf})::uuid, case when n % 100 = 50 then 'held' else 'accepted' end, ${bytes(20)}, ${time}
     from generate_series(1, ${rows}) as n`,
  );
  await query(
    url,
    `insert into emails (id, kind, state, message_id, recipient, sender_id, due_at, tries, internet_message_id, created_at, sent_at)
     select ${id('002')}, case when n % 20 = 7 then 'auto-reply' else 'notification' end,
       case when n % 100 = 9 then 'failed' else 'sent' end, ${id('001')},
       case when n % 20 <> 7 then 'owner@example.com' end, case when n % 20 = 7 then md5('sender ' || ${senderOf})::uuid end,
       ${time}, 1, '<' || n || '@example.com>', ${time}, ${time}
     from generate_series(1, ${rows}) as n`,
  );
  await query(url, 'vacuum analyze');
}

/** Encrypts values for these messages and senders with the program's own code and keys. */
export async function sealPage(context: Context, ids: { messages: string[]; senders: string[] }): Promise<void> {
  const { keyring } = context;
  const em = context.orm.em.fork();
  for (const id of ids.senders) {
    await em.execute('update senders set address = ?, name = ? where id = ?', [
      keyring.seal('somebody@example.net', { table: 'senders', column: 'address', row: id }),
      keyring.seal('Somebody Example', { table: 'senders', column: 'name', row: id }),
      id,
    ]);
  }
  for (const id of ids.messages) {
    const content = { address: 'somebody@example.net', name: 'Somebody', text: 'What people say. '.repeat(15) };
    await em.execute('update messages set content = ? where id = ?', [
      sealContent(keyring, id, { ...content, extra: [] }),
      id,
    ]);
  }
}
