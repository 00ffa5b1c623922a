import { Migration } from '@mikro-orm/migrations';
import { lockTablesOfPosts } from './20261210100000_replies.ts';

/** Forms with fields, routes, limits and words of their own, and messages without a sender. */
export class AnyForm extends Migration {
  override up(): void {
    this.addSql(lockTablesOfPosts);
    this.addSql(`alter table "forms" add "optional_fields" text[] null, add "fields" jsonb null, add "email_field" text null,
      add "routes" jsonb null, add "closes_at" timestamptz(3) null, add "message_limit" int null, add "closed_text" text null,
      add "language" text null, add "words" jsonb null`);
    this.addSql(
      `alter table "forms" add constraint "forms_language_check" check (language in ('en', 'de', 'auto')) not valid`,
    );
    this.addSql(`alter table "messages" alter column "sender_id" drop not null`);
    this.addSql(`alter table "messages" add "other_addresses" text[] null`);
    this.addSql(`create index "messages_other_addresses_index" on "messages" using gin ("other_addresses")
      where other_addresses is not null`);
  }

  /** Messages without a sender stay: release 0.3.0 can read them. */
  override down(): void {
    this.addSql(lockTablesOfPosts);
    this.addSql(`alter table "messages" drop column "other_addresses"`);
    this.addSql(`do $$ begin
        if not exists (select from messages where sender_id is null) then
          alter table messages alter column sender_id set not null;
        end if;
      end $$`);
    this.addSql(`alter table "forms" drop column "optional_fields", drop column "fields", drop column "email_field",
      drop column "routes", drop column "closes_at", drop column "message_limit", drop column "closed_text",
      drop column "language", drop column "words"`);
  }
}
