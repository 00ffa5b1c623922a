import { Migration } from '@mikro-orm/migrations';

/** How long each form's messages are kept, and the indexes that make deleting cheap. */
export class Retention extends Migration {
  override up(): void {
    this.addSql(`alter table "forms" add "retention_days" int null`);
    this.addSql(`alter table "messages" add "held_at" timestamptz(3) null`);
    this.addSql(`create index "messages_client_address_index" on "messages" ("id") where client_address is not null`);
    // For the foreign keys' checks on each deleted email and sender.
    this.addSql(`create index "emails_resend_of_index" on "emails" ("resend_of_id") where resend_of_id is not null`);
    this.addSql(`create index "emails_sender_index" on "emails" ("sender_id") where sender_id is not null`);
  }

  override down(): void {
    this.addSql(`drop index "emails_sender_index"`);
    this.addSql(`drop index "emails_resend_of_index"`);
    this.addSql(`drop index "messages_client_address_index"`);
    this.addSql(`alter table "messages" drop column "held_at"`);
    this.addSql(`alter table "forms" drop column "retention_days"`);
  }
}
