import { randomBytes } from 'node:crypto';
import pg from 'pg';
import { v7 as uuidv7 } from 'uuid';
import type { Keyring } from '../../src/privacy/keyring.ts';
import { sealContent } from '../../src/services/sealed-values.ts';

const atOnce = 5000;

/** Stores `count` encrypted messages from one sender, as the server would have stored them. */
export async function fillMessages(url: string, keyring: Keyring, count: number): Promise<void> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const senderId = uuidv7();
    const address = 'ada@example.test';
    await client.query(
      'insert into senders (id, address_index, address, message_count, first_message_at, last_message_at) values ($1, $2, $3, $4, now(), now())',
      [
        senderId,
        keyring.addressIndex(address),
        keyring.seal(address, { table: 'senders', column: 'address', row: senderId }),
        count,
      ],
    );
    for (let done = 0; done < count; done += atOnce) {
      const ids = Array.from({ length: Math.min(atOnce, count - done) }, () => uuidv7());
      await client.query(
        `insert into messages (id, receipt, form_id, sender_id, status, content, received_at)
         select given.id, given.receipt, forms.id, $4, 'accepted', given.content, now()
         from forms cross join unnest($1::uuid[], $2::text[], $3::bytea[]) as given (id, receipt, content)
         where forms.slug = 'contact'`,
        [
          ids,
          ids.map(() => randomBytes(6).toString('hex').toUpperCase()),
          ids.map((id, n) =>
            sealContent(keyring, id, { address, text: `Hello for the ${done + n}th time. `.repeat(8), extra: [] }),
          ),
          senderId,
        ],
      );
    }
  } finally {
    await client.end();
  }
}
